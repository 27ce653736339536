//! Who sees whom: the observers of a plan, how many of them the controller hears, and the matrix that people look at.
//!
//! An observer is a witness that looks from a place of its own: each region's agent, the controller, and the processes
//! that `policy.observers` names.
//!
//! Invariant: a controller that does not hear more than half of the observers, itself counted, starts nothing
//! ([`Quorum::is_majority`]). Half is not enough: the other half may see something else.

use super::{PortAnswer, PortSight, Sight, Witness, sight};
use crate::id::Region;
use crate::observation::Target;
use crate::plan::Plan;
use crate::position::option_ms;
use crate::time::Mono;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How many observers are heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Quorum {
    /// Heard lately, the controller itself counted.
    pub heard: usize,
    /// Named by the plan.
    pub all: usize,
}

impl Quorum {
    /// More than half.
    pub fn is_majority(self) -> bool {
        self.heard * 2 > self.all
    }
}

/// What one observer knows of one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contact {
    /// Nothing recent.
    NotLooked,
    /// It does not answer.
    Silent,
    /// The machine is there, and nobody listens.
    Refused,
    /// It answers.
    Sees,
    /// The place is its own.
    Itself,
}

/// One cell of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The place that is looked at: a region, or the controller's.
    pub place: Witness,
    /// What of it.
    pub contact: Contact,
    /// How old that is.
    #[serde(with = "option_ms")]
    pub age_ms: Option<Duration>,
}

/// One observer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Who.
    pub observer: Witness,
    /// The controller hears it.
    pub heard: bool,
    /// When it was last heard; `None` for the controller, and for who was never heard.
    #[serde(with = "option_ms")]
    pub heard_ms: Option<Duration>,
    /// What it sees of each region and of the controller.
    pub cells: Vec<Cell>,
}

/// Who sees whom, one row per observer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reach {
    /// How many are heard.
    pub quorum: Quorum,
    /// Each observer.
    pub rows: Vec<Row>,
}

impl Plan {
    /// Everybody who looks: the agents, the controller, and the further observers.
    pub fn observers(&self) -> Vec<Witness> {
        let agents = self.regions.iter().cloned().map(Witness::Agent);
        let further = self.policy.observers.iter().cloned().map(Witness::Observer);
        agents.chain([Witness::Controller]).chain(further).collect()
    }
}

impl Sight {
    /// When the observer was last heard; the controller hears itself now.
    pub fn heard_at(&self, observer: &Witness) -> Option<Mono> {
        match observer {
            Witness::Controller => Some(self.now),
            Witness::Agent(region) => self.last_heard(region),
            Witness::Observer(_) => self.outlooks.get(observer).and_then(|o| o.heard),
            Witness::Store => None,
        }
    }

    /// The observer was heard lately.
    pub fn hears_observer(&self, plan: &Plan, observer: &Witness) -> bool {
        self.heard_at(observer).is_some_and(|at| self.now.since(at) <= sight::fresh_within(plan))
    }

    /// How many observers are heard.
    pub fn quorum(&self, plan: &Plan) -> Quorum {
        let all = plan.observers();
        Quorum { heard: all.iter().filter(|o| self.hears_observer(plan, o)).count(), all: all.len() }
    }

    /// What an observer other than the controller saw at a port, if it is heard and the look says something about now:
    /// recent, and made after the agent of the port's region was last heard.
    pub(crate) fn port_from(&self, plan: &Plan, observer: &Witness, target: &Target) -> Option<PortSight> {
        if !self.hears_observer(plan, observer) {
            return None;
        }
        let port = *self.outlooks.get(observer)?.ports.get(target)?;
        let heard = target.region.as_ref().and_then(|r| self.last_heard(r));
        let recent = self.now.since(port.at) <= sight::stale_after(plan);
        (recent && heard.is_none_or(|heard| port.at >= heard)).then_some(port)
    }

    /// The matrix.
    pub fn reach(&self, plan: &Plan) -> Reach {
        let row = |observer: Witness| {
            let age = |at: Mono| self.now.since(at);
            Row {
                heard: self.hears_observer(plan, &observer),
                heard_ms: self.heard_at(&observer).filter(|_| observer != Witness::Controller).map(age),
                cells: self.cells(plan, &observer),
                observer,
            }
        };
        Reach { quorum: self.quorum(plan), rows: plan.observers().into_iter().map(row).collect() }
    }

    fn cells(&self, plan: &Plan, observer: &Witness) -> Vec<Cell> {
        let regions = plan.regions.iter().map(|region| {
            let (contact, at) = match observer {
                Witness::Agent(own) if own == region => (Contact::Itself, None),
                Witness::Controller if self.hears(plan, region) => (Contact::Sees, self.last_heard(region)),
                _ => self.best_port(plan, observer, region),
            };
            Cell { place: Witness::Agent(region.clone()), contact, age_ms: at.map(|at| self.now.since(at)) }
        });
        let (contact, at) = match observer {
            Witness::Controller => (Contact::Itself, None),
            _ if self.hears_observer(plan, observer) => (Contact::Sees, self.heard_at(observer)),
            _ => (Contact::NotLooked, self.heard_at(observer)),
        };
        let controller = Cell { place: Witness::Controller, contact, age_ms: at.map(|at| self.now.since(at)) };
        regions.chain([controller]).collect()
    }

    /// The best that the observer saw lately at the region's ports.
    fn best_port(&self, plan: &Plan, observer: &Witness, region: &Region) -> (Contact, Option<Mono>) {
        let own = (*observer == Witness::Controller).then_some(&self.ports);
        let ports = own.or_else(|| self.outlooks.get(observer).map(|o| &o.ports));
        let recent = |p: &PortSight| self.now.since(p.at) <= sight::stale_after(plan);
        let looks = ports.into_iter().flatten().filter(|(t, p)| t.region.as_ref() == Some(region) && recent(p));
        let best = looks.map(|(_, p)| (contact(p.answer), p.at)).max();
        best.map_or((Contact::NotLooked, None), |(contact, at)| (contact, Some(at)))
    }
}

fn contact(answer: PortAnswer) -> Contact {
    match answer {
        PortAnswer::Answers => Contact::Sees,
        PortAnswer::Refused => Contact::Refused,
        PortAnswer::Unreachable => Contact::Silent,
    }
}
