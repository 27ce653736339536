//! From a judgement to an intent or to a reason to hold still.
//!
//! Invariant: an automatic failover needs [`Verdict::WriterDead`] or [`Verdict::RegionLost`], no other run, no cool-down and
//! a candidate that clears its hurdles. One attempt: what follows is a person's. A service alone moves a writer only where
//! the plan says so, and gracefully.
//!
//! A run that prepares something else, and has not touched the writer, is ended for a failover: it could not succeed any more.
//! A failover that was prepared and waits for a person is ended once the writer has worked long enough: approved, it would lose
//! what that one acknowledged since, and it would be in the way of the next.

mod choice;
mod drain;
mod unadmitted;

use super::{Judgement, Quorum, Scope, Verdict};
use crate::code::{self, Code};
use crate::health::{Health, Question};
use crate::id::{Region, RunId, Unit};
use crate::placement::{Intent, Mode, Placement, Verb};
use crate::plan::{DecisionMode, Plan, RejoinMode, Shares};
use crate::time::{Wall, as_ms, show_apart, show_duration, show_wall};
use choice::choose;
use drain::{drain, is_dark};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use unadmitted::{in_place, without_candidate};

/// A rejoin that failed is not tried again by itself for so long: it may be copying a whole database each time.
pub const REJOIN_PAUSE: Duration = Duration::from_secs(600);

/// What happened to the unit before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// A person wants that nothing starts by itself.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// How long the verdict has been the same.
    #[serde(rename = "same_for_ms", with = "as_ms", default)]
    pub same_for: Duration,
    /// The run that moves it now, paused ones included.
    pub running: Option<RunId>,
    /// That run was not to replace a lost writer, and has touched neither writer nor users for good.
    #[serde(default)]
    pub gives_way: bool,
    /// That run was prepared for a lost writer and waits for a person; nothing of it has begun.
    #[serde(default)]
    pub prepared: bool,
    /// The last failover that nobody had asked for, whatever became of it.
    pub last_failover: Option<LastFailover>,
    /// When the last rejoin that did not end well was started, per region.
    pub failed_rejoins: BTreeMap<Region, Wall>,
    /// When the unit's last drain was started, if it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_drain: Option<Wall>,
    /// What each region takes of the traffic now, where the plan has shares and that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub led: Option<Shares>,
    /// What became of earlier rejoins cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejoins_unread: Option<Unread>,
}

/// Records of an earlier run that cannot be read, so that nobody knows how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// The page that says more.
    pub code: Code,
    /// What was found, naming the run.
    pub why: String,
}

/// A person's wish that nothing starts by itself: the file that `policy.hold_file` names is there, or it stands in what the
/// controllers share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The file, or what they share.
    pub file: String,
    /// Who, as it says; empty when it does not.
    pub by: String,
    /// Since when.
    pub since: Option<Wall>,
    /// Why, as the file says.
    pub why: String,
}

impl std::fmt::Display for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = if self.by.is_empty() { "somebody" } else { &self.by };
        write!(f, "{by} holds everything automatic")?;
        if let Some(since) = self.since {
            write!(f, " since {}", show_wall(since))?;
        }
        if !self.why.is_empty() {
            write!(f, " ({})", self.why)?;
        }
        write!(f, ": {}", self.file)
    }
}

/// The last automatic failover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFailover {
    /// Its run.
    pub run: RunId,
    /// When it was started, for people.
    pub at: Wall,
    /// How much time has passed since as leaders saw it pass, each on its own steady clock ([`crate::remembered`]). A wall
    /// clock has no say: one that was set would end the cool-down early.
    #[serde(rename = "ago_ms", with = "as_ms", default)]
    pub counted: Duration,
    /// A person has seen it and allows the next.
    pub acknowledged: bool,
    /// It has ended and did not do what it was to do.
    #[serde(default)]
    pub failed: bool,
    /// How it ended cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<Unread>,
}

