//! Aurora Global Database: AWS stops the old writer, hands over and makes the new one in one call.
//!
//! A planned move is `SwitchoverGlobalCluster`, asked in the region of the writer, which is alive by definition. An
//! unplanned one is `FailoverGlobalCluster` with consent to loss, asked where the writer is going to be. When that fails
//! and the plan allows it, the copy is taken out of the global cluster and promoted alone: then nothing stops the old
//! writer, and the outcome says so.
//!
//! Invariants:
//! - a move without the source calls only the target's region;
//! - before every call it is looked what is so already: done is skipped, under way is taken up;
//! - a cluster is never deleted.

mod look;
mod preflight;
mod switch;

use crate::access::Access;
use crate::place::place_of;
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Descriptor, Effect, FenceAssurance, Guard, Pace};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{Role, State, Target};
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

    /// AWS makes the old region's cluster a follower by itself; what was taken out stays out until a person acts.
    async fn rejoin(&self, region: &Region, upstream: &Region) -> Result<Outcome, Failure> {
        let seen = self.look(region).await?;
        let component = &self.component;
        match seen.state(self).role {
            Some(Role::Standby { upstream: Some(of), streaming: true }) if of == *upstream => {
                Ok(Outcome::Skipped { why: format!("{component} in {region} follows {upstream}") })
            }
            Some(Role::Standby { .. }) => {
                Ok(Outcome::Accepted { handle: switch::Handle::rejoin(region, upstream).pack() })
            }
            Some(Role::Writer) if seen.is_member() => {
                Err(Failure::rejected(format!("{component} in {region} is the writer of the global cluster")))
            }
            Some(Role::Writer) => Err(Failure::rejected(format!(
                "{component} in {region} stands alone and takes writes; it is not in global cluster {}",
                self.plan.global_cluster
            ))
            .hint("keep what only it holds (a snapshot), then add a new member there; docs/aws.md shows how")),
            role => Err(Failure::transient(format!("{component} in {region} is {role:?}"))),
        }
    }
}

#[async_trait]
impl Driver for AuroraDriver {
    fn describe(&self) -> Descriptor {
        Descriptor {
            capabilities: BTreeSet::from([Capability::Replicated]),
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
        Ok(self.look(region).await?.state(self))
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        self.findings(effect).await
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        match effect {
            Effect::Switch { from, to, allow_loss, .. } => {
                self.known(from)?;
                self.known(to)?;
                self.switch(from, to, *allow_loss, context).await
            }
            Effect::Rejoin { region, upstream, .. } => {
                self.known(region)?;
                self.rejoin(region, upstream).await
            }
            other => Err(Failure::unsupported(format!("{} cannot {:?}", self.component, other.capability()))),
        }
    }

    async fn resume(&self, handle: &str, _context: &Context) -> Result<Outcome, Failure> {
        self.take_up(handle).await
    }
}
