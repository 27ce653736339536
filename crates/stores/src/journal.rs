//! The journal on shared objects: a run is a row of chunks, each an object of many records.
//!
//! An append changes the newest chunk by compare-and-swap, or, when that one is full, makes the next chunk where nothing is.
//! Both succeed for one controller only, so the journal is the lock here too.
//!
//! Invariants:
//! - a chunk is named by its first record, and a full one never changes again: whether it is full is written in it. So
//!   every record number belongs to one object, and nothing of a chunk is ever removed;
//! - whoever appends has seen the record before, so there are no gaps;
//! - a chunk that is not there ends a run only where no later one is: engines lose objects, as by a bucket's lifecycle rule,
//!   and a run that seems shorter than it was would be walked again from there, or taken for one that never began.
//!
//! Rejected: one object per record. Ten thousand of them take a minute to read, and the list of runs has to page through
//! all of them.

use crate::envelope::{Envelope, decode, encode};
use crate::objects::{Objects, Refused, Tag};
use crate::shelf::{Kept, Shelf};
use async_trait::async_trait;
use pilotlight_core::id::RunId;
use pilotlight_core::run::{Event, Record};
use pilotlight_core::time::Wall;
use pilotlight_engine::journal::{AppendError, Journal};
use pilotlight_engine::storage::StorageError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where the chunks are.
const FOLDER: &str = "journal";

/// Runs whose place in the journal is remembered; who needs another reads it again.
const REMEMBERED: usize = 256;

/// The journal on shared objects; clones share what they remember.
#[derive(Clone)]
pub struct SharedJournal {
    shelf: Shelf,
    chunk_bytes: usize,
    known: Arc<Mutex<BTreeMap<RunId, Known>>>,
}

/// What was seen of a run. All of it stays true, so it may be old.
#[derive(Debug, Clone, Default)]
struct Known {
    /// First records of the chunks seen.
    firsts: Vec<u64>,
    /// The newest chunk seen.
    tail: Option<Chunk>,
}

/// A chunk as it was read or put.
#[derive(Debug, Clone)]
struct Chunk {
    first: u64,
    last: u64,
    kept: Kept,
}

impl SharedJournal {
    /// The journal on these objects.
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        let chunk_bytes = objects.chunk_bytes();
        Self { shelf: Shelf(objects), chunk_bytes, known: Arc::default() }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<RunId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, run: &RunId, chunk: Chunk) {
        let mut known = self.known();
        if known.len() >= REMEMBERED && !known.contains_key(run) {
            known.clear();
        }
        let of_run = known.entry(run.clone()).or_default();
        if let Err(at) = of_run.firsts.binary_search(&chunk.first) {
            of_run.firsts.insert(at, chunk.first);
        }
        if of_run.tail.as_ref().is_none_or(|tail| tail.last <= chunk.last) {
            of_run.tail = Some(chunk);
        }
    }

    /// The chunk that begins with `first`.
    async fn chunk(&self, run: &RunId, first: u64) -> Result<Option<(Chunk, Vec<Record>)>, StorageError> {
        let name = name_of(run, first);
        let Some(kept) = self.shelf.get(&name).await? else { return Ok(None) };
        let records = self.records(&name, first, &kept.envelope)?;
        let last = first + records.len() as u64 - 1;
        Ok(Some((Chunk { first, last, kept }, records)))
    }

    fn records(&self, name: &str, first: u64, envelope: &Envelope) -> Result<Vec<Record>, StorageError> {
        let damaged = |why: String| StorageError::Damaged {
            file: self.shelf.0.name().into(),
            place: format!("object {name}"),
            why,
        };
        let lines = envelope.value.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let read = |line: &[u8]| serde_json::from_slice::<Record>(line).map_err(|e| damaged(e.to_string()));
        let records = lines.map(read).collect::<Result<Vec<_>, _>>()?;
        match records.iter().zip(first..).find(|(record, seq)| record.seq != *seq) {
            _ if records.is_empty() => Err(damaged("it holds no record".to_owned())),
            Some((record, seq)) => Err(damaged(format!("record {} stands in the place of {seq}", record.seq))),
            None => Ok(records),
        }
    }

    /// The chunk that begins with `first`; `None` only where the run ends before it.
    async fn chunk_or_end(&self, run: &RunId, first: u64) -> Result<Option<(Chunk, Vec<Record>)>, StorageError> {
        if let Some(chunk) = self.chunk(run, first).await? {
            return Ok(Some(chunk));
        }
        let listed = self.shelf.list(FOLDER).await?;
        let firsts: Vec<u64> =
            listed.iter().filter_map(|(leaf, _)| run_of(leaf)).filter(|(r, _)| r == run).map(|(_, f)| f).collect();
        match firsts.iter().filter(|f| **f > first).min() {
            // One that is there now was made since it was asked for: the run had ended here then.
            Some(later) if !firsts.contains(&first) => Err(StorageError::Damaged {
                file: self.shelf.0.name().into(),
                place: format!("object {}", name_of(run, first)),
                why: format!("it is gone, and the run goes on in {}", name_of(run, *later)),
            }),
            _ => Ok(None),
        }
    }

    /// The newest chunk of a run, from the engine.
    async fn newest(&self, run: &RunId) -> Result<Option<Chunk>, StorageError> {
        let mut first = self.known().get(run).and_then(|k| k.firsts.last().copied()).unwrap_or(1);
        let mut newest = None;
        while let Some((chunk, _)) = self.chunk_or_end(run, first).await? {
            let full = chunk.is_full();
            first = chunk.last + 1;
            self.remember(run, chunk.clone());
            newest = Some(chunk);
            if !full {
                break;
            }
        }
        Ok(newest)
    }

    async fn append_after(&self, run: &RunId, before: Option<Chunk>, records: &[Record]) -> Result<(), AppendError> {
        let first = records[0].seq;
        let text = records.iter().flat_map(line).collect();
        let (begins, old, new) = match before {
            Some(chunk) if !chunk.is_full() => {
                let value = [chunk.kept.envelope.value.clone(), text].concat();
                (chunk.first, Some(chunk.kept.tag), Envelope::next(Some(&chunk.kept.envelope), value))
            }
            _ => {
                let mut fresh = Envelope::next(None, text);
                fresh.head.full_at = Some(self.chunk_bytes);
                (first, None, fresh)
            }
        };
        match self.shelf.swap(&name_of(run, begins), old.as_ref(), &new).await {
            Ok(tag) => {
                let last = first + records.len() as u64 - 1;
                self.remember(run, Chunk { first: begins, last, kept: Kept { tag, envelope: new } });
                Ok(())
            }
            // Only an append changes a chunk or makes the next one, and each adds a record.
            Err(Refused::Changed) => Err(AppendError::Taken { run: run.clone(), seq: first }),
            Err(Refused::Unclear(why)) => Err(why.into()),
        }
    }

    /// The number of the newest record of a chunk, which is only read if it has changed.
    async fn last_of(&self, run: &RunId, first: u64, tag: &Tag) -> Result<u64, StorageError> {
        if let Some(tail) = self.known().get(run).and_then(|k| k.tail.as_ref())
            && tail.first == first
            && tail.kept.tag == *tag
        {
            return Ok(tail.last);
        }
        match self.chunk(run, first).await? {
            Some((chunk, _)) => {
                let last = chunk.last;
                self.remember(run, chunk);
                Ok(last)
            }
            None => Ok(0),
        }
    }
}

