//! A client at PostgreSQL level, for benchmarks: one connection, one insert in flight, reconnecting for ever.
//!
//! Every attempt has a new id, so an attempt whose answer never came is in doubt and is never confused with an
//! acknowledged one. It does what a careful libpq client does: several hosts, read-write wanted, short timeouts.

use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{Client, Config, NoTls};
use tokio_util::sync::CancellationToken;

/// The table it writes to.
pub const SCHEMA: &str = "create table if not exists heartbeat (\
     id bigint primary key, at timestamptz not null default clock_timestamp())";

/// Pause after a failed connect, as in the client the peers were measured with.
const RETRY: Duration = Duration::from_millis(20);

/// One acknowledged insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The row.
    pub id: i64,
    /// When it was sent.
    pub sent: Mono,
    /// When the answer was there.
    pub acked: Mono,
}

/// A running writer.
#[derive(Debug)]
pub struct Writer {
    stop: CancellationToken,
    task: JoinHandle<Log>,
}

/// What a writer saw.
#[derive(Debug, Default)]
pub struct Log {
    /// In order of time.
    pub acks: Vec<Ack>,
    /// Attempts, acknowledged or not.
    pub attempts: u64,
    /// The last error, for people.
    pub last_error: Option<String>,
}

impl Writer {
    /// Starts writing `per_second` rows to whichever of the servers of 127.0.0.1 accepts writes.
    pub fn start(ports: &[u16], password: &str, per_second: u32) -> Self {
        let mut config = Config::new();
        for port in ports {
            config.host("127.0.0.1").port(*port);
        }
        config
            .user("postgres")
            .password(password)
            .dbname("postgres")
            .application_name("heartbeat")
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(Duration::from_secs(2))
            .tcp_user_timeout(Duration::from_secs(2))
            .keepalives_idle(Duration::from_secs(1));
        let stop = CancellationToken::new();
        let period = Duration::from_secs(1) / per_second.max(1);
        let task = tokio::spawn(write(config, period, stop.clone()));
        Self { stop, task }
    }

    /// Ends it and answers what it saw.
    pub async fn stop(self) -> Log {
        self.stop.cancel();
        self.task.await.unwrap_or_default()
    }
}

async fn write(config: Config, period: Duration, stop: CancellationToken) -> Log {
    let mut log = Log::default();
    let mut client: Option<Client> = None;
    let mut due = tokio::time::interval(period);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while !stop.is_cancelled() {
        let Some(open) = &client else {
            match config.connect(NoTls).await {
                Ok((new, connection)) => {
                    // Ends with the client.
                    tokio::spawn(connection);
                    client = Some(new);
                }
                Err(e) => {
                    log.last_error = Some(e.to_string());
                    tokio::time::sleep(RETRY).await;
                }
            }
            continue;
        };
        tokio::select! {
            () = stop.cancelled() => break,
            _ = due.tick() => {}
        }
        log.attempts += 1;
        let id = i64::try_from(log.attempts).unwrap_or(i64::MAX);
        let row: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&id];
        let sent = SystemClock.mono();
        let answer = tokio::select! {
            () = stop.cancelled() => break,
            answer = open.execute("insert into heartbeat (id) values ($1)", &row) => answer,
        };
        match answer {
            Ok(_) => log.acks.push(Ack { id, sent, acked: SystemClock.mono() }),
            Err(e) => {
                log.last_error = Some(e.to_string());
                client = None;
            }
        }
    }
    log
}

impl Log {
    /// The longest silence between two acknowledgements of which the later came after `from`.
    pub fn longest_gap(&self, from: Mono) -> Duration {
        self.acks
            .windows(2)
            .filter(|pair| pair[1].acked >= from)
            .map(|pair| pair[1].acked.since(pair[0].acked))
            .max()
            .unwrap_or_default()
    }

    /// Acknowledged rows that are not among `held`.
    pub fn lost(&self, held: &BTreeSet<i64>) -> Vec<i64> {
        self.acks.iter().map(|a| a.id).filter(|id| !held.contains(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(id: i64, ms: u64) -> Ack {
        let at = Mono(Duration::from_millis(ms));
        Ack { id, sent: at, acked: at }
    }

    #[test]
    fn the_longest_gap_is_looked_for_after_the_fault_only() {
        let log = Log { acks: vec![ack(1, 0), ack(2, 900), ack(3, 910), ack(4, 1_310)], ..Log::default() };
        assert_eq!(log.longest_gap(Mono(Duration::from_millis(905))), Duration::from_millis(400));
        assert_eq!(log.lost(&BTreeSet::from([1, 2, 4])), vec![3]);
    }
}
