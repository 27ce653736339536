//! The file: both batteries, a second process, damage of several kinds, a full disk.

use super::{SqliteJournal, SqliteStore, open};
use crate::journal::{AppendError, Journal};
use crate::storage::StorageError;
use crate::store::Store;
use async_trait::async_trait;
use pilotlight_core::id::RunId;
use pilotlight_core::run::{Event, Record};
use pilotlight_core::time::Wall;
use std::io::{Seek, SeekFrom, Write};
use tempfile::TempDir;

impl SqliteJournal {
    /// As a disk of that many further pages.
    pub(crate) async fn limit_pages(&self, more: Option<u32>) {
        let limit = move |connection: &rusqlite::Connection| -> rusqlite::Result<()> {
            let pages: u32 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let most = more.map_or(1 << 30, |more| pages + more);
            connection.pragma_update_and_check(None, "max_page_count", most, |_| Ok(()))
        };
        self.0
            .read(move |connection, _| {
                limit(connection).unwrap();
                Ok(())
            })
            .await
            .unwrap();
    }
}

/// A journal with the folder that holds it.
struct InFolder<T>(T, #[expect(dead_code, reason = "removed when dropped")] TempDir);

#[async_trait]
impl Journal for InFolder<SqliteJournal> {
    async fn append(&self, run: &RunId, first: u64, events: Vec<(Wall, Event)>) -> Result<(), AppendError> {
        self.0.append(run, first, events).await
    }
    async fn read(&self, run: &RunId, from: u64, limit: usize) -> Result<Vec<Record>, StorageError> {
        self.0.read(run, from, limit).await
    }
    async fn heads(&self) -> Result<Vec<(RunId, u64)>, StorageError> {
        self.0.heads().await
    }
}

fn event(text: &str) -> (Wall, Event) {
    (Wall(7), Event::Paused { by: "ada".into(), why: text.to_owned() })
}

/// A folder with a journal of so many records, closed again.
async fn written(records: u64) -> TempDir {
    let folder = TempDir::new().unwrap();
    let (journal, store) = open(folder.path()).unwrap();
    let events = (0..records).map(|n| event(&format!("reason {n} {}", "x".repeat(200)))).collect();
    journal.append(&"a".into(), 1, events).await.unwrap();
    store.put("unit/payments", b"{}".to_vec(), None).await.unwrap();
    folder
}

#[tokio::test]
async fn the_sqlite_journal_passes_the_battery() {
    crate::journal::battery::all(|| async {
        let folder = TempDir::new().unwrap();
        InFolder(open(folder.path()).unwrap().0, folder)
    })
    .await;
}

#[tokio::test]
async fn the_sqlite_store_passes_the_battery() {
    let folders = std::cell::RefCell::new(Vec::new());
    crate::store::battery::all(|| async {
        let folder = TempDir::new().unwrap();
        let store: SqliteStore = open(folder.path()).unwrap().1;
        folders.borrow_mut().push(folder);
        store
    })
    .await;
}

#[tokio::test]
async fn what_was_written_is_there_in_the_next_process() {
    let folder = written(1_000).await;
    let (journal, store) = open(folder.path()).unwrap();
    assert_eq!(journal.read(&"a".into(), 1, usize::MAX).await.unwrap().len(), 1_000);
    assert_eq!(journal.heads().await.unwrap(), [("a".into(), 1_000)]);
    assert_eq!(store.get("unit/payments").await.unwrap().unwrap().value, b"{}");
}

#[tokio::test]
async fn a_second_process_is_refused_until_the_first_has_gone() {
    let folder = TempDir::new().unwrap();
    let first = open(folder.path()).unwrap();
    let error = open(folder.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, StorageError::Locked { .. }), "{error:?}");
    assert_eq!(error.code(), "PL-0503");
    drop(first);
    open(folder.path()).map(|_| ()).unwrap();
}

#[tokio::test]
async fn a_truncated_file_is_named_as_damaged() {
    let folder = written(1_000).await;
    let file = folder.path().join("pilotlight.db");
    let size = std::fs::metadata(&file).unwrap().len();
    for cut in [size / 2, size - 4_096, 100] {
        std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(cut).unwrap();
        let error = open(folder.path()).map(|_| ()).unwrap_err();
        assert!(matches!(error, StorageError::Damaged { .. }), "{cut} of {size}: {error:?}");
        assert!(error.to_string().contains("pilotlight.db"), "{error}");
        assert_eq!(error.code(), "PL-0502");
    }
}

