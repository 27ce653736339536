//! A client at PostgreSQL level, for benchmarks: one connection, one insert in flight, reconnecting for ever.
//!
//! Every attempt has a new id, so an attempt whose answer never came is in doubt and is never confused with an
//! acknowledged one. It does what a careful client does: it dials all servers at once and takes the first that accepts
//! writes, with short timeouts. It runs on a thread of its own, in the network of its place.

use crate::net::Door;
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
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
    /// Which of the servers acknowledged it, counted from 0.
    pub server: usize,
    /// When it was sent.
    pub sent: Mono,
    /// When the answer was there.
    pub acked: Mono,
}

/// What to write to.
#[derive(Debug, Clone)]
pub struct Order {
    /// The servers it knows.
    pub servers: Vec<SocketAddr>,
    /// The password of the superuser.
    pub password: String,
    /// Rows a second.
    pub per_second: u32,
    /// The first row's id is the next one.
    pub after: i64,
    /// Where it is.
    pub door: Door,
    /// Leaves a server that has not answered for so long. `None` leaves that to TCP, which relays cannot show.
    pub give_up: Option<Duration>,
    /// Its sessions set `synchronous_commit = off`: no gate and no candidate is asked about what they are told.
    pub waives: bool,
}

impl Order {
    /// A hundred rows a second from the first one on, in no particular place.
    pub fn of(servers: Vec<SocketAddr>, password: String) -> Self {
        Self { servers, password, per_second: 100, after: 0, door: Door::default(), give_up: None, waives: false }
    }
}

/// A running writer.
#[derive(Debug)]
pub struct Writer {
    stop: CancellationToken,
    log: Arc<Mutex<Log>>,
    ended: oneshot::Receiver<()>,
}

/// What a writer saw.
#[derive(Debug, Default, Clone)]
pub struct Log {
    /// In order of time.
    pub acks: Vec<Ack>,
    /// Attempts, acknowledged or not.
    pub attempts: u64,
    /// When a connection that had worked was found to be over.
    pub cuts: Vec<Mono>,
    /// Dials that found no writer since the last connection.
    pub turned_away: u64,
    /// The last error, for people.
    pub last_error: Option<String>,
}

impl Writer {
    /// Starts writing to whichever of the servers accepts writes.
    pub fn start(order: Order) -> io::Result<Self> {
        let (stop, log) = (CancellationToken::new(), Arc::new(Mutex::new(Log::default())));
        let (done, ended) = oneshot::channel();
        let (stopped, seen) = (stop.clone(), log.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        order.door.clone().spawn("writer", move || {
            runtime.block_on(write(order, &seen, stopped));
            // Whoever waited has gone; nothing to tell.
            let _ = done.send(());
        })?;
        Ok(Self { stop, log, ended })
    }

    /// What it saw so far.
    pub fn look<T>(&self, at: impl FnOnce(&Log) -> T) -> T {
        at(&lock(&self.log))
    }

    /// Ends it and answers what it saw.
    pub async fn stop(mut self) -> Log {
        self.stop.cancel();
        let _ = (&mut self.ended).await;
        std::mem::take(&mut lock(&self.log))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write(order: Order, log: &Arc<Mutex<Log>>, stop: CancellationToken) {
    let mut due = tokio::time::interval(Duration::from_secs(1) / order.per_second.max(1));
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut id = order.after;
    loop {
        let (server, client) = tokio::select! {
            () = stop.cancelled() => return,
            open = connect(&order, log) => open,
        };
        let insert = tokio::select! {
            () = stop.cancelled() => return,
            insert = client.prepare("insert into heartbeat (id) values ($1)") => insert,
        };
        let insert = match insert {
            Ok(insert) => insert,
            Err(e) => {
                lock(log).last_error = Some(e.to_string());
                continue;
            }
        };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = due.tick() => {}
            }
            id += 1;
            lock(log).attempts += 1;
            let row: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&id];
            let sent = SystemClock.mono();
            let answer = tokio::select! {
                () = stop.cancelled() => return,
                answer = client.execute(&insert, &row) => answer,
                () = wait(order.give_up) => {
                    lock(log).cut("no answer in time".to_owned());
                    break;
                }
            };
            let acked = SystemClock.mono();
            match answer {
                Ok(_) => lock(log).acks.push(Ack { id, server, sent, acked }),
                Err(e) => {
                    lock(log).cut(e.to_string());
                    break;
                }
            }
        }
    }
}

async fn wait(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// Dials every server again and again until one accepts writes.
async fn connect(order: &Order, log: &Arc<Mutex<Log>>) -> (usize, Client) {
    lock(log).turned_away = 0;
    let mut dials = JoinSet::new();
    for (server, at) in order.servers.iter().enumerate() {
        dials.spawn(dial(server, config(*at, order), log.clone()));
    }
    loop {
        match dials.join_next().await {
            Some(Ok(open)) => return open,
            Some(Err(e)) => lock(log).last_error = Some(e.to_string()),
            // No server at all: waits until it is stopped.
            None => std::future::pending().await,
        }
    }
}

async fn dial(server: usize, config: Config, log: Arc<Mutex<Log>>) -> (usize, Client) {
    loop {
        if let Ok((client, connection)) = config.connect(NoTls).await {
            // Ends with the client.
            tokio::spawn(connection);
            return (server, client);
        }
        lock(&log).turned_away += 1;
        tokio::time::sleep(RETRY).await;
    }
}

fn config(at: SocketAddr, order: &Order) -> Config {
    let mut config = Config::new();
    if order.waives {
        config.options("-c synchronous_commit=off");
    }
    config
        .host(at.ip().to_string())
        .port(at.port())
        .user("postgres")
        .password(&order.password)
        .dbname("postgres")
        .application_name("heartbeat")
        .target_session_attrs(TargetSessionAttrs::ReadWrite)
        .connect_timeout(Duration::from_secs(2))
        .tcp_user_timeout(Duration::from_secs(2))
        .keepalives_idle(Duration::from_secs(1))
        .keepalives_interval(Duration::from_secs(1))
        .keepalives_retries(2);
    config
}

impl Log {
    fn cut(&mut self, why: String) {
        self.cuts.push(SystemClock.mono());
        self.last_error = Some(why);
    }

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
        Ack { id, server: 0, sent: at, acked: at }
    }

    #[test]
    fn the_longest_gap_is_looked_for_after_the_fault_only() {
        let log = Log { acks: vec![ack(1, 0), ack(2, 900), ack(3, 910), ack(4, 1_310)], ..Log::default() };
        assert_eq!(log.longest_gap(Mono(Duration::from_millis(905))), Duration::from_millis(400));
        assert_eq!(log.lost(&BTreeSet::from([1, 2, 4])), vec![3]);
    }
}
