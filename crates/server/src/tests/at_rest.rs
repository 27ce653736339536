//! Both regions take users at rest: one that is lost is drained, whether it has the writer or not, and comes back by a failback.

use super::lab::Lab;
use super::steering::begun;
use super::wait::until;
use crate::api::view::StatusView;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::Region;
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::{DecisionMode, FailbackPlan, Guarantee, Plan, Shares, ShiftOrder};
use pilotlight_driver::fake::Misbehaviour;
use std::time::Duration;

fn active(plan: &mut Plan) {
    plan.shares = Some(shares(60, 40));
    plan.failback = None;
}

fn shares(east: u32, west: u32) -> Shares {
    [("east".into(), east), ("west".into(), west)].into()
}

/// Users are led by the shares at rest, as after a first failback.
async fn up(configure: impl FnOnce(&mut Plan)) -> Lab {
    let lab = Lab::up(|plan| {
        active(plan);
        configure(plan);
    })
    .await;
    let drift = lab
        .until("the first publication, which leads to the writer, is told as drift", |s| !s.units[0].drift.is_empty());
    assert_eq!(drift.await.units[0].drift[0].seen.get(&Region::from("west")).copied().unwrap_or_default(), 0);
    moved(&lab, Verb::Failback, None, 1).await;
    assert_eq!(lab.world.shares("name"), shares(60, 40));
    lab.until("nothing differs any more", |s| s.is_well("east") && s.units[0].drift.is_empty()).await;
    lab
}

