//! From a judgement to an intent or to a reason to hold still.
//!
//! Invariant: an automatic failover needs [`Verdict::WriterDead`] or [`Verdict::RegionLost`], no other run, no cool-down and
//! a candidate that clears its hurdles. One attempt: what follows is a person's.

use super::{Candidate, Hurdle, Judgement, Verdict};
use crate::id::{Region, RunId, Unit};
use crate::placement::{Intent, Mode, Placement, Verb};
use crate::plan::{DecisionMode, Plan, RejoinMode};
use crate::time::{Wall, as_ms, show_duration};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A rejoin that failed is not tried again by itself for so long: it may be copying a whole database each time.
pub const REJOIN_PAUSE: Duration = Duration::from_secs(600);

/// What happened to the unit before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// The run that moves it now, paused ones included.
    pub running: Option<RunId>,
    /// The last failover that nobody had asked for, whatever became of it.
    pub last_failover: Option<LastFailover>,
    /// When the last rejoin that did not end well was started, per region.
    pub failed_rejoins: BTreeMap<Region, Wall>,
}

/// The last automatic failover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFailover {
    /// Its run.
    pub run: RunId,
    /// When it was started. Wall time: the cool-down outlives a restart of the machine, and is policy, not safety.
    pub at: Wall,
    /// A person has seen it and allows the next.
    pub acknowledged: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, and why.
    Hold(Reason),
    /// Start this run.
    Start(Intent),
    /// Prepare this run; a person approves its first step.
    Ask(Intent),
}

/// Why nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// Nothing is wrong.
    #[error("nothing to do: the writer is heard and takes writes")]
    Healthy,
    /// Just started.
    #[error("too little was heard since the controller started; wait for the agents")]
    NoDataYet,
    /// May recover by itself.
    #[error("the writer may still recover: its agent repairs it, or its lease still runs")]
    Suspect,
    /// Only the agent is gone.
    #[error("only the agent is lost, the writer still works: start the agent again")]
    AgentLost,
    /// Nobody is heard.
    #[error("no agent is heard at all, so the controller itself may be cut off: check its network first")]
    AllDown,
    /// Does not fit.
    #[error("what is seen is contradictory or incomplete: look at the evidence and decide by hand")]
    Unclear,
    /// A run moves the unit.
    #[error("run {run} moves this unit: wait for its end, or resume or abort it")]
    RunMoving { run: RunId },
    /// Once is enough.
    #[error(
        "{run} failed over a short while ago; the next automatic failover waits {} unless that one is acknowledged",
        show_duration(*left)
    )]
    CoolDown {
        run: RunId,
        #[serde(rename = "left_ms", with = "as_ms")]
        left: Duration,
    },
    /// `policy.mode: manual`.
    #[error("a failover to {to} is possible, but the policy leaves it to a person: pilotlight failover")]
    Manual { to: Region },
    /// Nobody to take over.
    #[error("no region can take over: none is heard whose copies are standbys")]
    NoCandidate,
    /// Receive lag.
    #[error("{region} had not received {bytes} bytes, the policy allows {allowed}: decide by hand")]
    Behind { region: Region, bytes: u64, allowed: u64 },
    /// The objective would be missed.
    #[error(
        "a failover to {region} may lose the last {}, the objective allows {}: decide by hand",
        show_duration(*exposure), show_duration(*rpo)
    )]
    PastRpo {
        region: Region,
        #[serde(rename = "exposure_ms", with = "as_ms")]
        exposure: Duration,
        #[serde(rename = "rpo_ms", with = "as_ms")]
        rpo: Duration,
    },
    /// Nothing says how far the best candidate is behind.
    #[error("nothing says how far {region} is behind: decide by hand")]
    LagUnknown { region: Region },
    /// `policy.rejoin: manual`.
    #[error("{region} is back; the policy leaves its rejoin to a person: pilotlight rejoin")]
    RejoinByHand { region: Region },
    /// The last rejoin failed.
    #[error("{region} is back, but its last rejoin failed; the next automatic one waits {}", show_duration(*left))]
    RejoinFailed {
        region: Region,
        #[serde(rename = "left_ms", with = "as_ms")]
        left: Duration,
    },
}

