//! The writer's region is lost in one of three ways, and at a random instant something else dies, another thing each round.
//!
//! What dies comes back by itself where an agent or a server starts it again; else it is started again at once.

use super::blow::{ENOUGH, Struck, WATCH};
use super::ground::Writers;
use super::lane::Lane;
use crate::demo::DemoError;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_lab::region;
use std::time::Duration;

/// What dies besides the region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Controller,
    StandbysAgent,
    WritersAgent,
    CandidatesServer,
    WalReceiver,
    Authority,
}

/// Each round takes the next.
const VICTIMS: [Victim; 6] = [
    Victim::CandidatesServer,
    Victim::WritersAgent,
    Victim::WalReceiver,
    Victim::Authority,
    Victim::StandbysAgent,
    Victim::Controller,
];

impl Victim {
    fn name(self) -> &'static str {
        match self {
            Victim::Controller => "controller",
            Victim::StandbysAgent => "agent of the standby",
            Victim::WritersAgent => "agent of the writer",
            Victim::CandidatesServer => "PostgreSQL of the candidate",
            Victim::WalReceiver => "WAL receiver of the candidate",
            Victim::Authority => "DNS authority",
        }
    }
}

/// One round.
pub(super) async fn strike(lane: &mut Lane, n: u32, writers: &Writers) -> Result<Struck, DemoError> {
    let (old, _) = lane.places();
    let (region, standby) = (lane.pair().writer(), lane.pair().standby());
    let victim = VICTIMS[n as usize % VICTIMS.len()];
    let loss = ["cut off", "paused", "killed"][usize::try_from(lane.chance(3)).unwrap_or_default()];
    // In a region that is gone nobody is left to be killed.
    let loss = if victim == Victim::WritersAgent && loss == "killed" { "cut off" } else { loss };
    let mut paused = None;
    match loss {
        "killed" => drop(lane.pair().stage().kill_region(region)),
        "paused" => {
            lane.net().cut_off(old)?;
            lane.freeze(region, |_| true);
            paused = Some(SystemClock.mono());
        }
        _ => lane.net().cut_off(old)?,
    }
    let longest = u64::try_from(lane.lease.as_millis()).unwrap_or(u64::MAX).saturating_add(1_000);
    let after = Duration::from_millis(lane.chance(longest));
    tokio::time::sleep(after).await;
    let found = kill(lane, victim, region, standby)?;
    lane.until_new(writers, ENOUGH).await?;
    let thawed = (loss == "paused").then(|| lane.thaw());
    lane.net().heal_all()?;
    if loss == "killed" {
        lane.pair().stage().start_agent(region)?;
    }
    tokio::time::sleep(WATCH).await;
    let died = if found { "is killed" } else { "was to be killed, and there was none" };
    Ok(Struck {
        detail: format!("{loss}, after {} ms the {} {died}", after.as_millis(), victim.name()),
        thawed,
        paused,
    })
}

/// Kills it; says whether it was there.
fn kill(lane: &mut Lane, victim: Victim, writer: &'static str, standby: &'static str) -> Result<bool, DemoError> {
    if victim == Victim::Authority {
        lane.authority_restarts();
    }
    let stage = lane.pair().stage();
    match victim {
        Victim::Controller => {
            stage.kill_controllers();
            stage.restart_controllers()?;
        }
        Victim::StandbysAgent | Victim::WritersAgent => {
            let region = if victim == Victim::StandbysAgent { standby } else { writer };
            stage.kill_agent(region);
            stage.start_agent(region)?;
        }
        Victim::CandidatesServer => drop(stage.kill_postmaster(standby)?),
        Victim::WalReceiver => {
            let processes = region::processes(&stage.site(standby).folder);
            let receivers = processes.iter().filter(|p| p.words.iter().any(|word| word.contains("walreceiver")));
            let pids: Vec<i32> = receivers.map(|p| p.pid).collect();
            pids.iter().for_each(|pid| region::kill_pid(*pid));
            return Ok(!pids.is_empty());
        }
        Victim::Authority => stage.restart_authority()?,
    }
    Ok(true)
}
