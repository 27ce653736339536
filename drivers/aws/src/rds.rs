//! An RDS instance and its read replicas in other regions: stop, wait, promote, and a new replica in the other direction.
//!
//! AWS has no call that makes an instance read only. Writes are stopped by security groups that let nobody in, and a reboot
//! that ends the sessions from before; the instance then holds still, and says so by a tag. A replica is promoted by one
//! call. Afterwards the old instance is renamed and kept, and a new replica is made under its name.
//!
//! Invariants:
//! - what is done next follows from what AWS shows, never from memory, so any controller can go on;
//! - an instance is never deleted: what only it holds is in the renamed one;
//! - what becomes of backups never fails a step;
//! - a failover calls only the target's region.

mod backups;
mod copy;
mod like;
mod look;
mod preflight;
mod snapshot;
mod stop;
mod turn;

use crate::access::Access;
use crate::place::place_of;
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Descriptor, Effect, FenceAssurance, Guard, HandOver, Pace};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::plan::aws::{RdsInstance, RdsPlan};
use pilotlight_core::position::{Order, Position};
use pilotlight_driver::{Context, Driver};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// See the module. One for all regions of a component.
pub struct RdsDriver {
    component: Component,
    plan: RdsPlan,
    access: Access,
    ages: backups::Ages,
}

/// Work that goes on: what its end looks like. How far it has come is asked of AWS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rds", rename_all = "kebab-case")]
enum Handle {
    Stop {
        region: Region,
    },
    Open {
        region: Region,
    },
    Reach {
        region: Region,
        moment: u64,
    },
    /// A promotion waits for that snapshot.
    Snapshot {
        region: Region,
        id: String,
    },
    /// `asked`: AWS has taken the call; else it is made as soon as the copy takes it.
    Promote {
        region: Region,
        #[serde(default)]
        asked: bool,
    },
    Rejoin {
        region: Region,
        upstream: Region,
        kept: String,
    },
}

/// How it comes that a promotion is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// For the first time.
    Now,
    /// It was accepted before, and AWS has taken the call or not.
    Before(bool),
}

impl Handle {
    fn accepted(&self) -> Outcome {
        Outcome::Accepted { handle: serde_json::to_string(self).expect("a handle is names and numbers") }
    }
}

impl RdsDriver {
    /// Calls nobody yet.
    pub fn new(component: Component, plan: RdsPlan, access: Access) -> Self {
        Self { component, plan, access, ages: backups::Ages::default() }
    }

    fn place(&self, region: &Region) -> Result<&RdsInstance, Failure> {
        let place = self.plan.regions.get(region);
        place.ok_or_else(|| Failure::rejected(format!("{} has no instance in {region}", self.component)))
    }

    fn closed(&self, region: &Region) -> BTreeSet<String> {
        self.plan.regions.get(region).map(|p| p.closed_groups.iter().cloned().collect()).unwrap_or_default()
    }

    /// Positions are moments of the wall clock: a copy holds everything that was written until then.
    fn position(&self, moment: u64) -> Position {
        let lineage = format!("rds/{}", self.component);
        Position { lineage, value: moment.to_string(), unit: "milliseconds".to_owned() }
    }

    fn moment(&self, position: &Position) -> Option<u64> {
        (position.lineage == format!("rds/{}", self.component)).then(|| position.value.parse().ok()).flatten()
    }

    /// Goes on with what was accepted: looks, and does what comes next.
    async fn go_on(&self, handle: &Handle, context: &Context) -> Result<Outcome, Failure> {
        match handle {
            Handle::Stop { region } => self.stop(region, context).await,
            Handle::Open { region } => self.open(region, context).await,
            Handle::Reach { region, moment } => self.reach(region, *moment).await,
            Handle::Snapshot { region, id } => self.promote_behind(region, id, context).await,
            Handle::Promote { region, asked } => self.promote(region, None, Asked::Before(*asked), context).await,
            Handle::Rejoin { region, upstream, kept } => self.rejoin(region, upstream, kept, true, context).await,
        }
    }
}

#[async_trait]
impl Driver for RdsDriver {
    fn describe(&self) -> Descriptor {
        Descriptor {
            capabilities: BTreeSet::from([Capability::Replicated, Capability::Fence]),
            guard: Guard::CallerChecked,
            fence_assurance: FenceAssurance::ConnectionsCut,
            atomic_switch: false,
            told_to_follow: false,
            needs_agent: false,
            pace: Pace::Minutes,
        }
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        let region = place_of(&self.component, target)?;
        self.state(region).await
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        Ok(match effect {
            Effect::StopWrites { region, .. } | Effect::Fence { region, .. } => self.before_stop(region).await,
            Effect::Promote { region, .. } => self.before_promotion(region).await,
            Effect::Rejoin { region, .. } => self.before_rejoin(region).await,
            _ => Vec::new(),
        })
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        match effect {
            Effect::Checkpoint { .. } => Ok(Outcome::done_with("RDS writes out by itself when it is rebooted")),
            Effect::StopWrites { region, .. } | Effect::Fence { region, .. } => self.stop(region, context).await,
            Effect::ResumeWrites { region, .. } => self.resume_writes(region, context).await,
            Effect::AwaitPosition { region, position, .. } => {
                let HandOver::At(position) = position else {
                    return Err(Failure::rejected("the position was not resolved"));
                };
                let unknown = || Failure::rejected(format!("{position} is no position of {}", self.component));
                self.reach(region, self.moment(position).ok_or_else(unknown)?).await
            }
            Effect::Promote { region, .. } => {
                let behind = self.before_promoting(region, context.epoch.0);
                self.promote(region, behind, Asked::Now, context).await
            }
            Effect::Rejoin { region, upstream, .. } => {
                let kept = format!("{}-before-{}", self.place(region)?.instance, context.epoch.0);
                self.rejoin(region, upstream, &kept, false, context).await
            }
            other => Err(Failure::unsupported(format!("{} cannot {:?}", self.component, other.capability()))),
        }
    }

    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        let read = serde_json::from_str(handle);
        let read = read.map_err(|_| Failure::unsupported(format!("no such handle: {handle}")))?;
        self.go_on(&read, context).await
    }

    async fn compare(&self, _target: &Target, first: &Position, second: &Position) -> Result<Order, Failure> {
        let (Some(first), Some(second)) = (self.moment(first), self.moment(second)) else {
            return Ok(Order::Unknown);
        };
        Ok(match first.cmp(&second) {
            std::cmp::Ordering::Less => Order::Before,
            std::cmp::Ordering::Equal => Order::Equal,
            std::cmp::Ordering::Greater => Order::After,
        })
    }
}
