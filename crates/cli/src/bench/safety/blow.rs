//! What is done in each case, step by step, from the fault to the moment the writers are stopped.

use super::case::Case;
use super::ground::Writers;
use super::lane::Lane;
use super::random;
use super::steps;
use crate::command::moves;
use crate::demo::DemoError;
use crate::error::CliError;
use crate::follow::Follower;
use pilotlight_core::id::RunId;
use pilotlight_core::run::Event;
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_lab::database;
use pilotlight_lab::net::Place;
use pilotlight_lab::region::Process;
use std::time::Duration;

/// Acknowledgements of the new side after which a failover counts as done.
pub(super) const ENOUGH: usize = 40;
/// Watched after what thawed or came back, for an acknowledgement that must not be.
pub(super) const WATCH: Duration = Duration::from_millis(1_500);
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// What was done besides the case's name.
#[derive(Default)]
pub(super) struct Struck {
    pub(super) detail: String,
    pub(super) thawed: Option<Mono>,
    /// When the whole machine had stopped.
    pub(super) paused: Option<Mono>,
}

impl Struck {
    pub(super) fn with(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..Self::default() }
    }
}

/// Makes the fault of a case and waits for what follows.
pub(super) async fn strike(lane: &mut Lane, case: Case, n: u32, writers: &Writers) -> Result<Struck, DemoError> {
    let (old, standby) = lane.places();
    match case {
        Case::Cut => {
            lane.net().cut_off(old)?;
            lane.until_new(writers, ENOUGH).await?;
            Ok(Struck::default())
        }
        Case::Freeze => freeze(lane, n, writers).await,
        Case::Pause => pause(lane, writers).await,
        Case::Return => come_back(lane, n, writers).await,
        Case::Controller | Case::LeaderStep => steps::lose_controller(lane, n, writers).await,
        Case::Random => random::strike(lane, n, writers).await,
        Case::Node => {
            let victim = lane.pair().writer();
            lane.pair().stage().kill_region(victim);
            lane.until_new(writers, ENOUGH).await?;
            lane.pair().stage().start_agent(victim)?;
            Ok(Struck::default())
        }
        Case::Unopposed => attest(lane, writers).await,
        Case::Postgres => {
            let victim = lane.pair().writer();
            lane.pair().stage().kill_postmaster(victim)?;
            tokio::time::sleep(lane.lease).await;
            Ok(Struck::default())
        }
        Case::Switchover => {
            let to = lane.pair().standby();
            let run = moves::start(&lane.pair().scene().operator, "switchover", to, "the benchmark").await;
            let run = run.map_err(|e| DemoError::Refused(format!("{:#}", e.cause)))?;
            lane.pair().finish(run).await?;
            lane.until_new(writers, ENOUGH).await?;
            Ok(Struck::default())
        }
        Case::Third => {
            lane.net().cut_off(Place::Third)?;
            hold(lane).await
        }
        Case::Controllers => {
            lane.pair().stage().kill_controllers();
            let held = hold(lane).await;
            lane.pair().stage().restart_controllers()?;
            held
        }
        Case::Alone => alone(lane, writers).await,
        Case::Agent => {
            let both = n % 2 == 1;
            let region = lane.pair().writer();
            lane.freeze(region, |p| is_agent(p) || both && is_gate(p));
            hold(lane).await?;
            Ok(Struck::with(if both { "agent and gate" } else { "agent" }))
        }
        Case::Link => {
            lane.net().cut_between(old, standby)?;
            hold(lane).await
        }
        Case::LinkThird => {
            lane.net().cut_between(old, Place::Third)?;
            hold(lane).await
        }
        Case::Mute => {
            for other in [standby, Place::Third, Place::Clients] {
                lane.net().cut(old, other)?;
            }
            lane.until_new(writers, ENOUGH).await?;
            Ok(Struck::default())
        }
        Case::OneWay => {
            let third = Place::Third;
            let ways = [(old, third), (third, old), (old, standby), (standby, old), (standby, third), (third, standby)];
            let (from, to) = ways[n as usize % ways.len()];
            lane.net().cut(from, to)?;
            hold(lane).await?;
            Ok(Struck::with(format!("from {} to {}", from.name(), to.name())))
        }
        Case::Slow => slow(lane, n).await,
        Case::Leader | Case::Latency => Err(DemoError::Ended(format!("{} is not played on a lane", case.name()))),
    }
}

