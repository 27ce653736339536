//! The floor of every failover: two bare servers and a script that kills one and promotes the other at once.
//!
//! No detection, no decision, no fence that could be trusted: nobody can be faster, and nobody should run it.

use crate::database::{self, Database, DatabaseError};
use crate::net::Door;
use crate::region;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A server of the pair; its data directory was made before.
#[derive(Debug, Clone)]
pub struct BareServer {
    /// `PGDATA`.
    pub data_dir: PathBuf,
    /// Where it answers.
    pub database: Database,
    /// The network it is in.
    pub door: Door,
}

/// The script could not go on.
#[derive(Debug, thiserror::Error)]
pub enum BareError {
    /// A program of PostgreSQL failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Which.
        program: String,
        /// What it printed.
        output: String,
    },
    /// A program could not be run.
    #[error("cannot run {program}")]
    Run {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The database refused.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl BareServer {
    /// Makes it follow another server when it is started.
    pub fn follow(&self, upstream: &Database) -> io::Result<()> {
        let file = self.data_dir.join("postgresql.auto.conf");
        let before = std::fs::read_to_string(&file)?;
        let Database { at, password } = upstream;
        let (host, port) = (at.ip(), at.port());
        let conninfo = format!("host={host} port={port} user=postgres password={password}");
        std::fs::write(&file, format!("{before}primary_conninfo = '{conninfo}'\n"))
    }

    /// `pg_ctl start`, as the account that owns the data directory.
    pub fn start(&self, bin_dir: &Path) -> Result<(), BareError> {
        let log = self.log();
        self.pg_ctl(bin_dir, &["-w", "-l", &log.display().to_string(), "start"])
    }

    /// `pg_ctl -m fast stop`.
    pub fn stop(&self, bin_dir: &Path) -> Result<(), BareError> {
        self.pg_ctl(bin_dir, &["-w", "-m", "fast", "stop"])
    }

    /// SIGKILL for the postmaster and every other process of the directory.
    pub fn kill(&self) {
        region::kill_all(&self.data_dir, Duration::from_secs(5));
    }

    /// `select pg_promote()`.
    pub async fn promote(&self) -> Result<(), BareError> {
        Ok(database::execute(&self.database, "select pg_promote(true, 60)").await?)
    }

    fn log(&self) -> PathBuf {
        // The account that runs the server can write there and nowhere around it.
        self.data_dir.join("bare.log")
    }

    fn pg_ctl(&self, bin_dir: &Path, words: &[&str]) -> Result<(), BareError> {
        use std::os::unix::fs::MetadataExt;
        use std::os::unix::process::CommandExt;
        let program = bin_dir.join("pg_ctl");
        let name = program.display().to_string();
        let failed = |source| BareError::Run { program: name.clone(), source };
        let mut command = Command::new(&program);
        command.arg("-D").arg(&self.data_dir).args(words).stdin(Stdio::null()).current_dir(&self.data_dir);
        let owner = std::fs::metadata(&self.data_dir).map_err(failed)?;
        if nix::unistd::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        // The server inherits stdout: a pipe would stay open as long as it runs.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let status = self.door.within(|| command.status()).and_then(|status| status).map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        let output = region::tail(&self.log(), 10);
        Err(BareError::Program { program: format!("{name} {}", words.join(" ")), output })
    }
}
