//! Two buckets in S3: the rule of the serving region's bucket copies to the other one, and a move turns that round.
//!
//! Nothing stops writes to a bucket, so nothing is fenced: users are led away, and the rule of the old bucket goes on until
//! what it took has arrived. For that while both rules copy; S3 does not copy a copy, so nothing goes in circles.
//!
//! Invariants:
//! - a move enables the new bucket's rule and calls only the new region, but for a planned one that looks at the old;
//! - the old bucket's rule is disabled last, when CloudWatch says that nothing waits to be copied, and the end says what it
//!   could not prove;
//! - of a replication configuration only the status of one rule is changed; objects are never touched.

mod look;
mod preflight;
mod turn;

use crate::access::Access;
use crate::place::place_of;
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Descriptor, Effect, FenceAssurance, Guard, Pace};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::plan::aws::{S3Bucket, S3Plan};
use pilotlight_core::time::Mono;
use pilotlight_driver::{Context, Driver};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// See the module. One for both regions of a component.
pub struct S3Driver {
    component: Component,
    plan: S3Plan,
    access: Access,
    /// When each region's rule was last seen to copy. A copy's own region does not show that.
    copying: Mutex<BTreeMap<Region, Mono>>,
}

impl S3Driver {
    /// Calls nobody yet.
    pub fn new(component: Component, plan: S3Plan, access: Access) -> Self {
        Self { component, plan, access, copying: Mutex::default() }
    }

    fn place(&self, region: &Region) -> Result<&S3Bucket, Failure> {
        let place = self.plan.regions.get(region);
        place.ok_or_else(|| Failure::rejected(format!("{} has no bucket in {region}", self.component)))
    }

    /// The other region and its bucket.
    fn other(&self, region: &Region) -> Result<(&Region, &S3Bucket), Failure> {
        let other = self.plan.other(region).and_then(|r| Some((r, self.plan.regions.get(r)?)));
        other.ok_or_else(|| Failure::rejected(format!("{} has no bucket beside that in {region}", self.component)))
    }
}

#[async_trait]
impl Driver for S3Driver {
    fn describe(&self) -> Descriptor {
        Descriptor {
            capabilities: BTreeSet::from([Capability::Replicated]),
            guard: Guard::CallerChecked,
            fence_assurance: FenceAssurance::TrafficOnly,
            atomic_switch: true,
            told_to_follow: true,
            needs_agent: false,
            pace: Pace::Minutes,
        }
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        self.state(place_of(&self.component, target)?).await
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        Ok(match effect {
            Effect::Switch { from, to, allow_loss, .. } => self.before_switch(from, to, *allow_loss).await,
            _ => Vec::new(),
        })
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        match effect {
            Effect::Switch { from, to, allow_loss, .. } => self.switch(from, to, *allow_loss, context).await,
            Effect::Rejoin { region, upstream, .. } => self.rejoin(region, upstream, context).await,
            other => Err(Failure::unsupported(format!("{} cannot {:?}", self.component, other.capability()))),
        }
    }

    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        self.take_up(handle, context).await
    }
}
