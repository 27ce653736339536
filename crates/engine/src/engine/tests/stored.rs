//! The engine on the real file: it survives its process, waits for room on a full disk, and refuses a second process.

use super::scene::{Scene, Stage};
use crate::journal::{AppendError, Journal};
use crate::sqlite;
use crate::storage::StorageError;
use async_trait::async_trait;
use pilotlight_core::id::RunId;
use pilotlight_core::run::{Condition, Event, Record, RunResult};
use pilotlight_core::time::Wall;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// A stage on a file; its time is real, because the file's thread does not wait for virtual time.
fn stage(scene: Scene, folder: &TempDir) -> Stage {
    let mut stage = Stage::new(scene);
    stage.plan.policy.lease = Duration::from_millis(200);
    stage.plan.policy.renew = Duration::from_millis(50);
    reopen(&mut stage, folder);
    stage
}

fn reopen(stage: &mut Stage, folder: &TempDir) {
    // What was open is closed first: two at once are refused.
    stage.store = Arc::new(crate::store::MemoryStore::new());
    stage.journal = Arc::new(crate::journal::MemoryJournal::new());
    let (journal, store) = sqlite::open(folder.path()).unwrap();
    (stage.journal, stage.store) = (Arc::new(journal), Arc::new(store));
}

#[tokio::test]
async fn a_run_goes_on_in_another_process_on_the_same_folder() {
    for scene in [Scene::Switchover, Scene::RegionLost] {
        for records in [1, 3, 6, 10, 15] {
            let folder = TempDir::new().unwrap();
            let mut stage = stage(scene, &folder);
            let life = stage.life().await;
            let run = stage.start(&life).await;
            let far = |v: &pilotlight_core::run::RunView| v.seq >= records;
            life.until(&run, "has so many records", far).await;
            life.kill().await;
            reopen(&mut stage, &folder);
            let life = stage.life().await;
            life.engine.recover().await.unwrap();
            let view = life.settled(&run).await;
            assert_eq!(view.condition, Condition::Ended { result: RunResult::Done }, "{scene:?}, {records}: {view:#?}");
            stage.check_settled(&view, &format!("another process after record {records}"));
            life.kill().await;
        }
    }
}

#[tokio::test]
async fn a_full_disk_holds_the_run_and_room_lets_it_go_on() {
    let folder = TempDir::new().unwrap();
    let mut stage = Stage::new(Scene::Switchover);
    let (journal, store) = sqlite::open(folder.path()).unwrap();
    let disk = journal.clone();
    (stage.journal, stage.store) = (Arc::new(journal), Arc::new(store));
    let life = stage.life().await;
    let run = stage.start(&life).await;
    disk.limit_pages(Some(0)).await;
    let full = |v: &pilotlight_core::run::RunView| match &v.condition {
        Condition::Stalled { why } => why.contains("PL-0501") && why.contains("no space is left"),
        Condition::Ended { .. } => true,
        _ => false,
    };
    let view = life.until(&run, "says that the disk is full", full).await;
    assert!(matches!(view.condition, Condition::Stalled { .. }), "{view:#?}");
    let listed = life.engine.runs().await.unwrap();
    assert!(matches!(listed[0].condition, Condition::Stalled { .. }), "{listed:#?}");
    assert!(life.engine.stalled(&run).is_some_and(|why| why.contains("goes on by itself")));
    let sent = stage.world.calls();
    let refused = life.engine.control(&run, crate::Control::Abort, "ada").await.unwrap_err();
    assert!(matches!(refused, crate::ControlError::Stalled(StorageError::Full { .. })), "{refused:?}");
    assert_eq!(stage.world.calls(), sent, "an effect was sent although its intent could not be recorded");
    disk.limit_pages(None).await;
    let over = |v: &pilotlight_core::run::RunView| v.ended.is_some();
    let view = life.until(&run, "ends once there is room", over).await;
    assert_eq!(view.condition, Condition::Ended { result: RunResult::Done }, "{view:#?}");
    assert_eq!(life.engine.stalled(&run), None);
    stage.check_settled(&view, "after the disk was full");
    life.kill().await;
}

#[tokio::test]
async fn a_run_that_cannot_be_journaled_does_not_start_and_does_not_hold_the_unit() {
    let folder = TempDir::new().unwrap();
    let mut stage = Stage::new(Scene::Switchover);
    let (journal, store) = sqlite::open(folder.path()).unwrap();
    let disk = journal.clone();
    stage.journal = Arc::new(journal);
    let _ = store;
    let life = stage.life().await;
    let runbook = stage.runbook().await;
    disk.limit_pages(Some(0)).await;
    let error = life.engine.start(runbook.clone(), Default::default()).await.unwrap_err();
    assert!(matches!(error, crate::StartError::Journal(_)), "{error:?}");
    life.is_free(&stage.unit()).await;
    disk.limit_pages(None).await;
    let run = life.engine.start(runbook, Default::default()).await.unwrap();
    let view = life.settled(&run).await;
    assert_eq!(view.condition, Condition::Ended { result: RunResult::Done }, "{view:#?}");
    life.kill().await;
}

