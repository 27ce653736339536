//! The note on disk that a rewind is under way. A copy in which it was cut short is neither the old one nor a new one: it
//! looks as if it lay on the upstream's history, and is no database that may be started. It is built anew.
//!
//! Invariants:
//! - the note is on disk before `pg_rewind` begins, and goes when the copy is whole again, its own configuration put back;
//! - nothing is built over what was rewound unless the bundle of what it held, or a person's waiver, is still there.

use super::PostgresDriver;
use super::directory::Directory;
use super::durable;
use super::work::Work;
use pilotlight_core::outcome::Failure;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why such a copy is built anew.
pub(super) const CUT_SHORT: &str = "a rewind of it was cut short";

/// The note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Underway {
    /// Where what the copy held is kept.
    pub(super) bundle: PathBuf,
    /// The data directory on its file system: another one in its place was not rewound.
    directory: (u64, u64),
}

fn identity(directory: &Directory) -> io::Result<(u64, u64)> {
    fs::metadata(directory.path()).map(|m| (m.dev(), m.ino()))
}

impl PostgresDriver {
    fn underway_path(&self) -> PathBuf {
        self.state_dir.join(format!("rewinding-{}.json", self.component))
    }

    /// Notes that a rewind of the directory begins.
    pub(super) fn note_rewind(&self, directory: &Directory, bundle: &Path) -> Result<(), Failure> {
        let write = || {
            let note = Underway { bundle: bundle.to_owned(), directory: identity(directory)? };
            let text = serde_json::to_vec_pretty(&note).map_err(io::Error::other)?;
            durable::write(&self.underway_path(), &text, None)
        };
        write().map_err(|e| Failure::transient(format!("the rewind cannot be noted: {e}")))
    }

    /// The rewind is over, or the copy was built anew.
    pub(super) fn forget_rewind(&self) -> Result<(), Failure> {
        let path = self.underway_path();
        durable::remove(&path)
            .map_err(|e| Failure::unknown(format!("{} cannot be removed: a rewind is over: {e}", path.display())))
    }

    /// The note of a rewind of this directory that is under way or was cut short. One that cannot be read counts, and
    /// names no bundle.
    pub(super) fn cut_rewind(&self, directory: &Directory) -> Option<Underway> {
        let text = match fs::read(self.underway_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            text => text.unwrap_or_default(),
        };
        let here = identity(directory).ok()?;
        let unreadable = Underway { bundle: PathBuf::new(), directory: here };
        Some(serde_json::from_slice(&text).unwrap_or(unreadable)).filter(|note| note.directory == here)
    }

    /// Refuses to start a directory in which a rewind was cut short.
    pub(super) fn is_whole(&self, directory: &Directory) -> Result<(), Failure> {
        match self.cut_rewind(directory) {
            Some(_) => Err(directory.damaged(CUT_SHORT).hint("make it a standby again: a rejoin builds it anew")),
            None => Ok(()),
        }
    }

    /// What the copy held is still kept, so that it may be built anew.
    pub(super) async fn still_kept(
        &self,
        directory: &Directory,
        note: &Underway,
        work: &Work<'_>,
    ) -> Result<String, Failure> {
        // Until it is built anew nobody else may start it as a writer either.
        directory.arm().map_err(|e| Failure::transient(format!("cannot make standby.signal: {e}")))?;
        self.check_kept(&note.bundle, work).await.map_err(|failure| {
            let path = directory.path().display();
            let why = format!("{CUT_SHORT}, and what it held before is not kept: {}", failure.message);
            directory
                .damaged(&why)
                .hint(format!("put the bundle back, or move {path} away, keep it, then `pilotlight rejoin`"))
        })
    }
}
