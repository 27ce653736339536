//! ElastiCache Global Datastore: one call makes another region's replication group the primary.
//!
//! Replication is asynchronous and AWS has no call that waits for it, so a planned move waits here until the lag that
//! CloudWatch shows is small, and says that what was written in the last moment may be gone.
//!
//! Invariants:
//! - a failover calls only the target's region;
//! - before every call it is looked what is so already: done is skipped, under way is taken up;
//! - nothing is detached for whom a fence of `none` is too weak;
//! - a replication group is never deleted.

mod look;
mod switch;

use crate::access::Access;
use crate::detach::Move;
use crate::finding::{LOSES, MOVED_BY_HAND, far_behind, finding, not_asked, there_already};
use crate::place::place_of;
use async_trait::async_trait;
use pilotlight_core::code;
use pilotlight_core::effect::{Capability, Descriptor, Effect, FenceAssurance, Guard, Pace};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{Role, State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome, Severity};
use pilotlight_core::plan::aws::ElastiCachePlan;
use pilotlight_driver::{Context, Driver};
use std::collections::BTreeSet;

/// See the module. One for all regions of a component.
pub struct ElastiCacheDriver {
    component: Component,
    plan: ElastiCachePlan,
    access: Access,
}

impl ElastiCacheDriver {
    /// Calls nobody yet.
    pub fn new(component: Component, plan: ElastiCachePlan, access: Access) -> Self {
        Self { component, plan, access }
    }

    fn group<'a>(&'a self, region: &Region) -> Result<&'a str, Failure> {
        let group = self.plan.regions.get(region).map(|m| m.group.as_str());
        group.ok_or_else(|| Failure::rejected(format!("{} has no member in {region}", self.component)))
    }

    /// AWS makes the old primary a secondary by itself; what was taken out stays out until a person acts.
    async fn rejoin(&self, region: &Region, upstream: &Region) -> Result<Outcome, Failure> {
        let (component, seen) = (&self.component, self.look(region).await?);
        let place = format!("{component} in {region}");
        match self.state(&seen).role {
            Some(Role::Standby { upstream: Some(of), streaming: true }) if of == *upstream => {
                Ok(Outcome::Skipped { why: format!("{place} follows {upstream}") })
            }
            Some(Role::Standby { .. }) => Ok(switch::Handle::rejoin(region, upstream).accepted()),
            Some(Role::Writer) if seen.member().is_some() => Err(Failure::rejected(format!("{place} is the primary"))),
            Some(Role::Writer) => Err(Failure::rejected(format!("{place} stands alone and takes writes"))
                .hint("a group that was taken out cannot join again: delete it and create a secondary; docs/aws.md")),
            role => Err(Failure::transient(format!("{place} is {role:?}"))),
        }
    }

    async fn findings(&self, from: &Region, to: &Region, allow_loss: bool) -> Vec<Finding> {
        let (component, name) = (&self.component, &self.plan.global_datastore);
        let seen = match self.look(to).await {
            Ok(seen) => seen,
            Err(failure) => return vec![not_asked(failure)],
        };
        let block = |code, message: String, hint: &str| finding(code, Severity::Blocker, message, hint);
        if seen.datastore.is_none() {
            let hint = "compare `global_datastore` in the plan with the account";
            return vec![block(code::AWS_MISSING, format!("{to} knows no global datastore {name}"), hint)];
        }
        match self.state(&seen).role {
            Some(Role::Standby { upstream: Some(of), .. }) if of != *from => {
                let message = format!("the primary of {name} is in {of}, not in {from}");
                vec![block(code::AWS_MOVED_BY_HAND, message, MOVED_BY_HAND)]
            }
            Some(Role::Standby { streaming: false, .. }) => {
                let message = format!("{component} in {to} is not associated yet");
                vec![block(code::AWS_NOT_IN_STEP, message, "wait until AWS has synchronised it")]
            }
            Some(Role::Standby { .. }) => match self.lag(to, &seen, true).await {
                Ok(lag) => {
                    let what = format!("{component} in {to}");
                    let found = lag.and_then(|lag| far_behind(self.access.rpo(), &what, lag.value, LOSES));
                    found.into_iter().collect()
                }
                Err(failure) => vec![Finding { severity: Severity::Warning, ..not_asked(failure) }],
            },
            Some(Role::Writer) => {
                vec![there_already(format!("{component} in {to} is the primary already, or stands alone"), allow_loss)]
            }
            role => {
                let message = format!("{component} in {to} {}", role.unwrap_or(Role::Unknown).says());
                vec![block(code::AWS_MISSING, message, "create the secondary first")]
            }
        }
    }
}

#[async_trait]
impl Driver for ElastiCacheDriver {
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
        self.whole_state(region).await
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        Ok(match effect {
            Effect::Switch { from, to, allow_loss, .. } => self.findings(from, to, *allow_loss).await,
            _ => Vec::new(),
        })
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        match effect {
            Effect::Switch { from, to, allow_loss, least, .. } => {
                self.group(from)?;
                self.switch(&Move { from, to, allow_loss: *allow_loss, least: *least }, context).await
            }
            Effect::Rejoin { region, upstream, .. } => self.rejoin(region, upstream).await,
            other => Err(Failure::unsupported(format!("{} cannot {:?}", self.component, other.capability()))),
        }
    }

    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        self.take_up(handle, context).await
    }
}
