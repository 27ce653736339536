//! Starts whose first write was reported as failed: whether it was kept or not, the unit is free again.

use super::scene::{SCENES, Scene, Stage};
use crate::engine::{Behind, StartError};
use crate::journal::{AppendError, Journal};
use crate::storage::StorageError;
use crate::store::{FailedOver, PutError, Store, UnitRecord, Units, UnitsError, Versioned};
use async_trait::async_trait;
use pilotlight_core::behind::Lack;
use pilotlight_core::candidate::{Admitted, Wish, mark};
use pilotlight_core::id::{Epoch, RunId};
use pilotlight_core::leader::Term;
use pilotlight_core::run::{Cause, Condition, Event, Record, RunResult, RunView};
use pilotlight_core::runbook::Basis;
use pilotlight_core::time::Wall;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A store that reports so many writes as failed; `true` is one that it keeps all the same.
pub(super) struct Failing {
    pub(super) store: Arc<dyn Store>,
    pub(super) next: Mutex<VecDeque<bool>>,
}

#[async_trait]
impl Store for Failing {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StorageError> {
        self.store.get(key).await
    }
    async fn put(&self, key: &str, value: Vec<u8>, if_version: Option<u64>) -> Result<u64, PutError> {
        let fails = self.next.lock().unwrap().pop_front();
        if fails != Some(false) {
            let version = self.store.put(key, value, if_version).await?;
            if fails.is_none() {
                return Ok(version);
            }
        }
        Err(StorageError::Io { what: "putting".into(), why: "the disk says no".into() }.into())
    }
    async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, StorageError> {
        self.store.list(prefix).await
    }
}

#[tokio::test]
async fn a_store_that_is_behind_what_was_met_starts_nothing_until_a_person_raises_it() {
    for scene in SCENES {
        let stage = Stage::new(scene);
        let (life, unit) = (stage.life().await, stage.unit());
        let runbook = stage.runbook_when_broken().await;
        let stored = life.engine.unit(&unit).await.unwrap().unwrap().epoch;
        life.engine.met(&unit, stored);
        assert_eq!(life.engine.behind(&unit), None, "{scene:?}: the store's own epoch is no news");
        let met = Epoch(stored.0 + 6);
        life.engine.met(&unit, met);
        life.engine.met(&unit, stored);
        let refused = life.engine.start(runbook.clone(), Cause::default()).await;
        let told = |b: &Behind| {
            b.met.epoch == met && b.stored.epoch == stored && b.to_string().contains("a person has looked")
        };
        assert!(matches!(&refused, Err(StartError::Behind(b)) if told(b)), "{refused:?}");
        assert_eq!(life.engine.unit(&unit).await.unwrap().unwrap().run, None, "{scene:?}: the unit was not taken");
        life.engine.raise_epoch(&unit).await.unwrap();
        let run = life.engine.start(runbook, Cause::default()).await.unwrap();
        life.is_free(&unit).await;
        assert_eq!(life.engine.view(&run).await.unwrap().unwrap().epoch, met.next(), "{scene:?}");
    }
}

