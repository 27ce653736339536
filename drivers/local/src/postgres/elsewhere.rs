//! A server of this data directory whose processes cannot be seen: it runs in namespaces of its own, as in a container into which
//! the directory is mounted. Neither the table of processes nor the list of shared memory knows of it, so that nothing left
//! there proves nothing; its address is asked before anybody relies on that.
//!
//! The same system is not enough: the address may lead to another copy by now. The same pid file is the same directory.

use super::PostgresDriver;
use super::control::Control;
use super::directory::Directory;
use super::session::{Session, SqlError, column};
use pilotlight_core::code;
use pilotlight_core::outcome::Failure;
use std::time::Duration;

const WHO: &str = "SELECT system_identifier AS system, pg_read_file('postmaster.pid', 0, 4096, true) AS pid_file \
    FROM pg_control_system()";

/// Who answers at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    /// Nobody, or nobody who speaks as PostgreSQL does.
    Nobody,
    /// A server that does not say who it is.
    Unnamed(String),
    /// A server with its system, and its pid file if it has one.
    Server { system: String, pid_file: Option<String> },
}

impl PostgresDriver {
    /// A refusal if the server of the directory answers although no process of it is seen. Asks where the agent finds it and
    /// where others do; a server that is gone is answered for by the kernel at once.
    pub(super) async fn unseen_server(&self, directory: &Directory, within: Duration) -> Option<Failure> {
        let (beside, planned) = (self.look.another(), self.plainly(&self.own));
        let (beside, planned) = tokio::join!(who(&beside, within), who(&planned, within));
        for heard in [beside, planned] {
            let says = match heard {
                Heard::Nobody => continue,
                Heard::Unnamed(says) => format!("a server does not say who it is ({says})"),
                Heard::Server { system, pid_file } if self.is_of(directory, &system, pid_file.as_deref()).await => {
                    "the server of that directory answers".to_owned()
                }
                Heard::Server { .. } => continue,
            };
            let (code, path, port) = (code::UNSEEN_SERVER, directory.path().display(), self.own.port);
            let message = format!("{code}: no process that works in {path} is seen here, but at port {port} {says}");
            return Some(Failure::rejected(message).hint(
                "run the agent where it sees the server's processes and shared memory, or let the agent start the server",
            ));
        }
        None
    }

    async fn is_of(&self, directory: &Directory, system: &str, pid_file: Option<&str>) -> bool {
        let ours = std::fs::read_to_string(directory.path().join("postmaster.pid")).ok();
        match (ours.as_deref(), pid_file) {
            (Some(ours), Some(theirs)) => head(ours) == head(theirs),
            (None, None) => Control::of(directory, &self.programs).await.is_ok_and(|own| own.system == system),
            _ => false,
        }
    }
}

/// Pid, directory and start: what does not change while it runs.
fn head(pid_file: &str) -> Vec<&str> {
    pid_file.lines().take(3).map(str::trim).collect()
}

async fn who(session: &Session, within: Duration) -> Heard {
    match session.rows(WHO, within, false).await {
        Ok(rows) => {
            let row = rows.first();
            let word = |name| row.and_then(|r| column(r, name)).map(str::to_owned);
            Heard::Server { system: word("system").unwrap_or_default(), pid_file: word("pid_file") }
        }
        Err(refused @ SqlError::Refused { .. }) => Heard::Unnamed(refused.to_string()),
        Err(_) => Heard::Nobody,
    }
}
