//! The journal of runs: what makes a run continue after any crash, and the lock between controllers.
//!
//! Invariant: an append succeeds only if none of its numbers is there and the number before the first one is. So of two
//! controllers that drive one run, one loses the race at its next event and stops.

pub mod battery;
mod memory;

pub use memory::MemoryJournal;

use crate::storage::StorageError;
use async_trait::async_trait;
use pilotlight_core::id::RunId;
use pilotlight_core::run::{Event, Record};
use pilotlight_core::time::Wall;

/// Why nothing was appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Somebody else has written that number: another controller drives the run.
    #[error("record {seq} of run {run} is there already: another controller drives the run")]
    Taken { run: RunId, seq: u64 },
    /// The medium failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Where records are kept.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends the events with numbers from `first` on, all or none. Durable when it returns.
    async fn append(&self, run: &RunId, first: u64, events: Vec<(Wall, Event)>) -> Result<(), AppendError>;

    /// At most `limit` records of a run from number `from` on, in order and without gaps.
    async fn read(&self, run: &RunId, from: u64, limit: usize) -> Result<Vec<Record>, StorageError>;

    /// Every run with the number of its newest record, in the order of their names.
    async fn heads(&self) -> Result<Vec<(RunId, u64)>, StorageError>;
}
