//! The guard's file: one JSON record per line, appended; written anew by temporary file and rename when it has grown.
//!
//! Invariants: a record is whole or it is not there (a torn last line is what a crash leaves and is dropped; any other
//! damage refuses to open); one process has the file at a time.

use crate::file;
use pilotlight_core::id::{EffectKey, Epoch, Unit};
use pilotlight_core::outcome::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Record {
    /// An effect of that epoch was admitted.
    Epoch { unit: Unit, epoch: Epoch },
    /// An opaque command is about to run.
    Intent { key: EffectKey, unit: Unit, epoch: Epoch },
    /// What came of the key.
    Answer { key: EffectKey, unit: Unit, epoch: Epoch, answer: Result<Outcome, Failure> },
    /// It turned out that nothing was done; the key may be used again.
    Void { key: EffectKey },
}

/// Why the guard's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or a file in it.
    #[error("cannot use the guard's record {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The agent was started twice.
    #[error("another process uses the guard's record {0}")]
    InUse(PathBuf),
    /// Somebody else wrote into it, or the disk is failing.
    #[error("line {line} of the guard's record {path} is damaged")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The same in memory, for simulations: clones are one disk. A full one takes nothing, as a file would not.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    records: Vec<Record>,
    full: bool,
}

impl MemoryLog {
    /// Whether writing fails from now on.
    pub fn set_full(&self, full: bool) {
        self.disk().full = full;
    }

    pub(super) fn records(&self) -> Vec<Record> {
        self.disk().records.clone()
    }

    pub(super) fn append(&self, records: &[Record]) -> io::Result<()> {
        let mut disk = self.disk();
        if disk.full {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        disk.records.extend_from_slice(records);
        Ok(())
    }

    fn disk(&self) -> std::sync::MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    file: File,
    /// Held while the log is open; outlives rewriting, which replaces the file itself.
    _lock: File,
    length: u64,
    records: usize,
    broken: bool,
}

impl Log {
    pub(super) fn open(folder: &Path) -> Result<(Self, Vec<Record>), OpenError> {
        let path = folder.join("guard.log");
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        let lock_path = folder.join("guard.lock");
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path).map_err(io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path)),
            Err(TryLockError::Error(source)) => return Err(OpenError::Io { path: lock_path, source }),
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(io(&path))?;
        let text = std::fs::read(&path).map_err(io(&path))?;
        let (records, length) = parse(&path, &text)?;
        if length < text.len() as u64 {
            file.set_len(length).map_err(io(&path))?;
        }
        sync_folder(folder).map_err(io(folder))?;
        let log = Self { folder: folder.to_owned(), file, _lock: lock, length, records: records.len(), broken: false };
        Ok((log, records))
    }

    /// Lets a test stand in for the disk.
    #[cfg(test)]
    pub(super) fn write_into(&mut self, file: File) {
        self.file = file;
    }

    /// How many lines it has.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// Adds records, all or none; with `flush` they are on the disk when it returns.
    pub(super) fn append(&mut self, records: &[Record], flush: bool) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write was left half done"));
        }
        let result =
            self.file.write_all(&lines(records)?).and_then(|()| if flush { self.file.sync_data() } else { Ok(()) });
        match result {
            Ok(()) => {
                self.length = self.file.metadata()?.len();
                self.records += records.len();
                Ok(())
            }
            Err(e) => {
                // Half a line would swallow the next record.
                self.broken = self.file.set_len(self.length).is_err();
                Err(e)
            }
        }
    }

    /// Replaces everything.
    pub(super) fn rewrite(&mut self, records: &[Record]) -> io::Result<()> {
        let path = self.folder.join("guard.log");
        file::replace(&path, &lines(records)?)?;
        self.file = OpenOptions::new().append(true).open(&path)?;
        self.length = self.file.metadata()?.len();
        self.records = records.len();
        self.broken = false;
        Ok(())
    }
}

fn lines(records: &[Record]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for record in records {
        serde_json::to_writer(&mut text, record)?;
        text.push(b'\n');
    }
    Ok(text)
}

fn parse(path: &Path, text: &[u8]) -> Result<(Vec<Record>, u64), OpenError> {
    let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
    let mut records = Vec::new();
    for (i, line) in text[..whole].split(|b| *b == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let damaged = |source| OpenError::Damaged { path: path.to_owned(), line: i + 1, source };
        records.push(serde_json::from_slice(line).map_err(damaged)?);
    }
    Ok((records, whole as u64))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
