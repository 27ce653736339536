//! The demo: loses a region on this machine, for real, and measures from outside what that took and cost.
//!
//! Everything is real: PostgreSQL, its replication, processes killed with -9, DNS queries over a socket, a client that
//! knows nothing but a name. What is not real is the distance: all of it runs on loopback.

pub(crate) mod acts;
pub(crate) mod evidence;
pub(crate) mod figures;
pub(crate) mod plan;
pub(crate) mod scene;
pub(crate) mod stage;
pub(crate) mod watch;

pub(crate) use crate::args::FaultArg;
use crate::error::{CliError, Exit};
use crate::follow::Stopped;

/// The demo could not be played to its end. That an objective was missed is not an error but a result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// Something of the stage could not be made or started.
    #[error("cannot set up {what}")]
    Stage {
        /// Which part.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// The demo's own plan was refused.
    #[error("the demo's plan has faults: {0}")]
    Plan(String),
    /// The database would not do as asked.
    #[error("the database of {region} would not {what}")]
    Database {
        /// Whose.
        region: String,
        /// What was asked.
        what: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something that had to come did not.
    #[error("waited {seconds} s for {what}; last seen: {seen}")]
    Waited {
        /// What for.
        what: String,
        /// How long.
        seconds: u64,
        /// What was there instead.
        seen: String,
    },
    /// A process ended that had to run.
    #[error("{0}")]
    Ended(String),
    /// The network between the places would not do as asked.
    #[error("the network of the lab: {0}")]
    Net(#[from] pilotlight_lab::net::NetError),
    /// The controller refused.
    #[error("the controller refused: {0}")]
    Refused(String),
}

impl DemoError {
    /// A part of the stage failed.
    pub(crate) fn at(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Stage { what: what.into(), source }
    }
}

impl Stopped {
    /// In the words of the demo: what was waited for.
    pub(crate) fn before(self, what: &str) -> DemoError {
        match self {
            Stopped::TooLong { seconds, seen } => DemoError::Waited { what: what.to_owned(), seconds, seen },
            Stopped::Refused(e) => DemoError::Refused(format!("{:#}", e.cause)),
        }
    }
}

impl From<DemoError> for CliError {
    fn from(e: DemoError) -> Self {
        let code = match &e {
            DemoError::Plan(_) => return CliError::new(Exit::Bug, e),
            DemoError::Net(_) => "PL-0816",
            DemoError::Waited { .. } | DemoError::Refused(_) => "PL-0802",
            _ => "PL-0801",
        };
        CliError::new(Exit::Failed, e).code(code)
    }
}
