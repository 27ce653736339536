//! The engine on the real file: it survives its process, waits for room on a full disk, and refuses a second process.

use super::scene::{Scene, Stage};
use crate::sqlite;
use crate::storage::StorageError;
use pilotlight_core::run::{Condition, RunResult};
use std::sync::Arc;
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
        Condition::Waiting { why } => why.iter().any(|w| w.contains("no space is left")),
        Condition::Ended { .. } => true,
        _ => false,
    };
    let view = life.until(&run, "says that the disk is full", full).await;
    assert!(matches!(view.condition, Condition::Waiting { .. }), "{view:#?}");
    let sent = stage.world.calls();
    let refused = life.engine.control(&run, crate::Control::Abort, "ada").await.unwrap_err();
    assert!(matches!(refused, crate::ControlError::Stalled(StorageError::Full { .. })), "{refused:?}");
    assert_eq!(stage.world.calls(), sent, "an effect was sent although its intent could not be recorded");
    disk.limit_pages(None).await;
    let over = |v: &pilotlight_core::run::RunView| v.ended.is_some();
    let view = life.until(&run, "ends once there is room", over).await;
    assert_eq!(view.condition, Condition::Ended { result: RunResult::Done }, "{view:#?}");
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