/// Longer than any lease: whatever wants to happen has happened by then.
async fn hold(lane: &mut Lane) -> Result<Struck, DemoError> {
    tokio::time::sleep(lane.lease * 2 + Duration::from_secs(1)).await;
    Ok(Struck::default())
}

/// Late, and else as ever: between the writer and its standby, or the place that grants its lease.
async fn slow(lane: &mut Lane, n: u32) -> Result<Struck, DemoError> {
    let (old, standby) = lane.places();
    let late = [(standby, 300), (Place::Third, 80), (standby, 80), (Place::Third, 300)];
    let (other, ms) = late[n as usize % late.len()];
    let by = Duration::from_millis(ms);
    lane.net().delay(old, other, by)?;
    lane.net().delay(other, old, by)?;
    hold(lane).await?;
    Ok(Struck::with(format!("{ms} ms each way between {} and {}", old.name(), other.name())))
}

/// Somebody beside a living database stops: the agent that would fence, the gate that would withhold, or both.
async fn freeze(lane: &mut Lane, n: u32, writers: &Writers) -> Result<Struck, DemoError> {
    let (old, _) = lane.places();
    let region = lane.pair().writer();
    let detail = ["agent and gate", "agent", "gate"][n as usize % 3];
    lane.freeze(region, |p| detail.contains("agent") && is_agent(p) || detail.contains("gate") && is_gate(p));
    lane.net().cut_off(old)?;
    lane.until_new(writers, ENOUGH).await?;
    let thawed = lane.thaw();
    tokio::time::sleep(WATCH).await;
    Ok(Struck { detail: detail.to_owned(), thawed: Some(thawed), paused: None })
}

/// The whole machine stops and goes on: its processes and its network in one moment.
async fn pause(lane: &mut Lane, writers: &Writers) -> Result<Struck, DemoError> {
    let (old, _) = lane.places();
    let region = lane.pair().writer();
    lane.net().cut_off(old)?;
    lane.freeze(region, |_| true);
    let paused = SystemClock.mono();
    lane.until_new(writers, ENOUGH).await?;
    let thawed = lane.thaw();
    lane.net().heal_all()?;
    tokio::time::sleep(WATCH).await;
    Ok(Struck { detail: String::new(), thawed: Some(thawed), paused: Some(paused) })
}

/// The region is back when it is least wanted.
async fn come_back(lane: &mut Lane, n: u32, writers: &Writers) -> Result<Struck, DemoError> {
    let (old, _) = lane.places();
    lane.net().cut_off(old)?;
    let moment = ["as the failover begins", "as the promotion begins", "right after the promotion"][n as usize % 3];
    let promotion = |event: &Event| event.step().is_some_and(|step| step.as_str().starts_with("promote"));
    let (_, mut run) = failover(lane).await?;
    lane.pair()
        .until_record(&mut run, |event| match n % 3 {
            0 => true,
            1 => matches!(event, Event::StepStarted { .. }) && promotion(event),
            _ => matches!(event, Event::StepReturned { .. }) && promotion(event),
        })
        .await?;
    lane.net().heal_all()?;
    lane.until_new(writers, ENOUGH).await?;
    tokio::time::sleep(WATCH).await;
    Ok(Struck::with(moment))
}

/// Nobody can take its place and nobody grants it a lease: a dead writer is restarted in place all the same.
async fn alone(lane: &mut Lane, writers: &Writers) -> Result<Struck, DemoError> {
    let (victim, standby) = (lane.pair().writer(), lane.pair().standby());
    lane.pair().stage().kill_region(standby);
    until_unopposed(lane, standby).await?;
    until_it_waits_for_nobody(lane).await?;
    lane.pair().stage().kill_controllers();
    tokio::time::sleep(lane.lease * 2).await;
    lane.pair().stage().kill_postmaster(victim)?;
    let at = SystemClock.mono();
    let back = |w: &Writers| w.b.look(|log| log.acks.iter().rev().take_while(|a| a.sent > at).count());
    let end = at + PATIENCE;
    // What was sent after the death and acknowledged was acknowledged by the restarted server.
    while back(writers) < ENOUGH && SystemClock.mono() < end {
        tokio::time::sleep(LOOK).await;
    }
    let came_back = back(writers) >= ENOUGH;
    lane.pair().stage().restart_controllers()?;
    lane.pair().stage().start_agent(standby)?;
    if came_back { Ok(Struck::default()) } else { Err(DemoError::Ended("the writer was not restarted".to_owned())) }
}

