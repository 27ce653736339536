//! Managed node groups of EKS: least, most and wanted number of nodes, and how many instances are in service.
//!
//! Border: nodes, not workloads. EKS shows no count of nodes; what counts are the instances of the group's Auto Scaling
//! group. Whether Kubernetes calls a node ready is not asked.

mod look;

use crate::access::Access;
use crate::call::Call;
use crate::finding::there;
use crate::place::place_of;
use crate::words::nodes::Sizes;
use async_trait::async_trait;
use aws_sdk_eks::Client;
use aws_sdk_eks::types::NodegroupScalingConfig;
use pilotlight_core::effect::{Capability, Descriptor, Effect, Pace};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{Capacity, State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::plan::aws::{EksNodeGroup, EksPlan};
use pilotlight_driver::{Context, Driver};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A look that takes longer is worth nothing.
const LOOK: Duration = Duration::from_secs(3);

/// What a person compares when something is not there.
const COMPARE: &str = "compare `regions` of the component with the account";

/// See the module. One for all regions of a component.
pub struct EksDriver {
    component: Component,
    plan: EksPlan,
    access: Access,
}

/// A size that AWS has accepted.
#[derive(Serialize, Deserialize)]
struct Handle {
    eks: Region,
    nodes: u32,
    /// Id of AWS's own record of the change; `None` when it was asked for by an earlier attempt.
    update: Option<String>,
}

impl EksDriver {
    /// Calls nobody yet.
    pub fn new(component: Component, plan: EksPlan, access: Access) -> Self {
        Self { component, plan, access }
    }

    fn call<'a>(&'a self, region: &'a Region, action: &'static str) -> Call<'a> {
        Call { service: "eks", region: self.access.name(region), action }
    }

    fn place(&self, region: &Region) -> Result<&EksNodeGroup, Failure> {
        let place = self.plan.regions.get(region);
        place.ok_or_else(|| Failure::rejected(format!("{} has no node group in {region}", self.component)))
    }

    async fn client(&self, region: &Region) -> Result<Client, Failure> {
        Ok(Client::new(&self.access.config(region).await?))
    }

    /// How many nodes the group may have when it is asked for so many.
    fn most(&self, nodes: u32) -> Option<u32> {
        if nodes >= self.plan.active { self.plan.active_max } else { self.plan.standby_max }
    }

    /// The cluster's own autoscaler may have asked for more; that is no failure where the traffic is.
    fn is_enough(&self, serve: u32, nodes: u32) -> bool {
        serve == nodes || (serve > nodes && nodes >= self.plan.active)
    }

    async fn set(&self, region: &Region, nodes: u32, context: &Context) -> Result<Outcome, Failure> {
        let (group, serve) = self.must(region).await?;
        let sizes = group.sizes_for(nodes, self.most(nodes), nodes >= self.plan.active);
        let asked = group.sizes == sizes;
        if asked && self.is_enough(serve, nodes) && group.is_settled() {
            return Ok(Outcome::Skipped { why: format!("{nodes} nodes of {} serve in {region}", self.component) });
        }
        let update = if asked { None } else { self.update(region, sizes, context).await? };
        let handle = Handle { eks: region.clone(), nodes, update };
        Ok(Outcome::Accepted { handle: serde_json::to_string(&handle).expect("a handle is names and numbers") })
    }

    async fn update(&self, region: &Region, sizes: Sizes, context: &Context) -> Result<Option<String>, Failure> {
        let (place, client) = (self.place(region)?, self.client(region).await?);
        let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let scaling = NodegroupScalingConfig::builder().min_size(number(sizes.least)).max_size(number(sizes.most));
        let scaling = scaling.desired_size(number(sizes.wanted)).build();
        let send = || {
            let call = client.update_nodegroup_config().cluster_name(&place.cluster);
            call.nodegroup_name(&place.node_group).scaling_config(scaling.clone()).send()
        };
        let call = self.call(region, "UpdateNodegroupConfig");
        let answer = self.access.change(call, context.deadline / 4, send).await.map_err(|r| r.failure())?;
        Ok(answer.update().and_then(|u| u.id()).map(str::to_owned))
    }
}

#[async_trait]
impl Driver for EksDriver {
    fn describe(&self) -> Descriptor {
        Descriptor { pace: Pace::Minutes, ..Descriptor::caller_checked(Capability::Capacity) }
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        let region = place_of(&self.component, target)?;
        let (group, ready) = self.must(region).await?;
        let mut facts = BTreeMap::from([("status".to_owned(), group.status.clone())]);
        if !group.issues.is_empty() {
            facts.insert("issues".to_owned(), group.why());
        }
        let capacity = Some(Capacity { desired: group.sizes.wanted, ready });
        Ok(State { capacity, facts, ..State::default() })
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        let Effect::SetCapacity { region, instances, .. } = effect else { return Ok(Vec::new()) };
        let place = self.place(region)?;
        let what = format!("EKS cluster {} in {region}", place.cluster);
        let cluster = match there(self.cluster(region).await, &what, COMPARE) {
            Ok(cluster) => cluster,
            Err(found) => return Ok(found),
        };
        let what = format!("node group {} of {what}", place.node_group);
        let mut found = match there(self.node_group(region).await, &what, COMPARE) {
            Ok(group) => self.of_group(region, &group, *instances),
            Err(found) => found,
        };
        if *instances >= self.plan.active {
            found.extend(Box::pin(self.of_versions(region, &cluster)).await);
        }
        Ok(found)
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        match effect {
            Effect::SetCapacity { region, instances, .. } => self.set(region, *instances, context).await,
            other => Err(Failure::unsupported(format!("{} cannot {:?}", self.component, other.capability()))),
        }
    }

    async fn resume(&self, handle: &str, _context: &Context) -> Result<Outcome, Failure> {
        let Handle { eks: region, nodes, update } =
            serde_json::from_str(handle).map_err(|_| Failure::unsupported(format!("no such handle: {handle}")))?;
        let (group, serve) = self.must(&region).await?;
        if self.is_enough(serve, nodes) && group.is_settled() && group.sizes.wanted >= nodes {
            return Ok(Outcome::done_with(format!("{serve} nodes of {} serve in {region}", self.component)));
        }
        if serve < nodes && (group.is_degraded() || group.is_lost()) {
            let (component, why) = (&self.component, group.why());
            let message =
                format!("EKS says {} of {component} in {region}, where {serve} nodes serve: {why}", group.status);
            return Err(Failure::rejected(message).hint("mend what it names, then try the step again"));
        }
        if let (Some(id), true) = (update, group.is_settled() && group.sizes.wanted < nodes) {
            self.must_not_have_failed(&region, &id).await?;
        }
        Ok(Outcome::Accepted { handle: handle.to_owned() })
    }
}
