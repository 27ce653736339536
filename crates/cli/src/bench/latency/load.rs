//! The loads: `pgbench` with 1, 8 and 64 clients, and one statement that inserts a million rows.

use super::stand::{Stand, failed};
use crate::demo::DemoError;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_lab::database;
use std::fmt;
use std::process::Stdio;
use std::time::Duration;

/// Touches most pages after a checkpoint, so that whole pages in the log are nobody's burden.
const WARM_UP: Duration = Duration::from_secs(3);
/// About a second of work.
const BULK_ROWS: u32 = 1_000_000;

/// A load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// So many clients, each with one short transaction after the other.
    Clients(u32),
    /// One long transaction.
    Bulk,
}

pub(super) const LOADS: [Load; 4] = [Load::Clients(1), Load::Clients(8), Load::Clients(64), Load::Bulk];

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Load::Clients(1) => f.write_str("1 client"),
            Load::Clients(n) => write!(f, "{n} clients"),
            Load::Bulk => f.write_str("bulk load"),
        }
    }
}

impl Load {
    /// What the guarantee may cost at most, as a ratio: one round trip to a local process weighs less, the more there is
    /// beside it.
    pub(super) fn most(self) -> f64 {
        match self {
            Load::Clients(1) => 1.3,
            Load::Clients(n) if n < 64 => 1.2,
            Load::Clients(_) | Load::Bulk => 1.05,
        }
    }

    /// Milliseconds: of a transaction on average, or of the whole bulk load.
    pub(super) async fn run(self, stand: &Stand, time: Duration) -> Result<f64, DemoError> {
        match self {
            Load::Clients(clients) => pgbench(stand, clients, time).await,
            Load::Bulk => bulk(stand).await,
        }
    }
}

/// The table of `pgbench`, a million rows.
pub(super) async fn prepare(stand: &Stand) -> Result<(), DemoError> {
    program(stand, &["-i", "-q", "-s", "10"]).await.map(|_| ())
}

/// Begins a round: log is recycled, dead rows are gone, pages are in memory.
pub(super) async fn warm_up(stand: &Stand) -> Result<(), DemoError> {
    stand.say("vacuum").await?;
    stand.say("checkpoint").await?;
    pgbench(stand, 64, WARM_UP).await.map(|_| ())
}

async fn pgbench(stand: &Stand, clients: u32, time: Duration) -> Result<f64, DemoError> {
    let (clients, threads) = (clients.to_string(), clients.min(2).to_string());
    let seconds = time.as_secs().max(1).to_string();
    let words = ["-n", "-N", "-M", "prepared", "-c", &clients, "-j", &threads, "-T", &seconds];
    let said = program(stand, &words).await?;
    average(&said).ok_or_else(|| failed("say how long a transaction took", said.into()))
}

/// Of `latency average = 0.612 ms`. Nothing when a transaction has failed.
fn average(said: &str) -> Option<f64> {
    let value = |name: &str| said.lines().find_map(|line| line.trim().strip_prefix(name)?.split(' ').next());
    if value("number of failed transactions: ").is_some_and(|n| n != "0") {
        return None;
    }
    value("latency average = ")?.parse().ok()
}

async fn program(stand: &Stand, words: &[&str]) -> Result<String, DemoError> {
    let database = stand.door();
    let (host, port) = (database.at.ip().to_string(), database.at.port().to_string());
    let mut command = tokio::process::Command::new(stand.bin_dir.join("pgbench"));
    command.args(words).args(["-h", &host, "-p", &port, "-U", "postgres", "postgres"]);
    command.env("PGPASSWORD", &database.password).stdin(Stdio::null()).kill_on_drop(true);
    let done = command.output().await.map_err(|e| DemoError::at("pgbench", e))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    Err(failed("run pgbench", String::from_utf8_lossy(&done.stderr).into_owned().into()))
}

async fn bulk(stand: &Stand) -> Result<f64, DemoError> {
    stand.say("drop table if exists bulk; create table bulk (id bigint, word text)").await?;
    stand.caught_up().await?;
    let insert = format!("insert into bulk select g, md5(g::text) from generate_series(1, {BULK_ROWS}) g");
    let began = SystemClock.mono();
    database::execute(&stand.door(), &insert).await.map_err(|e| failed("take the bulk load", e.into()))?;
    let took = SystemClock.mono().since(began).as_secs_f64() * 1_000.0;
    stand.caught_up().await?;
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_is_read_unless_something_failed() {
        let said = |failed: u32| {
            format!(
                "pgbench (15.18)\nnumber of transactions actually processed: 9\nnumber of failed transactions: {failed} \
                 (0.000%)\nlatency average = 0.612 ms\ninitial connection time = 3.1 ms\n"
            )
        };
        assert_eq!(average(&said(0)), Some(0.612));
        assert_eq!(average(&said(2)), None);
        assert_eq!(average("nothing of the kind"), None);
    }
}
