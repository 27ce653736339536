//! Which processes serve a data directory, and whether its shared memory is still in use.
//!
//! A PostgreSQL process works inside its data directory, so its working directory names it; a pid file alone does not,
//! because pids are reused and because backends outlive a killed postmaster and go on acknowledging (tried: thousands
//! of commits). Zombies count as gone: they hold nothing.
//!
//! Invariant: [`Table::left`] is empty only when no process was seen that could acknowledge a commit.

use super::directory::{Directory, PidFile};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

/// A living process of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Proc {
    /// Its pid.
    pub(super) pid: i32,
    /// When it started, seconds since the epoch: with the pid it names one process for ever.
    pub(super) started: u64,
    /// Stopped by a signal or a debugger.
    pub(super) stopped: bool,
}

impl Proc {
    /// The same process. The start is compared loosely: it is counted from the boot time, which the kernel corrects by a second
    /// now and then.
    pub(super) fn is(self, other: Proc) -> bool {
        self.pid == other.pid && self.started.abs_diff(other.started) <= 2
    }
}

/// A look at the machine's process table.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// Living server processes of the directory.
    pub(super) left: Vec<Proc>,
    /// Server processes whose directory may not be read from this account.
    pub(super) unreadable: usize,
}

/// How many processes are attached to the shared memory of the server that wrote the pid file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attached {
    /// So many; none means that nobody who could write to the database is left.
    Count(u64),
    /// Could not be found out, with the reason.
    NotChecked(String),
}

const SERVER: [&str; 2] = ["postgres", "postmaster"];

/// All living server processes of a directory. Two passes: names of all, working directories of the few.
pub(super) fn of(directory: &Directory) -> Table {
    scan(directory.path(), &SERVER)
}

/// Programs such as `pg_rewind` that an earlier agent left at work inside a folder.
pub(super) fn programs_in(folder: &Path, names: &[&str]) -> Vec<Proc> {
    scan(folder, names).left
}

/// The postmaster that the pid file names, if it lives and serves this directory.
pub(super) fn postmaster(directory: &Directory) -> Option<(Proc, PidFile)> {
    let file = directory.pid_file()?;
    let pid = sysinfo::Pid::from_u32(u32::try_from(file.pid).ok()?);
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, with_folder());
    let process = system.process(pid)?;
    let named = process.name().to_str().is_some_and(|n| SERVER.contains(&n));
    // A dying process has no folder any more and is as good as dead.
    let here = process.cwd().is_some_and(|cwd| is_folder(cwd, directory.path()));
    (named && here).then(|| living(process)).flatten().map(|p| (p, file))
}

/// Whether exactly this process still lives.
pub(super) fn lives(proc: Proc) -> bool {
    let pid = sysinfo::Pid::from_u32(proc.pid.unsigned_abs());
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, plain());
    system.process(pid).and_then(living).is_some_and(|now| now.is(proc))
}

/// Sends a signal; a process that is gone by now is not a fault.
pub(super) fn signal(proc: Proc, signal: Signal) {
    if let Err(error) = kill(Pid::from_raw(proc.pid), signal)
        && error != nix::errno::Errno::ESRCH
    {
        tracing::warn!(pid = proc.pid, %signal, %error, "cannot signal a server process");
    }
}

/// How many are attached to the shared memory that the pid file names.
pub(super) fn attached(file: &PidFile) -> Attached {
    let Some((key, id)) = file.shared_memory else {
        // Written before the segment is made: nobody can be attached.
        return Attached::Count(0);
    };
    if cfg!(target_os = "linux") {
        return match std::fs::read_to_string("/proc/sysvipc/shm") {
            // A segment that is not listed has been removed, which happens only after the last one has left it.
            Ok(text) => Attached::Count(attached_in_proc(&text, key, id).unwrap_or(0)),
            Err(error) => Attached::NotChecked(format!("/proc/sysvipc/shm cannot be read: {error}")),
        };
    }
    let ipcs = std::process::Command::new("ipcs").args(["-m", "-o"]).output();
    match ipcs {
        Ok(output) if output.status.success() => attached_in_ipcs(&String::from_utf8_lossy(&output.stdout), id)
            .map_or_else(|| Attached::NotChecked("the output of ipcs is not understood".to_owned()), Attached::Count),
        _ => Attached::NotChecked("ipcs does not run".to_owned()),
    }
}