impl LastFailover {
    /// For how long it still bars the next one.
    pub fn cooling_down(&self, plan: &Plan) -> Duration {
        plan.policy.cool_down.saturating_sub(self.counted)
    }
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
    /// End that run, which stands in the way of this one.
    End { run: RunId, intent: Intent },
    /// End that run, which was prepared for a writer that works again.
    Withdraw { run: RunId, worked: Duration },
}

/// Why nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// Nothing is wrong.
    #[error("nothing to do: the writer is heard and takes writes")]
    Healthy,
    /// The policy leaves it to a person.
    #[error(
        "{question} is unhealthy and the writer is well; the policy leaves that to a person: pilotlight switchover"
    )]
    ServiceUnhealthy { question: Question },
    /// `move_after` has not passed.
    #[error("{question} is unhealthy; a switchover starts in {} if that lasts", show_duration(*left))]
    ServiceNotForLong {
        question: Question,
        #[serde(rename = "left_ms", with = "as_ms")]
        left: Duration,
    },
    /// Just started.
    #[error("too little was heard since the controller started; wait for the agents")]
    NoDataYet,
    /// May recover by itself.
    #[error("the writer may still recover: its agent repairs it, or its lease still runs")]
    Suspect,
    /// Nothing is there that its agent could start.
    #[error(
        "there is no database where the writer's is to be: mount its disk or put its data back, and its agent starts it; or take \
         what another region has: pilotlight failover"
    )]
    NoData,
    /// Only the agent is gone.
    #[error("only the agent is lost, the writer still works: start the agent again")]
    AgentLost,
    /// Nobody is heard.
    #[error("no agent is heard at all, so the controller itself may be cut off: check its network first")]
    AllDown,
    /// Hears too few.
    #[error(
        "the controller hears {} of {} observers, itself counted, and that is not more than half: it may be the one that \
         is cut off. Look at its network, or move by hand: pilotlight failover", quorum.heard, quorum.all
    )]
    Minority { quorum: Quorum },
    /// `policy.hold_file` is there.
    #[error("{hold}; end it with `pilotlight hold off`, or move by hand")]
    Held { hold: Hold },
    /// `policy.unhealthy_for` has not passed.
    #[error("the writer does not work; a failover starts in {} if that lasts", show_duration(*left))]
    NotForLong {
        #[serde(rename = "left_ms", with = "as_ms")]
        left: Duration,
    },
    /// The last attempt failed.
    #[error(
        "{run} was to fail over and did not end well; one attempt, then people: `pilotlight acknowledge`, or move by hand"
    )]
    AttemptFailed { run: RunId },
    /// The history is damaged, or does not answer.
    #[error(
        "how an earlier run ended cannot be read ({}), so nothing is started on top of it: put its records back, or look at \
         the regions, then `pilotlight acknowledge`, or move by hand", unread.why
    )]
    HistoryUnread { unread: Unread },
    /// Replay lag.
    #[error(
        "{region} holds {bytes} bytes that it has not replayed, the policy allows {allowed}; whether to go all the same is for a \
         person: pilotlight failover"
    )]
    ReplayBehind { region: Region, bytes: u64, allowed: u64 },
    /// Does not fit.
    #[error(
        "what is seen is contradictory or incomplete: mend what the evidence names, and it goes on by itself; or make sure by hand \
         that the writer's server and agent are off, then `pilotlight failover`, with `--writer-is-off REGION` where the \
         store has no candidate"
    )]
    Unclear,
    /// A run moves the unit.
    #[error("run {run} moves this unit: wait for its end, or resume or abort it")]
    RunMoving { run: RunId },
    /// `policy.withdraw_after` has not passed.
    #[error(
        "run {run} was prepared for a lost writer, which works again: it is withdrawn in {} if that lasts",
        show_duration(*left)
    )]
    PreparedInVain {
        run: RunId,
        #[serde(rename = "left_ms", with = "as_ms")]
        left: Duration,
    },
    /// Once is enough.
    #[error(
        "{run} moved the writer a short while ago; the next automatic move waits {} more, not counting time in which no controller \
         leads: `pilotlight acknowledge` ends that, or move by hand",
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
    #[error("no region can take over: none is heard whose copies are standbys{}", in_place(given_up.as_ref()))]
    NoCandidate {
        /// The writer's region, if all that is wrong is that its agent gave it up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        given_up: Option<Region>,
    },
    /// The writer does not wait for it.
    #[error("{region} is no candidate in the store, so nothing bounds what it may lack: {}", without_candidate(lost.as_ref()))]
    NotAdmitted {
        region: Region,
        /// The writer's region, if nobody there is heard who could silence it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lost: Option<Region>,
    },
    /// Receive lag.
    #[error(
        "{region} had not received {bytes} bytes, the policy allows {allowed}; whether to go all the same is for a person: \
         pilotlight failover"
    )]
    Behind { region: Region, bytes: u64, allowed: u64 },
    /// The objective would be missed.
    #[error(
        "a failover to {region} may lose the last {}, the objective allows {}; whether to go all the same is for a \
         person: pilotlight failover",
        show_apart(*exposure, *rpo).0, show_apart(*exposure, *rpo).1
    )]
    PastRpo {
        region: Region,
        #[serde(rename = "exposure_ms", with = "as_ms")]
        exposure: Duration,
        #[serde(rename = "rpo_ms", with = "as_ms")]
        rpo: Duration,
    },
    /// Nothing says how far the best candidate is behind.
    #[error("nothing says how far {region} is behind; whether to go all the same is for a person: pilotlight failover")]
    LagUnknown { region: Region },
    /// `policy.mode: manual`, and a region without the writer is lost.
    #[error("{region} is lost and takes users; the policy leaves it to a person: pilotlight drain --from {region}")]
    DrainByHand { region: Region },
    /// The last drain failed.
    #[error(
        "{region} is lost and takes users, but the last drain did not end well (pilotlight run list names it); the next automatic \
         one waits {}, pilotlight drain --from {region} tries now",
        show_duration(*left)
    )]
    DrainFailed {
        region: Region,
        #[serde(rename = "left_ms", with = "as_ms")]
        left: Duration,
    },
    /// `policy.rejoin: manual`.
    #[error("{region} is back; the policy leaves its rejoin to a person: pilotlight rejoin")]
    RejoinByHand { region: Region },
    /// The last rejoin failed.
    #[error(
        "{region} is back, but its last rejoin failed (pilotlight run list names it); the next automatic one waits {}, \
         pilotlight rejoin tries now",
        show_duration(*left)
    )]
    RejoinFailed {
        region: Region,
        #[serde(rename = "left_ms", with = "as_ms")]
        left: Duration,
    },
}

