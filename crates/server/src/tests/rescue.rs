//! What a returned writer had acknowledged and never sent is applied by a run, which stands in the journal.

use super::lab::{LEASE, Lab};
use super::wait::until;
use crate::api::view::{RescueReply, RescueRequest, RescueView};
use pilotlight_core::effect::Effect;
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::Kind;
use pilotlight_core::run::{Condition, RunResult, StepStatus};
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_driver::fake::Misbehaviour;

/// West has the writer and lacks something that east had acknowledged; answers the bundle that keeps it.
async fn with_a_bundle() -> (Lab, String) {
    let mut lab = Lab::up(|_| ()).await;
    // Sentinels are changes too, and push others on.
    lab.world.set_lag("database", "west", 100, 0);
    for _ in 0..3 {
        lab.world.write("database", "east").unwrap();
    }
    lab.lose("east");
    lab.until_ended(1).await;
    lab.until("west is well", |s| s.is_well("west")).await;
    lab.world.heal("east");
    lab.start_agent("east");
    assert_eq!(lab.until_ended(2).await, [Verb::Failover, Verb::Rejoin]);
    lab.until("the unit is free", |s| s.units[0].run.is_none()).await;
    let view: RescueView = lab.ask("/v1/rescue").await.unwrap();
    let bundle = view.bundles.first().expect("what was lost is kept").bundle.about.bundle.to_string();
    (lab, bundle)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_is_a_run_that_says_who_applied_what_and_is_not_done_twice() {
    let (lab, bundle) = with_a_bundle().await;
    // The driver's answer gets lost: the run finds out, under the same key.
    lab.world.on_effect(|e| matches!(e, Effect::ApplyRescue { .. }), 1, Misbehaviour::LoseReply);
    let (path, ada) = (format!("/v1/rescue/{bundle}/apply"), RescueRequest { by: "ada".to_owned() });
    let applied: RescueReply = lab.send(&path, &ada).await.unwrap();
    let run = lab.run(applied.run.as_ref().expect("it is a run")).await;
    assert_eq!((run.intent.verb, run.cause.by.as_str()), (Verb::Rescue, "ada"));
    assert!(run.cause.why.contains(&bundle), "{:?}", run.cause);
    assert!(matches!(run.condition, Condition::Ended { result: RunResult::Done | RunResult::DoneWithWarnings }));
    assert_eq!(applied.bundle.applied, applied.bundle.about.commits);
    assert_eq!(lab.world.restored("database").len() as u64, applied.bundle.about.commits);
    let status = lab.until("the unit is free, where it was", |s| s.is_well("west")).await;
    assert!(status.units[0].writer == Some("west".into()) && status.units[0].cooling_down.is_some(), "{status:#?}");

    let again: RescueReply = lab.send(&path, &ada).await.unwrap();
    let second = lab.run(again.run.as_ref().unwrap()).await;
    assert!(!again.changed && second.run != run.run && second.steps[0].status == StepStatus::Skipped, "{again:?}");
    assert_eq!(lab.world.restored("database").len() as u64, applied.bundle.about.commits);
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_fails_says_why_and_lets_its_unit_go() {
    let (lab, bundle) = with_a_bundle().await;
    let refuse = Misbehaviour::Fail(pilotlight_core::outcome::FailureKind::Rejected);
    lab.world.on_effect(|e| matches!(e, Effect::ApplyRescue { .. }), 1, refuse);
    let (path, ada) = (format!("/v1/rescue/{bundle}/apply"), RescueRequest { by: "ada".to_owned() });
    let (status, refused) = lab.send::<RescueReply>(&path, &ada).await.unwrap_err();
    assert_eq!(status, 409, "{refused:?}");
    lab.until("the unit is free", |s| s.units[0].run.is_none()).await;
    assert_eq!(lab.world.restored("database").len(), 0);
    let (status, refused) = lab.start_move(Verb::Rescue, None, false).await.unwrap_err();
    assert!(status == 400 && refused.message.contains("rescue apply"), "{refused:?}");
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_that_fails_is_not_told_as_a_controller_that_is_away() {
    let (lab, bundle) = with_a_bundle().await;
    for (kind, expected) in [(FailureKind::Transient, 503), (FailureKind::OutcomeUnknown, 504)] {
        lab.world.on_effect(|e| matches!(e, Effect::ClassifyRescue { .. }), 1, Misbehaviour::Fail(kind));
        let path = format!("/v1/rescue/{bundle}/classify");
        let failed = lab.send::<RescueReply>(&path, &RescueRequest { by: "ada".to_owned() }).await.unwrap_err();
        let (status, refused) = failed;
        assert_eq!((status, refused.code.as_str()), (expected, "PL-0606"), "{refused:?}");
    }
}

/// Its log would grow without bound else: the slot is moved on and dropped by nobody but its agent.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_goes_on_without_a_lease_is_kept_ready_all_the_same() {
    let mut lab = Lab::new();
    lab.given.confirms = true;
    let database = lab.plan.components.get_mut(&"database".into()).unwrap();
    let Kind::Postgres(postgres) = &mut database.kind else { panic!("{database:?}") };
    postgres.rescue.rows = true;
    lab.start_controller();
    lab.start_agent("east");
    lab.start_agent("west");
    lab.until("east waits for west", |s| s.is_well("east") && s.units[0].candidate.is_some()).await;
    lab.kill_controller();
    let kept = || {
        let east = |e: &Effect| matches!(e, Effect::KeepRescue { region, .. } if *region == "east".into());
        lab.world.journal().iter().filter(|applied| east(&applied.effect)).count()
    };
    let began = SystemClock.mono();
    until("the lease is over for long", async || {
        assert_eq!(lab.world.writers("database"), ["east".into()]);
        let passed = SystemClock.mono().since(began);
        if passed > LEASE * 2 { Ok(()) } else { Err(format!("{passed:?}")) }
    })
    .await;
    let before = kept();
    until("it is kept ready", async || if kept() > before { Ok(()) } else { Err(format!("{before} times")) }).await;
    lab.no_rule_was_broken();
}
