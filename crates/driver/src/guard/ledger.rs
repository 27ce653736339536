//! What a place remembers of epochs and keys, and which effects it has under way.
//!
//! The lock is never held across an await or a disk write; the disk is written by a blocking task.

use super::log::{Log, MemoryLog, OpenError, Record};
use crate::Context;
use crate::clock::{Clock, SystemClock};
use pilotlight_core::code;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::{EffectKey, Epoch, Unit};
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// Keys kept. Only those of the newest epoch can be asked for again, and a run has some dozens of steps.
const KEYS_KEPT: usize = 1024;

const RECORD_HINT: &str = "make room on the disk of the state folder, or repair it";

/// The durable memory of one place. Opened by one process at a time.
pub struct Ledger {
    book: Arc<Mutex<Book>>,
    medium: Medium,
    clock: Arc<dyn Clock>,
    /// Epochs of fences.
    beside: Arc<Mutex<Beside>>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("book", &self.book).finish_non_exhaustive()
    }
}

/// Epochs that are noted beside a fence, by one thread.
#[derive(Debug, Default)]
struct Beside {
    /// Whoever writes takes them next.
    wanted: BTreeMap<Unit, Epoch>,
    is_writing: bool,
}

/// Where the records are kept.
#[derive(Clone)]
enum Medium {
    Disk(Arc<Mutex<Log>>),
    Memory(MemoryLog),
}

#[derive(Debug, Default)]
struct Book {
    epochs: BTreeMap<Unit, Epochs>,
    keys: BTreeMap<EffectKey, Known>,
    oldest_first: VecDeque<EffectKey>,
    flights: BTreeMap<u64, UnderWay>,
    flights_begun: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Epochs {
    newest: Epoch,
    durable: Epoch,
}

#[derive(Debug, Clone)]
struct Known {
    unit: Unit,
    epoch: Epoch,
    /// Absent: it was begun and nobody knows how it ended.
    answer: Option<Result<Outcome, Failure>>,
}

#[derive(Debug)]
struct UnderWay {
    unit: Unit,
    epoch: Epoch,
    key: EffectKey,
    superseded: CancellationToken,
    ended: CancellationToken,
}

/// What is to be done about an effect.
pub(super) enum Begun {
    /// Nothing: its key is known.
    Answered(Result<Outcome, Failure>),
    /// Do it, then [`Ledger::end`].
    Go(Flight),
}

/// An effect under way; dropped without an end, for example by a caller that gave up, it leaves only its intent.
pub(super) struct Flight {
    id: u64,
    book: Arc<Mutex<Book>>,
    superseded: CancellationToken,
    older: Vec<CancellationToken>,
}

impl Flight {
    /// A fence does not wait for what an older epoch has under way; returns when that has ended. False if there was none.
    pub(super) async fn older_ended(&self) -> bool {
        for ended in &self.older {
            ended.cancelled().await;
        }
        !self.older.is_empty()
    }

    /// A newer epoch has arrived.
    pub(super) fn is_superseded(&self) -> bool {
        self.superseded.is_cancelled()
    }

    /// Returns when a newer epoch has arrived.
    pub(super) async fn superseded(&self) {
        self.superseded.cancelled().await;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(under_way) = lock(&self.book).flights.remove(&self.id) {
            under_way.ended.cancel();
        }
    }
}

enum Next {
    Answered(Result<Outcome, Failure>),
    Wait { ended: CancellationToken, gave_up: Failure },
    Go(Flight),
}

impl Ledger {
    /// Reads what was remembered in the folder, which is made if need be.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let (log, records) = Log::open(folder)?;
        Ok(Self::of(records, Medium::Disk(Arc::new(Mutex::new(log))), Arc::new(SystemClock)))
    }

    /// A ledger whose disk is a simulated one: it outlives this ledger as a file outlives its process.
    pub fn on_memory(log: &MemoryLog, clock: Arc<dyn Clock>) -> Self {
        Self::of(log.records(), Medium::Memory(log.clone()), clock)
    }

