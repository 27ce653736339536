//! All that the controller knows of a unit at one moment, on its own clock.

use super::Witness;
use crate::health::{Opinion, Question};
use crate::id::{Component, Region, Unit};
use crate::lease::LeaseSight;
use crate::observation::{Newest, Sentinel, State, Target};
use crate::pairs;
use crate::plan::Plan;
use crate::shared::Shared;
use crate::time::Mono;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A heartbeat may be late by so much beyond two whole intervals before its sender counts as silent: a busy machine
/// delays a process by up to some 100 ms.
const LATE: Duration = Duration::from_millis(250);

/// A look older than this says nothing, although its agent is heard: drivers answer a look within a second or two.
const STALE: Duration = Duration::from_secs(5);

/// Everything a verdict is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sight {
    /// The controller's clock.
    pub now: Mono,
    /// What each region's agent said, and when.
    pub agents: BTreeMap<Region, Shared<AgentSight>>,
    /// What the controller saw itself at the ports of replicated data.
    #[serde(with = "pairs")]
    pub ports: BTreeMap<Target, PortSight>,
    /// What the controller thinks itself of services.
    #[serde(with = "pairs", default)]
    pub health: BTreeMap<Question, Opinion>,
    /// What the other observers see: agents, and those that only look.
    #[serde(with = "pairs", default)]
    pub outlooks: BTreeMap<Witness, Shared<Outlook>>,
    /// The unit's lease as its granter has it.
    pub lease: LeaseSight,
    /// The region that the store has as the unit's candidate.
    pub candidate: Option<Region>,
    /// When the store's record of the unit last changed under this controller.
    pub changed: Option<Mono>,
}

/// What one observer sees of the other places.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outlook {
    /// When it was last heard, on the controller's clock.
    pub heard: Option<Mono>,
    /// Its newest look at each port, with the time of the look on the controller's clock.
    #[serde(with = "pairs")]
    pub ports: BTreeMap<Target, PortSight>,
    /// What it thinks of services, with times on the controller's clock.
    #[serde(with = "pairs", default)]
    pub health: BTreeMap<Question, Opinion>,
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AgentSight {
    /// When its last heartbeat arrived, on the controller's clock.
    pub last_heard: Option<Mono>,
    /// Its newest look at each target, with the time of the look on the controller's clock.
    #[serde(with = "pairs")]
    pub seen: BTreeMap<Target, (Shared<State>, Mono)>,
    /// The newest sentinel that it wrote to each component as the writer's agent, with when a process of it was last heard
    /// that has written one; kept after it stopped.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sentinels: BTreeMap<Component, (Newest, Mono)>,
    /// The same from an agent of an older version, or in a record of one, which names no component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<Sentinel>,
    /// Its [`Newest::steady_from`].
    #[serde(default)]
    pub steady_from: u64,
    /// When a process of it was last heard that has written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Mono>,
    /// When its present process was first heard. One that was started anew has no sentinel before it writes one.
    #[serde(default)]
    pub met: Option<Mono>,
}

impl AgentSight {
    /// The newest sentinel that it wrote to the component, and when that was last told. One without a name counts where the
    /// plan leaves no doubt whose it is: numbers of two components say nothing of each other.
    pub(crate) fn newest(&self, plan: &Plan, component: &Component) -> Option<(Newest, Option<Mono>)> {
        let unnamed = || {
            let newest = Newest { sentinel: self.sentinel?, steady_from: self.steady_from };
            (plan.only_with_sentinels() == Some(component)).then_some((newest, self.told))
        };
        self.sentinels.get(component).map(|(newest, told)| (*newest, Some(*told))).or_else(unnamed)
    }

    /// How long nothing was heard of what the writer beside it wrote to the component, although the agent is heard: its process
    /// died unheard, and the next one has not written a sentinel. Until that was first heard, writes may have gone on.
    pub(crate) fn untold(&self, plan: &Plan, component: &Component) -> Duration {
        let told = self.newest(plan, component).and_then(|(_, told)| told);
        self.met.zip(told).map_or(Duration::ZERO, |(met, told)| met.since(told))
    }
}

/// What came of dialling a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortAnswer {
    /// Somebody accepts connections.
    Answers,
    /// The machine is there and nobody listens.
    Refused,
    /// Nothing came back in time.
    Unreachable,
}

impl std::fmt::Display for PortAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            PortAnswer::Answers => "accepts connections",
            PortAnswer::Refused => "refuses connections",
            PortAnswer::Unreachable => "does not answer",
        })
    }
}

/// A dialled port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSight {
    /// What came of it.
    pub answer: PortAnswer,
    /// When.
    pub at: Mono,
}

/// An agent heard within this time is there.
pub fn fresh_within(plan: &Plan) -> Duration {
    plan.policy.renew * 2 + LATE
}

/// A look older than this does not count.
pub(crate) fn stale_after(plan: &Plan) -> Duration {
    fresh_within(plan) + STALE
}

impl Sight {
    /// When the region's agent was last heard.
    pub fn last_heard(&self, region: &Region) -> Option<Mono> {
        self.agents.get(region).and_then(|a| a.last_heard)
    }

    /// The region's agent was heard lately.
    pub fn hears(&self, plan: &Plan, region: &Region) -> bool {
        self.last_heard(region).is_some_and(|at| self.now.since(at) <= fresh_within(plan))
    }

    /// A look at a port that says something about now: recent, and made after its region's agent was last heard.
    pub(crate) fn port(&self, plan: &Plan, target: &Target) -> Option<PortSight> {
        let heard = target.region.as_ref().and_then(|r| self.last_heard(r));
        let port = self.ports.get(target)?;
        let recent = self.now.since(port.at) <= stale_after(plan);
        (recent && heard.is_none_or(|heard| port.at >= heard)).then_some(*port)
    }

    /// A look of that time was made after the unit last changed. One from before may show a copy as a run had left it in
    /// the middle: fenced, although the run was undone since and the copy is the writer again.
    pub fn is_after_change(&self, at: Mono) -> bool {
        // Times of looks are reckoned from the arrival of a heartbeat, so they may seem as much newer as that was late.
        self.changed.is_none_or(|changed| at > changed + LATE)
    }

    /// What an observer said last of a service.
    pub(crate) fn opinion(&self, observer: &Witness, question: &Question) -> Option<&Opinion> {
        match observer {
            Witness::Controller => self.health.get(question),
            other => self.outlooks.get(other)?.health.get(question),
        }
    }

    /// The unit's components that hold replicated data.
    pub(crate) fn replicated(&self, plan: &Plan, unit: &Unit) -> Vec<Component> {
        plan.in_unit(unit).filter(|(_, c)| c.is_replicated()).map(|(name, _)| name.clone()).collect()
    }

    /// The region's newest look at a component that is not too old, if its agent is heard.
    pub fn fresh_look(&self, plan: &Plan, region: &Region, component: &Component) -> Option<&State> {
        let target = Target { component: component.clone(), region: Some(region.clone()) };
        let (state, at) = self.agents.get(region).filter(|_| self.hears(plan, region))?.seen.get(&target)?;
        (self.now.since(*at) <= stale_after(plan)).then_some(state)
    }
}

impl Plan {
    /// The component belongs to the unit and holds replicated data.
    pub(crate) fn is_copy(&self, unit: &Unit, component: &Component) -> bool {
        self.components.get(component).is_some_and(|c| &c.unit == unit && c.is_replicated())
    }
}
