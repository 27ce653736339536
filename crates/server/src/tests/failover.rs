//! Losses: the region, the database, the controller in the middle.

use super::lab::Lab;
use super::steering::started;
use super::wait::until;
use crate::api::view::{Action, ControlRequest, MoveReply, StatusView};
use pilotlight_core::effect::Effect;
use pilotlight_core::id::Region;
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::{DecisionMode, FailbackPlan, Guarantee, Kind, OnWriterDeath, ShiftOrder};
use pilotlight_core::run::{Condition, Event, RunResult, RunView};
use pilotlight_driver::fake::Misbehaviour;
use std::time::Duration;

fn follows(upstream: &'static str) -> impl Fn(&Role) -> bool {
    move |role| matches!(role, Role::Standby { upstream: Some(u), streaming: true } if u.as_str() == upstream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_region_is_failed_over_and_rejoins_when_it_is_back() {
    let mut lab = Lab::up(|_| ()).await;
    lab.world.write("database", "east").unwrap();
    lab.lose("east");
    assert_eq!(lab.until_ended(1).await, [Verb::Failover]);
    let status = lab.until("west is well", |s| s.is_well("west")).await;
    assert_eq!(lab.world.writers("database"), ["west".into()]);
    assert_eq!(lab.world.shares("name"), [("west".into(), 100)].into());
    let run = lab.run(&first_run(&lab).await).await;
    assert_eq!(Some(run.epoch), status.units[0].epoch);
    assert!(run.cause.automatic && run.cause.first_seen.is_some(), "{:?}", run.cause);
    assert!(run.cause.evidence.iter().any(|e| e.contains("silent")), "{:?}", run.cause);

    lab.world.heal("east");
    lab.start_agent("east");
    assert_eq!(lab.until_ended(2).await, [Verb::Failover, Verb::Rejoin]);
    lab.until_role("east", follows("west")).await;
    let fenced_itself = |a: &pilotlight_driver::fake::Applied| {
        matches!(&a.effect, Effect::Fence { region, .. } if region.as_str() == "east")
            && a.key.as_str().starts_with("local-")
    };
    assert!(lab.world.journal().iter().any(fenced_itself), "what came back as a writer was fenced on the spot");
    lab.no_rule_was_broken();
}

async fn first_run(lab: &Lab) -> pilotlight_core::id::RunId {
    let runs: crate::api::view::RunsView = lab.ask("/v1/runs").await.unwrap();
    runs.runs.into_iter().next_back().unwrap().run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_database_is_given_up_at_once_where_the_plan_says_so() {
    let lab = Lab::up(|_| ()).await;
    lab.world.kill("database", "east");
    assert_eq!(lab.until_ended(2).await, [Verb::Failover, Verb::Rejoin]);
    lab.until("west is well", |s| s.is_well("west")).await;
    let run = lab.run(&first_run(&lab).await).await;
    assert!(run.cause.evidence.iter().any(|e| e.contains("given up and fenced")), "{:?}", run.cause);
    let waited = run.steps.iter().any(|s| matches!(s.effect, Effect::AwaitLapse { .. }));
    assert!(!waited, "a proven fence needs no lease to end: {:?}", run.steps);
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_was_ended_before_its_promotion_is_asked_for_again() {
    let mut lab = Lab::up(|_| ()).await;
    let refuse = Misbehaviour::Fail(FailureKind::Rejected);
    lab.world.on_effect(|e| matches!(e, Effect::Promote { .. }), 1, refuse);
    lab.lose("east");
    let run = until("the promotion fails", async || match lab.runs().await.first() {
        Some((_, Condition::Waiting { .. })) => Ok(first_run(&lab).await),
        other => Err(format!("{other:?}")),
    })
    .await;
    let end = ControlRequest { action: Action::Abort, step: None, by: "ada".to_owned(), why: "a look".to_owned() };
    lab.send::<RunView>(&format!("/v1/runs/{run}/control"), &end).await.unwrap();
    lab.until("nobody is the writer", |s| s.units[0].run.is_none() && s.is("unknown")).await;
    assert_eq!(lab.world.writers("database"), []);

    // Named or not, it is the same failover: from east, with the end of its lease waited for.
    for target in [Some("west"), None] {
        // A look from before the end of the run does not count.
        let reply = until("west is looked at", async || {
            lab.start_move(Verb::Failover, target, true).await.map_err(|e| format!("{e:?}"))
        });
        let MoveReply::DryRun { runbook, .. } = reply.await else { panic!("it was started") };
        assert_eq!((runbook.from.as_str(), runbook.intent.target.writer.as_str()), ("east", "west"));
        assert!(runbook.steps.iter().any(|s| matches!(s.effect, Effect::AwaitLapse { .. })));
    }
    let (_, refused) = lab.start_move(Verb::Switchover, Some("west"), true).await.unwrap_err();
    assert_eq!(refused.code, "PL-0208", "a planned move needs its source: {refused:?}");
    lab.start_move(Verb::Failover, None, false).await.unwrap();
    lab.until("west is well", |s| s.is_well("west")).await;
    assert_eq!(lab.world.writers("database"), ["west".into()]);
    let (_, refused) = lab.start_move(Verb::Failover, Some("west"), true).await.unwrap_err();
    assert_eq!(refused.code, "PL-0201", "{refused:?}");
    lab.no_rule_was_broken();
}

/// North is as near, and comes first in the plan.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_names_no_region_goes_where_the_status_says_to_whom_the_writer_waited_for() {
    let mut lab = north_is_lost().await;
    lab.world.heal("north");
    lab.start_agent("north");
    let both = |s: &StatusView| s.units[0].judgement.as_ref().is_some_and(|j| j.candidates.len() == 2);
    lab.until("north could take over, too", |s| waits_for_west(s) && both(s)).await;
    lab.lose("east");
    let told = |s: &StatusView| format!("{:?}", s.units[0].decision).contains("a failover to west is possible");
    lab.until("the way out is told", |s| told(s) && both(s)).await;
    let MoveReply::DryRun { runbook, .. } = lab.start_move(Verb::Failover, None, true).await.unwrap() else {
        panic!("it was started")
    };
    assert_eq!(runbook.intent.target.writer.as_str(), "west");
    lab.start_move(Verb::Failover, None, false).await.unwrap();
    lab.until("west is well", |s| s.is_well("west")).await;
    lab.no_rule_was_broken();
}

/// North was away during the failover and still follows east, whose rejoin waits for a person.
#[tokio::test(flavor = "multi_thread")]
async fn a_region_rejoins_past_one_that_waits_for_a_person_once_that_ones_agent_is_stopped() {
    let mut lab = north_is_lost().await;
    let of_east = |e: &Effect| matches!(e, Effect::CaptureRescue { region, .. } if region.as_str() == "east");
    lab.world.on_effect(of_east, 9, Misbehaviour::Fail(FailureKind::Rejected));
    lab.lose("east");
    lab.until("two of three regions are gone", |s| s.is("in the minority")).await;
    lab.start_move(Verb::Failover, Some("west"), false).await.unwrap();
    assert_eq!(lab.until_ended(1).await, [Verb::Failover]);
    lab.world.heal("east");
    lab.start_agent("east");
    let held = |s: &StatusView| s.open_runs.iter().any(|r| matches!(r.condition, Condition::Waiting { .. }));
    lab.until("the rejoin of east waits", held).await;
    lab.world.heal("north");
    lab.world.set_role("database", "north", |_| Role::Standby { upstream: Some("east".into()), streaming: false });
    lab.start_agent("north");
    let back = |s: &StatusView| {
        let judgement = s.units[0].judgement.as_ref();
        judgement.is_some_and(|j| j.returned.iter().any(|r| r.region.as_str() == "north"))
    };
    let status = lab.until("north is back, and has to wait too", |s| back(s) && held(s)).await;
    let run = &status.open_runs[0].run;

    lab.kill_agent("east");
    let silent = |s: &StatusView| s.regions.iter().any(|r| r.region.as_str() == "east" && !r.heard);
    lab.until("east is silent", silent).await;
    let end = ControlRequest { action: Action::Abort, step: None, by: "ada".to_owned(), why: "a look".to_owned() };
    lab.send::<RunView>(&format!("/v1/runs/{run}/control"), &end).await.unwrap();
    lab.until_role("north", follows("west")).await;
    lab.no_rule_was_broken();
}

fn waits_for_west(status: &StatusView) -> bool {
    status.is_well("east") && status.units[0].candidate == Some("west".into())
}

/// Of three regions: east writes and waits for west.
async fn north_is_lost() -> Lab {
    let mut lab = three_regions();
    lab.start_controller();
    ["east", "north", "west"].into_iter().for_each(|region| lab.start_agent(region));
    lab.until("all is well", |s| s.is_well("east") && s.units[0].candidate.is_some()).await;
    lab.lose("north");
    lab.until("the writer waits for west", waits_for_west).await;
    lab
}

/// East writes, north and west follow it; nothing runs yet.
fn three_regions() -> Lab {
    let mut lab = Lab::new();
    let regions = ["east", "north", "west"];
    lab.world = lab.world.clone().with_database("database", &regions).with_process("payments", &[("north", 1)]);
    lab.plan.regions = regions.map(Region::from).into();
    lab.plan.policy.mode = DecisionMode::Manual;
    let (north, west) = (Region::from("north"), Region::from("west"));
    for component in lab.plan.components.values_mut() {
        match &mut component.kind {
            Kind::Postgres(p) => drop(p.regions.insert(north.clone(), p.regions[&west].clone())),
            Kind::Process(p) => drop(p.regions.insert(north.clone(), p.regions[&west].clone())),
            Kind::Dns(d) => drop(d.answers.insert(north.clone(), d.answers[&west])),
            Kind::Exec(_) | Kind::Webhook(_) | Kind::Aws(_) => {}
        }
    }
    lab
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failback_that_has_only_begun_gives_way_to_a_failover() {
    let minute = Duration::from_secs(60);
    let mut lab = Lab::up(|p| {
        p.home = "west".into();
        p.failback = Some(FailbackPlan {
            order: ShiftOrder::WriterFirst,
            shares: vec![100],
            watch: minute,
            every: minute,
            max_errors: 1,
            approval: false,
            soak: minute,
            max_lag_bytes: u64::MAX,
        });
    })
    .await;
    lab.start_move(Verb::Failback, None, false).await.unwrap();
    lab.until("the failback has begun", |s| s.units[0].run.is_some()).await;
    lab.lose("east");
    until("west takes over", async || match &lab.runs().await[..] {
        [
            (Verb::Failback, Condition::Ended { result: RunResult::Undone }),
            (Verb::Failover, Condition::Ended { .. }),
        ] => Ok(()),
        other => Err(format!("{other:#?}")),
    })
    .await;
    lab.until("west is well", |s| s.is_well("west")).await;
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failback_whose_shares_wait_gives_way_to_a_failover() {
    for guarantee in [Guarantee::BestEffort, Guarantee::Bounded, Guarantee::Strict] {
        shares_that_wait_give_way(guarantee).await;
    }
}

async fn shares_that_wait_give_way(guarantee: Guarantee) {
    let minute = Duration::from_secs(60);
    let mut lab = Lab::up(|p| {
        super::notes::with_people(p);
        p.policy.guarantee = guarantee;
        p.home = "west".into();
        p.failback = Some(FailbackPlan {
            order: ShiftOrder::WriterFirst,
            shares: vec![50, 100],
            watch: minute,
            every: minute,
            max_errors: 1,
            approval: false,
            soak: Duration::from_millis(200),
            max_lag_bytes: u64::MAX,
        });
    })
    .await;
    lab.world.on_effect(|e| matches!(e, Effect::Watch { .. }), 1, Misbehaviour::Fail(FailureKind::Rejected));
    lab.start_move(Verb::Failback, None, false).await.unwrap();
    let waits = |s: &StatusView| s.open_runs.iter().any(|r| matches!(r.condition, Condition::Waiting { .. }));
    lab.until("its share is back and waits for a person", waits).await;
    lab.until_role("east", follows("west")).await;
    if guarantee != Guarantee::BestEffort {
        let opposed = |s: &StatusView| s.units[0].candidate == Some("east".into()) && s.units[0].run.is_some();
        lab.until("the new writer has a candidate although the run goes on", opposed).await;
    }
    lab.until("it is known what a failover would lose", |s| s.knows_exposure() && s.is("healthy")).await;
    lab.lose("west");
    until("east takes over", async || match &lab.runs().await[..] {
        [
            (Verb::Failback, Condition::Ended { result: RunResult::Aborted }),
            (Verb::Failover, Condition::Ended { .. }),
            ..,
        ] => Ok(()),
        other => Err(format!("{other:#?}")),
    })
    .await;
    lab.until("east is well", |s| s.is_well("east")).await;
    lab.until_told("was ended by pilotlight; what it did stays as it is").await;
    assert_eq!(lab.world.shares("name"), [("east".into(), 100)].into());
    lab.no_rule_was_broken();
}

/// `best-effort`: every controller was away for longer than a lease, and so is the other region.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_fenced_itself_and_that_nobody_can_replace_is_taken_up_again_by_a_person() {
    let mut lab = Lab::up(|p| p.policy.guarantee = Guarantee::BestEffort).await;
    lab.world.write("database", "east").unwrap();
    lab.lose("west");
    lab.kill_controller();
    lab.until_nobody_writes().await;
    lab.start_controller();
    let told = |s: &StatusView| format!("{:?}", s.units[0].decision).contains("pilotlight failover --to east");
    lab.until("its state and the way out are told", told).await;
    let run = started(lab.start_move(Verb::Failover, Some("east"), false).await.unwrap());
    assert_eq!(lab.until_ended(1).await, [Verb::Failover]);
    lab.until("it is well where it was", |s| s.is_well("east")).await;
    let view = lab.run(&run).await;
    assert_eq!((view.from.as_str(), view.intent.target.writer.as_str()), ("east", "east"));
    assert_eq!(view.condition, Condition::Ended { result: RunResult::Done });
    assert_eq!(lab.world.shares("name"), [("east".into(), 100)].into());
    lab.world.write("database", "east").unwrap();
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_database_is_started_in_place_where_the_plan_says_so() {
    let lab = Lab::up(|p| p.policy.on_writer_death = OnWriterDeath::Restart { attempts: 2 }).await;
    lab.world.kill("database", "east");
    lab.until_role("east", |r| *r == Role::Writer).await;
    lab.until("all is well", |s| s.is_well("east")).await;
    assert_eq!(lab.runs().await, vec![]);
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_in_the_middle_of_a_failover_continues_it() {
    let mut lab = Lab::up(|_| ()).await;
    lab.lose("east");
    // Not ended yet: the lease has to run out again under the new controller at the latest.
    let status = lab.until("a run has begun", |s| s.units[0].run.is_some()).await;
    let run = status.units[0].run.clone().unwrap();
    lab.kill_controller();
    lab.start_controller();
    let view = until("the run ends", async || {
        let view: pilotlight_core::run::RunView = lab.ask(&format!("/v1/runs/{run}")).await?;
        match view.condition {
            Condition::Ended { .. } => Ok(view),
            _ => Err(format!("{view:#?}")),
        }
    })
    .await;
    assert_eq!(view.intent.target.writer, "west".into());
    lab.until("west is well", |s| s.is_well("west")).await;
    let records: crate::api::view::RecordsView = lab.ask(&format!("/v1/runs/{run}/records?from=1")).await.unwrap();
    assert!(records.ended && records.records[0].seq == 1);
    assert!(records.records.iter().any(|r| matches!(r.event, Event::Recovered { .. })));
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_says_that_a_writer_is_off_while_it_is_seen_or_where_it_is_not_needed() {
    let mut lab = Lab::up(|p| p.policy.mode = DecisionMode::Manual).await;
    let (status, refused) = lab.start_failover_past("east").await.unwrap_err();
    assert_eq!((status, refused.code.as_str()), (409, "PL-0830"));
    assert!(refused.evidence.iter().any(|e| e.contains("agent of east is heard")), "{refused:?}");
    let (_, refused) = lab.start_failover_past("west").await.unwrap_err();
    assert!(refused.message.contains("the writer of unit"), "{refused:?}");
    lab.lose("east");
    // It was opposed by west: the end of the lease is enough, and nobody's word is needed.
    until("nothing is seen of east", async || {
        let (_, refused) = lab.start_failover_past("east").await.unwrap_err();
        if refused.message.contains("nobody's word is needed") { Ok(()) } else { Err(format!("{refused:?}")) }
    })
    .await;
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_controller_silences_its_writer_when_the_lease_is_over() {
    let mut lab = Lab::up(|_| ()).await;
    lab.kill_controller();
    lab.until_role("east", |r| matches!(r, Role::Fenced { .. })).await;
    assert!(lab.world.write("database", "east").is_err());
    lab.until_role("west", |r| matches!(r, Role::Standby { .. })).await;
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_starts_after_its_lease_ended_fences_without_an_answer() {
    let mut lab = Lab::up(|_| ()).await;
    lab.kill_agent("east");
    lab.kill_controller();
    let note = lab.folder().join("east/lease.json");
    until("the lease on file is over", async || {
        let note: serde_json::Value = serde_json::from_slice(&std::fs::read(&note).unwrap()).unwrap();
        let end =
            Duration::from_millis(note["ends_ms"].as_object().unwrap().values().next().unwrap().as_u64().unwrap());
        let now = pilotlight_driver::clock::Clock::mono(&pilotlight_driver::clock::SystemClock);
        if now.0 > end { Ok(()) } else { Err(format!("{:?} left", end - now.0)) }
    })
    .await;
    assert_eq!(lab.world.copy("database", "east").unwrap().role, Role::Writer, "nobody was there to fence it");
    lab.start_agent("east");
    lab.until_role("east", |r| matches!(r, Role::Fenced { .. })).await;
    lab.no_rule_was_broken();
}
