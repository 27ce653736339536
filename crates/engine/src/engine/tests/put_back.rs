//! The store is put back to a copy that was taken in the middle of a run which has gone on since.

use super::scene::{Scene, Stage};
use crate::engine::Control;
use crate::journal::MemoryJournal;
use crate::store::MemoryStore;
use pilotlight_core::effect::{Effect, FenceAssurance};
use pilotlight_core::id::{RunId, Unit};
use pilotlight_core::observation::{Role, Target};
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::run::{Condition, Event, RunResult, RunView, StepStatus};
use pilotlight_core::runbook::Basis;
use pilotlight_driver::clock::Clock;
use pilotlight_driver::fake::Misbehaviour;
use std::sync::Arc;

/// What is there when a switchover has ended, its controller was killed, and the store was put back to where that run had so many
/// records.
struct PutBack {
    stage: Stage,
    unit: Unit,
    run: RunId,
    /// The run when the copy was taken.
    then: RunView,
    /// The unit's numbers before the store was put back.
    after: Basis,
}

impl PutBack {
    /// `None` where the run has no more records than that.
    async fn to_record(n: u64) -> Option<Self> {
        Self::to_record_of_one_that(n, None).await
    }

    /// The same, where somebody has steered the run since.
    async fn to_record_of_one_that(n: u64, was: Option<Control>) -> Option<Self> {
        let (journal, store) = (MemoryJournal::new(), MemoryStore::new());
        let mut stage = Stage::new(Scene::Switchover);
        (stage.journal, stage.store) = (Arc::new(journal.clone()), Arc::new(store.clone()));
        let unit = stage.unit();
        let first = stage.life().await;
        let run = stage.start(&first).await;
        let then = first.until(&run, "has that many records", |v| v.seq >= n || v.ended.is_some()).await;
        let copy = (journal.copy(), store.copy());
        if let Some(steered) = was {
            first.engine.control(&run, steered, "ada").await.ok()?;
        }
        if first.settled(&run).await.seq <= n {
            return None;
        }
        let after = first.engine.unit(&unit).await.unwrap().unwrap().basis();
        first.kill().await;
        journal.put_back(&copy.0);
        store.put_back(&copy.1);
        Some(Self { stage, unit, run, then, after })
    }

    /// The new writer's region does not answer, so the run does not find out by going on.
    fn leave_the_new_writer_out(&self) {
        let promotes = |e: &Effect| matches!(e, Effect::AwaitPosition { .. } | Effect::Promote { .. });
        self.stage.world.on_effect(promotes, u32::MAX, Misbehaviour::Fail(FailureKind::Unreachable));
    }
}

/// Whatever the copy lacks of the move, who ends the run does not lead the old writer back beside the new one.
#[tokio::test(start_paused = true)]
async fn a_run_that_got_further_than_its_records_is_not_taken_back_by_whoever_ends_it() {
    let mut lacked = 0;
    for n in 2..40 {
        let Some(old) = PutBack::to_record(n).await else { break };
        old.leave_the_new_writer_out();
        let PutBack { stage, unit, run, after, .. } = old;
        let life = stage.life().await;
        let stored = life.engine.unit(&unit).await.unwrap().unwrap().basis();
        assert_eq!(stored.epoch, after.epoch, "record {n}: no later run was between");
        life.engine.heard(&unit, after);
        life.engine.recover().await.unwrap();
        if stored == after {
            // No number says that the copy is old.
            life.kill().await;
            continue;
        }
        lacked += 1;
        life.engine.overtake(&unit).await.unwrap();
        let told = life.engine.view(&run).await.unwrap().unwrap();
        assert!(told.past_return, "record {n}: {told:#?}");
        life.engine.overtake(&unit).await.expect("it is recorded once");
        let _ = life.engine.control(&run, Control::Abort, "ada").await;
        let view = life.settled(&run).await;
        assert_ne!(view.condition, Condition::Ended { result: RunResult::Undone }, "record {n}: {view:#?}");
        let undone = view.steps.iter().find(|s| matches!(s.status, StepStatus::Undone | StepStatus::Undoing));
        assert!(undone.is_none(), "record {n}: {undone:#?}");
        assert!(!stage.world.writers("database").contains(&"east".into()), "record {n}: the old writer writes again");
        stage.check(&format!("put back to record {n}"));
        life.kill().await;
    }
    assert!(lacked > 3, "the copies that lack the change of the writer: {lacked}");
}

/// No agent has heard a number that the copy lacks. What the target is, is seen: the one that was promoted, and fenced itself
/// since, is not taken for a standby.
#[tokio::test(start_paused = true)]
async fn a_target_that_is_seen_as_a_writer_bars_the_way_back_whatever_the_numbers_say() {
    let fenced = Role::Fenced { assurance: FenceAssurance::Proven };
    let standby = Role::Standby { upstream: Some("east".into()), streaming: false };
    let (mut lacked, mut led_back) = (0, 0);
    let seen_as = [(Role::Writer, true), (fenced, true), (standby, false)];
    for (n, (role, bars)) in (2..40).flat_map(|n| seen_as.clone().map(|seen| (n, seen))) {
        let Some(old) = PutBack::to_record(n).await.filter(|old| !old.then.past_return) else { break };
        old.leave_the_new_writer_out();
        let PutBack { stage, unit, run, .. } = old;
        let life = stage.life().await;
        let west = Target { component: "database".into(), region: Some("west".into()) };
        // Before the run is taken up: what was seen counts from its first moment on.
        life.engine.saw(&west, &role, None);
        life.engine.recover().await.unwrap();
        life.engine.overtake(&unit).await.unwrap();
        let told = life.engine.view(&run).await.unwrap().unwrap();
        assert_eq!(told.past_return, bars, "record {n}, {role:?}: {told:#?}");
        life.engine.overtake(&unit).await.expect("it is recorded once");
        let _ = life.engine.control(&run, Control::Abort, "ada").await;
        let view = life.settled(&run).await;
        let undone = view.condition == Condition::Ended { result: RunResult::Undone };
        assert!(!(undone && bars), "record {n}, {role:?}: {view:#?}");
        if bars {
            lacked += 1;
            assert!(
                !stage.world.writers("database").contains(&"east".into()),
                "record {n}: the old writer writes again"
            );
        }
        led_back += usize::from(undone);
        life.kill().await;
    }
    assert!(
        lacked > 6 && led_back > 3,
        "copies that lack the promotion: {lacked}; led back beside a standby: {led_back}"
    );
}

