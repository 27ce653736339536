//! The folder a lab lives in, gone when the lab is over.

use crate::region::{self, Process};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Says which process a folder goes with.
const OWNER: &str = ".owner";

/// Folders of labs that died before they could clean up: named alike, not to be kept, their owner gone.
pub fn abandoned(prefix: &str) -> Vec<PathBuf> {
    let Ok(found) = fs::read_dir(std::env::temp_dir()) else { return Vec::new() };
    let named = found.filter_map(Result::ok).filter(|e| e.file_name().to_string_lossy().starts_with(prefix));
    let is_abandoned = |path: &PathBuf| {
        let owner = fs::read_to_string(path.join(OWNER)).ok();
        let pid = owner.as_deref().and_then(|o| o.split(' ').next()?.parse().ok());
        // The time of its start tells it from another process with the same id.
        pid.is_some_and(|pid| owner_of(pid) != owner)
    };
    named.filter_map(|e| fs::canonicalize(e.path()).ok()).filter(is_abandoned).collect()
}

/// Kills whatever runs in a folder and removes it.
pub fn remove(path: &Path) -> Vec<Process> {
    let left = region::kill_all(path, Duration::from_secs(5));
    // Whoever was just killed may have been writing; a second pass finds what the first one raced with.
    for _ in 0..5 {
        if fs::remove_dir_all(path).is_ok() || !path.exists() {
            break;
        }
    }
    left
}

/// A process with the time of its start; `None` when it is gone.
fn owner_of(pid: u32) -> Option<String> {
    let (mut system, pid) = (System::new(), Pid::from_u32(pid));
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, ProcessRefreshKind::nothing());
    system.process(pid).map(|process| format!("{pid} {}", process.start_time()))
}

/// A temporary folder that other accounts may enter (a database server runs under its own), removed with everything
/// that runs in it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Makes the folder below the system's temporary folder. `keep` leaves it there at the end, for a look.
    pub fn create(prefix: &str, keep: bool) -> io::Result<Self> {
        let made = tempfile::Builder::new().prefix(prefix).tempdir()?;
        fs::set_permissions(made.path(), fs::Permissions::from_mode(0o755))?;
        // Processes report their working directory with links resolved.
        let path = fs::canonicalize(made.keep())?;
        if !keep {
            fs::write(path.join(OWNER), owner_of(std::process::id()).unwrap_or_default())?;
        }
        Ok(Self { path, keep })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder in it, made if absent, that other accounts may enter.
    pub fn subfolder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// Kills whatever runs in it and, unless it is kept, removes it. Answers what could not be killed.
    pub fn close(&mut self) -> Vec<Process> {
        if self.keep { region::kill_all(&self.path, Duration::from_secs(5)) } else { remove(&self.path) }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.path.exists() {
            self.close();
        }
    }
}
