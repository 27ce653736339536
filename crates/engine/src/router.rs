//! One driver out of many: each call goes to the driver of its component and region.
//!
//! Border: it neither retries nor guards; those that are behind it do.

use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Descriptor, Effect, FenceAssurance, Guard};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::position::{Order, Position};
use pilotlight_core::rescue;
use pilotlight_driver::{Context, Driver};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Dispatches by component and region; by region alone for what is done to no component; else to the controller's own.
#[derive(Default, Clone)]
pub struct Router {
    components: BTreeMap<(Component, Option<Region>), Arc<dyn Driver>>,
    regions: BTreeMap<Region, Arc<dyn Driver>>,
    here: Option<Arc<dyn Driver>>,
}

impl Router {
    /// Knows no driver yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The driver of a component's copy in a region, or of a component that spans regions (a DNS name).
    #[must_use]
    pub fn component(mut self, component: &Component, region: Option<&Region>, driver: Arc<dyn Driver>) -> Self {
        self.components.insert((component.clone(), region.cloned()), driver);
        self
    }

    /// The driver of commands and probes that name a region.
    #[must_use]
    pub fn region(mut self, region: &Region, driver: Arc<dyn Driver>) -> Self {
        self.regions.insert(region.clone(), driver);
        self
    }

    /// The driver of commands and probes that name none: the controller's own.
    #[must_use]
    pub fn here(mut self, driver: Arc<dyn Driver>) -> Self {
        self.here = Some(driver);
        self
    }

    fn find(&self, component: Option<&Component>, region: Option<&Region>) -> Result<&Arc<dyn Driver>, Failure> {
        let found = match (component, region) {
            // A component that spans regions has one driver whatever region the call names.
            (Some(c), r) => {
                self.components.get(&(c.clone(), r.cloned())).or_else(|| self.components.get(&(c.clone(), None)))
            }
            (None, Some(r)) => self.regions.get(r),
            (None, None) => self.here.as_ref(),
        };
        found.ok_or_else(|| {
            let place = match (component, region) {
                (Some(c), Some(r)) => format!("component {c} in {r}"),
                (Some(c), None) => format!("component {c}"),
                (None, Some(r)) => format!("region {r}"),
                (None, None) => "the controller".to_owned(),
            };
            Failure::unsupported(format!("no driver is set up for {place}"))
        })
    }

    fn of_effect(&self, effect: &Effect) -> Result<&Arc<dyn Driver>, Failure> {
        self.find(effect.component(), effect.region())
    }
}

/// A driver's handle with the way back to the driver: a handle alone does not say whose it is.
#[derive(Serialize, Deserialize)]
struct Way {
    component: Option<Component>,
    region: Option<Region>,
    handle: String,
}

impl Way {
    fn of(effect: &Effect, handle: String) -> Self {
        Self { component: effect.component().cloned(), region: effect.region().cloned(), handle }
    }

    fn pack(&self) -> String {
        serde_json::to_string(self).expect("a handle is text and names")
    }

    fn unpack(text: &str) -> Result<Self, Failure> {
        serde_json::from_str(text).map_err(|_| Failure::unsupported(format!("no such handle: {text}")))
    }
}

#[async_trait]
impl Driver for Router {
    /// Everything that any of them can, with the weakest guard and fence of all.
    fn describe(&self) -> Descriptor {
        let all = self.components.values().chain(self.regions.values()).chain(&self.here);
        let all: Vec<Descriptor> = all.map(|d| d.describe()).collect();
        let weakness = |g: &Guard| match g {
            Guard::Enforced => 0,
            Guard::Conditional => 1,
            Guard::CallerChecked => 2,
        };
        Descriptor {
            capabilities: all.iter().flat_map(|d| d.capabilities.iter().copied()).collect::<BTreeSet<Capability>>(),
            guard: all.iter().map(|d| d.guard).max_by_key(weakness).unwrap_or(Guard::CallerChecked),
            fence_assurance: all.iter().map(|d| d.fence_assurance).min().unwrap_or(FenceAssurance::None),
            atomic_switch: all.iter().any(|d| d.atomic_switch),
            told_to_follow: all.iter().any(|d| d.told_to_follow),
            needs_agent: all.iter().any(|d| d.needs_agent),
            pace: all.iter().map(|d| d.pace).max().unwrap_or_default(),
        }
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        self.find(Some(&target.component), target.region.as_ref())?.observe(target).await
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        self.of_effect(effect)?.preflight(effect).await
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        let outcome = self.of_effect(effect)?.apply(effect, context).await?;
        Ok(match outcome {
            Outcome::Accepted { handle } => Outcome::Accepted { handle: Way::of(effect, handle).pack() },
            other => other,
        })
    }

    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        let mut way = Way::unpack(handle)?;
        let driver = self.find(way.component.as_ref(), way.region.as_ref())?;
        Ok(match driver.resume(&way.handle, context).await? {
            Outcome::Accepted { handle } => {
                way.handle = handle;
                Outcome::Accepted { handle: way.pack() }
            }
            other => other,
        })
    }

    async fn watch(&self, target: &Target) {
        match self.find(Some(&target.component), target.region.as_ref()) {
            Ok(driver) => driver.watch(target).await,
            Err(_) => std::future::pending().await,
        }
    }

    async fn rescue(&self, target: &Target, question: &rescue::Question) -> Result<rescue::Answer, Failure> {
        self.find(Some(&target.component), target.region.as_ref())?.rescue(target, question).await
    }

    async fn compare(&self, target: &Target, first: &Position, second: &Position) -> Result<Order, Failure> {
        self.find(Some(&target.component), target.region.as_ref())?.compare(target, first, second).await
    }
}

#[cfg(test)]
mod tests;
