//! What goes well.

use super::scene::{SCENES, Scene, Stage};
use crate::dry_run::Would;
use crate::engine::{Archive, StartError};
use crate::store::UnitsError;
use pilotlight_core::candidate::Wish;
use pilotlight_core::effect::{Descriptor, Effect, FenceAssurance};
use pilotlight_core::id::Epoch;
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::{Failure, Severity};
use pilotlight_core::run::{Cause, Condition, Event, RunResult, StepStatus};
use pilotlight_core::runbook::Runbook;
use pilotlight_driver::Driver;
use pilotlight_driver::fake::{Applied, FakeDriver};

#[tokio::test(start_paused = true)]
async fn every_derived_runbook_leads_to_its_target() {
    for scene in SCENES {
        let stage = Stage::new(scene);
        let life = stage.life().await;
        let run = stage.start(&life).await;
        let view = life.settled(&run).await;
        assert_eq!(view.condition, Condition::Ended { result: RunResult::Done }, "{view:#?}");
        stage.check("undisturbed");
        stage.check_target("undisturbed");
        let unit = life.engine.unit(&stage.unit()).await.unwrap().unwrap();
        assert_eq!((unit.epoch, unit.run), (Epoch(2), None), "{scene:?}");
        if scene != Scene::Rejoin {
            assert_eq!(unit.writer, Some("west".into()), "{scene:?}");
        }
        life.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_intent_is_recorded_before_its_outcome_and_every_record_is_published() {
    let stage = Stage::new(Scene::Switchover);
    let life = stage.life().await;
    let mut published = life.engine.subscribe();
    let run = stage.start(&life).await;
    life.settled(&run).await;
    let records = life.engine.records(&run).await.unwrap();
    for (i, record) in records.iter().enumerate() {
        assert_eq!(*published.recv().await.unwrap().1, *record);
        if let Event::StepReturned { step, attempt, .. } = &record.event {
            let intent = Event::StepStarted { step: step.clone(), attempt: *attempt };
            assert!(records[..i].iter().any(|r| r.event == intent), "{step} returned without an intent");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_runs_on_one_unit_exclude_each_other() {
    let stage = Stage::new(Scene::RegionLost);
    let life = stage.life().await;
    let run = stage.start(&life).await;
    let again = life.engine.start(stage.runbook().await, Cause::default()).await.unwrap_err();
    assert!(matches!(&again, StartError::Unit(UnitsError::Busy { run: by, .. }) if *by == run), "{again:?}");
    life.settled(&run).await;
    assert_eq!(life.engine.runs().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_move_that_was_derived_before_the_candidate_changed_does_not_start() {
    let stage = Stage::new(Scene::RegionLost);
    let life = stage.life().await;
    let unit = life.engine.unit(&stage.unit()).await.unwrap().unwrap();
    let derived = Runbook { basis: Some(unit.basis()), ..stage.runbook_when_broken().await };
    let (unit, epoch, candidacy) = (unit.unit, unit.epoch, unit.candidacy);
    let wish = Wish { unit: unit.clone(), epoch, candidacy, candidate: None };
    let changed = life.engine.wish(&"east".into(), &wish).await.unwrap();
    let refused = life.engine.start(derived.clone(), Cause::default()).await.unwrap_err();
    assert!(matches!(&refused, StartError::Unit(UnitsError::Changed(of)) if *of == unit), "{refused:?}");
    let record = life.engine.unit(&unit).await.unwrap().unwrap();
    assert_eq!((record.run, record.epoch), (None, epoch), "nothing was taken");
    let basis = Some(changed.basis());
    let run = life.engine.start(Runbook { basis, ..derived }, Cause::default()).await.unwrap();
    life.settled(&run).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_promoted_past_a_fence_that_achieved_less_than_its_move_rests_on() {
    let mut stage = Stage::new(Scene::WriterDead);
    // Derived while the old writer can be fenced on the spot; then something of it is left that cannot be ended.
    let derived = stage.runbook().await;
    let weak = Descriptor { fence_assurance: FenceAssurance::ConnectionsCut, ..stage.driver.describe() };
    stage.driver = FakeDriver::new(&stage.world, weak);
    let life = stage.life().await;
    let run = life.engine.start(derived, Cause::default()).await.unwrap();
    let view = life.settled(&run).await;
    let Condition::Waiting { why } = &view.condition else { panic!("{view:#?}") };
    assert!(why.iter().any(|w| w.contains("`proven` is what this move rests on")), "{why:?}");
    let promoted = |a: &Applied| matches!(a.effect, Effect::Promote { .. });
    assert!(!stage.world.journal().iter().any(promoted), "promoted beside what may be left of the old writer");
}

#[tokio::test(start_paused = true)]
async fn runs_are_listed_newest_first_with_how_they_ended() {
    let stage = Stage::new(Scene::Switchover);
    let life = stage.life().await;
    let run = stage.start(&life).await;
    life.settled(&run).await;
    life.kill().await;
    let life = stage.life().await;
    assert_eq!(life.engine.recover().await.unwrap(), []);
    let runs = life.engine.runs().await.unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].condition, Condition::Ended { result: RunResult::Done });
    assert!(runs[0].run.as_str().starts_with("switchover-20261121-"), "{}", runs[0].run);
    assert_eq!((runs[0].from.as_str(), runs[0].to.as_str()), ("east", "west"));
    let archive = Archive::default();
    for what in ["read", "remembered"] {
        assert_eq!(archive.runs(&*stage.journal).await.unwrap(), runs, "{what}, by whoever drives none");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failover_is_remembered_until_somebody_acknowledges_it() {
    let stage = Stage::new(Scene::RegionLost);
    let life = stage.life().await;
    let run = stage.start(&life).await;
    life.settled(&run).await;
    let unit = life.engine.unit(&stage.unit()).await.unwrap().unwrap();
    let failed_over = unit.failed_over.expect("it was a failover");
    assert_eq!((failed_over.run, failed_over.automatic, failed_over.acknowledged_by), (run, false, None));
    let unit = life.engine.acknowledge(&stage.unit(), "ada").await.unwrap();
    assert_eq!(unit.failed_over.and_then(|f| f.acknowledged_by), Some("ada".into()));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_touches_nothing_and_names_every_step() {
    for scene in SCENES {
        let stage = Stage::new(scene);
        let life = stage.life().await;
        stage.break_it();
        let runbook = stage.runbook().await;
        let steps = life.engine.dry_run(&runbook).await;
        assert_eq!(steps.len(), runbook.steps.len());
        assert_eq!(stage.world.journal(), [], "{scene:?}");
        assert_eq!(life.engine.runs().await.unwrap(), []);
        assert_eq!(life.engine.unit(&stage.unit()).await.unwrap().unwrap().epoch, Epoch(1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dry_run_cannot_see_stands_in_the_way() {
    let stage = Stage::new(Scene::Switchover);
    let life = stage.life().await;
    let runbook = stage.runbook().await;
    let west = Target { component: "database".into(), region: Some("west".into()) };
    let failure = Failure::rejected("PL-0701: pg_rewind is not in /nowhere").hint("install it");
    stage.world.blind(&west, Some(failure));
    let steps = life.engine.dry_run(&runbook).await;
    let found: Vec<_> = steps.iter().flat_map(|s| &s.findings).collect();
    assert!(!found.is_empty() && steps.iter().any(|s| matches!(s.would, Would::NotSeen { .. })), "{steps:#?}");
    for finding in found {
        assert_eq!((finding.code.as_str(), finding.severity), ("PL-0701", Severity::Blocker));
        assert_eq!((finding.message.as_str(), finding.hint.as_str()), UNSEEN);
    }
    stage.world.lose("west");
    let steps = life.engine.dry_run(&runbook).await;
    let lost: Vec<_> = steps.iter().filter(|s| matches!(s.would, Would::NotSeen { .. })).collect();
    assert!(!lost.is_empty() && lost.iter().all(|s| s.findings[0].code == "PL-0860"), "{lost:#?}");
}

const UNSEEN: (&str, &str) = ("database in west: pg_rewind is not in /nowhere", "install it");

#[tokio::test(start_paused = true)]
async fn a_step_that_is_done_says_so_with_its_times() {
    let stage = Stage::new(Scene::RegionLost);
    let life = stage.life().await;
    let run = stage.start(&life).await;
    let view = life.settled(&run).await;
    for step in view.steps {
        assert!(matches!(step.status, StepStatus::Done | StepStatus::Skipped), "{step:?}");
        assert!(step.started.is_some() && step.ended >= step.started, "{step:?}");
    }
}
