//! The folder: both batteries, torn and foreign files, a frozen holder of its lock.

use crate::{Expect, Folder, Objects, SharedJournal, SharedStore, open};
use pilotlight_core::id::RunId;
use pilotlight_engine::journal::Journal;
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::store::Store;
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_passes_the_batteries() {
    let folders = RefCell::new(Vec::new());
    super::batteries(|| async {
        let folder = TempDir::new().unwrap();
        let objects = Folder::open(folder.path()).unwrap();
        folders.borrow_mut().push(folder);
        Arc::new(objects) as Arc<dyn Objects>
    })
    .await;
}

#[tokio::test]
async fn the_folder_honours_conditions() {
    let folder = TempDir::new().unwrap();
    open(Arc::new(Folder::open(folder.path()).unwrap())).await.map(|_| ()).unwrap();
}

#[tokio::test]
async fn a_torn_file_is_named_and_nothing_is_put_over_it() {
    let folder = TempDir::new().unwrap();
    let objects: Arc<dyn Objects> = Arc::new(Folder::open(folder.path()).unwrap());
    let (store, journal) = (SharedStore::new(objects.clone()), SharedJournal::new(objects.clone()));
    store.put("k", b"a value".to_vec(), None).await.unwrap();
    journal.append(&"run".into(), 1, vec![super::paused(1), super::paused(2)]).await.unwrap();
    for file in ["store/k", "journal/run.0000000001"] {
        let path = folder.path().join(file);
        let size = std::fs::metadata(&path).unwrap().len();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(size - 5).unwrap();
    }
    let error = store.get("k").await.unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("store/k"), "{error}");
    store.put("k", b"over it".to_vec(), Some(1)).await.unwrap_err();
    let fresh = SharedJournal::new(objects);
    let error = fresh.read(&RunId::from("run"), 1, 9).await.unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error:?}");
    assert!(fresh.append(&"run".into(), 3, vec![super::paused(3)]).await.is_err());
}

#[tokio::test]
async fn a_writer_that_died_half_way_leaves_no_value() {
    let folder = TempDir::new().unwrap();
    let objects = Folder::open(folder.path()).unwrap();
    std::fs::write(folder.path().join("aside/1-0"), b"{\"pilotlight\":1,").unwrap();
    let store = SharedStore::new(Arc::new(objects.clone()));
    assert_eq!(store.list("").await.unwrap(), []);
    store.put("k", b"a value".to_vec(), None).await.unwrap();
    assert_eq!(store.list("").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_frozen_holder_of_the_lock_is_an_error_and_not_a_wait_for_ever() {
    let folder = TempDir::new().unwrap();
    let objects = Folder::open(folder.path()).unwrap();
    let held = std::fs::OpenOptions::new().append(true).open(folder.path().join("lock")).unwrap();
    held.lock().unwrap();
    let refused = objects.put("store/k", b"x".to_vec(), &Expect::Absent).await.unwrap_err();
    let crate::Refused::Unclear(error) = refused else { panic!("{refused:?}") };
    assert_eq!(error.code(), "PL-0504");
    drop(held);
    objects.put("store/k", b"x".to_vec(), &Expect::Absent).await.unwrap();
}

/// A run of several chunks, as files in their order.
async fn long_run() -> (TempDir, Arc<dyn Objects>, RunId, Vec<PathBuf>) {
    let folder = TempDir::new().unwrap();
    let objects: Arc<dyn Objects> = Arc::new(Folder::open(folder.path()).unwrap());
    let (run, journal) = (RunId::from("run"), SharedJournal::new(objects.clone()));
    for n in 1..=300 {
        journal.append(&run, n, vec![super::paused(n)]).await.unwrap();
    }
    let files = std::fs::read_dir(folder.path().join("journal")).unwrap();
    let mut chunks: Vec<_> = files.map(|e| e.unwrap().path()).collect();
    chunks.sort();
    assert!(chunks.len() >= 3, "{chunks:?}");
    (folder, objects, run, chunks)
}

/// As by a lifecycle rule of a bucket, or by somebody who makes room: the oldest objects go first.
#[tokio::test]
async fn a_chunk_that_is_gone_is_damage_and_no_end() {
    for gone in [0, 1] {
        let (_folder, objects, run, chunks) = long_run().await;
        std::fs::remove_file(&chunks[gone]).unwrap();
        let fresh = || SharedJournal::new(objects.clone());
        let read = fresh().read(&run, 1, usize::MAX).await;
        let error = read.map(|r| r.len()).unwrap_err();
        assert!(matches!(error, StorageError::Damaged { .. }), "{gone}: {error:?}");
        let after_the_gap = fresh().append(&run, 301, vec![super::paused(301)]).await;
        assert!(after_the_gap.is_err());
        let listed = fresh();
        assert_eq!(listed.heads().await.unwrap(), [(run.clone(), 300)]);
        let first = listed.read(&run, 1, 1).await;
        assert_eq!(first.is_err(), gone == 0, "{first:?}");
    }
}

/// A controller that begins where the rest is missing must not write the run's history anew.
#[tokio::test]
async fn nothing_is_written_into_the_place_of_a_chunk_that_is_gone() {
    let (_folder, objects, run, chunks) = long_run().await;
    let first: u64 = chunks[1].extension().unwrap().to_str().unwrap().parse().unwrap();
    std::fs::remove_file(&chunks[1]).unwrap();
    let fresh = SharedJournal::new(objects.clone());
    let error = fresh.append(&run, first, vec![super::paused(first)]).await;
    assert!(error.is_err() && !chunks[1].exists(), "{error:?}");
}
