//! The folder a lab lives in, gone when the lab is over.

use crate::region::{self, Process};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
        let left = region::kill_all(&self.path, Duration::from_secs(5));
        if !self.keep {
            // Whoever was just killed may have been writing; a second pass finds what the first one raced with.
            for _ in 0..5 {
                if fs::remove_dir_all(&self.path).is_ok() || !self.path.exists() {
                    break;
                }
            }
        }
        left
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.path.exists() {
            self.close();
        }
    }
}
