//! Asks file systems how much room they have, seldom, and remembers how that went: [`pilotlight_core::disk`] says what of it a
//! person has to hear.
//!
//! Border: reads only. A folder that is not there yet stands for the one it will be made in.

use nix::sys::statvfs::statvfs;
use pilotlight_core::disk::{Filling, Room, of_room};
use pilotlight_core::outcome::Finding;
use pilotlight_core::time::Mono;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What was seen is said for so long before it is looked at again.
const EVERY: Duration = Duration::from_secs(10);

/// A file system that hangs is not waited for: what was seen before is said on.
const PATIENCE: Duration = Duration::from_millis(200);

/// What is looked at: a few words for it, and where it lies.
pub type Folders = Vec<(&'static str, PathBuf)>;

/// The file systems under some folders.
#[derive(Debug, Default)]
pub struct Disks(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    at: Option<Mono>,
    filling: BTreeMap<u64, Filling>,
    found: Vec<Finding>,
}

impl Disks {
    /// What a person has to hear of the file systems that hold these things. `whose` begins each sentence.
    pub async fn look<F>(self: &Arc<Self>, now: Mono, whose: &str, folders: F) -> Vec<Finding>
    where
        F: FnOnce() -> Folders + Send + 'static,
    {
        if self.is_due(now) {
            let (disks, whose) = (self.clone(), whose.to_owned());
            let asking = tokio::task::spawn_blocking(move || disks.ask(now, &whose, folders()));
            let _ = tokio::time::timeout(PATIENCE, asking).await;
        }
        self.said()
    }

    /// What the last look found.
    pub fn said(&self) -> Vec<Finding> {
        self.lock().found.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is time to look again; then that counts as done.
    fn is_due(&self, now: Mono) -> bool {
        let mut seen = self.lock();
        let due = seen.at.is_none_or(|at| now.since(at) >= EVERY);
        if due {
            seen.at = Some(now);
        }
        due
    }

    /// Not under the lock while a file system is asked: one that hangs must hold up nobody else.
    fn ask(&self, now: Mono, whose: &str, folders: Folders) {
        let mut systems: BTreeMap<u64, (Room, Vec<String>)> = BTreeMap::new();
        for (what, folder) in folders {
            let Some((device, room)) = nearest(&folder).and_then(ask) else { continue };
            let (_, holds) = systems.entry(device).or_insert_with(|| (room, Vec::new()));
            holds.push(format!("{what} ({})", folder.display()));
        }
        let mut seen = self.lock();
        seen.filling.retain(|device, _| systems.contains_key(device));
        seen.found.clear();
        for (device, (room, holds)) in systems {
            let filling = seen.filling.entry(device).or_default();
            filling.look(now, room.free);
            let lasts = filling.lasts();
            seen.found.extend(of_room(&format!("{whose}, {}", holds.join(", ")), room, lasts));
        }
    }
}

/// Bytes that are free where a folder lies, or will lie.
pub fn free(folder: &Path) -> Option<u64> {
    nearest(folder).and_then(ask).map(|(_, room)| room.free)
}

/// The folder itself or what it will be made in.
fn nearest(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|p| p.exists())
}

#[allow(clippy::unnecessary_cast)] // the width of the fields differs between systems
fn ask(folder: &Path) -> Option<(u64, Room)> {
    let device = std::fs::metadata(folder).ok()?.dev();
    let stat = statvfs(folder).ok()?;
    let block = stat.fragment_size() as u64;
    let room = Room {
        bytes: stat.blocks() as u64 * block,
        free: stat.blocks_available() as u64 * block,
        files: stat.files() as u64,
        files_free: stat.files_available() as u64,
    };
    Some((device, room))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    #[test]
    fn folders_of_one_file_system_are_one_and_what_is_not_there_stands_for_its_parent() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (here, later) = (folder.path().to_owned(), folder.path().join("not/yet"));
        assert!(free(&here).is_some() && free(&later).is_some());
        let disks = Disks::default();
        disks.ask(at(0), "x", vec![("a", here), ("b", later), ("c", "/proc".into())]);
        assert_eq!(disks.lock().filling.len(), 2, "the folder's, and the kernel's own");
    }

    #[test]
    fn it_is_asked_seldom() {
        let disks = Disks::default();
        let asked = (0..25).filter(|second| disks.is_due(at(*second)));
        assert_eq!(asked.collect::<Vec<u64>>(), [0, 10, 20]);
    }

    #[tokio::test]
    async fn a_file_system_that_hangs_is_not_waited_for() {
        let disks = Arc::new(Disks::default());
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let hanging = move || {
            let _ = held.recv();
            Folders::new()
        };
        assert_eq!(disks.look(at(0), "x", hanging).await, []);
        assert_eq!(disks.look(at(10), "x", Folders::new).await, [], "nor is anybody else held up");
        drop(let_go);
    }
}
