//! The note on disk which system the data directory held when it was last seen. An empty or absent directory where one was
//! is no place to build in: its disk may only be away, and what a lost writer acknowledged and never sent lies on it.
//!
//! Invariants:
//! - nothing is built where the note says that something was, unless a person has given that up: its name goes with the rescue
//!   step of the rejoin it asks for;
//! - the note goes before a copy built anew takes the old one's place, so a rebuild that is cut short there is begun again.
//!
//! Rejected: to ask the directory itself whether it is a mount point. Volumes are mounted above it and below it, and lost otherwise.

use super::PostgresDriver;
use super::directory::{Contents, Directory};
use super::durable;
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_driver::clock::within;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A look does not wait longer for the disk of the agent's folder; the note is written all the same when that goes on.
const PATIENCE: Duration = Duration::from_millis(200);

/// What this process has noted, so that a look at a copy that is well touches no disk.
#[derive(Debug, Default, Clone)]
pub(super) struct Noted(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    system: Option<String>,
    complained: bool,
}

impl Noted {
    fn with<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether that is news; from now on it is none.
    fn is_news(&self, system: &str) -> bool {
        self.with(|m| m.system.replace(system.to_owned()).as_deref() != Some(system))
    }

    /// It is tried again at the next look, and complained about once.
    fn failed(&self, error: &io::Error) {
        let first = self.with(|m| {
            m.system = None;
            !std::mem::replace(&mut m.complained, true)
        });
        if first {
            tracing::warn!(%error, "which system the data directory holds cannot be noted: an empty one would be built anew");
        }
    }
}

impl PostgresDriver {
    fn held_path(&self) -> PathBuf {
        self.state_dir.join(format!("held-{}", self.component))
    }

    /// Notes which system was seen in the data directory.
    pub(super) async fn note_held(&self, system: &str) {
        if !self.noted.is_news(system) {
            return;
        }
        let (path, folder, system, noted) =
            (self.held_path(), self.state_dir.clone(), system.to_owned(), self.noted.clone());
        let write = move || {
            let same = fs::read_to_string(&path).is_ok_and(|text| text.trim() == system);
            let write = || fs::create_dir_all(&folder).and_then(|()| durable::write(&path, system.as_bytes(), None));
            if let Err(error) = if same { Ok(()) } else { write() } {
                noted.failed(&error);
            }
        };
        within(&*self.clock, PATIENCE, tokio::task::spawn_blocking(write)).await;
    }

    /// What was there may be built over: it is given up, or about to be replaced by a copy that is whole.
    pub(super) fn forget_held(&self) -> Result<(), Failure> {
        let path = self.held_path();
        self.noted.with(|m| m.system = None);
        durable::remove(&path)
            .map_err(|e| Failure::transient(format!("{} cannot be removed, nothing was replaced: {e}", path.display())))
    }

    /// The system that was there and is not any more; one that cannot be read counts.
    fn missed(&self, directory: &Directory) -> Option<String> {
        if directory.contents() != Contents::Nothing {
            return None;
        }
        match fs::read_to_string(self.held_path()) {
            Ok(system) => Some(system.trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(format!("of a note that cannot be read ({error})")),
        }
    }

    /// A database was in the directory, and nothing is in it now.
    pub(super) fn is_gone(&self, directory: &Directory) -> bool {
        self.missed(directory).is_some()
    }

    /// Whether there is a database, or nothing at all and never was; what is neither is left as it is.
    pub(super) fn database_in(&self, directory: &Directory) -> Result<bool, Failure> {
        match self.missed(directory) {
            Some(system) => Err(gone(directory, &system)),
            None => directory.database(),
        }
    }

    /// What a person gives up of a copy whose directory is empty: `None` where it is not. Nobody else may.
    pub(super) fn give_up(&self, directory: &Directory, by: Option<&str>) -> Result<Option<Outcome>, Failure> {
        let Some(system) = self.missed(directory) else { return Ok(None) };
        let Some(by) = by else { return Err(gone(directory, &system)) };
        self.forget_held()?;
        let path = directory.path().display();
        let warning = format!("{by} gives up what system {system} held in {path}: nothing is there any more");
        tracing::warn!(component = %self.component, region = %self.region, "{warning}");
        Ok(Some(Outcome::Warned { output: Output::default(), warning }))
    }
}

fn gone(directory: &Directory, system: &str) -> Failure {
    let path = directory.path().display();
    Failure::rejected(format!("PL-0970: there is no database in {path} any more, where system {system} was")).hint(
        "mount its disk or put the directory back, and the agent goes on by itself; if it is lost for good, `pilotlight rejoin` \
         builds a copy anew, and a writer is replaced by `pilotlight failover`",
    )
}