    fn of(records: Vec<Record>, medium: Medium, clock: Arc<dyn Clock>) -> Self {
        let mut book = Book::default();
        for record in records {
            book.learn(record);
        }
        Self { book: Arc::new(Mutex::new(book)), medium, clock, beside: Arc::default() }
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// The newest epoch seen for the unit.
    pub fn epoch(&self, unit: &Unit) -> Epoch {
        lock(&self.book).epochs.get(unit).copied().unwrap_or_default().newest
    }

    /// Refuses an old epoch and remembers a new one: for what the agent is told by the controller, and for effects that
    /// are not kept by key.
    pub async fn admit(&self, unit: &Unit, epoch: Epoch) -> Result<(), Failure> {
        lock(&self.book).admit(unit, epoch)?;
        self.persist(unit, epoch, None).await
    }

    pub(super) async fn begin(&self, effect: &Effect, context: &Context) -> Result<Begun, Failure> {
        let mut too_long = self.clock.sleep(context.deadline);
        let flight = loop {
            let next = lock(&self.book).next(effect, context, &self.book)?;
            match next {
                Next::Answered(answer) => return Ok(Begun::Answered(answer)),
                Next::Go(flight) => break flight,
                Next::Wait { ended, gave_up } => {
                    tokio::select! {
                        biased;
                        // A lease may have ended while it waited: it must not begin then.
                        () = context.cancel.cancelled() => return Err(gave_up),
                        () = ended.cancelled() => {}
                        () = &mut too_long => return Err(gave_up),
                    }
                }
            }
        };
        if let Effect::Fence { .. } = effect {
            self.note_beside(&context.unit, context.epoch);
            return Ok(Begun::Go(flight));
        }
        let (key, unit, epoch) = (context.key.clone(), context.unit.clone(), context.epoch);
        let intent = (!effect.is_idempotent()).then_some(Record::Intent { key, unit, epoch });
        self.persist(&context.unit, epoch, intent).await?;
        Ok(Begun::Go(flight))
    }

    pub(super) async fn end(
        &self,
        flight: Flight,
        effect: &Effect,
        context: &Context,
        answer: Result<Outcome, Failure>,
    ) -> Result<Outcome, Failure> {
        if let (Effect::Fence { .. }, Ok(_)) = (effect, &answer) {
            let recorded = self.persist(&context.unit, context.epoch, None).await;
            recorded.map_err(|f| Failure::unknown(format!("it was fenced, but {}", f.message)).hint(RECORD_HINT))?;
        }
        let (key, unit, epoch) = (context.key.clone(), context.unit.clone(), context.epoch);
        let kind = answer.as_ref().err().map(|failure| failure.kind);
        let record = match kind {
            None | Some(FailureKind::Rejected) => Record::Answer { key, unit, epoch, answer: answer.clone() },
            Some(FailureKind::OutcomeUnknown) => return answer,
            Some(_) if effect.is_idempotent() => return answer,
            Some(FailureKind::Transient | FailureKind::Unreachable | FailureKind::Unsupported) => Record::Void { key },
        };
        lock(&self.book).learn(record.clone());
        // The deed is done and its answer is on its way: a disk that fails now costs only what a crash would cost.
        let _ = self.write(vec![record], !effect.is_idempotent()).await;
        drop(flight);
        answer
    }

    /// A full or hung disk must not keep a writer alive: after the kill and before the answer it is made sure that the epoch is
    /// recorded. Here that is only begun, for a place that dies in between: it must obey no older epoch when it is back. A disk
    /// that hangs holds one thread for it, however many units are fenced and however often that is tried.
    fn note_beside(&self, unit: &Unit, epoch: Epoch) {
        if lock(&self.book).epochs.get(unit).is_some_and(|e| e.durable >= epoch) {
            return;
        }
        let mut beside = lock(&self.beside);
        let wanted = beside.wanted.entry(unit.clone()).or_default();
        *wanted = epoch.max(*wanted);
        if std::mem::replace(&mut beside.is_writing, true) {
            return;
        }
        drop(beside);
        let (book, medium, beside) = (Arc::clone(&self.book), self.medium.clone(), Arc::clone(&self.beside));
        let note = move || {
            loop {
                let Some(records) = lock(&beside).take() else { return };
                // What came of it is found out when the fence ends.
                let _ = medium.write(&book, records, true);
            }
        };
        match &self.medium {
            Medium::Disk(_) => drop(tokio::task::spawn_blocking(note)),
            Medium::Memory(_) => note(),
        }
    }

    async fn persist(&self, unit: &Unit, epoch: Epoch, intent: Option<Record>) -> Result<(), Failure> {
        let mut records = Vec::new();
        if lock(&self.book).epochs.get(unit).is_none_or(|e| e.durable < epoch) {
            records.push(Record::Epoch { unit: unit.clone(), epoch });
        }
        records.extend(intent);
        if records.is_empty() {
            return Ok(());
        }
        self.write(records, true)
            .await
            .map_err(|e| Failure::transient(format!("the guard's record cannot be written: {e}")).hint(RECORD_HINT))
    }

    async fn write(&self, records: Vec<Record>, flush: bool) -> io::Result<()> {
        let (book, medium) = (Arc::clone(&self.book), self.medium.clone());
        let write = move || medium.write(&book, records, flush);
        match &self.medium {
            Medium::Disk(_) => tokio::task::spawn_blocking(write).await.unwrap_or_else(|e| Err(io::Error::other(e))),
            Medium::Memory(_) => write(),
        }
    }
}

impl Medium {
    /// Writes what is not there yet, and the book learns it. On a disk it blocks.
    fn write(&self, book: &Mutex<Book>, mut records: Vec<Record>, flush: bool) -> io::Result<()> {
        match self {
            Medium::Memory(log) => {
                log.append(&records)?;
                records.into_iter().for_each(|record| lock(book).learn(record));
                Ok(())
            }
            Medium::Disk(log) => {
                // The log's lock comes first and is kept, so that a rewrite misses no record that was just appended.
                let mut log = lock(log);
                records.retain(|record| !lock(book).has_epoch(record));
                if records.is_empty() {
                    return Ok(());
                }
                log.append(&records, flush)?;
                records.into_iter().for_each(|record| lock(book).learn(record));
                if log.records() > 4 * KEYS_KEPT {
                    let all = lock(book).records();
                    // A file that stays long is no fault; the next record tries again.
                    let _ = log.rewrite(&all);
                }
                Ok(())
            }
        }
    }
}

impl Beside {
    /// What is to be written now; nothing: whoever writes is done.
    fn take(&mut self) -> Option<Vec<Record>> {
        self.is_writing = !self.wanted.is_empty();
        let wanted = std::mem::take(&mut self.wanted);
        let records = wanted.into_iter().map(|(unit, epoch)| Record::Epoch { unit, epoch });
        self.is_writing.then(|| records.collect())
    }
}

impl Book {
    fn admit(&mut self, unit: &Unit, epoch: Epoch) -> Result<(), Failure> {
        let seen = self.epochs.entry(unit.clone()).or_default();
        if epoch < seen.newest {
            return Err(Failure::stale(unit, epoch, seen.newest));
        }
        seen.newest = epoch;
        Ok(())
    }

