//! The controllers' journal and store, on a disk that outlives them, takes time, and sometimes fails: before it has kept
//! anything, or after.
//!
//! What is kept in the end is kept by the engine's own [`MemoryJournal`] and [`MemoryStore`].

use crate::bug::Bug;
use crate::chance::Chance;
use crate::timeline::ProcessClock;
use async_trait::async_trait;
use pilotlight_core::candidate::Admitted;
use pilotlight_core::id::RunId;
use pilotlight_core::run::{Event, Record};
use pilotlight_core::time::Wall;
use pilotlight_driver::clock::Clock;
use pilotlight_engine::journal::{AppendError, Journal, MemoryJournal};
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::store::{MemoryStore, PutError, Store, UnitRecord, Versioned};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
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
    /// Something was appended that nobody has looked at.
    news: Arc<AtomicBool>,
    truth: Arc<Mutex<Truth>>,
}

/// The controllers' journal and store as they were.
pub(crate) struct OldCopy {
    journal: MemoryJournal,
    store: MemoryStore,
    truth: Truth,
}

/// Every record that somebody was told is durable.
#[derive(Debug, Default, Clone)]
struct Truth {
    records: BTreeMap<(RunId, u64), Event>,
    overwritten: BTreeMap<(RunId, u64), (Wall, Event)>,
    broken: Option<String>,
    epochs: BTreeMap<RunId, u64>,
    ended: Vec<RunId>,
    /// Started by nobody's wish.
    automatic: BTreeSet<RunId>,
    /// A record of theirs was torn in two by a crash.
    torn: BTreeSet<RunId>,
    /// The newest record of each unit.
    units: BTreeMap<String, UnitRecord>,
    /// How often a candidate was admitted while a run held its unit.
    admitted_in_runs: u64,
    /// The newest term of a leader that changed a unit.
    terms: u64,
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
            news: Arc::default(),
            truth: Arc::default(),
        }
    }

    pub(crate) fn set_trouble(&self, trouble: bool) {
        self.trouble.store(trouble, Ordering::Relaxed);
    }

    /// Something was appended since this was last asked.
    pub(crate) fn has_news(&self) -> bool {
        self.news.swap(false, Ordering::Relaxed)
    }

    fn note(&self, run: &RunId, first: u64, events: &[(Wall, Event)]) {
        self.truth().note(run, first, events);
        self.news.store(true, Ordering::Relaxed);
    }

    /// The first durable record that was changed.
    pub(crate) fn broken(&self) -> Option<String> {
        self.truth().broken.clone()
    }

    /// The epoch of a run.
    pub(crate) fn epoch(&self, run: &RunId) -> Option<u64> {
        self.truth().epochs.get(run).copied()
    }

    /// Nobody asked for that run.
    pub(crate) fn is_automatic(&self, run: &RunId) -> bool {
        self.truth().automatic.contains(run)
    }

    /// Nobody can read that run any more: it waits for a person.
    pub(crate) fn is_torn(&self, run: &RunId) -> bool {
        self.truth().torn.contains(run)
    }

    /// What the store has of every unit.
    pub(crate) fn units(&self) -> Vec<UnitRecord> {
        self.truth().units.values().cloned().collect()
    }

    /// What the store has of the only unit.
    pub(crate) fn unit<T>(&self, read: impl FnOnce(&UnitRecord) -> T) -> Option<T> {
        self.truth().units.values().next().map(read)
    }

    /// How often the lead has changed hands.
    pub(crate) fn terms(&self) -> u64 {
        self.truth().terms
    }

    /// The newest term that the store itself has of any unit; the next leader's is past it.
    pub(crate) fn newest_term(&self) -> u64 {
        self.truth().units.values().map(|unit| unit.term.0 + 1).max().unwrap_or_default()
    }

    /// How often a candidate was admitted while a run held its unit.
    pub(crate) fn admitted_in_runs(&self) -> u64 {
        self.truth().admitted_in_runs
    }

    /// Who may be promoted, as the store has it.
    pub(crate) fn candidate(&self) -> Option<Admitted> {
        self.truth().units.values().find_map(|unit| unit.candidate.clone())
    }

    /// Runs whose end is durable and was not taken before.
    pub(crate) fn ended(&self) -> Vec<RunId> {
        std::mem::take(&mut self.truth().ended)
    }

    /// What somebody keeps of it, for later.
    pub(crate) fn copy(&self) -> OldCopy {
        OldCopy { journal: self.journal.copy(), store: self.store.copy(), truth: self.truth().clone() }
    }

    /// A new disk with nothing on it.
    pub(crate) fn nothing() -> OldCopy {
        OldCopy { journal: MemoryJournal::new(), store: MemoryStore::new(), truth: Truth::default() }
    }

    /// It is what it was then. What runs were is remembered all the same: nothing in the world forgets them.
    pub(crate) fn put_back(&self, old: &OldCopy) {
        self.journal.put_back(&old.journal);
        self.store.put_back(&old.store);
        let mut truth = self.truth();
        let before = std::mem::replace(&mut *truth, old.truth.clone());
        truth.epochs.extend(before.epochs);
        truth.automatic.extend(before.automatic);
        truth.admitted_in_runs = before.admitted_in_runs;
        truth.terms = before.terms.max(truth.terms);
        truth.volatile.clear();
        truth.ended.clear();
    }

    /// The controller's process is gone: what it had not really written is gone too.
    pub(crate) fn process_died(&self) {
        self.truth().volatile.clear();
    }

    pub(crate) async fn put(&self, key: &str, value: Vec<u8>, if_version: Option<u64>) -> Result<u64, PutError> {
        let mut unit = key.strip_prefix("unit/").and_then(|_| serde_json::from_slice::<UnitRecord>(&value).ok());
        let mut value = value;
        if let (Some(unit), Some(Bug::SettledIgnored)) = (&mut unit, self.bug) {
            unit.settled = false;
            value = serde_json::to_vec(unit).expect("a unit record has only names and numbers");
        }
        let version = match self.bug {
            // The condition is looked at, and then ignored.
            Some(Bug::StoreIgnoresVersions) => {
                let newest = self.store.get(key).await?.map(|found| found.version);
                self.store.put(key, value, newest).await?
            }
            _ => self.store.put(key, value, if_version).await?,
        };
        if let Some(unit) = unit {
            let mut truth = self.truth();
            truth.terms = truth.terms.max(unit.term.0);
            let admitted = unit.run.is_some() && unit.candidate.is_some();
            let before = truth.units.insert(key.to_owned(), UnitRecord { version, ..unit });
            truth.admitted_in_runs += u64::from(admitted && before.is_some_and(|unit| unit.candidate.is_none()));
        }
        Ok(version)
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
        // A process that is entered once more for nothing tests nothing: most writes of a healthy disk take their time on one side.
        let (before, after) = match chance.between(0, 5) {
            0 | 1 if !trouble => (before + after, Duration::ZERO),
            2 | 3 if !trouble => (Duration::ZERO, before + after),
            _ => (before, after),
        };
        (before, after, fails.then(|| chance.per_cent(50)))
    }
}

