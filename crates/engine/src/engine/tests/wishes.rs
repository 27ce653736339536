//! When a writer's agent may change its candidate: not while a run takes the unit from it, and again once that run has named
//! whoever writes from now on, however long it still goes on.

use super::scene::{Life, Scene, Stage};
use super::starts::Failing;
use crate::engine::Control;
use crate::store::{UnitRecord, UnitsError};
use pilotlight_core::candidate::{Admitted, Wish};
use pilotlight_core::effect::Effect;
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::run::{Cause, Condition, RunResult};
use pilotlight_driver::clock::Clock;
use pilotlight_driver::fake::Misbehaviour;
use std::sync::{Arc, Mutex};

impl Stage {
    async fn record(&self, life: &Life) -> UnitRecord {
        life.engine.unit(&self.unit()).await.unwrap().expect("it was entered")
    }

    /// The agent of `from` wishes `candidate`, knowing the newest numbers.
    async fn wish(&self, life: &Life, from: &str, candidate: Option<&str>) -> Result<UnitRecord, UnitsError> {
        let UnitRecord { unit, epoch, candidacy, .. } = self.record(life).await;
        let names = || [("database".into(), "pl_1".to_owned())].into();
        let candidate = candidate.map(|region| Admitted { region: region.into(), names: names() });
        life.engine.wish(&from.into(), &Wish { unit, epoch, candidacy, candidate }).await
    }
}

fn candidate(record: &UnitRecord) -> Option<&str> {
    record.candidate.as_ref().map(|c| c.region.as_str())
}

fn is_overtaken(answer: &Result<UnitRecord, UnitsError>) -> bool {
    matches!(answer, Err(UnitsError::Overtaken { .. }))
}

#[tokio::test(start_paused = true)]
async fn a_new_writer_has_a_candidate_while_its_run_waits_and_under_the_next_controller() {
    let stage = Stage::new(Scene::Home);
    stage.world.on_effect(|e| matches!(e, Effect::Watch { .. }), 1, Misbehaviour::Fail(FailureKind::Rejected));
    let life = stage.life().await;
    stage.wish(&life, "east", Some("west")).await.unwrap();
    let run = stage.start(&life).await;
    let view = life.settled(&run).await;
    assert!(matches!(view.condition, Condition::Waiting { .. }), "{view:#?}");
    let record = stage.record(&life).await;
    assert_eq!((record.writer.clone(), candidate(&record)), (Some("west".into()), None), "it starts unopposed");
    assert!(is_overtaken(&stage.wish(&life, "east", Some("west")).await), "east is the writer no more");
    assert_eq!(candidate(&stage.wish(&life, "west", Some("east")).await.unwrap()), Some("east"));
    assert_eq!(candidate(&stage.wish(&life, "west", None).await.unwrap()), None, "and it is withdrawn like any other");
    life.kill().await;

    let life = stage.life().await;
    life.engine.recover().await.unwrap();
    assert_eq!(stage.record(&life).await.run.as_ref(), Some(&run));
    assert_eq!(candidate(&stage.wish(&life, "west", Some("east")).await.unwrap()), Some("east"));
    // What is left of the run changes nothing of it.
    life.engine.control(&run, Control::Abort, "ada").await.unwrap();
    life.is_free(&stage.unit()).await;
    assert_eq!(candidate(&stage.record(&life).await), Some("east"));
}

#[tokio::test(start_paused = true)]
async fn no_candidate_changes_while_a_run_takes_the_unit_from_its_writer() {
    for scene in [Scene::RegionLost, Scene::Switchover, Scene::HomeTrafficFirst] {
        let stage = Stage::new(scene);
        let life = stage.life().await;
        stage.wish(&life, "east", Some("west")).await.unwrap();
        // The run before has named a writer: this one has not.
        let settled = |record: &mut UnitRecord| {
            record.settled = true;
            Ok(())
        };
        life.engine.0.parts.units.change(&stage.unit(), settled).await.unwrap();
        let derived = stage.runbook_when_broken().await;
        stage.world.on_effect(|e| e.component().is_some(), 1, Misbehaviour::Hang);
        life.engine.start(derived, Cause::default()).await.unwrap();
        let mut refused = 0;
        for _ in 0..200 {
            let record = stage.record(&life).await;
            if record.writer == Some("west".into()) || record.run.is_none() {
                break;
            }
            for wished in [None, Some("west")] {
                let answer = stage.wish(&life, "east", wished).await;
                assert!(is_overtaken(&answer), "{scene:?}: {answer:?}");
                refused += u32::from(record.writer == Some("east".into()));
            }
            stage.clock.sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(refused > 0, "{scene:?}: it was named as the writer for a while");
        life.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_leaves_the_writer_where_it_is_leaves_its_candidates_to_it() {
    let stage = Stage::new(Scene::Rejoin);
    stage.world.on_effect(|e| matches!(e, Effect::Rejoin { .. }), 9, Misbehaviour::Hang);
    let life = stage.life().await;
    let run = stage.start(&life).await;
    assert_eq!(stage.record(&life).await.run, Some(run));
    assert_eq!(candidate(&stage.wish(&life, "east", Some("west")).await.unwrap()), Some("west"));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_led_back_to_starts_unopposed_too() {
    let stage = Stage::new(Scene::ProviderSwitch);
    stage.world.on_effect(|e| matches!(e, Effect::Switch { .. }), 9, Misbehaviour::Fail(FailureKind::Rejected));
    let life = stage.life().await;
    stage.wish(&life, "east", Some("west")).await.unwrap();
    let before = stage.record(&life).await.candidacy;
    let run = stage.start(&life).await;
    let view = life.settled(&run).await;
    assert_eq!(view.condition, Condition::Ended { result: RunResult::Undone }, "{view:#?}");
    let record = stage.record(&life).await;
    // Named twice: whatever was wished under an earlier number comes too late.
    assert_eq!((record.writer.clone(), candidate(&record), record.candidacy), (Some("east".into()), None, before + 2));
    assert_eq!(candidate(&stage.wish(&life, "east", Some("west")).await.unwrap()), Some("west"));
}

/// The writer's agent goes by what it is told, and wishes under that number.
#[tokio::test(start_paused = true)]
async fn a_wish_that_is_kept_and_reported_as_failed_is_told_with_the_next_one() {
    let mut stage = Stage::new(Scene::Home);
    let failing = Arc::new(Failing { store: stage.store.clone(), next: Mutex::default() });
    stage.store = failing.clone();
    let (life, unit) = (stage.life().await, stage.unit());
    let told = || life.engine.granter().unit(&unit).expect("it was entered");
    let again = |candidacy| Wish { unit: unit.clone(), epoch: told().epoch, candidacy, candidate: None };
    failing.next.lock().unwrap().push_back(true);
    let before = told().candidacy;
    let failed = life.engine.wish(&"east".into(), &again(before)).await;
    assert!(matches!(failed, Err(UnitsError::Storage(_))), "{failed:?}");
    assert_eq!((told().candidacy, stage.record(&life).await.candidacy), (before, before + 1));
    assert!(is_overtaken(&life.engine.wish(&"east".into(), &again(before)).await));
    assert_eq!(told().candidacy, before + 1, "the store's number");
    life.engine.wish(&"east".into(), &again(before + 1)).await.unwrap();
}
