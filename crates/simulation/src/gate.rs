//! The agent's end of a simulated gate: told the end of the lease, it tells its gate process until when it may confirm, by
//! the very arithmetic of the real one ([`pilotlight_core::gate`]). The process itself is part of the world
//! (`world::commits`).

use crate::bug::Bug;
use crate::exchange::{Exchange, Order};
use crate::place::Place;
use pilotlight_core::gate::confirm_until;
use pilotlight_core::plan::{BeyondRpo, Guarantee, Plan};
use pilotlight_core::time::Mono;
use pilotlight_driver::gate::Gate;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// See the module.
pub(crate) struct SimGate {
    exchange: Exchange,
    place: Place,
    lease: Duration,
    stall_at: Option<Duration>,
    bug: Option<Bug>,
    knows: Mutex<Knows>,
}

#[derive(Default)]
struct Knows {
    lease_end: Option<Mono>,
    /// When the candidate is known to have had everything.
    fresh: Option<Mono>,
    /// When the writer's end was where.
    marks: VecDeque<(Mono, usize)>,
}

/// Looks that are remembered.
const MARKS: usize = 64;

impl SimGate {
    /// The gate of a place, where the plan asks for one.
    pub(crate) fn of(plan: &Plan, exchange: &Exchange, place: Place, bug: Option<Bug>) -> Option<Arc<Self>> {
        let policy = &plan.policy;
        let stalls = policy.beyond_rpo == BeyondRpo::Stall && bug != Some(Bug::NoGovernor);
        (policy.guarantee == Guarantee::Bounded).then(|| {
            Arc::new(Self {
                exchange: exchange.clone(),
                place,
                lease: policy.lease,
                stall_at: stalls.then_some(plan.objectives.rpo),
                bug,
                knows: Mutex::default(),
            })
        })
    }

    fn knows(&self) -> MutexGuard<'_, Knows> {
        self.knows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look that began then: so far the candidate was, and so far the writer.
    pub(crate) fn saw(&self, began: Mono, held: usize, end: usize) {
        let mut knows = self.knows();
        knows.marks.push_back((began, end));
        if knows.marks.len() > MARKS {
            knows.marks.pop_front();
        }
        let at = knows.marks.iter().rev().find(|(_, end)| *end <= held).map(|(at, _)| *at);
        knows.fresh = knows.fresh.max(at);
        self.tell(&knows);
    }

    fn tell(&self, knows: &Knows) {
        let Some(end) = knows.lease_end else { return };
        let fresh = self.stall_at.map(|rpo| (knows.fresh.unwrap_or_default(), rpo));
        let until = match self.bug {
            Some(Bug::GateOutlivesLease) => end + self.lease,
            _ => confirm_until(end, self.lease, fresh),
        };
        self.exchange.leave(Order::Gate { place: self.place, until });
    }
}

impl Gate for SimGate {
    fn name(&self) -> &str {
        "commits of database"
    }

    fn allow(&self, until: Mono) {
        let mut knows = self.knows();
        knows.lease_end = knows.lease_end.max(Some(until));
        self.tell(&knows);
    }

    fn close(&self) {
        let mut knows = self.knows();
        knows.lease_end = knows.lease_end.map(|_| Mono::default());
        self.tell(&knows);
    }

    fn bypasses(&self) -> Vec<String> {
        Vec::new()
    }
}
