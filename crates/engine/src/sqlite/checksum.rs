//! The checksum of a journal record: SQLite notices damage to its pages' structure, not a changed letter within a row.

use pilotlight_core::id::RunId;

/// Covers everything that makes the record: whose it is, its number, its time and its text.
pub(super) fn of(run: &RunId, seq: u64, at: u64, event: &str) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for part in [run.as_str().as_bytes(), &[0], &seq.to_le_bytes(), &at.to_le_bytes(), event.as_bytes()] {
        sum.update(part);
    }
    sum.finalize()
}
