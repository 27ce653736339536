//! A lane: one pair with its own network, on which rounds are played one after the other.

use super::Order;
use super::blow::{self, Struck};
use super::case::{Case, Expect, LaneKind};
use super::ground::{self, Chance, Ground, Servers, Writers};
use super::judge::{Round, Seen, judge};
use super::kept;
use super::names::Watch;
use crate::bench::pair::{Pair, SMALL_BUFFERS};
use crate::demo::DemoError;
use crate::demo::plan::{Controllers, NAME, Settings};
use crate::wiring;
use async_trait::async_trait;
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
use pilotlight_server::api::view::{RecordsView, StatusView};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

/// The pair, and where it stands in its row of numbers.
pub(super) struct Lane {
    // Taken out at the end only.
    pair: Option<Pair>,
    next: i64,
    /// Bundles of earlier rounds.
    bundles: BTreeSet<String>,
    chance: Chance,
    /// The DNS authority was killed and has not answered since.
    away: Arc<AtomicBool>,
    pub(super) lease: Duration,
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
    pub(super) async fn start(number: usize, order: &Order, kind: LaneKind) -> Result<Self, DemoError> {
        let settings = Settings {
            controllers: if kind == LaneKind::Three { Controllers::Folder } else { Controllers::One },
            lease: show_duration(order.lease),
            // A death of the controller on top of that of a region takes a second lease, which may count as exposed.
            rpo: "30s",
            on_postmaster_death: "restart",
            guarantee: order.guarantee,
            rate: 1,
            rows: true,
            shared_buffers: SMALL_BUFFERS,
            net: if kind == LaneKind::Slow { order.net.with_delays() } else { order.net },
            shares: None,
            fence: order.fence,
        };
        let pair = Pair::start(settings).await?;
        let chance = Chance(order.seed.wrapping_add(number as u64 * 7_919));
        Ok(Self {
            pair: Some(pair),
            next: 0,
            bundles: BTreeSet::new(),
            chance,
            away: Arc::default(),
            lease: order.lease,
        })
    }

    pub(super) fn pair(&mut self) -> &mut Pair {
        self.pair.as_mut().expect("taken out in drop only")
    }

    /// Questions for the name may go unanswered until one of them is answered.
    pub(super) fn authority_restarts(&self) {
        self.away.store(true, Ordering::Relaxed);
    }

    /// What the places are joined by.
    pub(super) fn net_kind(&mut self) -> String {
        self.pair().stage().net_kind.clone()
    }

    pub(super) fn net(&mut self) -> &Net {
        &self.pair().stage().net
    }

    /// The last records of a run that does not end.
    async fn open_run(&mut self) -> String {
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
        self.chance.below(below)
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
        self.next += ground::IDS;
        let (after, stage) = (self.next, self.pair().stage());
        let fence = stage.settings.fence;
        let servers = Servers {
            net: &stage.net,
            ports: ["east", "west"].map(|region| stage.site(region).client_port(fence)),
            password: stage.sites.password.clone(),
            home,
            after,
            fenced: fence != ConnectionFence::None,
        };
        Writers::start(&servers).await
    }
}

#[async_trait]
impl Ground for Lane {
    async fn play(&mut self, case: Case, n: u32) -> Result<Round, DemoError> {
        let server = SocketAddr::new(self.net().address(Place::Third), self.pair().stage().sites.dns_port);
        let watch =
            Watch::start(server, NAME, self.away.clone()).map_err(|e| DemoError::at("the watch over the name", e))?;
        self.until_rows_can_be_kept().await?;
        let born = ground::born(&self.pair().database()).await?;
        let writers = self.write().await?;
        // Faults are spread over the time between two renewals, and a little more.
        let phase = self.chance(700);
        tokio::time::sleep(Duration::from_millis(phase)).await;
        let (load, at, wall) = (ground::load(), SystemClock.mono(), SystemClock.wall());
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
        let held = ground::rows(&self.pair().database(), self.next).await?;
        let operator = self.pair().scene().operator.clone();
        let kept = kept::read(&operator, &mut self.bundles).await;
        let kept = kept.map_err(|e| DemoError::Refused(format!("{:#}", e.cause)))?;
        let old_client = old_client.as_ref();
        let mut round = judge(&Seen {
            at,
            until,
            thawed,
            paused,
            old,
            back: false,
            a: &a,
            b: &b,
            old_client,
            held: &held,
            kept: &kept,
        });
        (round.case, round.n, round.detail) = (case.name(), n, detail);
        (round.load, round.empty_names) = (load, watch.empty() + u64::from(self.away.swap(false, Ordering::Relaxed)));
        (round.decided_ms, round.promoted_ms) = self.split(before, wall).await;
        round.restarted = ground::born(&self.pair().database()).await? != born;
        if case.expects() != Expect::Moves && round.moved {
            round.detail.push_str(" (was not to move)");
        }
        Ok(round)
    }

    async fn told(&mut self) -> String {
        format!("{}\n{}", self.pair().stage().logs(), self.open_run().await)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(pair) = self.pair.take() {
            pair.close();
        }
    }
}