#[tokio::test]
async fn what_is_no_database_is_named_as_damaged() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("pilotlight.db"), "this is a letter, not a journal\n".repeat(200)).unwrap();
    let error = open(folder.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn an_overwritten_page_is_named_as_damaged() {
    let folder = written(1_000).await;
    let mut file = std::fs::OpenOptions::new().write(true).open(folder.path().join("pilotlight.db")).unwrap();
    file.seek(SeekFrom::Start(5 * 4_096)).unwrap();
    file.write_all(&[0xA5; 4_096]).unwrap();
    drop(file);
    let error = open(folder.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_named() {
    for (statement, says) in [
        ("UPDATE journal SET event = 'nonsense' WHERE seq = 2", "run a, record 2"),
        ("DELETE FROM journal WHERE seq = 2", "record 2 is missing"),
        ("UPDATE journal SET at = 'noon' WHERE seq = 3", "run a, record 3"),
        ("UPDATE journal SET at = at + 1 WHERE seq = 3", "run a, record 3: its checksum"),
        (
            "UPDATE journal SET event = replace(event, 'reason 1', 'reason 7') WHERE seq = 2",
            "run a, record 2: its checksum",
        ),
    ] {
        let folder = written(3).await;
        rusqlite::Connection::open(folder.path().join("pilotlight.db")).unwrap().execute(statement, []).unwrap();
        let (journal, _store) = open(folder.path()).unwrap();
        let error = journal.read(&"a".into(), 1, usize::MAX).await.unwrap_err();
        assert!(matches!(error, StorageError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_file_of_the_first_version_is_read_on() {
    let folder = TempDir::new().unwrap();
    let old = rusqlite::Connection::open(folder.path().join("pilotlight.db")).unwrap();
    old.execute_batch(
        r#"CREATE TABLE journal (run TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL,
             PRIMARY KEY (run, seq)) WITHOUT ROWID;
           CREATE TABLE store (key TEXT PRIMARY KEY, version INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
           INSERT INTO journal VALUES ('a', 1, 7, '{"event":"paused","by":"ada","why":"old"}');
           PRAGMA user_version = 1;"#,
    )
    .unwrap();
    drop(old);
    for head in [1, 2] {
        let (journal, _store) = open(folder.path()).unwrap();
        assert_eq!(journal.read(&"a".into(), 1, usize::MAX).await.unwrap().len(), head);
        journal.append(&"a".into(), head as u64 + 1, vec![event("new")]).await.unwrap();
    }
}

#[tokio::test]
async fn a_first_start_that_fails_leaves_no_file_that_the_next_would_refuse() {
    let folder = TempDir::new().unwrap();
    // What stands where SQLite wants to write, as a full disk would.
    std::fs::create_dir(folder.path().join("pilotlight.db-wal")).unwrap();
    open(folder.path()).map(|_| ()).unwrap_err();
    assert!(!folder.path().join("pilotlight.db").exists());
    std::fs::remove_dir(folder.path().join("pilotlight.db-wal")).unwrap();
    open(folder.path()).map(|_| ()).unwrap();
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused() {
    let folder = written(1).await;
    let connection = rusqlite::Connection::open(folder.path().join("pilotlight.db")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = open(folder.path()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("version 99"), "{error}");
}

#[tokio::test]
async fn a_full_disk_keeps_nothing_of_the_batch_and_everything_before() {
    let folder = written(10).await;
    let (journal, store) = open(folder.path()).unwrap();
    journal.limit_pages(Some(2)).await;
    let large = vec![event(&"x".repeat(100_000))];
    let error = journal.append(&"a".into(), 11, large.clone()).await.unwrap_err();
    assert!(matches!(&error, AppendError::Storage(StorageError::Full { .. })), "{error:?}");
    assert!(store.put("k", vec![0; 100_000], None).await.is_err());
    assert_eq!(journal.heads().await.unwrap(), [("a".into(), 10)]);
    journal.limit_pages(None).await;
    journal.append(&"a".into(), 11, large).await.unwrap();
}

#[tokio::test]
async fn writes_that_wait_together_are_answered_each_for_itself() {
    let folder = TempDir::new().unwrap();
    let (journal, _store) = open(folder.path()).unwrap();
    let run = RunId::from("a");
    let appends = (0..50).map(|_| journal.append(&run, 1, vec![event("mine")]));
    let results = join_all(appends).await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1, "one wins");
    assert!(results.iter().flat_map(|r| r.as_ref().err()).all(|e| matches!(e, AppendError::Taken { .. })));
}

/// All at once, in order.
async fn join_all<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = all.map(|f| (Box::pin(f), None)).collect();
    std::future::poll_fn(|cx| {
        for (future, result) in pending.iter_mut().filter(|(_, result)| result.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(cx) {
                *result = Some(value);
            }
        }
        if pending.iter().all(|(_, r)| r.is_some()) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().map(|(_, result)| result.unwrap()).collect()
}
