//! Aurora Global Database: AWS stops the old writer, hands over and makes the new one in one call.
//!
//! A planned move is `SwitchoverGlobalCluster`, asked in the region of the writer, which is alive by definition. An
//! unplanned one is `FailoverGlobalCluster` with consent to loss, asked where the writer is going to be. When that fails
//! and the plan allows it, the copy is taken out of the global cluster and promoted alone: then nothing stops the old
//! writer, and the outcome says so. Once its region is back it is silenced by security groups that let nobody in, kept under
//! another name, and a new cluster follows in its place.
//!
//! Invariants:
//! - a move without the source calls only the target's region;
//! - before every call it is looked what is so already: done is skipped, under way is taken up;
//! - what is kept before a planned move is kept in the writer's region, and a failover keeps nothing first;
//! - nothing is detached for whom a fence of `none` is too weak;
//! - a cluster is never deleted.

mod back;
mod fence;
mod look;
mod preflight;
mod reattach;
mod snapshot;
mod switch;

use crate::access::Access;
use crate::detach::Move;
use crate::place::place_of;
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Descriptor, Effect, FenceAssurance, Guard, Pace};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::plan::aws::AuroraPlan;
use pilotlight_driver::{Context, Driver};
use std::collections::BTreeSet;

/// See the module. One for all regions of a component.
pub struct AuroraDriver {
    component: Component,
    plan: AuroraPlan,
    access: Access,
}

impl AuroraDriver {
    /// Calls nobody yet.
    pub fn new(component: Component, plan: AuroraPlan, access: Access) -> Self {
        Self { component, plan, access }
    }

    fn known(&self, region: &Region) -> Result<(), Failure> {
        match self.plan.regions.contains_key(region) {
            true => Ok(()),
            false => Err(Failure::rejected(format!("{} has no member in {region}", self.component))),
        }
    }

    fn closed(&self, region: &Region) -> BTreeSet<String> {
        self.plan.regions.get(region).map(|m| m.closed_groups.iter().cloned().collect()).unwrap_or_default()
    }
}

#[async_trait]
impl Driver for AuroraDriver {
    fn describe(&self) -> Descriptor {
        let mut capabilities = BTreeSet::from([Capability::Replicated]);
        if self.plan.can_close() {
            capabilities.insert(Capability::Fence);
        }
        Descriptor {
            capabilities,
            guard: Guard::CallerChecked,
            fence_assurance: FenceAssurance::ProviderAttested,
            atomic_switch: true,
            told_to_follow: false,
            needs_agent: false,
            pace: Pace::Minutes,
        }
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        let region = place_of(&self.component, target)?;
        self.known(region)?;
        self.whole_state(region).await
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        self.findings(effect).await
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        match effect {
            Effect::Switch { from, to, allow_loss, least, .. } => {
                self.known(from)?;
                self.known(to)?;
                self.switch(&Move { from, to, allow_loss: *allow_loss, least: *least }, None, context).await
            }
            Effect::Rejoin { region, upstream, .. } => {
                self.known(region)?;
                self.known(upstream)?;
                self.rejoin(region, upstream, None, context).await
            }
            Effect::Fence { region, .. } if self.plan.can_close() => {
                self.known(region)?;
                self.fence(region, context).await
            }
            other => Err(Failure::unsupported(format!("{} cannot {:?}", self.component, other.capability()))),
        }
    }

    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        self.take_up(handle, context).await
    }
}
