//! Fences around the connections of a server: what cuts clients off when the lease is over, whatever the server and its
//! sessions think of it.
//!
//! The gate decides what PostgreSQL acknowledges, but a session may waive that (`synchronous_commit = off`) or cancel its
//! wait. A fence of the connections stands between server and client, so it covers those too, and it ends old
//! connections, so that their clients look for the new writer.
//!
//! Invariant: each fence closes by inaction. Nobody has to be alive, awake or on time for it to close; somebody has to be
//! alive to keep it open.

mod kernel_gate;
mod nft;
pub mod proxy;
mod proxy_gate;
mod standing;

pub use kernel_gate::KernelGate;
pub use nft::KernelLease;
pub use proxy_gate::{ProxyGate, ProxyParts};
pub use standing::{Standing, StandingError, settle, settle_others};

/// The mark on packets of our own sessions: the agent must reach its server while clients may not.
pub const OWN_MARK: u32 = 0x504c;

/// Why a fence could not be set.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// The program is not there.
    #[error("cannot run `{program}`")]
    Program {
        /// Its name or path.
        program: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The program did not end, and was killed.
    #[error("`{program}` did not {what} within {} seconds, and was killed", nft::LONGEST_RUN.as_secs())]
    Hangs {
        /// Its name or path.
        program: String,
        /// What it was to do.
        what: &'static str,
    },
    /// The program ran and did not do it.
    #[error("`{program}` did not {what}: {said}")]
    Refused {
        /// Its name or path.
        program: String,
        /// What it was to do.
        what: &'static str,
        /// What it printed.
        said: String,
    },
}

/// Why a fence does not do what it was told, for whoever asks; what is new goes to the log, which says it once.
fn note(trouble: &mut Option<String>, said: Option<String>, log: impl FnOnce(&str)) {
    if let Some(said) = said.as_ref().filter(|said| trouble.as_ref() != Some(said)) {
        log(said);
    }
    *trouble = said;
}
