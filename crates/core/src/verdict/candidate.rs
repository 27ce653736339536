//! Who could take over, how much would be lost by it, and who came back.
//!
//! The exposure of a candidate is how much newest acknowledged time it may miss. Where sentinels are written it is the
//! distance of two times of the *writer's* clock, which was not set in between: the last sentinel written and the newest one
//! the candidate shows. Else it is the copy's own lag, less the time the writer has been silent, because a dead writer's copy seems to age.
//!
//! Both stand still in the moment in which the writer's region falls silent, and a writer that is cut off goes on: until its
//! gate closes or its agent fences it. That time is *unheard*. It is told with the exposure always; it is weighed with it
//! where the plan promises at least a lease. A shorter RPO was accepted by writing `expose` or `best-effort` (PL-0115).

use super::Sight;
use crate::gate::sender_timeout;
use crate::id::{Component, Region, Unit};
use crate::observation::{Newest, Role, State, Target};
use crate::plan::{BeyondRpo, Guarantee, Plan};
use crate::position::{Lag, LagQuality, option_ms};
use crate::time::as_ms;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A region whose copies are standbys and whose agent is heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The region.
    pub region: Region,
    /// Most bytes that any of its copies had not received, where known.
    pub received_bytes: Option<u64>,
    /// Most bytes that any of its copies holds and has not replayed, where known.
    #[serde(default)]
    pub replay_bytes: Option<u64>,
    /// Newest acknowledged time it lacked when the writer was last heard, where known.
    #[serde(rename = "exposure_ms", with = "option_ms")]
    pub exposure: Option<Duration>,
    /// For so long the writer may have acknowledged after that, and none of it is there.
    #[serde(rename = "unheard_ms", with = "as_ms", default, skip_serializing_if = "Duration::is_zero")]
    pub unheard: Duration,
    /// The exposure comes from sentinels.
    pub by_sentinel: bool,
    /// The writer waits for it: the store has it as the unit's candidate. `None` where writers wait for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admitted: Option<bool>,
}

/// A region that is back and should follow the writer but does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// The region.
    pub region: Region,
    /// What its copies are, for people.
    pub says: String,
}

/// What stands between a candidate and an automatic promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hurdle {
    /// Nothing.
    None,
    /// The writer does not wait for it, so what the writer acknowledges may be missing there without a bound.
    NotAdmitted,
    /// It had not received so many bytes.
    Behind {
        /// Not received.
        bytes: u64,
        /// Allowed by the policy.
        allowed: u64,
    },
    /// It holds so many bytes that it has not replayed.
    ReplayBehind {
        /// Not replayed.
        bytes: u64,
        /// Allowed by the policy.
        allowed: u64,
    },
    /// It may miss more acknowledged time than the objective allows.
    PastRpo {
        /// May be missing.
        exposure: Duration,
        /// The objective.
        rpo: Duration,
    },
    /// Nothing says how far it is behind.
    LagUnknown,
}

impl Candidate {
    /// The newest acknowledged time that is lost at the most if it is promoted, where known: what it lacked, and what the old
    /// side may have acknowledged unheard. A sentinel speaks for the moment in which it was written, so up to the time
    /// between two of them is in neither.
    pub fn may_lose(&self) -> Option<Duration> {
        self.exposure.map(|exposure| exposure + self.unheard)
    }

