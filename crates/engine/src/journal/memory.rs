//! A journal that is gone with the process: for tests and simulations. Passes the same battery as the durable one.

use super::{AppendError, Journal};
use crate::storage::StorageError;
use async_trait::async_trait;
use pilotlight_core::id::RunId;
use pilotlight_core::run::{Event, Record};
use pilotlight_core::time::Wall;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Records in memory; clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal(Arc<Mutex<BTreeMap<RunId, Vec<Record>>>>);

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is in it now, as a journal of its own.
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.runs().clone())))
    }

    /// Puts it back to what an earlier copy of it has.
    pub fn put_back(&self, copy: &Self) {
        let runs = copy.runs().clone();
        *self.runs() = runs;
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<RunId, Vec<Record>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, run: &RunId, first: u64, events: Vec<(Wall, Event)>) -> Result<(), AppendError> {
        let mut runs = self.runs();
        let head = runs.get(run).map_or(0, |records| records.len() as u64);
        if first <= head {
            return Err(AppendError::Taken { run: run.clone(), seq: first });
        }
        if first != head + 1 {
            let (what, why) =
                (format!("appending to run {run}"), format!("record {first} cannot follow record {head}"));
            return Err(StorageError::Io { what, why }.into());
        }
        let records = events.into_iter().zip(first..).map(|((at, event), seq)| Record { seq, at, event });
        runs.entry(run.clone()).or_default().extend(records);
        Ok(())
    }

    async fn read(&self, run: &RunId, from: u64, limit: usize) -> Result<Vec<Record>, StorageError> {
        let runs = self.runs();
        let records = runs.get(run).map(Vec::as_slice).unwrap_or_default();
        Ok(records.iter().filter(|r| r.seq >= from).take(limit).cloned().collect())
    }

    async fn heads(&self) -> Result<Vec<(RunId, u64)>, StorageError> {
        Ok(self.runs().iter().map(|(run, records)| (run.clone(), records.len() as u64)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_journal_passes_the_battery() {
        crate::journal::battery::all(|| async { MemoryJournal::new() }).await;
    }
}
