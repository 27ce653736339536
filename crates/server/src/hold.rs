//! By what a person holds everything automatic: a file, read on the controller's own disk at every decision, and, where
//! several controllers share a store, the record of the lead there.
//!
//! The file's being there is the wish. What it says (`by`, `at`, `why`, one a line) is for people, so an empty file made by
//! `touch` works, and so does one that cannot be read. It works while nothing else does, and holds one controller.
//!
//! The record of the lead holds all of them: the leader writes the wish with a renewal, and whoever leads next takes it over,
//! because it replaces the very version that has it. No controller reads anything more for it.
//!
//! Invariant: either of the two holds; neither is taken away but by a person.

use pilotlight_core::leader::HeldBy;
use pilotlight_core::time::Wall;
use pilotlight_core::verdict::Hold;
use pilotlight_driver::file::replace;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;
use tokio::sync::{mpsc, oneshot};

/// What people are told of a hold that has no file.
const SHARED: &str = "in the store that the controllers share";

/// Wishes that may wait for the leader's next turn.
const WISHES: usize = 4;

/// What may hold one controller.
pub(crate) struct Holds {
    file: PathBuf,
    shared: Option<Shared>,
}

/// What the record of the lead says, and the way of a wish into it.
struct Shared {
    known: Mutex<Option<HeldBy>>,
    ask: mpsc::Sender<HoldWish>,
    asked: tokio::sync::Mutex<mpsc::Receiver<HoldWish>>,
}

/// A person's wish on its way to the store.
pub(crate) struct HoldWish {
    /// From now on; `None` ends it.
    pub(crate) hold: Option<HeldBy>,
    /// Whether the store has it.
    pub(crate) reply: oneshot::Sender<Result<(), String>>,
}

/// Why a wish was not granted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HoldError {
    /// The only controller's own disk.
    #[error("the file {file} cannot be changed")]
    File {
        /// Which.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not known to be in the store.
    #[error("the store has not taken it: {0}")]
    Store(String),
}

impl Holds {
    /// With the controller's own file; `shared` where there are several controllers.
    pub(crate) fn new(file: PathBuf, shared: bool) -> Self {
        let shared = shared.then(|| {
            let (ask, asked) = mpsc::channel(WISHES);
            Shared { known: Mutex::default(), ask, asked: tokio::sync::Mutex::new(asked) }
        });
        Self { file, shared }
    }

    /// The hold, if there is one.
    pub(crate) fn read(&self) -> Option<Hold> {
        let shared = || {
            let HeldBy { by, at, why } = self.shared.as_ref()?.known().clone()?;
            Some(Hold { file: SHARED.to_owned(), by, since: Some(at), why })
        };
        read(&self.file).or_else(shared)
    }

    /// What the record of the lead says.
    pub(crate) fn knows(&self, hold: Option<&HeldBy>) {
        if let Some(shared) = &self.shared {
            *shared.known() = hold.cloned();
        }
    }

    /// The next wish; for ever none where nothing is shared. May be dropped while it waits.
    pub(crate) async fn next_wish(&self) -> HoldWish {
        let Some(shared) = &self.shared else { return std::future::pending().await };
        let wish = shared.asked.lock().await.recv().await;
        match wish {
            Some(wish) => wish,
            // The sender lives as long as this.
            None => std::future::pending().await,
        }
    }

