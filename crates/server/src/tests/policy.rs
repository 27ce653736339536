//! Who looks, who is counted, and what keeps everything automatic from starting.

use super::lab::Lab;
use crate::api::view::{DecisionView, HoldReply, HoldRequest, RunsView, StatusView};
use crate::{Order, hold};
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::observation::Role;
use pilotlight_core::placement::Verb;
use pilotlight_core::verdict::{Contact, Witness};

fn contact(status: &StatusView, from: &Witness, of: &str) -> Option<Contact> {
    let row = status.reach.rows.iter().find(|r| &r.observer == from)?;
    row.cells.iter().find(|c| c.place == Witness::Agent(of.into())).map(|c| c.contact)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_keeps_a_failover_from_starting_but_not_a_persons() {
    let mut lab = Lab::up(|_| ()).await;
    let file = lab.plan.hold_file(&lab.plan.controller.members[0]);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, hold::text("ada", "network work")).unwrap();
    lab.until("the hold is seen", |s| s.hold.as_ref().is_some_and(|h| h.by == "ada")).await;
    lab.lose("east");
    let held = |s: &StatusView| match &s.units[0].decision {
        DecisionView::Hold { why, code } => why.contains("ada holds") && code.as_deref() == Some("PL-0242"),
        DecisionView::Start { .. } => false,
    };
    let status = lab.until("the lost region is held", held).await;
    assert!(status.is("region lost") && !status.units[0].judgement.as_ref().unwrap().evidence.is_empty());
    assert_eq!(lab.runs().await, vec![]);
    lab.start_move(Verb::Failover, Some("west"), false).await.expect("a person's request wins");
    assert_eq!(lab.until_ended(1).await, [Verb::Failover]);
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_controller_that_is_asked_for_a_hold_writes_its_own_file() {
    let lab = Lab::up(|_| ()).await;
    let file = lab.plan.hold_file(&lab.plan.controller.members[0]);
    let wish = |on| HoldRequest { by: "ada".to_owned(), why: "network work".to_owned(), on };
    let reply: HoldReply = lab.send("/v1/hold", &wish(true)).await.unwrap();
    assert!(!reply.shared && reply.hold == hold::read(&file) && reply.hold.is_some(), "{reply:?}");
    let reply: HoldReply = lab.send("/v1/hold", &wish(false)).await.unwrap();
    assert!(reply.hold.is_none() && !file.exists(), "{reply:?}");
    std::fs::create_dir_all(&file).unwrap();
    let (status, refused) = lab.send::<HoldReply>("/v1/hold", &wish(false)).await.unwrap_err();
    assert_eq!((status, refused.code.as_str()), (503, "PL-0976"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_starts_when_the_hold_ends() {
    let mut lab = Lab::new();
    let file = lab.plan.hold_file(&lab.plan.controller.members[0]);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "").unwrap();
    lab.start_controller();
    lab.start_agent("east");
    lab.start_agent("west");
    lab.until("all is well", |s| {
        s.is_well("east") && s.knows_exposure() && s.units[0].candidate.is_some() && s.hold.is_some()
    })
    .await;
    lab.lose("east");
    lab.until("the region counts as lost", |s| s.is("region lost")).await;
    assert_eq!(lab.runs().await, vec![]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(lab.until_ended(1).await, [Verb::Failover]);
}

#[tokio::test(flavor = "multi_thread")]
async fn observers_are_counted_and_shown_and_a_minority_holds_still() {
    let mut lab = Lab::up(|p| p.policy.observers = ["paris", "oslo"].map(Into::into).to_vec()).await;
    let west = Witness::Agent("west".into());
    lab.until("west sees the writer's port", |s| contact(s, &west, "east") == Some(Contact::Sees)).await;
    lab.start_observer("paris");
    lab.until("four of five are heard", |s| s.reach.quorum.heard == 4 && s.reach.quorum.all == 5).await;
    lab.kill_observer("paris");
    lab.until("three of five are heard", |s| s.reach.quorum.heard == 3).await;
    lab.lose("east");
    let status = lab.until("two of five are no majority", |s| s.is("in the minority")).await;
    let DecisionView::Hold { why, code } = &status.units[0].decision else { panic!("{status:#?}") };
    assert!(why.contains("2 of 5") && code.as_deref() == Some("PL-0243"), "{why}");
    assert_eq!(lab.runs().await, vec![]);
    lab.start_observer("paris");
    assert_eq!(lab.until_ended(1).await, [Verb::Failover], "three of five are one");
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_the_plan_does_not_name_is_refused() {
    let lab = Lab::up(|_| ()).await;
    let report = pilotlight_core::protocol::ObserverReport {
        version: pilotlight_core::protocol::VERSION,
        observer: "stranger".into(),
        instance: "x".to_owned(),
        sequence: 1,
        ports: vec![],
        health: vec![],
    };
    let (status, body) = lab.send::<()>("/v1/observe", &report).await.unwrap_err();
    assert_eq!((status, body.code.as_str()), (404, "PL-0132"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_hangs_is_failed_over_after_the_time_that_is_borne() {
    let lab = Lab::up(|p| p.policy.unhealthy_for = Some(std::time::Duration::from_millis(1_000))).await;
    lab.world.set_role("database", "east", |_| Role::Unresponsive);
    let ended = lab.until_ended_first().await;
    assert_eq!(ended, Verb::Failover);
    lab.until("west is well", |s| s.units[0].writer == Some("west".into()) && s.is("healthy")).await;
    lab.no_rule_was_broken();
}

/// The policy wants a proven fence, the driver cannot give one, and an order says that none is needed.
async fn with_an_order() -> Lab {
    let mut lab = Lab::new();
    lab.plan.policy.unhealthy_for = Some(std::time::Duration::from_millis(1_000));
    lab.plan.policy.least_fence = FenceAssurance::Proven;
    lab.given.fence = FenceAssurance::ConnectionsCut;
    let (unit, why) = ("payments".into(), "standing order of alarm east".to_owned());
    lab.given.orders.give(Order { unit, from: "east".into(), least_fence: FenceAssurance::None, why });
    lab.start_controller();
    lab.start_agent("east");
    lab.start_agent("west");
    lab.until("all is well", |s| s.is_well("east") && s.knows_exposure() && s.units[0].candidate.is_some()).await;
    lab
}

fn fence_is_too_weak(status: &StatusView) -> bool {
    matches!(&status.units[0].decision, DecisionView::Start { refused: Some(r), .. } if r.code == "PL-0209")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_weakens_the_fence_of_a_lost_region_and_not_of_a_writer_that_hangs() {
    let mut lab = with_an_order().await;
    lab.world.set_role("database", "east", |_| Role::Unresponsive);
    lab.until("one that hangs for too long needs the whole fence", |s| s.is("suspect") && fence_is_too_weak(s)).await;
    assert_eq!(lab.runs().await, vec![]);
    lab.world.set_role("database", "east", |_| Role::Writer);
    lab.until("it is well again", |s| s.is_well("east") && s.knows_exposure() && s.units[0].candidate.is_some()).await;
    lab.lose("east");
    assert_eq!(lab.until_ended(1).await, [Verb::Failover], "the lost one needs none");
    let runs: RunsView = lab.ask("/v1/runs").await.unwrap();
    let why = lab.run(&runs.runs[0].run).await.cause.why;
    assert!(why.contains("standing order of alarm east"), "{why}");
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_weakens_no_fence_of_a_dead_writer() {
    let lab = with_an_order().await;
    lab.world.kill("database", "east");
    lab.until("a dead one needs the whole fence", |s| s.is("writer dead") && fence_is_too_weak(s)).await;
    assert_eq!(lab.runs().await, vec![]);
}
