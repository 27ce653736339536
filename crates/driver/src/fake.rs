//! A driver over a [`World`] in memory: every capability, exact about what happened, and able to misbehave on order.
//!
//! It is no model of one technology. Copies have roles, positions and lineages; regions die, are cut off and return;
//! calls fail, hang, lose their reply or go on by themselves, as a test has [scripted](World::on_call). Every effect that
//! changed something is journaled with key and epoch, and [`World::violations`] says which safety rule was broken.
//!
//! Invariant: time is tokio's, so a test with a paused clock waits for nothing.

mod fault;
mod model;
mod replication;
mod rescue;
mod violation;
mod world;

pub use fault::Misbehaviour;
pub use model::{Acknowledged, Applied, CommandEnd, Copy};
pub use violation::Violation;
pub use world::World;

use crate::{Context, Driver};
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Descriptor, Effect, FenceAssurance, Guard, Pace};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::position::{Order, Position};
use pilotlight_core::rescue::{Answer, Question};

/// A driver of everything in a [`World`]; any number may share one world, as restarted agents do.
#[derive(Clone)]
pub struct FakeDriver {
    world: World,
    descriptor: Descriptor,
}

impl FakeDriver {
    /// A driver that describes itself so; it does what the descriptor says and nothing else.
    pub fn new(world: &World, descriptor: Descriptor) -> Self {
        Self { world: world.clone(), descriptor }
    }

    /// Every capability, stop and promotion as separate steps, epochs refused on the spot: like PostgreSQL beside an agent.
    pub fn everything(world: &World) -> Self {
        use Capability::{Capacity, Command, Confirmed, Fence, Message, Probe, Replicated, Rescue, Sentinel, Traffic};
        Self::new(
            world,
            Descriptor {
                capabilities: [
                    Replicated, Fence, Confirmed, Rescue, Sentinel, Traffic, Capacity, Command, Probe, Message,
                ]
                .into(),
                guard: Guard::Enforced,
                fence_assurance: FenceAssurance::Proven,
                atomic_switch: false,
                told_to_follow: false,
                needs_agent: true,
                pace: Pace::Seconds,
            },
        )
    }

    /// A managed database: no agent, one call moves the writer, fences are the provider's word.
    pub fn managed(world: &World) -> Self {
        Self::new(
            world,
            Descriptor {
                capabilities: [Capability::Replicated, Capability::Fence].into(),
                guard: Guard::CallerChecked,
                fence_assurance: FenceAssurance::ProviderAttested,
                atomic_switch: true,
                told_to_follow: false,
                needs_agent: false,
                pace: Pace::Minutes,
            },
        )
    }

    /// Compares no epochs and remembers no keys: what [`crate::guard::Guarded`] is put around.
    pub fn unguarded(world: &World) -> Self {
        let mut fake = Self::everything(world);
        fake.descriptor.guard = Guard::CallerChecked;
        world.remember_keys(false);
        fake
    }

    /// The world it acts upon.
    pub fn world(&self) -> &World {
        &self.world
    }

    fn supports(&self, effect: &Effect) -> Result<(), Failure> {
        let can = effect.capability().is_some_and(|c| self.descriptor.can(c));
        let one_call = matches!(effect, Effect::Switch { .. });
        let of_many_calls =
            matches!(effect, Effect::StopWrites { .. } | Effect::AwaitPosition { .. } | Effect::Promote { .. });
        if !can || (one_call && !self.descriptor.atomic_switch) || (of_many_calls && self.descriptor.atomic_switch) {
            return Err(Failure::unsupported(format!("this driver does not do {effect:?}")));
        }
        Ok(())
    }
}

#[async_trait]
impl Driver for FakeDriver {
    fn describe(&self) -> Descriptor {
        self.descriptor.clone()
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        let seen = self.world.observe(target);
        let takes = self.world.model().slow.get(target).copied();
        if let Some(takes) = takes {
            tokio::time::sleep(takes).await;
        }
        seen
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        self.supports(effect)?;
        self.world.preflight(effect)
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        self.supports(effect)?;
        self.world.apply(&self.descriptor, effect, context).await
    }

    async fn watch(&self, _target: &Target) {
        self.world.changed().await;
    }

    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        self.world.resume(&self.descriptor, handle, context)
    }

    async fn rescue(&self, target: &Target, question: &Question) -> Result<Answer, Failure> {
        if !self.descriptor.can(Capability::Rescue) {
            return Err(Failure::unsupported("this driver keeps no rescue bundles"));
        }
        self.world.tell(target, question)
    }

    async fn compare(&self, _target: &Target, first: &Position, second: &Position) -> Result<Order, Failure> {
        Ok(self.world.compare(first, second))
    }
}

#[cfg(test)]
mod tests;
