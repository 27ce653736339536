//! The thread that owns the connection: takes what is waiting, writes it in one transaction, answers.

use super::checksum;
use super::error::explain;
use super::open::Opened;
use crate::journal::AppendError;
use crate::storage::StorageError;
use crate::store::{PutError, Versioned};
use pilotlight_core::id::RunId;
use pilotlight_core::time::Wall;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

pub(super) type Reply<T> = oneshot::Sender<T>;

/// A read: runs on the thread, answers by itself.
pub(super) type Read = Box<dyn FnOnce(&Connection, &Path) + Send>;

pub(super) enum Request {
    Append { run: RunId, first: u64, events: Vec<(Wall, String)>, reply: Reply<Result<(), AppendError>> },
    Put { key: String, value: Vec<u8>, if_version: Option<u64>, reply: Reply<Result<u64, PutError>> },
    Read(Read),
}

/// A handle to the thread; the thread ends with it.
pub(super) struct Thread {
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    pub(super) fn start(opened: Opened) -> Result<Self, StorageError> {
        let (requests, waiting) = channel();
        let thread = std::thread::Builder::new()
            .name("storage".to_owned())
            .spawn(move || serve(opened, &waiting))
            .map_err(|e| StorageError::Io { what: "starting the storage thread".to_owned(), why: e.to_string() })?;
        Ok(Self { requests: Some(requests), thread: Some(thread) })
    }

    pub(super) fn send(&self, request: Request) {
        // A thread that is gone drops the request, and with it the reply: the caller sees `Closed`.
        if let Some(requests) = &self.requests {
            let _ = requests.send(request);
        }
    }

    /// Reads something on the thread.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection, &Path) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Read(Box::new(move |connection, file| drop(reply.send(read(connection, file))))));
        answer.await.map_err(|_| StorageError::Closed)?
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.requests.take());
        // The lock on the folder is free when this returns, so that a successor in the same process can open it.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut opened: Opened, waiting: &Receiver<Request>) {
    while let Ok(first) = waiting.recv() {
        let batch: Vec<Request> = std::iter::once(first).chain(waiting.try_iter()).collect();
        handle(&mut opened.connection, &opened.file, batch);
    }
    drop(opened.connection);
    drop(opened.lock);
}

/// What is said to one caller once the transaction is over; the error replaces the answer when nothing was kept.
type Answer = Box<dyn FnOnce(Option<&StorageError>)>;

fn handle(connection: &mut Connection, file: &Path, batch: Vec<Request>) {
    let mut reads = Vec::new();
    let mut writes = Vec::new();
    for request in batch {
        match request {
            Request::Read(read) => reads.push(read),
            write => writes.push(write),
        }
    }
    if !writes.is_empty() {
        write_all(connection, file, writes);
    }
    for read in reads {
        read(connection, file);
    }
}

fn write_all(connection: &mut Connection, file: &Path, writes: Vec<Request>) {
    let mut answers: Vec<Answer> = Vec::new();
    let mut pending = writes.into_iter();
    let outcome = (|| {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for request in pending.by_ref() {
            write_one(&transaction, request, &mut answers)?;
        }
        transaction.commit()
    })();
    let failure = outcome.err().map(|e| explain(&e, "writing to the database", file));
    for answer in answers {
        answer(failure.as_ref());
    }
    for request in pending {
        refuse(request, failure.as_ref().unwrap_or(&StorageError::Closed));
    }
}

fn refuse(request: Request, failure: &StorageError) {
    match request {
        Request::Append { reply, .. } => drop(reply.send(Err(failure.clone().into()))),
        Request::Put { reply, .. } => drop(reply.send(Err(failure.clone().into()))),
        Request::Read(_) => {}
    }
}

/// An error fails the whole transaction; a request that is merely refused gets its refusal as its answer.
fn write_one(transaction: &Transaction<'_>, request: Request, answers: &mut Vec<Answer>) -> rusqlite::Result<()> {
    match request {
        Request::Append { run, first, events, reply } => {
            let done = append(transaction, &run, first, &events);
            let (result, error) = split(done);
            answers.push(Box::new(move |failure| {
                drop(reply.send(failure.map_or(result, |f| Err(f.clone().into()))));
            }));
            error
        }
        Request::Put { key, value, if_version, reply } => {
            let done = put(transaction, &key, &value, if_version);
            let (result, error) = split(done);
            answers.push(Box::new(move |failure| {
                drop(reply.send(failure.map_or(result, |f| Err(f.clone().into()))));
            }));
            error
        }
        Request::Read(_) => Ok(()),
    }
}

/// The answer to the caller and the fate of the transaction. The answer of a failed one is never sent.
fn split<T, E: From<StorageError>>(done: rusqlite::Result<Result<T, E>>) -> (Result<T, E>, rusqlite::Result<()>) {
    match done {
        Ok(result) => (result, Ok(())),
        Err(error) => (Err(StorageError::Closed.into()), Err(error)),
    }
}

fn append(
    transaction: &Transaction<'_>,
    run: &RunId,
    first: u64,
    events: &[(Wall, String)],
) -> rusqlite::Result<Result<(), AppendError>> {
    let head: u64 = transaction
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM journal WHERE run = ?1")?
        .query_row([run.as_str()], |row| row.get(0))?;
    if first <= head {
        return Ok(Err(AppendError::Taken { run: run.clone(), seq: first }));
    }
    if first != head + 1 {
        let (what, why) = (format!("appending to run {run}"), format!("record {first} cannot follow record {head}"));
        return Ok(Err(StorageError::Io { what, why }.into()));
    }
    let mut insert =
        transaction.prepare_cached("INSERT INTO journal (run, seq, at, event, sum) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for ((at, event), seq) in events.iter().zip(first..) {
        insert.execute(params![run.as_str(), seq, at.0, event, checksum::of(run, seq, at.0, event)])?;
    }
    Ok(Ok(()))
}

fn put(
    transaction: &Transaction<'_>,
    key: &str,
    value: &[u8],
    if_version: Option<u64>,
) -> rusqlite::Result<Result<u64, PutError>> {
    let found = get(transaction, key)?.map(|v| v.version);
    if found != if_version {
        return Ok(Err(PutError::Changed { key: key.to_owned() }));
    }
    let version = if_version.unwrap_or(0) + 1;
    transaction
        .prepare_cached(
            "INSERT INTO store (key, version, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET version = ?2, value = ?3",
        )?
        .execute(params![key, version, value])?;
    Ok(Ok(version))
}

pub(super) fn get(connection: &Connection, key: &str) -> rusqlite::Result<Option<Versioned>> {
    connection
        .prepare_cached("SELECT version, value FROM store WHERE key = ?1")?
        .query_row([key], |row| Ok(Versioned { version: row.get(0)?, value: row.get(1)? }))
        .optional()
}
