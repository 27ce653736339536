//! Process groups: whatever a program of the user's starts ends with it.
//!
//! Invariant: a group is signalled only by who has started it, or has proved that it is still the same.

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// A group, by the process id of its first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group(Pid);

impl Group {
    /// The group of a process that was started as the first of its own; `None` for numbers that mean something else.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        i32::try_from(pid).ok().filter(|pid| *pid > 1).map(|pid| Self(Pid::from_raw(pid)))
    }

    /// Asks every process of it to end.
    pub(crate) fn terminate(self) {
        self.signal(Signal::SIGTERM);
    }

    /// Ends every process of it.
    pub(crate) fn kill(self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(self, signal: Signal) {
        match killpg(self.0, signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(e) => tracing::warn!(group = self.0.as_raw(), %signal, error = %e, "cannot signal a process group"),
        }
    }
}

/// Kills the group when it is dropped, unless it was told that all is well.
#[derive(Debug)]
pub(crate) struct KillOnDrop(Option<Group>);

impl KillOnDrop {
    pub(crate) fn new(group: Option<Group>) -> Self {
        Self(group)
    }

    /// It ended by itself.
    pub(crate) fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            group.kill();
        }
    }
}