    /// Receive lag, replay lag and exposure are different hurdles: the first costs data, the second time before the new
    /// writer writes; both are the policy's, the third is the objective's. Bytes that are not known pass when sentinels
    /// prove the exposure; a replay lag that is not known passes, because nothing is lost by it.
    pub fn hurdle(&self, plan: &Plan) -> Hurdle {
        match (self.admitted, plan.policy.guarantee) {
            (Some(false), _) => return Hurdle::NotAdmitted,
            // It has everything that was acknowledged, whatever it has shown of it yet.
            (Some(true), Guarantee::Strict) => return Hurdle::None,
            _ => {}
        }
        let rpo = plan.objectives.rpo;
        match (self.received_bytes, plan.policy.max_lag_bytes) {
            (Some(bytes), Some(allowed)) if bytes > allowed => return Hurdle::Behind { bytes, allowed },
            (None, Some(_)) if !self.by_sentinel => return Hurdle::LagUnknown,
            _ => {}
        }
        match (self.replay_bytes, plan.policy.max_replay_bytes) {
            (Some(bytes), Some(allowed)) if bytes > allowed => return Hurdle::ReplayBehind { bytes, allowed },
            _ => {}
        }
        let counted = if rpo >= plan.policy.lease { self.may_lose() } else { self.exposure };
        match counted.zip(self.may_lose()) {
            Some((counted, exposure)) if counted > rpo => Hurdle::PastRpo { exposure, rpo },
            None if self.received_bytes.is_none() => Hurdle::LagUnknown,
            _ => Hurdle::None,
        }
    }
}

/// Standbys of the unit: the one that the writer waits for, then the least behind; the order of the plan decides between equals.
pub(super) fn candidates(plan: &Plan, unit: &Unit, writer: Option<&Region>, sight: &Sight) -> Vec<Candidate> {
    let replicated = sight.replicated(plan, unit);
    let elsewhere = plan.regions.iter().filter(|r| Some(*r) != writer && !replicated.is_empty());
    let mut found: Vec<Candidate> = elsewhere
        .filter_map(|region| {
            let standby =
                |c| sight.fresh_look(plan, region, c).filter(|s| matches!(s.role, Some(Role::Standby { .. })));
            let looks: Option<Vec<(&Component, &State)>> = replicated.iter().map(|c| Some((c, standby(c)?))).collect();
            let admitted = plan.waits_for_candidate(unit).then(|| sight.candidate.as_ref() == Some(region));
            let mut candidate = weigh(plan, region, &looks?, writer, sight, admitted);
            candidate.unheard = unheard(plan, unit, writer, sight, &candidate);
            Some(candidate)
        })
        .collect();
    let behind = |c: &Candidate| (c.received_bytes.unwrap_or(u64::MAX), c.exposure.unwrap_or(Duration::MAX));
    // What another shows may be as new, and only this one is known to have what was acknowledged since.
    found.sort_by_key(|c| (c.admitted != Some(true), behind(c)));
    found
}

fn weigh(
    plan: &Plan,
    region: &Region,
    looks: &[(&Component, &State)],
    writer: Option<&Region>,
    sight: &Sight,
    admitted: Option<bool>,
) -> Candidate {
    let lags = || looks.iter().map(|(_, s)| s.lag.as_ref());
    let bytes: Option<Vec<u64>> = lags().map(|lag| lag?.received_bytes).collect();
    let replay = lags().filter_map(|lag| lag?.replay_bytes).max();
    let agent = writer.and_then(|writer| sight.agents.get(writer));
    let gap = |(component, copy): &(&Component, &State)| sentinel_gap(agent?.newest(plan, component)?.0, copy);
    let by_sentinel: Option<Vec<Duration>> = looks.iter().map(gap).collect();
    let by_lag = || -> Option<Vec<Duration>> { lags().map(|lag| lag_gap(lag?, writer, sight)).collect() };
    Candidate {
        region: region.clone(),
        replay_bytes: replay,
        admitted,
        received_bytes: bytes.and_then(|b| b.into_iter().max()),
        by_sentinel: by_sentinel.is_some(),
        exposure: by_sentinel.or_else(by_lag).and_then(|gaps| gaps.into_iter().max()),
        unheard: Duration::ZERO,
    }
}

