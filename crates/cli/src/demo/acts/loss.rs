//! Act two: something dies, and Pilotlight does what is to be done.

use crate::demo::scene::Scene;
use crate::demo::{DemoError, FaultArg};
use crate::follow::{Follower, mono_of};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pilotlight_core::id::{Region, RunId};
use pilotlight_core::run::{Event, Record};
use pilotlight_core::time::{Mono, parse_duration};
use pilotlight_core::verdict::Verdict;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_engine::measure::{ClientHandle, ClientLive, LastFailure};
use pilotlight_lab::database;
use pilotlight_lab::net::Place;
use std::time::Duration;

/// A failover takes a lease and a little; everything beyond is a defect worth its own message.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether the failover has begun.
const LOOK: Duration = Duration::from_millis(20);

/// What users feel is known a moment later than what the controller wrote down: so long lines wait for their order.
const IN_ORDER: Duration = Duration::from_millis(300);

/// What was done and what came of it.
pub(crate) struct Lost {
    /// When the fault was made.
    pub(crate) at: Mono,
    /// The failover, if there was one.
    pub(crate) run: Option<Follower>,
}

/// Makes the fault and follows what happens until users are served again.
pub(crate) async fn lose(
    scene: &mut Scene<'_>,
    client: &ClientHandle,
    fault: FaultArg,
    lag: Duration,
) -> Result<Lost, DemoError> {
    let frozen = hold_back(scene, lag).await?;
    let at = inflict(scene, fault)?;
    if let Some(receiver) = frozen {
        // It must not read what still waits in its socket: the signal to end is there before it goes on.
        for signal in [Signal::SIGTERM, Signal::SIGCONT] {
            kill(receiver, signal).map_err(|e| DemoError::at("the end of the held back replication", e.into()))?;
        }
    }
    if fault.leaves_the_writer() {
        hold_still(scene, client).await?;
        return Ok(Lost { at, run: None });
    }
    let mut told = Told { from: at, failure: false, served_again: false };
    scene.narrator.hold();
    let mut run = Follower::new(failover_of(scene, client, &mut told).await?).within(PATIENCE);
    let mut controller_to_lose = fault == FaultArg::Controller;
    while !(run.has_ended() && told.served_again) {
        let next = run.next(&scene.operator, scene.narrator).await;
        let promoting = next.map_err(|e| e.before("users to be served again"))?.iter().any(is_promotion);
        if promoting && std::mem::take(&mut controller_to_lose) {
            lose_controller(scene)?;
        }
        told.tell(&client.live(), scene);
    }
    scene.narrator.release();
    Ok(Lost { at, run: Some(run) })
}

fn is_promotion(record: &Record) -> bool {
    matches!(&record.event, Event::StepStarted { step, .. } if step.as_str().starts_with("promote"))
}

/// Waits for the failover to begin, telling meanwhile what users see.
async fn failover_of(scene: &mut Scene<'_>, client: &ClientHandle, told: &mut Told) -> Result<RunId, DemoError> {
    let end = scene.now() + PATIENCE;
    let mut verdict = String::new();
    loop {
        told.tell(&client.live(), scene);
        let seen = match scene.look().await {
            Ok(snapshot) => match snapshot.failover_run() {
                Ok(run) => return Ok(run),
                Err(seen) => {
                    let now = snapshot.verdict_line();
                    let name = snapshot.verdict().map(ToString::to_string).unwrap_or_default();
                    if name != verdict && snapshot.verdict() != Some(&Verdict::Healthy) {
                        scene.narrator.event(&now);
                        verdict = name;
                    }
                    seen
                }
            },
            Err(unreachable) => unreachable,
        };
        if scene.now() > end {
            let what = "the failover to begin".to_owned();
            return Err(DemoError::Waited { what, seconds: PATIENCE.as_secs(), seen });
        }
        scene.narrator.waiting("waiting for the verdict");
        tokio::time::sleep(LOOK).await;
    }
}

/// Freezes what receives in west for so long; answers the frozen process.
async fn hold_back(scene: &mut Scene<'_>, lag: Duration) -> Result<Option<Pid>, DemoError> {
    if lag.is_zero() {
        return Ok(None);
    }
    let question = "select pid::text from pg_stat_wal_receiver";
    let asked = database::column(&scene.stage.database("west"), question).await;
    let pids = asked.map_err(|e| DemoError::Database {
        region: "west".to_owned(),
        what: "say which process receives",
        source: Box::new(e),
    })?;
    let pid = pids.first().and_then(|p| p.parse().ok()).map(Pid::from_raw);
    let pid = pid.ok_or_else(|| DemoError::Ended("nothing receives in west".to_owned()))?;
    kill(pid, Signal::SIGSTOP).map_err(|e| DemoError::at("the held back replication", e.into()))?;
    scene.narrator.event("replication is held back: what east acknowledges from now on does not reach west");
    scene.pass("payments go on in east alone", lag).await;
    Ok(Some(pid))
}