/// Decides. `now` is only compared with the wall times of the history.
pub fn decide(plan: &Plan, unit: &Unit, judgement: &Judgement, history: &History, now: Wall) -> Decision {
    if let Some(run) = &history.running {
        return Decision::Hold(Reason::RunMoving { run: run.clone() });
    }
    match judgement.verdict {
        Verdict::Healthy => rejoin(plan, unit, judgement, history, now),
        Verdict::WriterDead | Verdict::RegionLost => failover(plan, unit, judgement, history, now),
        Verdict::NoDataYet => Decision::Hold(Reason::NoDataYet),
        Verdict::Suspect => Decision::Hold(Reason::Suspect),
        Verdict::AgentLost => Decision::Hold(Reason::AgentLost),
        Verdict::AllDown => Decision::Hold(Reason::AllDown),
        Verdict::Unknown => Decision::Hold(Reason::Unclear),
    }
}

fn failover(plan: &Plan, unit: &Unit, judgement: &Judgement, history: &History, now: Wall) -> Decision {
    let candidate = match choose(plan, &judgement.candidates) {
        Ok(candidate) => candidate,
        Err(reason) => return Decision::Hold(reason),
    };
    if let Some(last) = history.last_failover.as_ref().filter(|l| !l.acknowledged) {
        let left = plan.policy.cool_down.saturating_sub(now.since(last.at));
        if left > Duration::ZERO {
            return Decision::Hold(Reason::CoolDown { run: last.run.clone(), left });
        }
    }
    let intent = Intent {
        unit: unit.clone(),
        verb: Verb::Failover,
        mode: Mode::Ungraceful,
        target: Placement::in_region(&candidate.region),
    };
    match plan.policy.mode {
        DecisionMode::Automatic => Decision::Start(intent),
        DecisionMode::ApproveFirst => Decision::Ask(intent),
        DecisionMode::Manual => Decision::Hold(Reason::Manual { to: candidate.region.clone() }),
    }
}

/// The first candidate that clears its hurdles; else what stops the best one.
fn choose<'a>(plan: &Plan, candidates: &'a [Candidate]) -> Result<&'a Candidate, Reason> {
    if let Some(clear) = candidates.iter().find(|c| c.hurdle(plan) == Hurdle::None) {
        return Ok(clear);
    }
    let Some(best) = candidates.first() else { return Err(Reason::NoCandidate) };
    let region = best.region.clone();
    match best.hurdle(plan) {
        Hurdle::None => Ok(best),
        Hurdle::Behind { bytes, allowed } => Err(Reason::Behind { region, bytes, allowed }),
        Hurdle::PastRpo { exposure, rpo } => Err(Reason::PastRpo { region, exposure, rpo }),
        Hurdle::LagUnknown => Err(Reason::LagUnknown { region }),
    }
}

fn rejoin(plan: &Plan, unit: &Unit, judgement: &Judgement, history: &History, now: Wall) -> Decision {
    let (Some(writer), Some(first)) = (&judgement.writer, judgement.returned.first()) else {
        return Decision::Hold(Reason::Healthy);
    };
    if plan.policy.rejoin == RejoinMode::Manual {
        return Decision::Hold(Reason::RejoinByHand { region: first.region.clone() });
    }
    let left = |region: &Region| {
        let failed = history.failed_rejoins.get(region);
        failed.map_or(Duration::ZERO, |at| REJOIN_PAUSE.saturating_sub(now.since(*at)))
    };
    if judgement.returned.iter().all(|r| left(&r.region) > Duration::ZERO) {
        return Decision::Hold(Reason::RejoinFailed { region: first.region.clone(), left: left(&first.region) });
    }
    Decision::Start(Intent {
        unit: unit.clone(),
        verb: Verb::Rejoin,
        mode: Mode::Graceful,
        target: Placement::in_region(writer),
    })
}