/// For how long a writer that is not heard may have acknowledged what the candidate lacks: for the lease that it was granted
/// last, by its gate or until its agent fences it. One that is heard says what it does, but for the time before its agent was
/// started anew. Of a writer without an agent of ours no lease says anything.
fn unheard(plan: &Plan, unit: &Unit, writer: Option<&Region>, sight: &Sight, candidate: &Candidate) -> Duration {
    let by_agent = plan.in_unit(unit).any(|(_, c)| c.is_replicated() && !c.is_managed());
    let Some(writer) = writer.filter(|_| by_agent) else { return Duration::ZERO };
    let agent = sight.agents.get(writer).filter(|_| sight.hears(plan, writer));
    let untold = agent.map(|agent| {
        let copies = sight.replicated(plan, unit).into_iter();
        copies.map(|component| agent.untold(plan, &component)).max().unwrap_or_default()
    });
    if untold.is_some_and(|untold| untold.is_zero()) {
        return Duration::ZERO;
    }
    let (policy, rpo) = (&plan.policy, plan.objectives.rpo);
    let gate = policy.lease.saturating_sub(sender_timeout(policy.lease));
    let most = match (candidate.admitted, policy.guarantee, policy.beyond_rpo) {
        (Some(true), Guarantee::Strict, _) => Duration::ZERO,
        // The gate closes sooner where the candidate is further behind than that.
        (Some(true), Guarantee::Bounded, BeyondRpo::Stall) => {
            gate.min(rpo.saturating_sub(candidate.exposure.unwrap_or_default()))
        }
        (Some(true), ..) => gate,
        // Nobody was to take its place by itself: it needs no lease, and may go on until this moment.
        (Some(false), ..) if untold.is_some() => Duration::MAX,
        (Some(false), ..) => sight.last_heard(writer).map_or(policy.lease, |at| sight.now.since(at)),
        (None, ..) => policy.lease,
    };
    most.min(untold.unwrap_or(Duration::MAX))
}

fn sentinel_gap(newest: Newest, copy: &State) -> Option<Duration> {
    let (written, shown) = (newest.sentinel, copy.sentinel?);
    if shown.number >= written.number {
        return Some(Duration::ZERO);
    }
    // A wall clock that was set in between would make much of little, or little of much.
    let steady = shown.number >= newest.steady_from;
    written.written.checked_since(shown.written).filter(|_| steady)
}

fn lag_gap(lag: &Lag, writer: Option<&Region>, sight: &Sight) -> Option<Duration> {
    let silent = writer.and_then(|w| sight.last_heard(w)).map_or(Duration::ZERO, |at| sight.now.since(at));
    let shown = lag.seconds_ms?.saturating_sub(silent);
    // A provider's metric is as old as it says; what happened since is not in it.
    let unseen = if lag.quality == LagQuality::ProviderMetric { lag.age_ms } else { Duration::ZERO };
    Some(shown + unseen)
}

/// Regions whose agent is heard and whose copies were the writer's, or follow somebody else than the writer.
pub(super) fn returned(plan: &Plan, unit: &Unit, writer: Option<&Region>, sight: &Sight) -> Vec<Returned> {
    let Some(writer) = writer else { return Vec::new() };
    let says = |region: &Region| {
        sight.replicated(plan, unit).into_iter().find_map(|component| {
            let target = Target { component: component.clone(), region: Some(region.clone()) };
            let (_, at) = sight.agents.get(region)?.seen.get(&target)?;
            let look = sight.fresh_look(plan, region, &component).filter(|_| sight.is_after_change(*at))?;
            // Nothing is built there before a person says so.
            let role = look.role.as_ref().filter(|_| !look.is_gone())?;
            Some(format!("{component} {}", astray(role, writer)?))
        })
    };
    let elsewhere = plan.regions.iter().filter(|r| *r != writer);
    elsewhere.filter_map(|r| Some(Returned { region: r.clone(), says: says(r)? })).collect()
}

/// Why a copy outside the writer's region has to be made a standby again; `None` when it need not or when its agent
/// does so by itself.
pub(crate) fn astray(role: &Role, writer: &Region) -> Option<String> {
    match role {
        Role::Fenced { .. } => Some("was the writer and is fenced".to_owned()),
        Role::Down { was_writer: true, .. } => Some("was the writer and is down".to_owned()),
        Role::Standby { upstream: Some(upstream), .. } if upstream != writer => {
            Some(format!("follows {upstream}, not the writer {writer}"))
        }
        Role::Standby { .. } | Role::Down { .. } | Role::Writer | Role::Unresponsive | Role::Unknown => None,
    }
}
