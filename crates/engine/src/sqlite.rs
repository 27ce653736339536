//! Journal and store in one SQLite file, served by one thread.
//!
//! Every write that is waiting when the thread looks goes into one transaction: one fsync for all of them, however many
//! runs and heartbeats there are. WAL with `synchronous=FULL`, so that what was answered is on the disk.
//!
//! Invariants: one process per folder (an exclusive lock on the file `lock`, let go by the kernel when the process dies);
//! a transaction that fails keeps nothing of any of its writes.

mod checksum;
mod error;
mod journal;
mod open;
mod store;
#[cfg(test)]
mod tests;
mod thread;

pub use journal::SqliteJournal;
pub use store::SqliteStore;

use crate::storage::StorageError;
use std::path::Path;
use std::sync::Arc;

/// Opens the folder, creates what is missing, checks what is there. Journal and store share one file and one thread,
/// which ends when both are dropped.
pub fn open(folder: &Path) -> Result<(SqliteJournal, SqliteStore), StorageError> {
    let thread = Arc::new(thread::Thread::start(open::open(folder)?)?);
    Ok((SqliteJournal(Arc::clone(&thread)), SqliteStore(thread)))
}