/// The writer's agent has heard that it has no candidate, and its server has been told.
async fn until_it_waits_for_nobody(lane: &mut Lane) -> Result<(), DemoError> {
    let end = SystemClock.mono() + PATIENCE;
    let database = lane.pair().database();
    loop {
        let seen = database::column(&database, "select current_setting('synchronous_standby_names')").await;
        let seen = seen.map_err(|e| DemoError::Ended(format!("the writer cannot be asked: {e}")))?;
        if seen.iter().all(String::is_empty) {
            return Ok(());
        }
        if SystemClock.mono() > end {
            let what = "the writer to wait for nobody".to_owned();
            return Err(DemoError::Waited { what, seconds: PATIENCE.as_secs(), seen: seen.join(", ") });
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn until_unopposed(lane: &mut Lane, standby: &str) -> Result<(), DemoError> {
    let alone = |s: &crate::demo::watch::Snapshot| match s.is_candidate(standby) {
        Ok(()) => Err(format!("{standby} is the candidate")),
        Err(_) => Ok(()),
    };
    lane.pair().scene().until("the writer to be unopposed", PATIENCE, alone).await
}

/// An unopposed writer is lost. Nobody takes its place without a person's word, and not against what is seen.
async fn attest(lane: &mut Lane, writers: &Writers) -> Result<Struck, DemoError> {
    let (victim, standby) = (lane.pair().writer(), lane.pair().standby());
    let operator = lane.pair().scene().operator.clone();
    let ask = async |off: Option<&str>| moves::start_failover(&operator, standby, "the benchmark", off).await;
    lane.pair().stage().kill_region(standby);
    until_unopposed(lane, standby).await?;
    refused_with("PL-0830", ask(Some(victim)).await)?;
    lane.pair().stage().kill_region(victim);
    lane.pair().stage().start_agent(standby)?;
    // A writer whose agent is still thought to be there would be fenced, not attested.
    lane.pair().scene().until("the writer's region to be silent", PATIENCE, |s| s.is_silent(victim)).await?;
    // Until its agent and its database are there, other refusals come first.
    let end = SystemClock.mono() + PATIENCE;
    while let Err(e) = refused_with("PL-0231", ask(None).await) {
        if SystemClock.mono() > end {
            return Err(e);
        }
        tokio::time::sleep(LOOK).await;
    }
    let run = loop {
        match ask(Some(victim)).await {
            Ok(run) => break run,
            // The controller looks at the writer's port now and then.
            Err(e) if SystemClock.mono() > end => return Err(DemoError::Refused(format!("{:#}", e.cause))),
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    };
    lane.pair().finish(run).await?;
    lane.until_new(writers, ENOUGH).await?;
    lane.pair().stage().start_agent(victim)?;
    Ok(Struck::default())
}

fn refused_with(code: &str, answer: Result<RunId, CliError>) -> Result<(), DemoError> {
    match answer {
        Err(e) if e.code.as_deref() == Some(code) => Ok(()),
        Err(e) => Err(DemoError::Ended(format!("refused with {:?}, not {code}: {:#}", e.code, e.cause))),
        Ok(run) => Err(DemoError::Ended(format!("{run} was started, although {code} stands against it"))),
    }
}

/// The failover that the controller starts by itself.
pub(super) async fn failover(lane: &mut Lane) -> Result<(RunId, Follower), DemoError> {
    let before = lane.pair().last_failover().await;
    let mut scene = lane.pair().scene();
    let new = |s: &crate::demo::watch::Snapshot| -> Result<RunId, String> {
        s.failover_run().and_then(|run| if Some(&run) == before.as_ref() { Err(s.verdict_line()) } else { Ok(run) })
    };
    let run = scene.until("the failover to begin", PATIENCE, new).await?;
    Ok((run.clone(), Follower::new(run).within(PATIENCE)))
}

fn is_agent(process: &Process) -> bool {
    process.words.get(1).is_some_and(|verb| verb == "agent")
}

fn is_gate(process: &Process) -> bool {
    process.words.get(1).is_some_and(|verb| verb.contains("gate"))
}