fn inflict(scene: &mut Scene<'_>, fault: FaultArg) -> Result<Mono, DemoError> {
    let title = match fault {
        FaultArg::Postmaster => "Loss: PostgreSQL's first process in east is killed with -9",
        FaultArg::Region => "Loss: every process in east is killed with -9, the agent included",
        FaultArg::Agent => "Loss: the agent of east is killed with -9, and nothing else",
        FaultArg::Controller => {
            "Loss: every process in east is killed with -9, then the controller in the middle of the failover"
        }
        FaultArg::Partition => "Loss: east is cut off from everybody; nothing in it dies",
        FaultArg::FreezeAgent => "Loss: the agent of east stops answering; it does not die",
    };
    scene.narrator.act(title);
    let at = scene.now();
    match fault {
        FaultArg::Postmaster => {
            let pid = scene.stage.kill_postmaster("east")?;
            scene.narrator.event_at(at, &format!("killed process {pid}"));
        }
        FaultArg::Agent => {
            scene.stage.kill_agent("east");
            scene.narrator.event_at(at, "killed the agent; PostgreSQL and the service of east live on");
        }
        FaultArg::Partition => {
            scene.stage.net.cut_off(Place::East)?;
            scene.narrator.event(&format!("the network is silent from here on ({})", scene.stage.net_kind));
        }
        FaultArg::FreezeAgent => {
            scene.stage.freeze("east", |p| p.words.get(1).is_some_and(|verb| verb == "agent"));
            scene.narrator.event("stopped the agent; PostgreSQL and the service of east live on");
        }
        FaultArg::Region | FaultArg::Controller => {
            let killed = scene.stage.kill_region("east");
            // Its time is that of the first: what users feel of it comes before the last is dead.
            scene.narrator.event_at(at, &format!("killed {} processes", killed.len()));
        }
    }
    Ok(at)
}

fn lose_controller(scene: &mut Scene<'_>) -> Result<(), DemoError> {
    scene.stage.kill_controllers();
    scene.narrator.event("killed the controller with -9, in the middle of the promotion");
    scene.stage.restart_controllers()?;
    scene.narrator.event("started the controller again on the journal it left");
    Ok(())
}

/// With the agent alone gone, the right thing is to do nothing, for longer than a lease.
async fn hold_still(scene: &mut Scene<'_>, client: &ClientHandle) -> Result<(), DemoError> {
    let lease = parse_duration(&scene.stage.settings.lease).unwrap_or(Duration::from_secs(3));
    let verdict = scene
        .until("the verdict to name the lost agent", lease * 3, |s| {
            if s.verdict() == Some(&Verdict::AgentLost) { Ok(s.verdict_line()) } else { Err(s.verdict_line()) }
        })
        .await?;
    scene.narrator.event(&verdict);
    scene.pass("waiting to see that nothing fails over", lease * 2).await;
    let seen = scene.look().await.map_err(DemoError::Refused)?;
    if let Ok(run) = seen.failover_run() {
        return Err(DemoError::Refused(format!("{run} was started although the database lives")));
    }
    let live = client.live();
    scene.narrator.event(&format!(
        "two leases later: no move was started, payments go on at {} a second",
        live.acked_last_second
    ));
    Ok(())
}

/// What of the client's view has been told already.
struct Told {
    from: Mono,
    failure: bool,
    served_again: bool,
}

impl Told {
    fn tell(&mut self, live: &ClientLive, scene: &mut Scene<'_>) {
        // Slack for the two clocks; a request that failed before the fault has its own reasons.
        let since = mono_of(SystemClock.wall()).since(self.from);
        let recent =
            |failure: &&LastFailure| SystemClock.wall().since(failure.sent) <= since + Duration::from_millis(50);
        if let (false, Some(failure)) = (self.failure, live.last_failure.as_ref().filter(recent)) {
            self.failure = true;
            scene.narrator.event_at(mono_of(failure.sent), &format!("users: payments fail ({})", failure.words()));
        }
        let from_west = live.region.as_ref().map(Region::as_str) == Some("west");
        if let (false, true, Some(acked)) = (self.served_again, from_west, live.last_acked) {
            self.served_again = true;
            scene.narrator.event_at(mono_of(acked), "users: payments work again, answered by west");
        }
        scene.narrator.settle(Mono(scene.now().0.saturating_sub(IN_ORDER)));
    }
}