async fn moved(lab: &Lab, verb: Verb, target: Option<&str>, runs: usize) {
    begun(lab, verb, target).await;
    assert_eq!(lab.until_ended(runs).await.last(), Some(&verb));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_region_without_the_writer_is_drained_by_itself_and_a_failback_gives_its_share_back() {
    let mut lab = up(|_| ()).await;
    lab.lose("west");
    assert_eq!(lab.until_ended(2).await, [Verb::Failback, Verb::Drain]);
    assert_eq!(lab.world.shares("name"), [("east".into(), 100)].into());
    assert_eq!(lab.world.writers("database"), ["east".into()], "the writer stays");
    let status = lab.until("the drift is told", |s| s.is_well("east") && !s.units[0].drift.is_empty()).await;
    let judged = status.units[0].judgement.clone().unwrap();
    assert_eq!(judged.lost, [Region::from("west")]);
    lab.world.heal("west");
    lab.start_agent("west");
    let follows = |s: &StatusView| {
        let west = s.regions.iter().find(|r| r.region.as_str() == "west" && r.heard);
        let copies = west.into_iter().flat_map(|r| &r.components).filter_map(|c| c.state.role.as_ref());
        copies.into_iter().any(|role| matches!(role, Role::Standby { streaming: true, .. }))
    };
    lab.until("west is seen to follow", follows).await;
    moved(&lab, Verb::Failback, None, 3).await;
    assert_eq!(lab.world.shares("name"), shares(60, 40));
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_writer_takes_its_share_along_and_a_failback_brings_the_shares_back() {
    let short = Duration::from_millis(100);
    let steps = FailbackPlan {
        order: ShiftOrder::WriterFirst,
        shares: vec![10, 50, 100],
        watch: short * 2,
        every: short,
        max_errors: 1,
        approval: false,
        soak: short,
        max_lag_bytes: u64::MAX,
    };
    let mut lab = up(|plan| plan.failback = Some(steps)).await;
    lab.lose("east");
    assert_eq!(lab.until_ended(2).await.last(), Some(&Verb::Failover));
    assert_eq!(lab.world.shares("name"), [("west".into(), 100)].into());
    lab.world.heal("east");
    lab.start_agent("east");
    assert_eq!(lab.until_ended(3).await.last(), Some(&Verb::Rejoin));
    lab.until("west is well", |s| s.is_well("west") && !s.units[0].judgement.as_ref().unwrap().candidates.is_empty())
        .await;
    moved(&lab, Verb::Failback, None, 4).await;
    assert_eq!((lab.world.shares("name"), lab.world.writers("database")), (shares(60, 40), vec!["east".into()]));
    let led = lab.world.journal().into_iter().filter_map(|applied| match applied.effect {
        Effect::Route { shares, .. } => Some(shares),
        _ => None,
    });
    let led: Vec<Shares> = led.collect();
    let home = [shares(6, 94), shares(30, 70), shares(60, 40)];
    assert!(led.ends_with(&home), "each step of the failback: {led:?}");
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_drains_where_the_policy_says_so_and_never_the_region_of_the_writer() {
    let mut lab = up(|plan| plan.policy.mode = DecisionMode::Manual).await;
    let (_, refused) = lab.start_move(Verb::Drain, Some("east"), false).await.unwrap_err();
    assert_eq!(refused.code, "PL-0936", "{refused:?}");
    lab.lose("west");
    lab.until("a person is asked", |s| {
        serde_json::to_string(&s.units[0].decision)
            .is_ok_and(|text| text.contains("pilotlight drain --from west") && text.contains("PL-0937"))
    })
    .await;
    moved(&lab, Verb::Drain, None, 2).await;
    assert_eq!(lab.world.shares("name"), [("east".into(), 100)].into());
    lab.until("the drift is told", |s| s.is_well("east") && !s.units[0].drift.is_empty()).await;
    let (_, refused) = lab.start_move(Verb::Drain, Some("west"), false).await.unwrap_err();
    assert_eq!(refused.code, "PL-0201", "it takes nothing any more: {refused:?}");
    lab.no_rule_was_broken();
}

/// `best-effort`: every controller was away for longer than a lease.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_taken_up_again_where_it_was_leaves_every_region_its_share() {
    let mut lab = up(|plan| {
        plan.policy.guarantee = Guarantee::BestEffort;
        plan.policy.mode = DecisionMode::Manual;
    })
    .await;
    lab.kill_controller();
    lab.until_nobody_writes().await;
    lab.start_controller();
    let seen = |s: &StatusView| s.is("writer dead") && s.regions.iter().all(|region| region.heard);
    lab.until("it is seen to be given up, and west is heard", seen).await;
    moved(&lab, Verb::Failover, Some("east"), 2).await;
    lab.until("it is well where it was", |s| s.is_well("east")).await;
    assert_eq!(lab.world.shares("name"), shares(60, 40));
    lab.no_rule_was_broken();
}

/// The guard remembers what it answered, across restarts too: a try that it knows would do nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_nowhere_is_published_once_that_is_mended_and_again_when_it_was_lost() {
    let mut lab = Lab::new();
    let is_route = |e: &Effect| matches!(e, Effect::Route { .. });
    let leads_to_the_writer = async |lab: &Lab| {
        until("the name leads to the writer", async || match lab.world.shares("name") {
            shares if shares == [("east".into(), 100)].into() => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    };
    lab.world.forget_shares("name");
    // As by a record that is not of the plan, until a person removes it.
    lab.world.on_effect(is_route, 1, Misbehaviour::Fail(FailureKind::Rejected));
    lab.start_controller();
    lab.start_agent("east");
    lab.start_agent("west");
    leads_to_the_writer(&lab).await;
    lab.until("all is well", |s| s.is_well("east")).await;
    let led = || lab.world.journal().iter().filter(|applied| is_route(&applied.effect)).count();
    assert_eq!(led(), 1);
    // The authority comes up on an empty folder. No run has raised the epoch.
    lab.world.forget_shares("name");
    leads_to_the_writer(&lab).await;
    assert_eq!(led(), 2);
    lab.kill_controller();
    lab.world.forget_shares("name");
    lab.start_controller();
    leads_to_the_writer(&lab).await;
    assert_eq!(lab.runs().await, vec![]);
    lab.no_rule_was_broken();
}