/// An old copy of the same epoch: whom it calls the candidate may be waited for by nobody.
#[tokio::test]
async fn a_store_with_an_old_candidate_starts_nothing_and_mends_itself_and_a_wish_for_its_number_comes_too_late() {
    // A later change, and another candidate under the same number.
    let mets = [(4, 0, "candidacy 1", 6), (1, mark(None), "another candidate", 3)];
    for (scene, (candidacy, mark, says, mends)) in SCENES.into_iter().flat_map(|scene| mets.map(|met| (scene, met))) {
        let stage = Stage::new(scene);
        let (life, unit) = (stage.life().await, stage.unit());
        let runbook = stage.runbook_when_broken().await;
        let admitted = Admitted { region: "west".into(), names: [("database".into(), "pl_1".to_owned())].into() };
        let admit = |record: &mut UnitRecord| {
            (record.candidate, record.candidacy) = (Some(admitted.clone()), 1);
            Ok(())
        };
        let old = Units::new(stage.store.clone(), Term(0)).change(&unit, admit).await.unwrap();
        life.engine.granter().knows(&old);
        assert!(!life.engine.mend_candidacy(&unit).await.unwrap(), "{scene:?}: nothing newer was heard");
        life.engine.heard(&unit, Basis { epoch: old.epoch, candidacy, mark });
        // What an older guard says takes nothing of that back.
        life.engine.met(&unit, old.epoch);
        let refused = life.engine.start(runbook.clone(), Cause::default()).await;
        let told = |b: &Behind| b.lack == Lack::Candidacy && b.to_string().contains(says) && b.hint().contains("mends");
        assert!(matches!(&refused, Err(StartError::Behind(b)) if told(b)), "{refused:?}");
        assert!(life.engine.mend_candidacy(&unit).await.unwrap());
        let mended = life.engine.unit(&unit).await.unwrap().unwrap();
        assert_eq!((mended.epoch, mended.writer.clone(), mended.run.clone()), (old.epoch, old.writer.clone(), None));
        assert_eq!(
            (mended.candidate, mended.candidacy),
            (None, mends),
            "past what was heard and what may have been granted"
        );
        assert_eq!(life.engine.behind(&unit), None);
        assert!(!life.engine.mend_candidacy(&unit).await.unwrap(), "once");
        for candidacy in [1, candidacy, mends - 1] {
            let late = Wish { unit: unit.clone(), epoch: old.epoch, candidacy, candidate: Some(admitted.clone()) };
            let from = old.writer.clone().unwrap();
            let taken = life.engine.wish(&from, &late).await;
            assert!(matches!(taken, Err(UnitsError::Overtaken { .. })), "{candidacy}: {taken:?}");
        }
        let run = life.engine.start(runbook, Cause::default()).await.unwrap();
        life.is_free(&unit).await;
        assert_eq!(life.engine.view(&run).await.unwrap().unwrap().epoch, old.epoch.next(), "{scene:?}");
    }
}

/// A new store has the candidacy zero, and agents that live have heard more: they would decide nothing for ever.
#[tokio::test]
async fn a_raised_epoch_leaves_no_candidate_and_a_candidacy_that_every_agent_takes_for_newer() {
    let stage = Stage::new(SCENES[0]);
    let (life, unit) = (stage.life().await, stage.unit());
    let stored = life.engine.unit(&unit).await.unwrap().unwrap();
    let as_it_is = life.engine.raise_epoch(&unit).await.unwrap();
    assert_eq!(as_it_is.basis(), stored.basis(), "what is not behind is left alone");
    life.engine.heard(&unit, Basis { epoch: Epoch(stored.epoch.0 + 6), candidacy: 7, mark: 0 });
    let raised = life.engine.raise_epoch(&unit).await.unwrap();
    assert_eq!((raised.epoch.0, raised.candidate, raised.candidacy), (stored.epoch.0 + 6, None, 9));
    assert_eq!(life.engine.behind(&unit), None);
}

