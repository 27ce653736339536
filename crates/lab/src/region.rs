//! A region as the lab knows it: a folder, and every process that works in it.

use crate::net::Door;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

/// A process found in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// What it is called.
    pub name: String,
    /// How it was called: program and arguments, where they can be read.
    pub words: Vec<String>,
}

/// Processes whose working directory lies in `folder`, oneself excepted. Threads and dead ones do not count.
pub fn processes(folder: &Path) -> Vec<Process> {
    let mut system = System::new();
    let what = ProcessRefreshKind::nothing().with_cwd(UpdateKind::Always).with_cmd(UpdateKind::Always).without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    let me = std::process::id();
    system
        .processes()
        .values()
        .filter(|p| p.pid().as_u32() != me)
        .filter(|p| !matches!(p.status(), ProcessStatus::Zombie | ProcessStatus::Dead))
        .filter(|p| p.cwd().is_some_and(|cwd| cwd.starts_with(folder)))
        .filter_map(|p| {
            let pid = i32::try_from(p.pid().as_u32()).ok()?;
            let words = p.cmd().iter().map(|word| word.to_string_lossy().into_owned()).collect();
            Some(Process { pid, name: p.name().to_string_lossy().into_owned(), words })
        })
        .collect()
}

/// Ends every process in `folder` with SIGKILL, again and again until none is left or the time is over. Answers those
/// that were left.
pub fn kill_all(folder: &Path, within: Duration) -> Vec<Process> {
    let rounds = (within.as_millis() / 10).max(1);
    for _ in 0..rounds {
        let found = processes(folder);
        if found.is_empty() {
            return Vec::new();
        }
        for process in &found {
            kill_pid(process.pid);
        }
        pause(Duration::from_millis(10));
    }
    processes(folder)
}

/// SIGKILL for one process; one that is gone already is fine.
pub fn kill_pid(pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

// The one place of the lab that waits without an event: a killed process gives none to somebody who is not its parent.
#[allow(clippy::disallowed_methods)]
fn pause(d: Duration) {
    std::thread::sleep(d);
}

/// Stops every process in `folder` that is wanted, as a pause of its machine would, and those that they were starting
/// meanwhile. Answers them, to be thawed.
pub fn freeze(folder: &Path, wanted: impl Fn(&Process) -> bool) -> Vec<Process> {
    let mut frozen: Vec<Process> = Vec::new();
    loop {
        let new: Vec<_> = processes(folder).into_iter().filter(|p| wanted(p) && !frozen.contains(p)).collect();
        if new.is_empty() {
            return frozen;
        }
        for process in &new {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGSTOP);
        }
        frozen.extend(new);
    }
}

/// Lets processes go on. Those that are gone are fine.
pub fn thaw(frozen: &[Process]) {
    for process in frozen {
        let _ = kill(Pid::from_raw(process.pid), Signal::SIGCONT);
    }
}

/// How to start a process in a region.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its working directory: the region's folder.
    pub folder: PathBuf,
    /// For the log file: `NAME.log` in the folder.
    pub name: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Added to the environment.
    pub env: Vec<(String, String)>,
    /// The network it is in.
    pub door: Door,
}

impl Launch {
    /// Where its output goes.
    pub fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    /// Starts it in a process group of its own, so that a Ctrl-C at the terminal reaches the lab and not it.
    pub fn start(&self) -> io::Result<Child> {
        use std::os::unix::process::CommandExt;
        let log = File::options().create(true).append(true).open(self.log())?;
        let (program, arguments) = self
            .argv
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "nothing to start: the command is empty"))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let child = self.door.within(|| command.spawn())??;
        Ok(Child { child, launch: self.clone() })
    }
}

/// A started process.
#[derive(Debug)]
pub struct Child {
    child: std::process::Child,
    launch: Launch,
}

impl Child {
    /// Its id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    /// Whether it still runs; reaps it when it does not.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether it ended by itself and well; `None` while it runs.
    pub fn ended_well(&mut self) -> Option<bool> {
        self.child.try_wait().ok().flatten().map(|status| status.success())
    }

    /// Ends it with SIGKILL and reaps it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts the same again.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill();
        *self = self.launch.start()?;
        Ok(())
    }

    /// The last lines it wrote.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.launch.log(), lines)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last lines of a file, empty when it cannot be read.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_works_in_the_folder_is_found_and_killed() {
        let folder = crate::folder::Folder::create("pilotlight-lab-test-", false).expect("a folder");
        let inside = folder.subfolder("east").expect("a region");
        let launch = |folder: &Path| Launch {
            folder: folder.to_owned(),
            name: "sleeper".to_owned(),
            argv: vec!["sleep".to_owned(), "60".to_owned()],
            env: Vec::new(),
            door: Door::default(),
        };
        let other = folder.subfolder("west").expect("a region");
        let mut east = launch(&inside).start().expect("sleep starts");
        let mut west = launch(&other).start().expect("sleep starts");
        assert_eq!(processes(&inside).iter().map(|p| p.pid).collect::<Vec<_>>(), vec![east.pid()]);
        assert_eq!(kill_all(&inside, Duration::from_secs(5)), Vec::new());
        assert!(!east.is_running(), "the sleeper of the lost region lives on");
        assert!(west.is_running(), "the sleeper of the other region was killed too");
        west.kill();
    }

    #[test]
    fn closing_leaves_neither_process_nor_folder() {
        let mut folder = crate::folder::Folder::create("pilotlight-lab-test-", false).expect("a folder");
        let launch = Launch {
            folder: folder.path().to_owned(),
            name: "sleeper".to_owned(),
            argv: vec!["sleep".to_owned(), "60".to_owned()],
            env: Vec::new(),
            door: Door::default(),
        };
        let mut child = launch.start().expect("sleep starts");
        assert_eq!(folder.close(), Vec::new());
        assert!(!folder.path().exists());
        assert!(!child.is_running());
    }
}