impl Reason {
    /// The page that says more, where it is not the verdict itself that holds.
    pub fn code(&self) -> Option<Code> {
        Some(match self {
            Reason::Held { .. } => code::HELD,
            Reason::ServiceUnhealthy { .. } | Reason::ServiceNotForLong { .. } => code::SERVICE_UNHEALTHY,
            Reason::Unclear => code::NOT_SEEN,
            Reason::NoData => code::DATA_DAMAGED,
            Reason::NoCandidate { .. } => code::NOBODY_TAKES_OVER,
            Reason::NotAdmitted { .. } => code::NOT_ADMITTED,
            Reason::DrainByHand { .. } | Reason::DrainFailed { .. } => code::SHARE_LOST,
            Reason::HistoryUnread { unread } => unread.code,
            Reason::Minority { .. } | Reason::AllDown => code::MINORITY,
            Reason::AttemptFailed { .. } => code::ATTEMPT_FAILED,
            Reason::CoolDown { .. } => code::COOLING_DOWN,
            Reason::RunMoving { .. } | Reason::PreparedInVain { .. } => code::ALREADY_MOVING,
            Reason::Behind { .. }
            | Reason::PastRpo { .. }
            | Reason::LagUnknown { .. }
            | Reason::ReplayBehind { .. } => code::TOO_FAR_BEHIND,
            _ => return None,
        })
    }
}

