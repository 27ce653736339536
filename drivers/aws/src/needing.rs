//! A driver that also looks at what a region needs, where the service would go: dry runs of a move tell it.

use crate::access::Access;
use async_trait::async_trait;
use pilotlight_core::effect::{Descriptor, Effect};
use pilotlight_core::id::Region;
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::position::{Order, Position};
use pilotlight_core::rescue;
use pilotlight_driver::{Context, Driver};

/// See the module.
pub struct Needing<D> {
    inner: D,
    access: Access,
}

impl<D: Driver> Needing<D> {
    /// Calls nobody yet.
    pub fn new(inner: D, access: Access) -> Self {
        Self { inner, access }
    }
}

/// The region to which an effect brings the service. What is left is not asked what it needs.
fn brings_to(effect: &Effect) -> Option<&Region> {
    match effect {
        Effect::Promote { region, .. } | Effect::Switch { to: region, .. } => Some(region),
        Effect::SetCapacity { region, instances, .. } if *instances > 0 => Some(region),
        _ => None,
    }
}

#[async_trait]
impl<D: Driver> Driver for Needing<D> {
    fn describe(&self) -> Descriptor {
        self.inner.describe()
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        self.inner.observe(target).await
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        let mut found = self.inner.preflight(effect).await?;
        if let Some(region) = brings_to(effect) {
            found.extend(Box::pin(self.access.needs_lately(region)).await);
        }
        Ok(found)
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        self.inner.apply(effect, context).await
    }

    async fn watch(&self, target: &Target) {
        self.inner.watch(target).await;
    }

    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        self.inner.resume(handle, context).await
    }

    async fn rescue(&self, target: &Target, question: &rescue::Question) -> Result<rescue::Answer, Failure> {
        self.inner.rescue(target, question).await
    }

    async fn compare(&self, target: &Target, first: &Position, second: &Position) -> Result<Order, Failure> {
        self.inner.compare(target, first, second).await
    }
}
