//! People steer: pause, resume, skip, abort, approve, at every place of every derived runbook.

use super::scene::{Life, SCENES, Scene, Stage};
use crate::engine::{Control, ControlError};
use pilotlight_core::derive::Consent;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::RunId;
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::run::{Condition, Event, RunResult, StepStatus};
use pilotlight_driver::clock::Clock;
use pilotlight_driver::fake::Misbehaviour;
use std::time::Duration;

/// Asks for it once the run has so many records; a run that is over by then is left alone.
async fn ask_at(life: &Life, run: &RunId, n: u64, control: Control) -> bool {
    life.until(run, "has that many records", |v| v.seq >= n || matches!(v.condition, Condition::Ended { .. })).await;
    match life.engine.control(run, control, "ada").await {
        Ok(()) => true,
        Err(ControlError::NotUnderWay(_) | ControlError::Illegal(_)) => false,
        Err(other) => panic!("{other:?}"),
    }
}

async fn records(scene: Scene) -> u64 {
    let stage = Stage::new(scene);
    let life = stage.life().await;
    let run = stage.start(&life).await;
    life.settled(&run).await.seq
}

#[tokio::test(start_paused = true)]
async fn aborted_at_any_record_it_is_undone_or_left_but_never_half_undone() {
    for scene in SCENES {
        for n in 1..records(scene).await {
            let stage = Stage::new(scene);
            // Slow enough that the wish arrives in the middle of things.
            stage.world.on_effect(|_| true, u32::MAX, Misbehaviour::DelayReply(Duration::from_millis(20)));
            let life = stage.life().await;
            let run = stage.start(&life).await;
            ask_at(&life, &run, n, Control::Abort).await;
            let view = life.settled(&run).await;
            assert!(matches!(view.condition, Condition::Ended { .. }), "{scene:?}, record {n}: {view:#?}");
            stage.check_settled(&view, &format!("aborted at record {n}"));
            if view.past_return {
                let undone = view.steps.iter().find(|s| s.status == StepStatus::Undone);
                assert!(undone.is_none(), "{scene:?}, record {n}: {undone:?}");
            } else if matches!(scene, Scene::Switchover | Scene::ProviderSwitch | Scene::Home | Scene::HomeTrafficFirst)
            {
                assert_eq!(stage.world.writers("database"), ["east".into()], "{scene:?}, record {n}: {view:#?}");
                let unit = life.engine.unit(&stage.unit()).await.unwrap().unwrap();
                assert_eq!(unit.writer, Some("east".into()), "{scene:?}, record {n}");
            }
            life.kill().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn paused_at_any_record_nothing_new_starts_until_it_is_resumed() {
    for scene in SCENES {
        for n in 1..records(scene).await {
            let stage = Stage::new(scene);
            let life = stage.life().await;
            let run = stage.start(&life).await;
            if !ask_at(&life, &run, n, Control::Pause { why: "tea".into() }).await {
                continue;
            }
            let view = life.settled(&run).await;
            if matches!(view.condition, Condition::Waiting { .. }) {
                stage.clock.sleep(Duration::from_secs(60)).await;
                let records = life.engine.records(&run).await.unwrap();
                let paused = records.iter().position(|r| matches!(r.event, Event::Paused { .. })).unwrap();
                let started = records[paused..].iter().find(|r| matches!(r.event, Event::StepStarted { .. }));
                assert_eq!(started, None, "{scene:?}, record {n}");
                life.engine.control(&run, Control::Resume, "ada").await.unwrap();
            }
            let view = life.settled(&run).await;
            assert_eq!(
                view.condition,
                Condition::Ended { result: RunResult::Done },
                "{scene:?}, record {n}: {view:#?}"
            );
            stage.check_settled(&view, &format!("paused at record {n}"));
            life.kill().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_step_is_tried_again_when_resumed_and_passed_over_when_skipped() {
    for skip in [false, true] {
        let stage = Stage::new(Scene::RegionLost);
        let fail = Misbehaviour::Fail(FailureKind::Rejected);
        stage.world.on_effect(|e| matches!(e, Effect::Verify { .. }), 1, fail);
        let life = stage.life().await;
        let run = stage.start(&life).await;
        let view = life.settled(&run).await;
        let failed = view.steps.iter().find(|s| s.status == StepStatus::Failed).expect("the proof was rejected");
        let (control, result) = match skip {
            false => (Control::Resume, RunResult::Done),
            true => (Control::Skip { step: failed.id.clone(), why: "seen".into() }, RunResult::DoneWithWarnings),
        };
        life.engine.control(&run, control, "ada").await.unwrap();
        let view = life.settled(&run).await;
        assert_eq!(view.condition, Condition::Ended { result }, "{view:#?}");
        stage.check_settled(&view, "after a failed proof");
    }
}

#[tokio::test(start_paused = true)]
async fn what_makes_the_old_writer_silent_is_not_passed_over() {
    let stage = Stage::new(Scene::WriterDead);
    stage
        .world
        .set_role("database", "east", |_| pilotlight_core::observation::Role::Down { clean: false, was_writer: true });
    let mut runbook = stage.runbook_when_broken().await;
    for step in &mut runbook.steps {
        if matches!(step.effect, Effect::Fence { .. }) {
            step.on_failure = pilotlight_core::runbook::OnFailure::Pause;
        }
    }
    let fail = Misbehaviour::Fail(FailureKind::Rejected);
    stage.world.on_effect(|e| matches!(e, Effect::Fence { .. }), u32::MAX, fail);
    let life = stage.life().await;
    let run = life.engine.start(runbook, Default::default()).await.unwrap();
    let view = life.settled(&run).await;
    let fence = view.steps.iter().find(|s| s.status == StepStatus::Failed).expect("the fence failed");
    let skip = Control::Skip { step: fence.id.clone(), why: "hurry".into() };
    let refused = life.engine.control(&run, skip, "ada").await.unwrap_err();
    assert!(matches!(refused, ControlError::Illegal(_)), "{refused:?}");
    stage.check("a fence that fails");
}

#[tokio::test(start_paused = true)]
async fn nothing_but_notes_happens_before_a_person_has_approved() {
    let mut stage = Stage::new(Scene::RegionLost);
    stage.consent = Consent::AskFirst;
    let life = stage.life().await;
    let run = stage.start(&life).await;
    let view = life.settled(&run).await;
    let asks: Vec<_> = view.steps.iter().filter(|s| s.status == StepStatus::AwaitingApproval).collect();
    assert_eq!(asks.len(), 1, "{view:#?}");
    let done = stage.world.journal();
    assert!(done.iter().all(|a| matches!(a.effect, Effect::Notify { .. })), "{done:?}");
    let approve = Control::Approve { step: asks[0].id.clone() };
    life.engine.control(&run, approve, "ada").await.unwrap();
    let view = life.settled(&run).await;
    assert_eq!(view.condition, Condition::Ended { result: RunResult::Done });
    let records = life.engine.records(&run).await.unwrap();
    let by_ada = |e: &Event| matches!(e, Event::Approved { by, .. } if by == "ada");
    assert!(records.iter().any(|r| by_ada(&r.event)), "who approved is in the journal");
}

#[tokio::test(start_paused = true)]
async fn a_wish_for_a_run_that_is_over_is_refused() {
    let stage = Stage::new(Scene::Switchover);
    let life = stage.life().await;
    let run = stage.start(&life).await;
    life.settled(&run).await;
    life.is_free(&stage.unit()).await;
    for control in [Control::Pause { why: String::new() }, Control::Resume, Control::Abort] {
        let refused = life.engine.control(&run, control, "ada").await.unwrap_err();
        assert!(matches!(refused, ControlError::NotUnderWay(_) | ControlError::Illegal(_)), "{refused:?}");
    }
    assert!(life.engine.control(&"no-such-run".into(), Control::Abort, "ada").await.is_err());
}
