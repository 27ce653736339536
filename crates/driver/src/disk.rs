//! Asks file systems how much room they have, seldom, and remembers how that went: [`pilotlight_core::disk`] says what of it a
//! person has to hear.
//!
//! Border: reads only. A folder that is not there yet stands for the one it will be made in.

use crate::seldom::Seldom;
use nix::sys::statvfs::statvfs;
use pilotlight_core::disk::{Filling, Room, of_room};
use pilotlight_core::outcome::Finding;
use pilotlight_core::time::Mono;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What was seen is said for so long before it is looked at again.
const EVERY: Duration = Duration::from_secs(10);

/// What is looked at: a few words for it, and where it lies.
pub type Folders = Vec<(&'static str, PathBuf)>;

/// The file systems under some folders.
#[derive(Debug, Default)]
pub struct Disks {
    seldom: Arc<Seldom>,
    filling: Mutex<BTreeMap<u64, Filling>>,
}

impl Disks {
    /// What a person has to hear of the file systems that hold these things. `whose` begins each sentence.
    pub async fn look<F>(self: &Arc<Self>, now: Mono, whose: &str, folders: F) -> Vec<Finding>
    where
        F: FnOnce() -> Folders + Send + 'static,
    {
        let (disks, whose) = (self.clone(), whose.to_owned());
        self.seldom.look(now, EVERY, move || disks.ask(now, &whose, folders())).await
    }

    /// What the last look found.
    pub fn said(&self) -> Vec<Finding> {
        self.seldom.said()
    }

    fn ask(&self, now: Mono, whose: &str, folders: Folders) -> Vec<Finding> {
        let mut systems: BTreeMap<u64, (Room, Vec<String>)> = BTreeMap::new();
        for (what, folder) in folders {
            let Some((device, room)) = nearest(&folder).and_then(ask) else { continue };
            let (_, holds) = systems.entry(device).or_insert_with(|| (room, Vec::new()));
            holds.push(format!("{what} ({})", folder.display()));
        }
        let mut filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        filling.retain(|device, _| systems.contains_key(device));
        let mut found = Vec::new();
        for (device, (room, holds)) in systems {
            let filling = filling.entry(device).or_default();
            filling.look(now, room.free);
            found.extend(of_room(&format!("{whose}, {}", holds.join(", ")), room, filling.lasts()));
        }
        found
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
        assert_eq!(disks.filling.lock().unwrap().len(), 2, "the folder's, and the kernel's own");
    }
}