/// Counts what is warned of.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicU32>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// Changes a letter in a record of a run, behind everybody's back.
fn damage(folder: &TempDir, run: &RunId, seq: u64) {
    let file = rusqlite::Connection::open(folder.path().join("pilotlight.db")).unwrap();
    let change = "UPDATE journal SET at = at + 1 WHERE run = ?1 AND seq = ?2";
    assert_eq!(file.execute(change, rusqlite::params![run.as_str(), seq]).unwrap(), 1);
}

#[tokio::test]
async fn a_damaged_run_that_is_over_stops_nothing() {
    let folder = TempDir::new().unwrap();
    let mut stage = stage(Scene::Switchover, &folder);
    let life = stage.life().await;
    let run = stage.start(&life).await;
    let head = life.settled(&run).await.seq;
    // Its end is journaled first; a unit that is still held by a damaged run stays held.
    life.is_free(&stage.unit()).await;
    life.kill().await;
    damage(&folder, &run, head);
    reopen(&mut stage, &folder);
    let life = stage.life().await;
    assert_eq!(life.engine.recover().await.unwrap(), []);
    life.is_free(&stage.unit()).await;
    let error = life.engine.view(&run).await.unwrap_err();
    assert!(error.code() == "PL-0502" && error.to_string().contains(&format!("record {head}")), "{error}");
    assert_eq!(life.engine.readable_runs().await.unwrap(), []);
    assert!(life.engine.runs().await.is_err(), "whoever decides by all runs must not miss one");

    let (archive, warnings) = (crate::Archive::default(), Warnings::default());
    let heard = tracing::subscriber::set_default(warnings.clone());
    for _ in 0..3 {
        assert_eq!(archive.runs(&*stage.journal).await.unwrap(), []);
    }
    drop(heard);
    assert_eq!(warnings.0.load(Ordering::SeqCst), 1, "it is told once");
    life.kill().await;
}

#[tokio::test]
async fn a_damaged_run_that_was_under_way_holds_its_unit_and_is_not_driven() {
    let folder = TempDir::new().unwrap();
    let mut stage = stage(Scene::Switchover, &folder);
    let life = stage.life().await;
    let run = stage.start(&life).await;
    life.until(&run, "has some records", |v| v.seq >= 4).await;
    life.kill().await;
    damage(&folder, &run, 2);
    reopen(&mut stage, &folder);
    let life = stage.life().await;
    let sent = stage.world.calls();
    assert_eq!(life.engine.recover().await.unwrap(), []);
    let listed = life.engine.readable_runs().await.unwrap();
    let says = |c: &Condition| matches!(c, Condition::Waiting { why } if why[0].contains("record 2"));
    assert!(listed.len() == 1 && says(&listed[0].condition), "{listed:#?}");
    let record = life.engine.unit(&stage.unit()).await.unwrap().unwrap();
    assert_eq!(record.run, Some(run), "the unit is held");
    assert_eq!(stage.world.calls(), sent, "nothing was done");
    life.kill().await;
}

/// Keeps one append and says that it failed, then cannot be read for a while: whose the records are is not known meanwhile.
struct Blind {
    journal: Arc<dyn Journal>,
    appends: AtomicU32,
    lie_at: u32,
    blind_for: AtomicU32,
}

fn silent() -> StorageError {
    StorageError::Unreachable { what: "the store".to_owned(), why: "no answer".to_owned() }
}

#[async_trait]
impl Journal for Blind {
    async fn append(&self, run: &RunId, first: u64, events: Vec<(Wall, Event)>) -> Result<(), AppendError> {
        self.journal.append(run, first, events).await?;
        match self.appends.fetch_add(1, Ordering::Relaxed) + 1 == self.lie_at {
            true => Err(silent().into()),
            false => Ok(()),
        }
    }
    async fn read(&self, run: &RunId, from: u64, limit: usize) -> Result<Vec<Record>, StorageError> {
        let lied = self.appends.load(Ordering::Relaxed) >= self.lie_at;
        // Only what looks for records in the middle: whoever shows the run reads it from its beginning.
        let blind = lied
            && from > 1
            && self.blind_for.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
        if blind { Err(silent()) } else { self.journal.read(run, from, limit).await }
    }
    async fn heads(&self) -> Result<Vec<(RunId, u64)>, StorageError> {
        self.journal.heads().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_records_cannot_be_looked_at_is_not_let_go_of() {
    for lie_at in 2..12 {
        let stage = Stage::new(Scene::Switchover);
        let (appends, blind_for) = (AtomicU32::new(0), AtomicU32::new(3));
        let blind = Arc::new(Blind { journal: Arc::clone(&stage.journal), appends, lie_at, blind_for });
        let life = stage.life_on(blind.clone(), Arc::new(stage.router())).await;
        let run = stage.start(&life).await;
        let view = life.settled(&run).await;
        assert_eq!(view.condition, Condition::Ended { result: RunResult::Done }, "append {lie_at}: {view:#?}");
        assert_eq!(blind.blind_for.load(Ordering::Relaxed), 0, "append {lie_at}: it was looked at until it was seen");
        stage.check_settled(&view, &format!("append {lie_at} was kept, and could not be looked at"));
        life.kill().await;
    }
}
