//! Three controllers on one store: the leader is killed or frozen, with nothing under way and in the middle of a run.
//!
//! What is measured: how long users wait (nothing under way), and how long a run stands still until another controller
//! has taken it over. A frozen leader is thawed when another has moved the writer, and must do no harm.

use super::pair::{self, Pair, SMALL_BUFFERS, TRIES, until};
use super::rounds::AROUND;
use super::series::{Series, ms};
use crate::demo::DemoError;
use crate::demo::plan::{Controllers, Settings};
use crate::operator::{Found, Operator};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pilotlight_core::id::RunId;
use pilotlight_core::plan::ConnectionFence;
use pilotlight_core::run::Event;
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_lab::engines::{Buckets, EngineError, EtcdCluster};
use pilotlight_lab::net::Want;
use pilotlight_server::api::view::{RecordsView, RunsView};
use std::time::Duration;

/// Users notice nothing: what the other figures of issue 3 call so.
const UNNOTICED: Duration = Duration::from_millis(200);
/// Kills in the middle of a run come at moments so far apart, so that many of its steps are met.
const LATER_EACH: Duration = Duration::from_millis(37);
/// A switchover takes longer than this.
const IN_A_RUN: Duration = Duration::from_millis(220);

/// What the controllers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shared {
    Folder,
    Etcd,
    S3,
}

/// What runs beside the controllers for them, and ends with this.
type Beside = Box<dyn std::any::Any + Send>;

/// Its name in such a server.
const BUCKET: &str = "controllers";

/// The set-up, with the engine below it.
struct Stand {
    pair: Pair,
    lead: Duration,
    what: &'static str,
    // Ended after the controllers.
    _engine: Beside,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// So many rounds of each.
    pub(crate) runs: u32,
    /// `policy.lease`.
    pub(crate) lease: Duration,
    /// `policy.guarantee`.
    pub(crate) guarantee: &'static str,
}

