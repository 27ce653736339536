//! A lane: one pair with its own network, on which rounds are played one after the other.

use super::Order;
use super::blow::{self, Struck};
use super::case::{Case, Expect};
use super::judge::{Round, Seen, judge};
use super::kept;
use super::names::Watch;
use crate::bench::pair::{Pair, SMALL_BUFFERS};
use crate::demo::DemoError;
use crate::demo::plan::{Controllers, NAME, Settings};
use crate::wiring;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::RunId;
use pilotlight_core::plan::ConnectionFence;
use pilotlight_core::run::RunView;
use pilotlight_core::time::{Mono, Wall, show_duration};
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_lab::database;
use pilotlight_lab::folder;
use pilotlight_lab::net::{Net, Place};
use pilotlight_lab::region::Process;
use pilotlight_lab::writer::{self, Writer};
use pilotlight_server::api::view::{RecordsView, StatusView};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// Before the fault each writer has so many acknowledgements, so that the gap is not one of the start.
const WARM: usize = 30;
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);
/// Rows of writer B have ids from here on, so that the two never meet.
const B: i64 = 1_000_000_000;
/// Those of the old client from here on.
const OLD: i64 = 2_000_000_000;

/// The pair, and where it stands in its row of numbers.
pub(super) struct Lane {
    // Taken out at the end only.
    pair: Option<Pair>,
    next: i64,
    /// Bundles of earlier rounds.
    bundles: BTreeSet<String>,
    chance: u64,
    pub(super) lease: Duration,
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

impl Writers {
    /// B's acknowledgements by the new side.
    pub(super) fn new_side(&self) -> usize {
        let old = self.old;
        self.b.look(|log| log.acks.iter().rev().take_while(|a| a.server != old).count())
    }
}

/// Ends what an earlier lab left that died without cleaning up, and only that.
pub(super) fn sweep() {
    for left in folder::abandoned(crate::demo::stage::PREFIX) {
        for region in ["east", "west"] {
            wiring::lab::end_database(&left.join(region).join("database"));
        }
        folder::remove(&left);
    }
}

impl Lane {
    /// Makes databases, starts everything, waits until all is well.
    pub(super) async fn start(number: usize, order: &Order, controllers: &Controllers) -> Result<Self, DemoError> {
        let settings = Settings {
            controllers: controllers.clone(),
            lease: show_duration(order.lease),
            // A death of the controller on top of that of a region takes a second lease, which may count as exposed.
            rpo: "30s",
            on_postmaster_death: "restart",
            guarantee: order.guarantee,
            rate: 1,
            rows: true,
            shared_buffers: SMALL_BUFFERS,
            net: order.net,
            shares: false,
            fence: order.fence,
        };
        let pair = Pair::start(settings).await?;
        let chance = order.seed.wrapping_add(number as u64 * 7_919);
        Ok(Self { pair: Some(pair), next: 0, bundles: BTreeSet::new(), chance, lease: order.lease })
    }

    pub(super) fn pair(&mut self) -> &mut Pair {
        self.pair.as_mut().expect("taken out in drop only")
    }

    /// What the places are joined by.
    pub(super) fn net_kind(&mut self) -> &str {
        &self.pair().stage().net_kind
    }

    pub(super) fn net(&mut self) -> &Net {
        &self.pair().stage().net
    }

    /// The last lines of every log.
    pub(super) fn logs(&mut self) -> String {
        self.pair().stage().logs()
    }

    /// The last records of a run that does not end.
    pub(super) async fn open_run(&mut self) -> String {
        let operator = self.pair().scene().operator.clone();
        let Ok(status) = operator.get::<StatusView>("/v1/status").await else { return String::new() };
        let Some(run) = status.open_runs.first().map(|run| run.run.clone()) else { return String::new() };
        let records: Result<RecordsView, _> = operator.get(&format!("/v1/runs/{run}/records?from=1")).await;
        let records = records.map(|view| view.records).unwrap_or_default();
        let last = records.iter().rev().take(4).rev().map(|record| format!("{run}: {:?}\n", record.event));
        last.collect()
    }

    /// The writer's place, and the standby's.
    pub(super) fn places(&mut self) -> (Place, Place) {
        if self.pair().writer() == "east" { (Place::East, Place::West) } else { (Place::West, Place::East) }
    }