impl Chunk {
    fn is_full(&self) -> bool {
        let head = &self.kept.envelope.head;
        head.full_at.is_some_and(|full_at| self.kept.envelope.value.len() >= full_at)
    }
}

#[async_trait]
impl Journal for SharedJournal {
    async fn append(&self, run: &RunId, first: u64, events: Vec<(Wall, Event)>) -> Result<(), AppendError> {
        let records: Vec<Record> =
            events.into_iter().zip(first..).map(|((at, event), seq)| Record { seq, at, event }).collect();
        if records.is_empty() {
            return Ok(());
        }
        let head = |tail: &Option<Chunk>| tail.as_ref().map_or(0, |chunk| chunk.last);
        let mut tail = self.known().get(run).and_then(|k| k.tail.clone());
        if head(&tail) + 1 < first {
            tail = self.newest(run).await?;
        }
        match head(&tail) {
            head if first <= head => Err(AppendError::Taken { run: run.clone(), seq: first }),
            head if first != head + 1 => {
                let why = format!("record {first} cannot follow record {head}");
                Err(StorageError::Io { what: format!("appending to run {run}"), why }.into())
            }
            _ => self.append_after(run, tail, &records).await,
        }
    }

    async fn read(&self, run: &RunId, from: u64, limit: usize) -> Result<Vec<Record>, StorageError> {
        let from = from.max(1);
        let begins = |known: &Known| known.firsts.iter().rev().find(|first| **first <= from).copied();
        let mut first = self.known().get(run).and_then(begins).unwrap_or(1);
        let mut found = Vec::new();
        while found.len() < limit
            && let Some((chunk, records)) = self.chunk_or_end(run, first).await?
        {
            found.extend(records.into_iter().filter(|r| r.seq >= from).take(limit - found.len()));
            let full = chunk.is_full();
            first = chunk.last + 1;
            self.remember(run, chunk);
            if !full {
                break;
            }
        }
        Ok(found)
    }

    async fn heads(&self) -> Result<Vec<(RunId, u64)>, StorageError> {
        let mut newest: BTreeMap<RunId, (u64, Tag)> = BTreeMap::new();
        for (leaf, tag) in self.shelf.list(FOLDER).await? {
            let Some((run, first)) = run_of(&leaf) else { continue };
            let entry = newest.entry(run).or_insert((first, tag.clone()));
            if first > entry.0 {
                *entry = (first, tag);
            }
        }
        let mut heads = Vec::with_capacity(newest.len());
        for (run, (first, tag)) in newest {
            let last = match self.last_of(&run, first, &tag).await {
                Ok(last) => last,
                // It ends here or later; whoever reads it is told of the damage, and the other runs are listed.
                Err(StorageError::Damaged { .. }) => first,
                Err(error) => return Err(error),
            };
            heads.push((run, last));
        }
        heads.retain(|(_, last)| *last > 0);
        Ok(heads)
    }
}

fn line(record: &Record) -> Vec<u8> {
    let mut text = serde_json::to_vec(record).expect("a record has only names, numbers and texts");
    text.push(b'\n');
    text
}

fn name_of(run: &RunId, first: u64) -> String {
    format!("{FOLDER}/{}.{first:010}", encode(run.as_str()))
}

fn run_of(leaf: &str) -> Option<(RunId, u64)> {
    let (run, first) = leaf.rsplit_once('.')?;
    Some((RunId::new(decode(run)?), first.parse().ok()?))
}
