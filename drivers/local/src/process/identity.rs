//! Telling one process from a later one with the same number.
//!
//! On Linux a process is known by its start in clock ticks since a boot that has an id; unlike a start in wall time this
//! does not move when somebody sets the clock. Elsewhere the system's start time in seconds has to do.

use serde::{Deserialize, Serialize};

/// A process that was seen alive; a zombie is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its number.
    pub(crate) pid: u32,
    /// When it was born, in words that only equal themselves.
    pub(crate) born: String,
}

impl Identity {
    /// The living process of that number.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        born(pid).map(|born| Self { pid, born })
    }

    /// It is still there and still the same.
    pub(crate) fn is_alive(&self) -> bool {
        born(self.pid).as_ref() == Some(&self.born)
    }

    /// Its number belongs to somebody else now.
    pub(crate) fn is_taken(&self) -> bool {
        born(self.pid).is_some_and(|born| born != self.born)
    }
}

#[cfg(target_os = "linux")]
fn born(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything; state is the first field after it, the start the 20th.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let start = fields.nth(18)?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    (!matches!(state, "Z" | "X")).then(|| format!("tick {start} of boot {}", boot.trim()))
}

#[cfg(not(target_os = "linux"))]
fn born(pid: u32) -> Option<String> {
    use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};
    let pid = Pid::from_u32(pid);
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, ProcessRefreshKind::nothing());
    let process = system.process(pid)?;
    let ended = matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead);
    (!ended).then(|| format!("second {}", process.start_time()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_are_told_from_the_dead_and_from_others() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let seen = Identity::of(child.id()).unwrap();
        let other = Identity { pid: seen.pid, born: "long ago".to_owned() };
        let (alive, taken) = (seen.is_alive(), other.is_taken());
        child.kill().unwrap();
        let killed = std::iter::repeat_with(|| seen.is_alive()).take(1_000_000).any(|alive| !alive);
        child.wait().unwrap();
        assert!(alive && taken && !other.is_alive() && !seen.is_taken());
        assert!(killed, "a zombie is not alive");
        assert_eq!(Identity::of(child.id()), None);
    }
}