    fn next(&mut self, effect: &Effect, context: &Context, book: &Arc<Mutex<Book>>) -> Result<Next, Failure> {
        self.admit(&context.unit, context.epoch)?;
        if self.was_taken_back(&context.key) {
            let (code, key) = (code::STORE_BEHIND, &context.key);
            let why =
                format!("{code}: {key} was taken back here since, so this order is from an old copy of the store");
            return Ok(Next::Answered(Err(Failure::rejected(why))));
        }
        let known = self.keys.get(&context.key).map(|known| known.answer.clone());
        if let Some(Some(answer)) = known {
            return Ok(Next::Answered(answer));
        }
        if let Some(same) = self.flights.values().find(|f| f.key == context.key) {
            let gave_up = Failure::unknown(format!("{} is still being done", context.key));
            return Ok(Next::Wait { ended: same.ended.clone(), gave_up });
        }
        let is_older = |f: &&UnderWay| f.unit == context.unit && f.epoch < context.epoch;
        let mut older = Vec::new();
        for flight in self.flights.values().filter(is_older) {
            flight.superseded.cancel();
            older.push(flight.ended.clone());
        }
        if let Some(ended) = older.first().filter(|_| !matches!(effect, Effect::Fence { .. })) {
            let unit = &context.unit;
            let gave_up =
                Failure::transient(format!("what an older epoch of unit {unit} began does not come to an end"));
            return Ok(Next::Wait { ended: ended.clone(), gave_up });
        }
        if known.is_some() && !effect.is_idempotent() {
            return Ok(Next::Answered(Err(Failure::unknown(format!(
                "{} was begun before and nobody knows how it ended",
                context.key
            ))
            .hint("look what the command did, then skip the step or retry it"))));
        }
        self.flights_begun += 1;
        let (superseded, ended) = (CancellationToken::new(), CancellationToken::new());
        let flight = Flight { id: self.flights_begun, book: Arc::clone(book), superseded: superseded.clone(), older };
        let (unit, key) = (context.unit.clone(), context.key.clone());
        self.flights.insert(flight.id, UnderWay { unit, epoch: context.epoch, key, superseded, ended });
        Ok(Next::Go(flight))
    }

