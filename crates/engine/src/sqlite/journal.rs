//! The journal in SQLite.

use super::checksum;
use super::error::explain;
use super::thread::{Request, Thread};
use crate::journal::{AppendError, Journal};
use crate::storage::StorageError;
use async_trait::async_trait;
use pilotlight_core::id::RunId;
use pilotlight_core::run::{Event, Record};
use pilotlight_core::time::Wall;
use rusqlite::{Connection, params};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The journal in a folder; see [`crate::sqlite::open`].
#[derive(Clone)]
pub struct SqliteJournal(pub(super) Arc<Thread>);

#[async_trait]
impl Journal for SqliteJournal {
    async fn append(&self, run: &RunId, first: u64, events: Vec<(Wall, Event)>) -> Result<(), AppendError> {
        let text = |event: &Event| serde_json::to_string(event).expect("an event has only names, numbers and texts");
        let events = events.iter().map(|(at, event)| (*at, text(event))).collect();
        let (reply, answer) = oneshot::channel();
        self.0.send(Request::Append { run: run.clone(), first, events, reply });
        answer.await.map_err(|_| StorageError::Closed)?
    }

    async fn read(&self, run: &RunId, from: u64, limit: usize) -> Result<Vec<Record>, StorageError> {
        let run = run.clone();
        self.0.read(move |connection, file| read(connection, file, &run, from, limit)).await
    }

    async fn heads(&self) -> Result<Vec<(RunId, u64)>, StorageError> {
        self.0.read(|connection, file| heads(connection).map_err(|e| explain(&e, "listing the runs", file))).await
    }
}

fn read(
    connection: &Connection,
    file: &Path,
    run: &RunId,
    from: u64,
    limit: usize,
) -> Result<Vec<Record>, StorageError> {
    let what = format!("run {run}");
    let say = |e: rusqlite::Error| explain(&e, &what, file);
    let mut select = connection
        .prepare_cached("SELECT seq, at, event, sum FROM journal WHERE run = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3")
        .map_err(say)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = select.query(params![run.as_str(), from, limit]).map_err(say)?;
    let mut records: Vec<Record> = Vec::new();
    while let Some(row) = rows.next().map_err(say)? {
        let seq: u64 = row.get(0).map_err(say)?;
        let damaged = |why: String| StorageError::Damaged {
            file: file.to_path_buf(),
            place: format!("run {run}, record {seq}"),
            why,
        };
        let expected = records.last().map_or(from.max(1), |r| r.seq + 1);
        if seq != expected {
            return Err(damaged(format!("record {expected} is missing")));
        }
        let at = Wall(row.get(1).map_err(|e| damaged(e.to_string()))?);
        let text = row.get_ref(2).and_then(|v| Ok(v.as_str()?)).map_err(|e| damaged(e.to_string()))?;
        // Records of the first version have none.
        let sum: Option<u32> = row.get(3).map_err(|e| damaged(e.to_string()))?;
        if sum.is_some_and(|sum| sum != checksum::of(run, seq, at.0, text)) {
            return Err(damaged("its checksum says that it was altered".to_owned()));
        }
        let event = serde_json::from_str(text).map_err(|e| damaged(e.to_string()))?;
        records.push(Record { seq, at, event });
    }
    Ok(records)
}

/// Steps from run to run along the index, so that long runs cost nothing here.
fn heads(connection: &Connection) -> rusqlite::Result<Vec<(RunId, u64)>> {
    connection
        .prepare_cached(
            "WITH RECURSIVE runs(run) AS (
               SELECT min(run) FROM journal
               UNION ALL
               SELECT (SELECT min(run) FROM journal WHERE run > runs.run) FROM runs WHERE run IS NOT NULL
             )
             SELECT run, (SELECT max(seq) FROM journal WHERE journal.run = runs.run) FROM runs WHERE run IS NOT NULL",
        )?
        .query_map([], |row| Ok((RunId::new(row.get::<_, String>(0)?), row.get(1)?)))?
        .collect()
}