/// Measures so many rounds of each case.
pub(crate) async fn measure(
    asked: Asked,
    shared: Shared,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Vec<Series>, DemoError> {
    let mut stand = Stand::start(&asked, shared).await?;
    let runs = asked.runs;
    let (mut gaps, mut leads, mut goes_on, mut thawed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut lost, mut lost_moved) = (0, 0);
    for run in 1..=runs {
        let quiet = stand.kill_quietly().await?;
        progress(&format!("leader killed {run}/{runs}: gap {:.0} ms, led again after {:.0} ms", quiet.gap, quiet.led));
        gaps.push(quiet.gap);
        leads.push(quiet.led);
        lost += quiet.lost;
        let (took, gone) = stand.kill_in_a_run(LATER_EACH * (run - 1)).await?;
        progress(&format!("leader killed in a run {run}/{runs}: went on after {took:.0} ms"));
        goes_on.push(took);
        lost_moved += gone;
        let (took, gone) = stand.freeze_and_thaw().await?;
        progress(&format!("leader frozen {run}/{runs}: led again after {took:.0} ms, thawed without harm"));
        thawed.push(took);
        lost_moved += gone;
    }
    let (lead, what) = (stand.lead, stand.what);
    stand.pair.close();
    let series = |name: &str, outage_ms, bound: Duration, target: &str, lost| {
        Series::within(bound, target, format!("{name}, {what}"), outage_ms, lost)
    };
    let in_time = lead + Duration::from_millis(500);
    let words = format!("at most the lead, {} s, + 0.5 s", lead.as_secs_f64());
    Ok(vec![
        series("leader killed: gap between writes", gaps, UNNOTICED, "at most 0.2 s", lost),
        series("leader killed: another leads", leads, in_time, &words, 0),
        series("leader killed in a run: it goes on", goes_on, in_time, &words, lost_moved),
        series("leader frozen: another leads", thawed, in_time, &words, 0),
    ])
}

/// The engine, what the plan says of it, and its name in the figures.
async fn start(shared: Shared) -> Result<(Beside, Controllers, &'static str), DemoError> {
    Ok(match shared {
        Shared::Folder => (Box::new(()), Controllers::Folder, "folder"),
        Shared::Etcd => {
            let cluster = EtcdCluster::start(3).map_err(|e| absent("etcd", e))?;
            let endpoints = cluster.endpoints().to_vec();
            wait_for(&endpoints).await?;
            (Box::new(cluster), Controllers::Etcd(endpoints), "etcd")
        }
        Shared::S3 => {
            let buckets = Buckets::start().map_err(|e| absent("moto", e))?;
            let endpoint = buckets.endpoint().to_owned();
            make_bucket(&endpoint).await?;
            (Box::new(buckets), Controllers::S3 { endpoint, bucket: BUCKET }, "S3")
        }
    })
}

fn absent(what: &'static str, error: EngineError) -> DemoError {
    match error {
        EngineError::Absent { .. } => DemoError::Refused(error.to_string()),
        other => DemoError::at(what, std::io::Error::other(other)),
    }
}

/// What a quiet loss of the leader cost, in milliseconds and rows.
struct Quiet {
    gap: f64,
    led: f64,
    lost: u64,
}

impl Stand {
    /// A controller does not begin without an answer of its store, which a slow machine may not give in time; then all of it is
    /// started anew.
    async fn start(asked: &Asked, shared: Shared) -> Result<Self, DemoError> {
        let mut tries = 1..TRIES;
        loop {
            match Self::try_to_start(asked, shared).await {
                Err(DemoError::Ended(why)) if why.contains("PL-0504") && tries.next().is_some() => {}
                started => return started,
            }
        }
    }

    async fn try_to_start(asked: &Asked, shared: Shared) -> Result<Self, DemoError> {
        let (engine, controllers, what) = start(shared).await?;
        let settings = Settings {
            lease: format!("{}ms", asked.lease.as_millis()),
            // Longer than any lease that is asked for: losing a controller must not move the writer.
            rpo: "60s",
            on_postmaster_death: "restart",
            guarantee: asked.guarantee,
            rate: 1,
            rows: false,
            shared_buffers: SMALL_BUFFERS,
            net: Want::Plain,
            controllers,
            shares: None,
            fence: ConnectionFence::None,
        };
        let pair = Pair::start(settings).await?;
        Ok(Self { pair, lead: asked.lease / 2, what, _engine: engine })
    }

    /// With nothing under way: users wait for nothing.
    async fn kill_quietly(&mut self) -> Result<Quiet, DemoError> {
        let writer = self.pair.write().await?;
        tokio::time::sleep(AROUND).await;
        let old = self.leader().await?;
        let at = SystemClock.mono();
        self.strike(&old, Signal::SIGKILL)?;
        let led = self.successor(&old, at).await?;
        // Longer than the writer's lease: a lease that nobody renewed would show.
        tokio::time::sleep(self.lead * 2 + AROUND).await;
        let log = writer.stop().await;
        self.restart(&old)?;
        let runs: RunsView = self.operator().get("/v1/runs").await.map_err(refused)?;
        if let Some(run) = runs.runs.iter().find(|run| run.verb == pilotlight_core::placement::Verb::Failover) {
            return Err(DemoError::Refused(format!("{} was started although only a controller was lost", run.run)));
        }
        let lost = pair::lost(&log, &self.pair.database()).await?;
        Ok(Quiet { gap: ms(log.longest_gap(at)), led: ms(led), lost })
    }

    /// In the middle of a switchover: how long it stands still, and what was lost.
    async fn kill_in_a_run(&mut self, later: Duration) -> Result<(f64, u64), DemoError> {
        let mut lost = 0;
        for _ in 0..TRIES {
            let (took, gone) = self.try_to_kill_in_a_run(later).await?;
            lost += gone;
            if let Some(took) = took {
                return Ok((took, lost));
            }
        }
        Err(DemoError::Refused(format!("{TRIES} runs were over before their leader was killed, or taken back")))
    }

    /// `None` when the run was over before, or taken back.
    async fn try_to_kill_in_a_run(&mut self, later: Duration) -> Result<(Option<f64>, u64), DemoError> {
        let writer = self.pair.write().await?;
        tokio::time::sleep(AROUND).await;
        let old = self.leader().await?;
        let run = self.pair.switch().await?;
        tokio::time::sleep(Duration::from_millis((later.as_millis() % IN_A_RUN.as_millis()) as u64)).await;
        let at = SystemClock.wall();
        self.strike(&old, Signal::SIGKILL)?;
        let took = self.taken_over(&run).await?.map(|on| on.0.saturating_sub(at.0));
        let moved = self.pair.has_moved(run).await?;
        self.restart(&old)?;
        let log = writer.stop().await;
        self.pair.settle_wherever().await?;
        Ok((took.filter(|_| moved).map(|took| took as f64), pair::lost(&log, &self.pair.database()).await?))
    }

    /// Frozen while another takes over and moves the writer; thawed afterwards.
    async fn freeze_and_thaw(&mut self) -> Result<(f64, u64), DemoError> {
        let writer = self.pair.write().await?;
        let old = self.leader().await?;
        let at = SystemClock.mono();
        self.strike(&old, Signal::SIGSTOP)?;
        let led = self.successor(&old, at).await?;
        self.pair.move_away().await?;
        self.strike(&old, Signal::SIGCONT)?;
        self.stands_by(&old).await?;
        let log = writer.stop().await;
        self.pair.settle().await?;
        Ok((ms(led), pair::lost(&log, &self.pair.database()).await?))
    }

    fn operator(&mut self) -> Operator {
        self.pair.scene().operator
    }

    fn strike(&mut self, name: &str, signal: Signal) -> Result<(), DemoError> {
        let Some(child) = self.pair.stage().controller(name) else { return Ok(()) };
        kill(Pid::from_raw(child.pid()), signal).map_err(|e| DemoError::at("a controller", e.into()))
    }

    fn restart(&mut self, name: &str) -> Result<(), DemoError> {
        let Some(child) = self.pair.stage().controller(name) else { return Ok(()) };
        child.restart().map_err(|e| DemoError::at("a controller", e))
    }

    /// Who leads.
    async fn leader(&mut self) -> Result<String, DemoError> {
        let operator = self.operator();
        until("a controller that leads", async || leading(&operator.controllers().await)).await
    }

    /// How long after `at` another than `old` leads.
    async fn successor(&mut self, old: &str, at: Mono) -> Result<Duration, DemoError> {
        let members = &self.pair.stage().plan.controller.members;
        let url = members.iter().find(|m| m.name == old).map(|m| m.url.clone()).unwrap_or_default();
        // One that is frozen would be waited for.
        let operator = self.operator().without(&url);
        until("another controller to lead", async || {
            leading(&operator.controllers().await).map(|_| SystemClock.mono().since(at))
        })
        .await
    }

    async fn stands_by(&mut self, old: &str) -> Result<(), DemoError> {
        let operator = self.operator();
        until("the thawed controller to stand by", async || {
            let found = operator.controllers().await;
            let mut views = found.iter().filter_map(|f| f.view.as_ref().ok());
            views.find(|view| view.name == old && !view.leads && view.trouble.is_none()).map(|_| ())
        })
        .await
    }

    /// When another controller wrote its first record of the run; `None` when it was over before.
    async fn taken_over(&mut self, run: &RunId) -> Result<Option<pilotlight_core::time::Wall>, DemoError> {
        let operator = self.operator();
        let path = format!("/v1/runs/{run}/records?from=1");
        until("another controller to go on with the run", async || {
            let view: RecordsView = operator.get(&path).await.ok()?;
            let on = view.records.iter().find(|r| matches!(r.event, Event::Recovered { .. })).map(|r| r.at);
            (on.is_some() || view.ended).then_some(on)
        })
        .await
    }
}

/// Which of them leads.
pub(super) fn leading(found: &[Found]) -> Option<String> {
    let mut views = found.iter().filter_map(|f| f.view.as_ref().ok());
    views.find(|view| view.leads).map(|view| view.name.clone())
}

#[allow(clippy::needless_pass_by_value)] // the shape map_err wants
fn refused(e: crate::error::CliError) -> DemoError {
    DemoError::Refused(format!("{:#}", e.cause))
}

/// The members have elected one of them when one of them takes a read.
async fn wait_for(endpoints: &[String]) -> Result<(), DemoError> {
    let client = crate::connect::public_client().map_err(refused)?;
    until("etcd to answer", async || {
        let health = client.get(format!("{}/health", endpoints[0])).send().await.ok()?.text().await.ok()?;
        health.contains("true").then_some(())
    })
    .await
}

async fn make_bucket(endpoint: &str) -> Result<(), DemoError> {
    let client = crate::connect::public_client().map_err(refused)?;
    until("the server to make a bucket", async || {
        client.put(format!("{endpoint}/{BUCKET}")).send().await.ok()?.error_for_status().ok().map(|_| ())
    })
    .await
}