impl Truth {
    fn note(&mut self, run: &RunId, first: u64, events: &[(Wall, Event)]) {
        for ((_, event), seq) in events.iter().zip(first..) {
            if let Event::RunStarted { epoch, cause, .. } = event {
                self.epochs.insert(run.clone(), epoch.0);
                if cause.automatic {
                    self.automatic.insert(run.clone());
                }
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
    /// How many faults stand between it and the disk, where that is somewhere else.
    pub(crate) cut: Arc<AtomicU32>,
}

/// An append that a crash may tear in two.
struct UnderWay<'a> {
    disk: &'a Disk,
    run: &'a RunId,
    kept: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        // Only what is kept can be torn; the disk of a healthy machine tears nothing.
        if self.kept && self.disk.trouble.load(Ordering::Relaxed) && self.disk.chance().per_cent(30) {
            self.disk.truth().torn.insert(self.run.clone());
        }
    }
}

fn failed(what: &str) -> StorageError {
    StorageError::Io { what: what.to_owned(), why: "the disk says no".to_owned() }
}

/// A store that is cut off says so after this.
const SILENCE: Duration = Duration::from_millis(300);

impl Access {
    /// Waits for what never comes.
    async fn reach(&self) -> Result<(), StorageError> {
        if self.cut.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        self.clock.sleep(SILENCE).await;
        Err(StorageError::Unreachable { what: "the store".to_owned(), why: "no answer in time".to_owned() })
    }