    /// Holds everything, or lets it go: all controllers where there are several. Returns when it is durable.
    pub(crate) async fn wish(&self, hold: Option<HeldBy>) -> Result<(), HoldError> {
        let Some(shared) = &self.shared else {
            let done = match hold {
                Some(HeldBy { by, why, .. }) => write(&self.file, &by, &why),
                None => remove(&self.file).map(drop),
            };
            let file = self.file.display().to_string();
            return done.map_err(|source| HoldError::File { file, source });
        };
        let (reply, answer) = oneshot::channel();
        let gone = || HoldError::Store("this controller does not lead any more".to_owned());
        shared.ask.send(HoldWish { hold, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?.map_err(HoldError::Store)
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Option<HeldBy>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the file, on disk when this returns.
pub fn write(file: &Path, by: &str, why: &str) -> io::Result<()> {
    file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    replace(file, text(by, why).as_bytes())
}

/// Removes the file. Returns whether there was one.
pub fn remove(file: &Path) -> io::Result<bool> {
    match std::fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(e) => Err(e),
    }
}

/// No more of the file is read than this.
const MOST: u64 = 4_096;

/// The hold, if there is one. A place that cannot be looked at may hold a file: in doubt, hold.
pub fn read(file: &Path) -> Option<Hold> {
    // Most often there is none, and this is asked many times a second: one look is enough then.
    let found = match file.symlink_metadata() {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return None,
        Ok(link) if link.is_symlink() => std::fs::metadata(file).map_err(|e| match e.kind() {
            // What the link leads to may be on a disk that is away.
            ErrorKind::NotFound | ErrorKind::NotADirectory => {
                io::Error::other("it is a link that leads to nothing now")
            }
            _ => e,
        }),
        found => found,
    };
    let mut hold = Hold { file: file.display().to_string(), by: String::new(), since: None, why: String::new() };
    let found = match found {
        Ok(found) => found,
        Err(e) => {
            hold.why = format!("it cannot be seen whether the file is there: {e}");
            return Some(hold);
        }
    };
    let changed = found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    hold.since = changed.map(|d| Wall(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)));
    let mut text = Vec::new();
    // A pipe holds, and whoever reads from one waits for ever.
    if !found.is_file() || File::open(file).and_then(|f| f.take(MOST).read_to_end(&mut text)).is_err() {
        return Some(hold);
    }
    let text = String::from_utf8_lossy(&text);
    let said = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(": ")).map(str::trim);
    hold.by = said("by").unwrap_or_default().to_owned();
    hold.why = said("why").unwrap_or_else(|| text.lines().next().unwrap_or_default()).to_owned();
    Some(hold)
}

/// What `pilotlight hold on` writes.
pub(crate) fn text(by: &str, why: &str) -> String {
    let line = |s: &str| s.replace(['\n', '\r'], " ");
    format!("by: {}\nwhy: {}\n\nWhile this file is here, Pilotlight starts nothing by itself.\n", line(by), line(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_there_holds_and_says_what_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hold");
        assert_eq!(read(&file), None);
        std::fs::write(&file, text("ada", "network\nwork")).unwrap();
        let hold = read(&file).unwrap();
        assert_eq!((hold.by.as_str(), hold.why.as_str()), ("ada", "network work"));
        assert!(hold.since.is_some() && hold.to_string().starts_with("ada holds everything automatic since 2"));
        std::fs::write(&file, "").unwrap();
        let hold = read(&file).unwrap();
        assert!(hold.to_string().starts_with("somebody holds everything automatic"), "{hold}");
        std::fs::write(&file, b"leave it \xff").unwrap();
        assert!(read(&file).unwrap().why.starts_with("leave it"));
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(read(&file).is_some(), "a folder in its place holds too");
    }

    #[test]
    fn a_place_that_cannot_be_looked_at_holds() {
        let folder = tempfile::tempdir().unwrap();
        let name = "x".repeat(300);
        let hold = read(&folder.path().join(name)).expect("the name is too long to be looked for");
        assert!(hold.why.contains("cannot be seen"), "{hold}");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_its_place_holds_and_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hold");
        assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
        let hold = read(&file).expect("something is there");
        assert_eq!((hold.by.as_str(), hold.why.as_str()), ("", ""));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_nowhere_now_holds() {
        let folder = tempfile::tempdir().unwrap();
        let (file, elsewhere) = (folder.path().join("hold"), folder.path().join("elsewhere"));
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        let hold = read(&file).expect("what it leads to may be on a disk that is not there");
        assert!(hold.why.contains("a link that leads to nothing"), "{hold}");
        std::fs::write(&elsewhere, text("ada", "network work")).unwrap();
        assert_eq!(read(&file).unwrap().by, "ada");
        std::fs::remove_file(&elsewhere).unwrap();
        assert!(remove(&file).unwrap());
        assert_eq!(read(&file), None);
    }
}