/// A newer run begins only when the one before it is over. What the copy has of that one is neither gone on with nor taken back.
#[tokio::test(start_paused = true)]
async fn a_run_that_a_newer_one_has_followed_is_ended_and_sends_nothing_more() {
    let mut ended = 0;
    for n in 2..40 {
        let Some(PutBack { stage, unit, run, mut after, .. }) = PutBack::to_record(n).await else { break };
        after.epoch = after.epoch.next();
        let life = stage.life().await;
        life.engine.heard(&unit, after);
        life.engine.recover().await.unwrap();
        life.engine.overtake(&unit).await.unwrap();
        life.engine.overtake(&unit).await.expect("it is ended once");
        let view = life.settled(&run).await;
        let Condition::Ended { result } = view.condition else { panic!("record {n}: {view:#?}") };
        assert_ne!(result, RunResult::Undone, "record {n}");
        assert!(!stage.world.writers("database").contains(&"east".into()), "record {n}: the old writer writes again");
        ended += usize::from(result == RunResult::Aborted);
        let calls = stage.world.calls();
        tokio::time::advance(std::time::Duration::from_secs(600)).await;
        assert_eq!(stage.world.calls(), calls, "record {n}");
        life.kill().await;
    }
    assert!(ended > 10, "{ended}");
}

/// The copy lacks that the move was taken back. Whoever is seen to write again is not replaced by one that lacks what it
/// acknowledged since.
#[tokio::test(start_paused = true)]
async fn a_run_whose_old_writer_is_seen_to_write_again_is_ended_before_it_promotes() {
    let east = Target { component: "database".into(), region: Some("east".into()) };
    let (mut ended, mut unseen) = (0, 0);
    for (n, since) in (2..40).flat_map(|n| [(n, true), (n, false)]) {
        let Some(old) = PutBack::to_record_of_one_that(n, Some(Control::Abort)).await else { continue };
        let PutBack { stage, unit, run, then, .. } = &old;
        let stopped = |v: &RunView| {
            let is = |id: &str, status| v.steps.iter().any(|s| s.id.as_str() == id && s.status == status);
            is("stop-writes-database-east", StepStatus::Done) && !v.past_return
        };
        if !stopped(then) || then.ended.is_some() || !stage.world.writers("database").contains(&"east".into()) {
            continue;
        }
        old.leave_the_new_writer_out();
        let life = stage.life().await;
        let before = stage.clock.mono();
        life.engine.recover().await.unwrap();
        tokio::time::advance(std::time::Duration::from_millis(5)).await;
        // What was seen before it was taken up may be older than the stop.
        let looked = if since { stage.clock.mono() } else { before };
        life.engine.saw(&east, &Role::Writer, Some(looked));
        life.engine.end_what_was_taken_back(unit).await.unwrap();
        life.engine.end_what_was_taken_back(unit).await.expect("it is ended once");
        let view = life.engine.view(run).await.unwrap().unwrap();
        if since {
            let view = life.settled(run).await;
            assert_eq!(view.condition, Condition::Ended { result: RunResult::Undone }, "record {n}: {view:#?}");
            assert_eq!(stage.world.writers("database"), ["east".into()], "record {n}");
            ended += 1;
        } else {
            assert!(view.ended.is_none(), "record {n}: {view:#?}");
            unseen += 1;
        }
        life.kill().await;
    }
    assert!(ended > 1 && unseen > 1, "ended: {ended}, seen too early: {unseen}");
}

/// A run of this controller's own has stopped the writer, and the newest look is from before that.
#[tokio::test(start_paused = true)]
async fn a_look_from_before_the_stop_ends_no_run() {
    let east = Target { component: "database".into(), region: Some("east".into()) };
    let stage = Stage::new(Scene::Switchover);
    let promotes = |e: &Effect| matches!(e, Effect::AwaitPosition { .. } | Effect::Promote { .. });
    stage.world.on_effect(promotes, u32::MAX, Misbehaviour::Fail(FailureKind::Unreachable));
    let life = stage.life().await;
    let run = stage.start(&life).await;
    tokio::time::advance(std::time::Duration::from_millis(1)).await;
    life.engine.saw(&east, &Role::Writer, Some(stage.clock.mono()));
    let stopped = |v: &RunView| {
        v.steps.iter().any(|s| s.id.as_str() == "stop-writes-database-east" && s.status == StepStatus::Done)
    };
    life.until(&run, "has stopped the writer", stopped).await;
    life.engine.end_what_was_taken_back(&stage.unit()).await.unwrap();
    let records = life.engine.records(&run).await.unwrap();
    assert!(!records.iter().any(|r| matches!(r.event, Event::AbortAsked { .. })), "{records:#?}");
}