async fn a_start_fails_and_the_next_one_goes_well(scene: Scene, fails: &[bool], before: Option<FailedOver>) {
    let what = format!("{scene:?}, {fails:?}, {before:?}");
    let mut stage = Stage::new(scene);
    let failing = Arc::new(Failing { store: stage.store.clone(), next: Mutex::default() });
    stage.store = failing.clone();
    let (life, unit) = (stage.life().await, stage.unit());
    let earlier = |record: &mut crate::store::UnitRecord| {
        record.failed_over.clone_from(&before);
        Ok(())
    };
    Units::new(stage.store.clone(), Term(0)).change(&unit, earlier).await.unwrap();
    let runbook = stage.runbook_when_broken().await;
    failing.next.lock().unwrap().extend(fails);
    let refused = life.engine.start(runbook.clone(), Cause::default()).await;
    let storage = |e: &StartError| matches!(e, StartError::Unit(UnitsError::Storage(_)));
    assert!(refused.as_ref().is_err_and(storage), "{what}: {refused:?}");
    life.is_free(&unit).await;
    let record = life.engine.unit(&unit).await.unwrap().unwrap();
    assert_eq!(record.failed_over, before, "{what}: a failover that never began bars no other one");
    let run = life.engine.start(runbook, Cause::default()).await.unwrap();
    let view = life.settled(&run).await;
    assert_eq!(view.condition, Condition::Ended { result: RunResult::Done }, "{what}: {view:#?}");
    stage.check_settled(&view, &what);
    life.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_write_is_kept_and_reported_as_failed_lets_its_unit_go() {
    let earlier = FailedOver {
        run: RunId::from("failover-1"),
        at: Wall(1),
        automatic: true,
        acknowledged_by: Some("ada".into()),
    };
    for scene in SCENES {
        // Kept; not kept; kept, and letting go fails too: without and with being kept.
        for fails in [&[true][..], &[false], &[true, false, false], &[true, true]] {
            for before in [None, Some(earlier.clone())] {
                a_start_fails_and_the_next_one_goes_well(scene, fails, before).await;
            }
        }
    }
}

/// A journal that keeps the first record it is given and reports it as failed; the store beside it takes no write then.
struct Lying {
    journal: Arc<dyn Journal>,
    failing: Arc<Failing>,
    lied: AtomicBool,
}

#[async_trait]
impl Journal for Lying {
    async fn append(&self, run: &RunId, first: u64, events: Vec<(Wall, Event)>) -> Result<(), AppendError> {
        self.journal.append(run, first, events).await?;
        if self.lied.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.failing.next.lock().unwrap().push_back(false);
        Err(StorageError::Io { what: "appending".into(), why: "no answer came".into() }.into())
    }
    async fn read(&self, run: &RunId, from: u64, limit: usize) -> Result<Vec<Record>, StorageError> {
        self.journal.read(run, from, limit).await
    }
    async fn heads(&self) -> Result<Vec<(RunId, u64)>, StorageError> {
        self.journal.heads().await
    }
}

/// Or it would be walked while its unit is let go of under it.
#[tokio::test(start_paused = true)]
async fn a_run_whose_start_was_reported_as_failed_is_not_gone_on_with_before_its_unit_is_let_go() {
    for scene in SCENES {
        let mut stage = Stage::new(scene);
        let failing = Arc::new(Failing { store: stage.store.clone(), next: Mutex::default() });
        stage.store = failing.clone();
        let lying = Lying { journal: stage.journal.clone(), failing, lied: AtomicBool::new(false) };
        let (life, unit) = (stage.life_on(Arc::new(lying), Arc::new(stage.router())).await, stage.unit());
        let runbook = stage.runbook_when_broken().await;
        let refused = life.engine.start(runbook.clone(), Cause::default()).await;
        assert!(matches!(refused, Err(StartError::Journal(_))), "{scene:?}: {refused:?}");
        let never_began = life.engine.unit(&unit).await.unwrap().unwrap().run.expect("letting it go failed at first");
        // What a leader with others beside it does every second.
        assert_eq!(life.engine.continue_held().await.unwrap(), [], "{scene:?}");
        life.is_free(&unit).await;
        let is_over = |view: &RunView| matches!(view.condition, Condition::Ended { .. });
        life.until(&never_began, "is closed", is_over).await;
        assert_eq!(stage.world.calls(), 0, "{scene:?}: nothing was started");
        let run = life.engine.start(runbook, Cause::default()).await.unwrap();
        let view = life.settled(&run).await;
        assert_eq!(view.condition, Condition::Ended { result: RunResult::Done }, "{scene:?}: {view:#?}");
        stage.check_settled(&view, "after a start that failed");
        life.kill().await;
    }
}
