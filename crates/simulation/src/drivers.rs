//! The drivers of a simulated place: each call becomes an order to the world and waits for its answer.

use crate::exchange::{Exchange, Order, Reply};
use crate::gate::SimGate;
use crate::place::Place;
use crate::timeline::ProcessClock;
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Descriptor, Effect, FenceAssurance, Guard, Pace};
use pilotlight_core::id::Component;
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::plan::{Kind, Plan};
use pilotlight_core::verdict::PortAnswer;
use pilotlight_driver::clock::Clock;
use pilotlight_driver::port::PortLook;
use pilotlight_driver::{Context, Driver};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything at one place: its copies, or what belongs to no region.
pub(crate) struct PlaceDriver {
    pub(crate) exchange: Exchange,
    pub(crate) place: Place,
    pub(crate) clock: ProcessClock,
    pub(crate) descriptor: Descriptor,
    /// Beside the writer of the place.
    pub(crate) gate: Option<Arc<SimGate>>,
}

#[async_trait]
impl Driver for PlaceDriver {
    fn describe(&self) -> Descriptor {
        self.descriptor.clone()
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        let (reply, answer) = Reply::new(self.clock.process);
        self.exchange.leave(Order::Observe { target: target.clone(), reply });
        let began = self.clock.mono();
        let (state, ends) = match answer.await {
            Ok(seen) => (*seen)?,
            Err(_) => return Err(Failure::transient("the look came to nothing")),
        };
        if let (Some(gate), Some((held, end))) = (&self.gate, ends) {
            gate.saw(began, held, end);
        }
        Ok(state)
    }

    async fn preflight(&self, _effect: &Effect) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        let (reply, answer) = Reply::new(self.clock.process);
        let (effect, context) = (Box::new(effect.clone()), Box::new(context.clone()));
        self.exchange.leave(Order::Apply { place: self.place, effect, context, reply });
        answer.await.unwrap_or_else(|_| Err(Failure::unknown("nobody knows what became of it")))
    }
}

#[async_trait]
impl PortLook for PlaceDriver {
    async fn look(&self, target: &Target) -> PortAnswer {
        let Some(region) = target.region.as_ref().and_then(Place::of) else { return PortAnswer::Unreachable };
        let (reply, answer) = Reply::new(self.clock.process);
        self.exchange.leave(Order::Dial { from: self.place, region, reply });
        answer.await.unwrap_or(PortAnswer::Unreachable)
    }
}

/// What the drivers of each component say of themselves.
pub(crate) fn descriptors(plan: &Plan) -> BTreeMap<Component, Descriptor> {
    plan.components.iter().map(|(name, c)| (name.clone(), of_kind(&c.kind))).collect()
}

fn of_kind(kind: &Kind) -> Descriptor {
    use Capability::{Capacity, Command, Confirmed, Fence, Message, Probe, Replicated, Rescue, Sentinel, Traffic};
    let (capabilities, fence_assurance, needs_agent): (&[Capability], _, _) = match kind {
        Kind::Postgres(_) => (&[Replicated, Fence, Sentinel, Rescue, Confirmed], FenceAssurance::Proven, true),
        Kind::Process(_) => (&[Capacity], FenceAssurance::None, true),
        Kind::Dns(_) => (&[Traffic], FenceAssurance::None, false),
        Kind::Exec(_) => (&[Command, Probe], FenceAssurance::None, false),
        // The plan has no other.
        _ => (&[Message], FenceAssurance::None, false),
    };
    Descriptor {
        capabilities: capabilities.iter().copied().collect(),
        guard: Guard::Enforced,
        fence_assurance,
        atomic_switch: false,
        told_to_follow: false,
        needs_agent,
        pace: Pace::Seconds,
    }
}

/// Of a driver that does everything at its place.
pub(crate) fn of_place() -> Descriptor {
    use Capability::{Capacity, Command, Confirmed, Fence, Probe, Replicated, Rescue, Sentinel, Traffic};
    Descriptor {
        capabilities: [Replicated, Fence, Sentinel, Rescue, Confirmed, Capacity, Traffic, Command, Probe].into(),
        guard: Guard::Enforced,
        fence_assurance: FenceAssurance::Proven,
        atomic_switch: false,
        told_to_follow: false,
        needs_agent: true,
        pace: Pace::Seconds,
    }
}