/// Removes the shared memory segment of a server that was killed, if nobody is attached. The next server of the directory
/// would do so; for a directory that is about to be deleted there is none, and systems allow a few thousand in all.
pub(super) fn remove_segment(file: &PidFile) {
    let Some((key, id)) = file.shared_memory else { return };
    let listed = std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    // Key and id together name one segment; an id alone may have been given again.
    if attached_in_proc(&listed, key, id) == Some(0) {
        let ended = std::process::Command::new("ipcrm").args(["-m", &id.to_string()]).output();
        tracing::debug!(id, ?ended, "shared memory of a killed server");
    }
}

/// How many are attached to a segment, `None` if there is no such segment.
fn attached_in_proc(text: &str, key: i64, id: i64) -> Option<u64> {
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_it = words.first()?.parse::<i64>().ok()? == key && words.get(1)?.parse::<i64>().ok()? == id;
        is_it.then(|| words.get(6)?.parse().ok()).flatten()
    };
    text.lines().find_map(row)
}

fn attached_in_ipcs(text: &str, id: i64) -> Option<u64> {
    let header = text.lines().find(|l| l.contains("NATTCH"))?;
    let column = header.split_whitespace().position(|w| w == "NATTCH")?;
    let row = text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>());
    let row = row.into_iter().find(|w| w.get(1).and_then(|i| i.parse::<i64>().ok()) == Some(id));
    match row {
        None => Some(0),
        Some(words) => words.get(column)?.parse().ok(),
    }
}

fn scan(folder: &Path, names: &[&str]) -> Table {
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, plain());
    let named = |p: &sysinfo::Process| p.name().to_str().is_some_and(|n| names.contains(&n));
    let pids: Vec<sysinfo::Pid> =
        system.processes().values().filter(|p| named(p) && living(p).is_some()).map(|p| p.pid()).collect();
    let mut table = Table::default();
    if pids.is_empty() {
        return table;
    }
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, with_folder());
    for process in pids.iter().filter_map(|pid| system.process(*pid)) {
        match (living(process), process.cwd()) {
            (Some(proc), Some(cwd)) if is_folder(cwd, folder) => table.left.push(proc),
            (Some(_), None) if is_closed_to_us(process) => table.unreadable += 1,
            // Without a folder although we may look: it is at its end and holds nothing any more.
            _ => {}
        }
    }
    table
}

fn living(process: &sysinfo::Process) -> Option<Proc> {
    if matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead) {
        return None;
    }
    let stopped = matches!(process.status(), ProcessStatus::Stop | ProcessStatus::Tracing);
    Some(Proc { pid: i32::try_from(process.pid().as_u32()).ok()?, started: process.start_time(), stopped })
}

fn is_closed_to_us(process: &sysinfo::Process) -> bool {
    let us = nix::unistd::geteuid();
    !us.is_root() && process.user_id().is_none_or(|uid| **uid != us.as_raw())
}

/// Linux adds ` (deleted)` to a folder that was removed under its process.
fn is_folder(cwd: &Path, folder: &Path) -> bool {
    cwd == folder
        || cwd.as_os_str().to_str().and_then(|t| t.strip_suffix(" (deleted)")).is_some_and(|t| Path::new(t) == folder)
}

fn plain() -> ProcessRefreshKind {
    ProcessRefreshKind::nothing().without_tasks()
}

fn with_folder() -> ProcessRefreshKind {
    plain().with_cwd(UpdateKind::Always).with_user(UpdateKind::Always)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_of_segments_is_read() {
        let text = "       key      shmid perms                  size  cpid  lpid nattch   uid\n\
                    \x20  5432001          3   600                    56  1234  1240      7   101\n";
        assert_eq!(attached_in_proc(text, 5_432_001, 3), Some(7));
        assert_eq!(attached_in_proc(text, 5_432_001, 4), None);
        assert_eq!(attached_in_proc(text, 1, 3), None);
    }

    #[test]
    fn the_output_of_ipcs_is_read() {
        let text = "IPC status\nT     ID     KEY        MODE       OWNER    GROUP NATTCH\nShared Memory:\n\
                    m  65536 0x0052e2c1 --rw-------   me  staff      6\n";
        assert_eq!(attached_in_ipcs(text, 65_536), Some(6));
        assert_eq!(attached_in_ipcs(text, 1), Some(0));
        assert_eq!(attached_in_ipcs("nothing known", 1), None);
    }

    #[test]
    fn a_removed_folder_is_still_recognised() {
        assert!(is_folder(Path::new("/a/b (deleted)"), Path::new("/a/b")));
        assert!(!is_folder(Path::new("/a/bc"), Path::new("/a/b")));
    }
}