    fn readable(&self, run: &RunId) -> Result<(), StorageError> {
        if !self.disk.is_torn(run) {
            return Ok(());
        }
        let (file, place) = ("journal".into(), format!("run {run}"));
        Err(StorageError::Damaged { file, place, why: "a record does not fit its checksum".to_owned() })
    }

    /// A planted bug: only the next append brings this one to the disk.
    async fn append_later(&self, run: &RunId, first: u64, events: Vec<(Wall, Event)>) -> Result<(), AppendError> {
        let earlier: Vec<_> = self.disk.truth().volatile.drain(..).collect();
        for (run, seq, event) in earlier {
            self.disk.journal.append(&run, seq, vec![event]).await?;
        }
        let edge = |(_, event): &(Wall, Event)| matches!(event, Event::RunStarted { .. } | Event::RunEnded { .. });
        if events.iter().any(edge) {
            self.disk.journal.append(run, first, events.clone()).await?;
            self.disk.note(run, first, &events);
            return Ok(());
        }
        self.disk.note(run, first, &events);
        let mut truth = self.disk.truth();
        truth.volatile.extend(events.into_iter().zip(first..).map(|(event, seq)| (run.clone(), seq, event)));
        Ok(())
    }
}

#[async_trait]
impl Journal for Access {
    async fn append(&self, run: &RunId, first: u64, events: Vec<(Wall, Event)>) -> Result<(), AppendError> {
        self.reach().await?;
        self.readable(run)?;
        let (before, after, fails) = self.disk.weather();
        self.clock.sleep(before).await;
        if fails == Some(false) {
            return Err(failed("appending").into());
        }
        let mut under_way = UnderWay { disk: &self.disk, run, kept: false };
        if self.disk.bug == Some(Bug::ForgetsIntent) {
            return self.append_later(run, first, events).await;
        }
        match self.disk.journal.append(run, first, events.clone()).await {
            Err(AppendError::Taken { .. }) if self.disk.bug == Some(Bug::JournalOverwrites) => {
                let mut truth = self.disk.truth();
                for (event, seq) in events.iter().zip(first..) {
                    truth.overwritten.insert((run.clone(), seq), event.clone());
                }
                drop(truth);
                self.disk.note(run, first, &events);
            }
            kept => {
                kept?;
                self.disk.note(run, first, &events);
            }
        }
        under_way.kept = true;
        self.clock.sleep(after).await;
        under_way.kept = false;
        match fails {
            Some(_) => Err(failed("appending").into()),
            None => Ok(()),
        }
    }

    async fn read(&self, run: &RunId, from: u64, limit: usize) -> Result<Vec<Record>, StorageError> {
        self.reach().await?;
        self.readable(run)?;
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
        self.reach().await?;
        self.disk.journal.heads().await
    }
}

#[async_trait]
impl Store for Access {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StorageError> {
        self.reach().await?;
        self.disk.store.get(key).await
    }

    async fn put(&self, key: &str, value: Vec<u8>, if_version: Option<u64>) -> Result<u64, PutError> {
        self.reach().await?;
        let (before, after, fails) = self.disk.weather();
        self.clock.sleep(before).await;
        if fails == Some(false) {
            return Err(failed("putting").into());
        }
        let version = self.disk.put(key, value, if_version).await?;
        self.clock.sleep(after).await;
        match fails {
            Some(_) => Err(failed("putting").into()),
            None => Ok(version),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, StorageError> {
        self.reach().await?;
        self.disk.store.list(prefix).await
    }
}