    /// A number from 0 up to `below`, the same for the same seed.
    pub(super) fn chance(&mut self, below: u64) -> u64 {
        // Knuth's linear congruence; the high bits are the good ones.
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % below.max(1)
    }

    /// Freezes processes of a region until [`Lane::thaw`].
    pub(super) fn freeze(&mut self, region: &str, wanted: impl Fn(&Process) -> bool) {
        self.pair().stage().freeze(region, wanted);
    }

    pub(super) fn thaw(&mut self) -> Mono {
        let at = SystemClock.mono();
        self.pair().stage().thaw();
        at
    }

    /// Waits until B has so many acknowledgements of the new side.
    pub(super) async fn until_new(&mut self, writers: &Writers, count: usize) -> Result<(), DemoError> {
        let end = SystemClock.mono() + PATIENCE;
        while writers.new_side() < count {
            if SystemClock.mono() > end {
                let seen = match self.pair().scene().look().await {
                    Ok(seen) => seen.why_no_failover(),
                    Err(unreachable) => unreachable,
                };
                let error = writers.b.look(|log| log.last_error.clone()).unwrap_or_default();
                return Err(DemoError::Waited {
                    what: "writes on the other side".to_owned(),
                    seconds: PATIENCE.as_secs(),
                    seen: format!("{seen}; the client: {error}"),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// One round, from a settled pair to a settled pair.
    pub(super) async fn play(&mut self, case: Case, n: u32) -> Result<Round, DemoError> {
        let server = SocketAddr::new(self.net().address(Place::Third), self.pair().stage().sites.dns_port);
        let watch = Watch::start(server, NAME).map_err(|e| DemoError::at("the watch over the name", e))?;
        self.until_rows_can_be_kept().await?;
        let born = self.born().await?;
        let writers = self.write().await?;
        // Faults are spread over the time between two renewals, and a little more.
        let phase = self.chance(700);
        tokio::time::sleep(Duration::from_millis(phase)).await;
        let (load, at, wall) = (load(), SystemClock.mono(), SystemClock.wall());
        let before = self.pair().last_failover().await;
        let struck = blow::strike(self, case, n, &writers).await;
        let until = SystemClock.mono();
        let old = writers.old;
        let (a, b) = (writers.a.stop().await, writers.b.stop().await);
        let old_client = match writers.old_client {
            Some(client) => Some(client.stop().await),
            None => None,
        };
        // Taken back whatever came of it: a failed round must not leave anything frozen.
        self.thaw();
        self.net().heal_all()?;
        let Struck { detail, thawed, paused } = struck?;
        self.pair().settle_wherever().await?;
        let held = self.rows().await?;
        let operator = self.pair().scene().operator.clone();
        let kept = kept::read(&operator, &mut self.bundles).await;
        let kept = kept.map_err(|e| DemoError::Refused(format!("{:#}", e.cause)))?;
        let old_client = old_client.as_ref();
        let mut round =
            judge(&Seen { at, until, thawed, paused, old, a: &a, b: &b, old_client, held: &held, kept: &kept });
        (round.case, round.n, round.detail) = (case.name(), n, detail);
        (round.load, round.empty_names) = (load, watch.empty());
        (round.decided_ms, round.promoted_ms) = self.split(before, wall).await;
        round.restarted = self.born().await? != born;
        if case.expects() != Expect::Moves && round.moved {
            round.detail.push_str(" (was not to move)");
        }
        Ok(round)
    }

    /// When the failover of this round was started and had promoted, in milliseconds after the fault.
    async fn split(&mut self, before: Option<RunId>, at: Wall) -> (Option<f64>, Option<f64>) {
        let Some(run) = self.pair().last_failover().await.filter(|run| Some(run) != before.as_ref()) else {
            return (None, None);
        };
        let operator = self.pair().scene().operator;
        let Ok(view) = operator.get::<RunView>(&format!("/v1/runs/{run}")).await else { return (None, None) };
        let after = |wall: Wall| wall.0.saturating_sub(at.0) as f64;
        let promote = view.steps.iter().find(|s| matches!(s.effect, Effect::Promote { .. }));
        (Some(after(view.started)), promote.and_then(|s| s.ended).map(after))
    }

    /// When the writer's server was started.
    async fn born(&mut self) -> Result<Vec<String>, DemoError> {
        let database = self.pair().database();
        let asked = database::column(&database, "select pg_postmaster_start_time()::text").await;
        asked.map_err(|e| DemoError::Database {
            region: "the lane".to_owned(),
            what: "say when it was started",
            source: Box::new(e),
        })
    }

    /// Waits until what the rows of a loss will be read by stands on the writer: it is made a moment after a standby has come.
    async fn until_rows_can_be_kept(&mut self) -> Result<(), DemoError> {
        let (database, end) = (self.pair().database(), SystemClock.mono() + PATIENCE);
        let stands =
            "select confirmed_flush_lsn::text from pg_replication_slots where slot_type = 'logical' and not temporary";
        loop {
            let seen = database::column(&database, stands).await;
            match seen {
                Ok(slots) if slots.iter().any(|at| !at.is_empty()) => return Ok(()),
                seen if SystemClock.mono() > end => {
                    let (what, seen) = ("the slot for the rows of a loss".to_owned(), format!("{seen:?}"));
                    return Err(DemoError::Waited { what, seconds: PATIENCE.as_secs(), seen });
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Starts both clients and waits until both are under way.
    async fn write(&mut self) -> Result<Writers, DemoError> {
        let (home, _) = self.places();
        let regions = ["east", "west"];
        let writer = self.pair().writer();
        let old = usize::from(writer == regions[1]);
        self.next += 1_000_000;
        let (after, stage) = (self.next, self.pair().stage());
        let password = stage.database(writer).password;
        let fence = stage.settings.fence;
        let port = |region: &str| stage.site(region).client_port(fence);
        let way = |from, region: &str| stage.net.way(Some(from), stage.site(region).place, port(region));
        let order = |servers, after, place| writer::Order {
            servers,
            password: password.clone(),
            per_second: 100,
            after,
            door: stage.net.door(place),
            give_up: None,
            waives: false,
        };
        let beside = order(vec![way(home, writer)?], after, home);
        let waiving = writer::Order { waives: true, ..order(vec![way(home, writer)?], OLD + after, home) };
        let both = vec![way(Place::Clients, regions[0])?, way(Place::Clients, regions[1])?];
        let mut users = order(both, B + after, Place::Clients);
        if matches!(stage.net, Net::Relays(_)) {
            users.give_up = Some(Duration::from_secs(2));
        }
        let failed = |e| DemoError::at("a writer", e);
        let (a, b) = (Writer::start(beside).map_err(failed)?, Writer::start(users).map_err(failed)?);
        let old_client = match fence {
            ConnectionFence::None => None,
            ConnectionFence::Kernel | ConnectionFence::Proxy => Some(Writer::start(waiving).map_err(failed)?),
        };
        let end = SystemClock.mono() + PATIENCE;
        let all = || [&a, &b].into_iter().chain(&old_client);
        while all().any(|w| w.look(|log| log.acks.len() < WARM)) {
            if SystemClock.mono() > end {
                let seen = all().map(|w| w.look(|log| format!("{} rows, {:?}", log.acks.len(), log.last_error)));
                let (what, seen) = ("the first rows of every client".to_owned(), seen.collect::<Vec<_>>().join("; "));
                return Err(DemoError::Waited { what, seconds: PATIENCE.as_secs(), seen });
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(Writers { a, b, old_client, old })
    }

    /// Every row of this round that the writer holds.
    async fn rows(&mut self) -> Result<BTreeSet<i64>, DemoError> {
        let (first, end) = (self.next, self.next + 1_000_000);
        let query = format!(
            "select id::text from heartbeat where id between {first} and {end} or id between {} and {}",
            B + first,
            B + end
        );
        let database = self.pair().database();
        let rows = database::column(&database, &query).await.map_err(|e| DemoError::Database {
            region: "the lane".to_owned(),
            what: "list its rows",
            source: Box::new(e),
        })?;
        Ok(rows.iter().filter_map(|id| id.parse().ok()).collect())
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(pair) = self.pair.take() {
            pair.close();
        }
    }
}

/// The load of the last minute.
fn load() -> f64 {
    std::fs::read_to_string("/proc/loadavg").ok().and_then(|l| l.split(' ').next()?.parse().ok()).unwrap_or_default()
}
