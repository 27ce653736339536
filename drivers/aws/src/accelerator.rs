//! Global Accelerator: an endpoint group per region under one listener, and the dials that say whom each takes.
//!
//! Its control plane is in us-west-2, wherever the groups are. Health checks lead users away from a lost region without any
//! call; the dials make that last.
//!
//! Invariants:
//! - dials are raised before any is lowered, so no moment leads nobody;
//! - groups of regions that the plan does not name are not touched: while one takes users, the move is refused;
//! - a change is done when the accelerator is deployed everywhere again, not before;
//! - endpoints and their weights are looked at and never changed.

mod look;

use crate::access::Access;
use crate::call::{Call, SHOWS_WITHIN};
use crate::finding::unanswered;
use crate::words::dial::{dials, percent};
use async_trait::async_trait;
use aws_sdk_globalaccelerator::Client;
use aws_sdk_globalaccelerator::types::AcceleratorStatus;
use look::LOOK;
use pilotlight_core::effect::{Capability, Descriptor, Effect, Pace};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::plan::aws::{ACCELERATOR_REGION, AcceleratorPlan};
use pilotlight_core::time::Wall;
use pilotlight_driver::{Context, Driver};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// See the module.
pub struct AcceleratorDriver {
    component: Component,
    plan: AcceleratorPlan,
    access: Access,
}

/// Dials that AWS has accepted and spreads over the world.
#[derive(Serialize, Deserialize)]
struct Handle {
    accelerator: BTreeMap<Region, u32>,
    #[serde(default)]
    since: Wall,
}

impl AcceleratorDriver {
    /// Calls nobody yet.
    pub fn new(component: Component, plan: AcceleratorPlan, access: Access) -> Self {
        Self { component, plan, access }
    }

    fn call(action: &'static str) -> Call<'static> {
        Call { service: "globalaccelerator", region: ACCELERATOR_REGION, action }
    }

    async fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(&self.access.config_of(ACCELERATOR_REGION).await?))
    }

    fn acceptable(&self, shares: &BTreeMap<Region, u32>) -> Result<(), Failure> {
        if let Some(region) = shares.keys().find(|r| !self.plan.regions.contains_key(*r)) {
            return Err(Failure::rejected(format!("{} has no endpoint group in {region}", self.component)));
        }
        match shares.values().any(|s| *s > 0) {
            true => Ok(()),
            false => Err(Failure::rejected(format!("{} would lead nobody anywhere", self.component))),
        }
    }

    /// The dial of every group of the plan.
    fn wanted(&self, shares: &BTreeMap<Region, u32>) -> BTreeMap<Region, u32> {
        let share = |r: &Region| shares.get(r).copied().unwrap_or_default();
        dials(&self.plan.regions.keys().map(|r| (r.clone(), share(r))).collect())
    }

    async fn route(&self, shares: &BTreeMap<Region, u32>, context: &Context) -> Result<Outcome, Failure> {
        self.acceptable(shares)?;
        let groups = self.groups().await?;
        if let Some(stranger) = groups.stranger() {
            let message = format!("{} also leads users to {stranger}, which the plan does not name", self.component);
            return Err(Failure::rejected(message).hint("turn its dial to 0, or give it to the plan"));
        }
        if let Some(region) = self.plan.regions.keys().find(|r| !groups.dials.contains_key(*r)) {
            let message = format!("the listener of {} has no such endpoint group for {region}", self.component);
            return Err(Failure::rejected(message).hint("compare `regions` of the component with the account"));
        }
        let wanted = self.wanted(shares);
        let mut turns: Vec<(&Region, u32, u32)> =
            wanted.iter().map(|(r, d)| (r, groups.dials[r], *d)).filter(|(_, is, to)| is != to).collect();
        if turns.is_empty() && self.is_deployed().await? {
            return Ok(Outcome::Skipped { why: format!("{} leads there already", self.component) });
        }
        // Up first.
        turns.sort_by_key(|(_, is, to)| to < is);
        let client = self.client().await?;
        for (region, _, to) in turns {
            let group = &self.plan.regions[region];
            let send =
                || client.update_endpoint_group().endpoint_group_arn(group).traffic_dial_percentage(percent(to)).send();
            let call = Self::call("UpdateEndpointGroup");
            self.access.change(call, context.deadline / 4, send).await.map_err(|r| r.failure())?;
        }
        let handle = Handle { accelerator: wanted, since: self.access.clock().wall() };
        Ok(Outcome::Accepted { handle: serde_json::to_string(&handle).expect("a handle is names and numbers") })
    }

    async fn is_deployed(&self) -> Result<bool, Failure> {
        let client = self.client().await?;
        let accelerator = self.plan.accelerator();
        let send = || client.describe_accelerator().accelerator_arn(accelerator).send();
        let answer = self.access.read(Self::call("DescribeAccelerator"), LOOK, send).await.map_err(|r| r.not_seen())?;
        Ok(answer.accelerator().and_then(|a| a.status()) == Some(&AcceleratorStatus::Deployed))
    }
}

#[async_trait]
impl Driver for AcceleratorDriver {
    fn describe(&self) -> Descriptor {
        Descriptor { pace: Pace::Minutes, ..Descriptor::caller_checked(Capability::Traffic) }
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        if target.component != self.component {
            return Err(Failure::unsupported(format!("{} is not {}", target.component, self.component)));
        }
        Ok(self.groups().await?.state())
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        Ok(match effect {
            Effect::Route { shares, .. } => self.findings(shares).await,
            _ => Vec::new(),
        })
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        match effect {
            Effect::Route { shares, .. } => self.route(shares, context).await.map_err(unanswered),
            other => Err(Failure::unsupported(format!("{} cannot {:?}", self.component, other.capability()))),
        }
    }

    async fn resume(&self, handle: &str, _context: &Context) -> Result<Outcome, Failure> {
        let Handle { accelerator: wanted, since } =
            serde_json::from_str(handle).map_err(|_| Failure::unsupported(format!("no such handle: {handle}")))?;
        if !self.is_deployed().await? {
            return Ok(Outcome::Accepted { handle: handle.to_owned() });
        }
        let shown = self.access.clock().wall().since(since) > SHOWS_WITHIN;
        match (self.groups().await?.dials == wanted, shown) {
            (true, _) => Ok(Outcome::done_with(format!("{} leads there from everywhere", self.component))),
            (false, false) => Ok(Outcome::Accepted { handle: handle.to_owned() }),
            (false, true) => Err(Failure::rejected(format!("the dials of {} were turned meanwhile", self.component))
                .hint("somebody else turns them, too: `pilotlight status` shows where they lead")),
        }
    }
}
