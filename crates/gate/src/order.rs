//! What the agent and the gate say to each other: lines of JSON over a socket in the agent's folder.
//!
//! The first line on the gate's standard input is its [`Site`]; a password never stands on a command line.

use pilotlight_core::time::Mono;
use serde::{Deserialize, Serialize};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the gate stands and what it is called. Given at its start, and again by each agent that begins to speak to it: a plan
/// may have changed meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// The name under which the writer waits for it.
    pub name: String,
    /// The server's address as seen from beside it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// A user that may replicate.
    pub user: String,
    /// Its password.
    pub password: Option<String>,
    /// After so long without a word the server closes the gate's connection.
    pub sender_timeout_ms: u64,
    /// The socket's file in the working folder.
    pub socket: String,
}

/// From the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum Order {
    /// Stand there from now on. A link made for another site is given up and made again.
    Stand {
        /// Where.
        site: Site,
    },
    /// Confirm until then, in microseconds of the machine's monotonic clock. Replaces what was told before.
    Until {
        /// The moment.
        at_us: u64,
    },
}

impl Order {
    /// Confirm until then.
    pub fn until(at: Mono) -> Self {
        Order::Until { at_us: u64::try_from(at.0.as_micros()).unwrap_or(u64::MAX) }
    }

    /// The moment of [`Order::Until`].
    pub(crate) fn moment(at_us: u64) -> Mono {
        Mono(Duration::from_micros(at_us))
    }
}

/// From the gate, after each order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// The process.
    pub pid: u32,
    /// Its name, so that an agent does not take another's for its own.
    pub name: String,
    /// It is connected to the server.
    pub linked: bool,
    /// Where it has confirmed to.
    pub confirmed: u64,
    /// What went wrong last.
    pub trouble: Option<String>,
}

/// A path to a socket in `folder` that is short enough for the system, whatever the folder's is. Holds while `open` lives.
pub fn socket_path(folder: &Path, open: &std::fs::File, name: &str) -> PathBuf {
    // A socket's address has room for some hundred bytes only.
    let plain = folder.join(name);
    if plain.as_os_str().len() < 100 {
        return plain;
    }
    PathBuf::from(format!("/proc/self/fd/{}/{name}", open.as_raw_fd()))
}