/// Decides. `now` is only compared with the wall times of the history.
pub fn decide(plan: &Plan, unit: &Unit, judgement: &Judgement, history: &History, now: Wall) -> Decision {
    if let Some(run) = &history.running {
        return busy(plan, unit, judgement, history, now, run);
    }
    if let Some(decision) = drain(plan, unit, judgement, history, now) {
        return decision;
    }
    match judgement.verdict {
        Verdict::Healthy => rejoin(plan, unit, judgement, history, now),
        Verdict::ServiceUnhealthy => service(plan, unit, judgement, history, now),
        Verdict::WriterDead | Verdict::RegionLost => failover(plan, unit, judgement, history),
        Verdict::NoDataYet => Decision::Hold(Reason::NoDataYet),
        Verdict::Suspect => suspect(plan, unit, judgement, history),
        Verdict::Minority => Decision::Hold(Reason::Minority { quorum: judgement.quorum }),
        Verdict::AgentLost => Decision::Hold(Reason::AgentLost),
        Verdict::AllDown => Decision::Hold(Reason::AllDown),
        Verdict::Unknown => Decision::Hold(Reason::Unclear),
    }
}

/// A run has the unit. It keeps it, unless it gives way and what would be decided without it is a failover, or it was
/// prepared for a writer that works.
fn busy(plan: &Plan, unit: &Unit, judgement: &Judgement, history: &History, now: Wall, run: &RunId) -> Decision {
    let run = run.clone();
    if history.gives_way {
        let free = History { running: None, ..history.clone() };
        if let Decision::Start(intent) | Decision::Ask(intent) = decide(plan, unit, judgement, &free, now)
            && intent.verb == Verb::Failover
        {
            return Decision::End { run, intent };
        }
    }
    if history.prepared && history.hold.is_none() && judgement.verdict.works() {
        let worked = history.same_for;
        let left = plan.policy.withdraw_after.saturating_sub(worked);
        return match left.is_zero() {
            true => Decision::Withdraw { run, worked },
            false => Decision::Hold(Reason::PreparedInVain { run, left }),
        };
    }
    Decision::Hold(Reason::RunMoving { run })
}

/// A writer that its agent sees and that does not work is given up when the policy says for how long that is borne. Where
/// the agent itself is silent, the lease decides.
fn suspect(plan: &Plan, unit: &Unit, judgement: &Judgement, history: &History) -> Decision {
    let seen = matches!(judgement.scope, Scope::Component { .. });
    let Some(borne) = plan.policy.unhealthy_for.filter(|_| seen) else {
        return Decision::Hold(if judgement.no_data { Reason::NoData } else { Reason::Suspect });
    };
    let left = borne.saturating_sub(history.same_for);
    if left > Duration::ZERO {
        return Decision::Hold(Reason::NotForLong { left });
    }
    if !judgement.quorum.is_majority() {
        return Decision::Hold(Reason::Minority { quorum: judgement.quorum });
    }
    failover(plan, unit, judgement, history)
}

