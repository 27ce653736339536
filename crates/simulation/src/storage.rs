//! The controllers' journal and store, on a disk that outlives them, takes time, and sometimes fails: before it has kept
//! anything, or after.
//!
//! What is kept in the end is kept by the engine's own [`MemoryJournal`] and [`MemoryStore`].

use crate::bug::Bug;
use crate::chance::Chance;
use crate::timeline::ProcessClock;
use async_trait::async_trait;
use pilotlight_core::id::RunId;
use pilotlight_core::run::{Event, Record};
use pilotlight_core::time::Wall;
use pilotlight_driver::clock::Clock;
use pilotlight_engine::journal::{AppendError, Journal, MemoryJournal};
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::store::{MemoryStore, PutError, Store, Versioned};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What outlives every controller.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) journal: MemoryJournal,
    pub(crate) store: MemoryStore,
    chance: Arc<Mutex<Chance>>,
    bug: Option<Bug>,
    /// Half of all writes fail.
    trouble: Arc<AtomicBool>,
    truth: Arc<Mutex<Truth>>,
}

/// Every record that somebody was told is durable.
#[derive(Debug, Default)]
struct Truth {
    records: BTreeMap<(RunId, u64), Event>,
    overwritten: BTreeMap<(RunId, u64), (Wall, Event)>,
    broken: Option<String>,
    epochs: BTreeMap<RunId, u64>,
    ended: Vec<RunId>,
    /// Durable in name only, of the life that wrote them.
    volatile: Vec<(RunId, u64, (Wall, Event))>,
}

impl Disk {
    pub(crate) fn new(chance: Chance, bug: Option<Bug>) -> Self {
        Self {
            journal: MemoryJournal::new(),
            store: MemoryStore::new(),
            chance: Arc::new(Mutex::new(chance)),
            bug,
            trouble: Arc::default(),
            truth: Arc::default(),
        }
    }

    pub(crate) fn set_trouble(&self, trouble: bool) {
        self.trouble.store(trouble, Ordering::Relaxed);
    }

    /// The first durable record that was changed.
    pub(crate) fn broken(&self) -> Option<String> {
        self.truth().broken.clone()
    }

    /// The epoch of a run.
    pub(crate) fn epoch(&self, run: &RunId) -> Option<u64> {
        self.truth().epochs.get(run).copied()
    }

    /// Runs whose end is durable and was not taken before.
    pub(crate) fn ended(&self) -> Vec<RunId> {
        std::mem::take(&mut self.truth().ended)
    }

    /// The controller's process is gone: what it had not really written is gone too.
    pub(crate) fn process_died(&self) {
        self.truth().volatile.clear();
    }

    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chance(&self) -> MutexGuard<'_, Chance> {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time of a write before and after it is kept, and what goes wrong: nothing was kept, or it was and nobody is told.
    fn weather(&self) -> (Duration, Duration, Option<bool>) {
        let trouble = self.trouble.load(Ordering::Relaxed);
        let mut chance = self.chance();
        let fsync = |chance: &mut Chance| chance.time(Duration::from_micros(80), Duration::from_micros(1_500));
        let (before, after) = (fsync(&mut chance), fsync(&mut chance));
        let fails = trouble && chance.per_cent(50);
        (before, after, fails.then(|| chance.per_cent(50)))
    }
}

impl Truth {
    fn note(&mut self, run: &RunId, first: u64, events: &[(Wall, Event)]) {
        for ((_, event), seq) in events.iter().zip(first..) {
            if let Event::RunStarted { epoch, .. } = event {
                self.epochs.insert(run.clone(), epoch.0);
            }
            if let Event::RunEnded { .. } = event {
                self.ended.push(run.clone());
            }
            let before = self.records.insert((run.clone(), seq), event.clone());
            if before.is_some_and(|before| before != *event) {
                self.broken.get_or_insert(format!("record {seq} of {run} was durable and is another now"));
            }
        }
    }
}