    /// It is on disk: two that noted it at the same time wait for one flush.
    fn has_epoch(&self, record: &Record) -> bool {
        let Record::Epoch { unit, epoch } = record else { return false };
        self.epochs.get(unit).is_some_and(|e| e.durable >= *epoch)
    }

    /// The same step was undone here, or may have been: what was answered before is true no more, and no run does it again.
    fn was_taken_back(&self, key: &EffectKey) -> bool {
        let Some(first) = key.first_undo() else { return false };
        let undos = self.keys.range(&first..).take_while(|(undo, _)| undo.as_str().starts_with(first.as_str()));
        undos.into_iter().any(|(_, known)| !matches!(known.answer, Some(Err(_))))
    }

    /// Takes over what is in the log, or on its way there.
    fn learn(&mut self, record: Record) {
        match record {
            Record::Epoch { unit, epoch } => {
                let seen = self.epochs.entry(unit).or_default();
                seen.newest = seen.newest.max(epoch);
                seen.durable = seen.durable.max(epoch);
            }
            Record::Intent { key, unit, epoch } => self.keep(key, Known { unit, epoch, answer: None }),
            Record::Answer { key, unit, epoch, answer } => self.keep(key, Known { unit, epoch, answer: Some(answer) }),
            Record::Void { key } => {
                self.keys.remove(&key);
                self.oldest_first.retain(|k| k != &key);
            }
        }
    }

    fn keep(&mut self, key: EffectKey, known: Known) {
        if self.keys.insert(key.clone(), known).is_none() {
            self.oldest_first.push_back(key);
        }
        while self.oldest_first.len() > KEYS_KEPT {
            if let Some(oldest) = self.oldest_first.pop_front() {
                self.keys.remove(&oldest);
            }
        }
    }

    /// Everything that can still matter: keys of older epochs bounce before they are looked up.
    fn records(&self) -> Vec<Record> {
        let epochs = self.epochs.iter().filter(|(_, e)| e.durable > Epoch(0));
        let epochs = epochs.map(|(unit, e)| Record::Epoch { unit: unit.clone(), epoch: e.durable });
        let of_key = |key: &EffectKey| {
            let Known { unit, epoch, answer } = self.keys.get(key)?.clone();
            let newest = self.epochs.get(&unit).copied().unwrap_or_default().durable;
            let key = key.clone();
            (epoch >= newest).then_some(match answer {
                None => Record::Intent { key, unit, epoch },
                Some(answer) => Record::Answer { key, unit, epoch, answer },
            })
        };
        epochs.chain(self.oldest_first.iter().filter_map(of_key)).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A ledger that writes into that file.
#[cfg(test)]
pub(super) fn on_file(folder: &Path, file: std::fs::File) -> Ledger {
    let ledger = Ledger::open(folder).expect("the folder is the test's own");
    let Medium::Disk(log) = &ledger.medium else { unreachable!("it was opened on a folder") };
    lock(log).write_into(file);
    ledger
}

/// The disk takes nothing until this is dropped.
#[cfg(test)]
pub(super) fn hang(ledger: &Ledger) -> MutexGuard<'_, Log> {
    let Medium::Disk(log) = &ledger.medium else { unreachable!("it was opened on a folder") };
    lock(log)
}
