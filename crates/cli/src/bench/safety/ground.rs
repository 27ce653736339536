//! What rounds are played on: our own pair, or that of a peer, with the same clients and the same rows.

use super::case::Case;
use super::judge::Round;
use crate::demo::DemoError;
use async_trait::async_trait;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_lab::database::{self, Database};
use pilotlight_lab::net::{Net, NetError, Place};
use pilotlight_lab::writer::{self, Writer};
use std::collections::BTreeSet;
use std::time::Duration;

/// Before the fault each writer has so many acknowledgements, so that the gap is not one of the start.
const WARM: usize = 30;
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);
/// A round has so many ids for each of its clients.
pub(super) const IDS: i64 = 1_000_000;
/// Rows of writer B have ids from here on, so that the two never meet.
const B: i64 = 1_000_000_000;
/// Those of the old client from here on.
const OLD: i64 = 2_000_000_000;

/// A pair on which rounds are played one after the other.
#[async_trait]
pub(super) trait Ground: Send {
    /// One round, from a settled pair to a settled pair.
    async fn play(&mut self, case: Case, n: u32) -> Result<Round, DemoError>;

    /// What there is to read after a round that went wrong.
    async fn told(&mut self) -> String;
}

/// The clients of a round.
pub(super) struct Writers {
    pub(super) a: Writer,
    pub(super) b: Writer,
    /// Beside A, with a connection that waives the wait: only a fence of the connections ends it. There with such a fence.
    pub(super) old_client: Option<Writer>,
    /// The old writer's number among B's servers.
    pub(super) old: usize,
}

/// Where the clients of a round find what they write to.
pub(super) struct Servers<'a> {
    pub(super) net: &'a Net,
    /// East's port for clients, and west's.
    pub(super) ports: [u16; 2],
    pub(super) password: String,
    /// Where the writer is.
    pub(super) home: Place,
    /// Ids of this round come after it.
    pub(super) after: i64,
    /// There is an old client, too.
    pub(super) fenced: bool,
}

impl Servers<'_> {
    /// Starts the clients. The writers beside the old writer know only that one, the users know both.
    fn start(&self) -> Result<Writers, DemoError> {
        let regions = [Place::East, Place::West];
        let old = usize::from(self.home == regions[1]);
        let way = |from, to: usize| -> Result<_, NetError> { self.net.way(Some(from), regions[to], self.ports[to]) };
        let order = |servers, after, place| {
            let door = self.net.door(place);
            writer::Order { after, door, ..writer::Order::of(servers, self.password.clone()) }
        };
        let beside = order(vec![way(self.home, old)?], self.after, self.home);
        let waiving = writer::Order { waives: true, ..order(vec![way(self.home, old)?], OLD + self.after, self.home) };
        let both = vec![way(Place::Clients, 0)?, way(Place::Clients, 1)?];
        let mut users = order(both, B + self.after, Place::Clients);
        if matches!(self.net, Net::Relays(_)) {
            users.give_up = Some(Duration::from_secs(2));
        }
        let start = |order| Writer::start(order).map_err(|e| DemoError::at("a writer", e));
        let old_client = self.fenced.then(|| start(waiving)).transpose()?;
        Ok(Writers { a: start(beside)?, b: start(users)?, old_client, old })
    }
}

impl Writers {
    /// Starts the clients and waits until all are under way.
    pub(super) async fn start(servers: &Servers<'_>) -> Result<Self, DemoError> {
        let writers = servers.start()?;
        let end = SystemClock.mono() + PATIENCE;
        let all = || [&writers.a, &writers.b].into_iter().chain(&writers.old_client);
        while all().any(|w| w.look(|log| log.acks.len() < WARM)) {
            if SystemClock.mono() > end {
                let seen = all().map(|w| w.look(|log| format!("{} rows, {:?}", log.acks.len(), log.last_error)));
                let (what, seen) = ("the first rows of every client".to_owned(), seen.collect::<Vec<_>>().join("; "));
                return Err(DemoError::Waited { what, seconds: PATIENCE.as_secs(), seen });
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(writers)
    }

    /// B's acknowledgements by the new side.
    pub(super) fn new_side(&self) -> usize {
        let old = self.old;
        self.b.look(|log| log.acks.iter().rev().take_while(|a| a.server != old).count())
    }
}

/// Every row that the writer holds of the round whose ids come after this one.
pub(super) async fn rows(database: &Database, after: i64) -> Result<BTreeSet<i64>, DemoError> {
    let end = after + IDS;
    let between = [0, B, OLD].map(|client| format!("id between {} and {}", client + after, client + end));
    let query = format!("select id::text from heartbeat where {}", between.join(" or "));
    let rows = database::column(database, &query).await.map_err(|e| DemoError::Database {
        region: "the lane".to_owned(),
        what: "list its rows",
        source: Box::new(e),
    })?;
    Ok(rows.iter().filter_map(|id| id.parse().ok()).collect())
}

/// When a server was started.
pub(super) async fn born(database: &Database) -> Result<Vec<String>, DemoError> {
    let asked = database::column(database, "select pg_postmaster_start_time()::text").await;
    asked.map_err(|e| DemoError::Database {
        region: "the lane".to_owned(),
        what: "say when it was started",
        source: Box::new(e),
    })
}

/// The same numbers for the same seed.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    /// A number from 0 up to `below`.
    pub(super) fn below(&mut self, below: u64) -> u64 {
        // Knuth's linear congruence; the high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below.max(1)
    }
}

/// The load of the last minute.
pub(super) fn load() -> f64 {
    std::fs::read_to_string("/proc/loadavg").ok().and_then(|l| l.split(' ').next()?.parse().ok()).unwrap_or_default()
}