/// The disk as one process uses it.
pub(crate) struct Access {
    pub(crate) disk: Disk,
    pub(crate) clock: ProcessClock,
    /// Another controller has taken over: the store takes nothing from this one any more. Appends to the journal are a
    /// race all the same.
    pub(crate) deposed: Arc<AtomicBool>,
}

fn failed(what: &str) -> StorageError {
    StorageError::Io { what: what.to_owned(), why: "the disk says no".to_owned() }
}

impl Access {
    /// A planted bug: only the next append brings this one to the disk.
    async fn append_later(&self, run: &RunId, first: u64, events: Vec<(Wall, Event)>) -> Result<(), AppendError> {
        let earlier: Vec<_> = self.disk.truth().volatile.drain(..).collect();
        for (run, seq, event) in earlier {
            self.disk.journal.append(&run, seq, vec![event]).await?;
        }
        let edge = |(_, event): &(Wall, Event)| matches!(event, Event::RunStarted { .. } | Event::RunEnded { .. });
        if events.iter().any(edge) {
            self.disk.journal.append(run, first, events.clone()).await?;
            self.disk.truth().note(run, first, &events);
            return Ok(());
        }
        let mut truth = self.disk.truth();
        truth.note(run, first, &events);
        truth.volatile.extend(events.into_iter().zip(first..).map(|(event, seq)| (run.clone(), seq, event)));
        Ok(())
    }
}

#[async_trait]
impl Journal for Access {
    async fn append(&self, run: &RunId, first: u64, events: Vec<(Wall, Event)>) -> Result<(), AppendError> {
        let (before, after, fails) = self.disk.weather();
        self.clock.sleep(before).await;
        if fails == Some(false) {
            return Err(failed("appending").into());
        }
        if self.disk.bug == Some(Bug::ForgetsIntent) {
            return self.append_later(run, first, events).await;
        }
        match self.disk.journal.append(run, first, events.clone()).await {
            Err(AppendError::Taken { .. }) if self.disk.bug == Some(Bug::JournalOverwrites) => {
                let mut truth = self.disk.truth();
                for (event, seq) in events.iter().zip(first..) {
                    truth.overwritten.insert((run.clone(), seq), event.clone());
                }
                truth.note(run, first, &events);
            }
            kept => {
                kept?;
                self.disk.truth().note(run, first, &events);
            }
        }
        self.clock.sleep(after).await;
        match fails {
            Some(_) => Err(failed("appending").into()),
            None => Ok(()),
        }
    }

    async fn read(&self, run: &RunId, from: u64, limit: usize) -> Result<Vec<Record>, StorageError> {
        let mut records = self.disk.journal.read(run, from, limit).await?;
        if self.disk.bug == Some(Bug::JournalOverwrites) {
            let truth = self.disk.truth();
            for record in &mut records {
                if let Some((at, event)) = truth.overwritten.get(&(run.clone(), record.seq)) {
                    (record.at, record.event) = (*at, event.clone());
                }
            }
        }
        Ok(records)
    }

    async fn heads(&self) -> Result<Vec<(RunId, u64)>, StorageError> {
        self.disk.journal.heads().await
    }
}

#[async_trait]
impl Store for Access {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StorageError> {
        self.disk.store.get(key).await
    }

    async fn put(&self, key: &str, value: Vec<u8>, if_version: Option<u64>) -> Result<u64, PutError> {
        let (before, after, fails) = self.disk.weather();
        self.clock.sleep(before).await;
        if fails == Some(false) || self.deposed.load(Ordering::Relaxed) {
            return Err(failed("putting").into());
        }
        let version = self.disk.store.put(key, value, if_version).await?;
        self.clock.sleep(after).await;
        match fails {
            Some(_) => Err(failed("putting").into()),
            None => Ok(version),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, StorageError> {
        self.disk.store.list(prefix).await
    }
}