/// A service that is unhealthy where the writer is takes the writer along only where the plan says after how long, and then
/// by a move that loses nothing: the writer itself is well. What else is to be done is done first.
fn service(plan: &Plan, unit: &Unit, judgement: &Judgement, history: &History, now: Wall) -> Decision {
    let otherwise = rejoin(plan, unit, judgement, history, now);
    if otherwise != Decision::Hold(Reason::Healthy) {
        return otherwise;
    }
    let unhealthy = || judgement.health_at_writer().filter(|h| h.health == Health::Unhealthy);
    let left = |h: &crate::health::ServiceHealth| {
        let borne = plan.health.get(&h.question.check).and_then(|c| c.move_after)?;
        Some((borne.saturating_sub(h.for_ms), h.question.clone()))
    };
    let Some((left, question)) = unhealthy().filter_map(left).min() else {
        let first = unhealthy().max_by_key(|h| h.for_ms).map(|h| h.question.clone());
        return Decision::Hold(first.map_or(Reason::Unclear, |question| Reason::ServiceUnhealthy { question }));
    };
    if left > Duration::ZERO {
        return Decision::Hold(Reason::ServiceNotForLong { question, left });
    }
    if !judgement.quorum.is_majority() {
        return Decision::Hold(Reason::Minority { quorum: judgement.quorum });
    }
    if plan.policy.mode == DecisionMode::Manual {
        return Decision::Hold(Reason::ServiceUnhealthy { question });
    }
    replace(plan, unit, judgement, history, (Verb::Switchover, Mode::Graceful))
}

fn failover(plan: &Plan, unit: &Unit, judgement: &Judgement, history: &History) -> Decision {
    replace(plan, unit, judgement, history, (Verb::Failover, Mode::Ungraceful))
}

/// Another region gets the writer, once every hurdle is cleared and nothing in the past bars it.
fn replace(plan: &Plan, unit: &Unit, judgement: &Judgement, history: &History, (verb, mode): (Verb, Mode)) -> Decision {
    let candidate = match choose(plan, judgement) {
        Ok(candidate) => candidate,
        Err(reason) => return Decision::Hold(reason),
    };
    if let Some(hold) = &history.hold {
        return Decision::Hold(Reason::Held { hold: hold.clone() });
    }
    if let Some(last) = history.last_failover.as_ref().filter(|l| !l.acknowledged) {
        if let Some(unread) = &last.unread {
            return Decision::Hold(Reason::HistoryUnread { unread: unread.clone() });
        }
        if last.failed {
            return Decision::Hold(Reason::AttemptFailed { run: last.run.clone() });
        }
        let left = last.cooling_down(plan);
        if left > Duration::ZERO {
            return Decision::Hold(Reason::CoolDown { run: last.run.clone(), left });
        }
    }
    // What is left is drained, and so is who is not heard; who was drained before comes back by a failback only.
    let from = judgement.writer.as_ref();
    let is_away = |region: &Region| {
        Some(region) == from || judgement.silent.contains(region) || is_dark(history.led.as_ref(), region)
    };
    let target = plan.placement(&candidate.region, is_away);
    let intent = Intent { unit: unit.clone(), verb, mode, target };
    match plan.policy.mode {
        DecisionMode::Automatic => Decision::Start(intent),
        DecisionMode::ApproveFirst => Decision::Ask(intent),
        DecisionMode::Manual => Decision::Hold(Reason::Manual { to: candidate.region.clone() }),
    }
}

fn rejoin(plan: &Plan, unit: &Unit, judgement: &Judgement, history: &History, now: Wall) -> Decision {
    // Said while all is well too: a person who mends it now is not surprised by it in an outage.
    let failover = history.last_failover.as_ref().filter(|l| !l.acknowledged).and_then(|l| l.unread.as_ref());
    if let Some(unread) = failover.or(history.rejoins_unread.as_ref()) {
        return Decision::Hold(Reason::HistoryUnread { unread: unread.clone() });
    }
    let (Some(writer), Some(first)) = (&judgement.writer, judgement.returned.first()) else {
        return Decision::Hold(Reason::Healthy);
    };
    if plan.policy.rejoin == RejoinMode::Manual {
        return Decision::Hold(Reason::RejoinByHand { region: first.region.clone() });
    }
    if let Some(hold) = &history.hold {
        return Decision::Hold(Reason::Held { hold: hold.clone() });
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

#[cfg(test)]
mod tests;
