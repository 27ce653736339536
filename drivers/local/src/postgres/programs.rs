//! PostgreSQL's own programs: finding them, running them as the account that owns the server, keeping their output.
//!
//! The server's programs do what they already do well (`pg_rewind`, `pg_basebackup`, `pg_controldata`, `initdb`); none of
//! it is done again here. Their messages are asked for in English because some are read.

use super::durable::Owner;
use nix::unistd::{User, geteuid};
use pilotlight_core::outcome::Failure;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// Output kept of a program: the end of it, where the reason stands.
const KEPT_BYTES: usize = 16 * 1024;

/// The account of a server when the agent is root and the plan names none.
const DEFAULT_ACCOUNT: &str = "postgres";

/// What PostgreSQL's programs get of the agent's environment.
const KEPT: [&str; 5] = ["PATH", "HOME", "TZ", "TMPDIR", "LD_LIBRARY_PATH"];

/// Where the programs are and as whom they run.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    /// `bin_dir` of the plan.
    pub(super) bin_dir: Option<PathBuf>,
    /// `run_as` of the plan.
    pub(super) run_as: Option<String>,
    /// Taken out of every output.
    pub(super) password: Option<String>,
}

/// A program has ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// With exit status 0.
    pub(super) success: bool,
    /// The end of what it printed on both streams, secrets replaced.
    pub(super) output: String,
}

impl Programs {
    /// Uid, gid and home of the account, if the agent is root and so has to change to it.
    pub(super) fn account(&self) -> Result<Option<User>, Failure> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let name = self.run_as.as_deref().unwrap_or(DEFAULT_ACCOUNT);
        match User::from_name(name) {
            Ok(Some(user)) => Ok(Some(user)),
            _ => Err(Failure::rejected(format!("PL-0702: there is no account {name} to run PostgreSQL as"))
                .hint("set run_as of the component's region to the account that owns the data directory")),
        }
    }

    /// The owner that files for the server must have.
    pub(super) fn owner(&self) -> Owner {
        self.account().ok().flatten().map(|user| (user.uid, user.gid))
    }

    /// The path of a program for a server of this major version.
    pub(super) fn find(&self, program: &str, version: Option<&str>) -> Result<PathBuf, Failure> {
        let folders = match &self.bin_dir {
            Some(folder) => vec![folder.clone()],
            None => usual_folders(version),
        };
        let found = folders.iter().map(|f| f.join(program)).find(|p| p.is_file());
        found.ok_or_else(|| {
            let looked: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
            Failure::rejected(format!("PL-0701: {program} of PostgreSQL is not in {}", looked.join(", ")))
                .hint("install the PostgreSQL server package, or set bin_dir of the component's region")
        })
    }

    /// A call of a program, ready but for its arguments and streams.
    pub(super) fn command(&self, program: &str, version: Option<&str>, folder: &Path) -> Result<Command, Failure> {
        let mut command = Command::new(self.find(program, version)?);
        // Nothing of the agent's environment but these: a server shows its own to every superuser of the database, and
        // the agent's holds the token; PostgreSQL's own variables would redirect the program.
        command.env_clear().envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.current_dir(folder).env("LC_ALL", "C").stdin(Stdio::null()).process_group(0);
        if let Some(user) = self.account()? {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw()).env("HOME", &user.dir);
        }
        Ok(command)
    }

    /// Runs a program to its end, its deadline or the token's. An end by force says so.
    pub(super) async fn run<A: AsRef<OsStr>>(
        &self,
        call: Call<'_>,
        args: &[A],
        deadline: Duration,
        stop: &CancellationToken,
    ) -> Result<Ended, Failure> {
        let mut command = self.command(call.program, call.version, call.folder)?;
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let child =
            command.spawn().map_err(|e| Failure::rejected(format!("PL-0701: {} does not start: {e}", call.program)))?;
        let program = call.program;
        tokio::select! {
            ended = child.wait_with_output() => {
                let ended = ended.map_err(|e| Failure::unknown(format!("{program} was lost: {e}")))?;
                let mut output = String::from_utf8_lossy(&ended.stdout).into_owned();
                output.push_str(&String::from_utf8_lossy(&ended.stderr));
                Ok(Ended { success: ended.status.success(), output: self.redact(tail(&output)) })
            }
            () = tokio::time::sleep(deadline) => {
                Err(Failure::unknown(format!("{program} was ended: it had not finished within {deadline:?}")))
            }
            () = stop.cancelled() => Err(Failure::unknown(format!("{program} was ended: it was called off"))),
        }
    }

    /// Replaces the password.
    pub(super) fn redact(&self, text: &str) -> String {
        match &self.password {
            Some(password) if !password.is_empty() => text.replace(password.as_str(), "***"),
            _ => text.to_owned(),
        }
    }
}

/// Which program, for which server version, from which folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// Its name.
    pub(super) program: &'static str,
    /// Major version of the data it works on, to choose among several installations.
    pub(super) version: Option<&'a str>,
    /// Its working directory, readable by the account.
    pub(super) folder: &'a Path,
}

/// The end of a text, cut at a character.
pub(super) fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(KEPT_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

/// Where PostgreSQL is usually installed, best first: the data's own major version, then newest first.
fn usual_folders(version: Option<&str>) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = Vec::new();
    for base in ["/usr/lib/postgresql", "/usr/local/lib/postgresql"] {
        for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
            if let Some(major) = entry.file_name().to_str().and_then(|n| n.parse().ok()) {
                versions.push((major, entry.path().join("bin")));
            }
        }
    }
    for (base, prefix) in [("/opt/homebrew/opt", "postgresql@"), ("/usr/local/opt", "postgresql@"), ("/usr", "pgsql-")]
    {
        for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if let Some(major) = name.to_str().and_then(|n| n.strip_prefix(prefix)?.parse().ok()) {
                versions.push((major, entry.path().join("bin")));
            }
        }
    }
    let wanted = version.and_then(|v| v.parse::<u32>().ok());
    versions.sort_by_key(|(major, _)| (Some(*major) != wanted, std::cmp::Reverse(*major)));
    let mut folders: Vec<PathBuf> = versions.into_iter().map(|(_, folder)| folder).collect();
    folders.extend(bin_dir_of_pg_config());
    folders.extend(["/usr/pgsql/bin", "/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"].map(PathBuf::from));
    folders
}

fn bin_dir_of_pg_config() -> Option<PathBuf> {
    let output = std::process::Command::new("pg_config").arg("--bindir").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| PathBuf::from(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_code_and_what_to_do() {
        let programs =
            Programs { bin_dir: Some(PathBuf::from("/nowhere")), run_as: None, password: Some("hush".to_owned()) };
        let failure = programs.find("pg_rewind", None).unwrap_err();
        assert!(failure.message.contains("PL-0701") && failure.message.contains("/nowhere"), "{failure}");
        assert!(failure.hint.is_some());
        assert_eq!(programs.redact("password=hush!"), "password=***!");
    }

    #[test]
    fn only_the_end_of_a_long_output_is_kept() {
        let text = format!("{}ä{}", "a".repeat(10), "b".repeat(KEPT_BYTES - 1));
        assert_eq!(tail(&text), "b".repeat(KEPT_BYTES - 1));
        assert_eq!(tail("short"), "short");
    }
}
