//! EC2 Auto Scaling groups: least, most and wanted size, and how many instances are in service.

use crate::access::Access;
use crate::call::Call;
use crate::finding::there;
use crate::place::place_of;
use crate::together::GATHER;
use async_trait::async_trait;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{AutoScalingGroup, LifecycleState};
use pilotlight_core::code;
use pilotlight_core::effect::{Capability, Descriptor, Effect, Pace};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{Capacity, State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome, Severity};
use pilotlight_core::plan::aws::AutoscalingPlan;
use pilotlight_driver::{Context, Driver};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A look that takes longer is worth nothing.
const LOOK: Duration = Duration::from_secs(3);

/// Suspended, these keep a group from growing.
const NEEDED: [&str; 2] = ["Launch", "AddToLoadBalancer"];

/// See the module. One for all regions of a component.
pub struct AutoscalingDriver {
    component: Component,
    plan: AutoscalingPlan,
    access: Access,
}

#[derive(Serialize, Deserialize)]
struct Handle {
    autoscaling: Region,
    instances: u32,
}

impl AutoscalingDriver {
    /// Calls nobody yet.
    pub fn new(component: Component, plan: AutoscalingPlan, access: Access) -> Self {
        Self { component, plan, access }
    }

    fn call<'a>(&'a self, region: &'a Region, action: &'static str) -> Call<'a> {
        Call { service: "autoscaling", region: self.access.name(region), action }
    }

    fn name(&self, region: &Region) -> Result<&str, Failure> {
        let name = self.plan.regions.get(region).map(String::as_str);
        name.ok_or_else(|| Failure::rejected(format!("{} has no group in {region}", self.component)))
    }

    async fn client(&self, region: &Region) -> Result<Client, Failure> {
        Ok(Client::new(&self.access.config(region).await?))
    }

    async fn group(&self, region: &Region) -> Result<Option<AutoScalingGroup>, Failure> {
        group_of(&self.access, region, self.name(region)?).await
    }

    async fn must(&self, region: &Region) -> Result<AutoScalingGroup, Failure> {
        let name = self.name(region)?;
        let missing = || Failure::rejected(format!("there is no Auto Scaling group {name} in {region}"));
        self.group(region).await?.ok_or_else(|| missing().hint("compare `regions` of the component with the account"))
    }

    /// Least, most, wanted: the group may move between least and most by itself, so least is what is asked for. Where the
    /// traffic is, more may run by now, and stays.
    fn sizes(&self, group: &AutoScalingGroup, instances: u32) -> (i32, i32, i32) {
        let least = i32::try_from(instances).unwrap_or(i32::MAX);
        let active = instances >= self.plan.active;
        let planned = if active { self.plan.active_max } else { self.plan.standby_max };
        let wanted = group.desired_capacity().filter(|_| active).map_or(least, |now| now.max(least));
        let most = planned.and_then(|n| i32::try_from(n).ok()).or(group.max_size()).unwrap_or(wanted);
        (least, most.max(wanted), wanted)
    }

    /// As many serve as were asked for; where the traffic is, more are no failure.
    fn is_reached(&self, group: &AutoScalingGroup, instances: u32) -> bool {
        let serve = in_service(group);
        serve == instances || (serve > instances && instances >= self.plan.active)
    }

    async fn set(&self, region: &Region, instances: u32, context: &Context) -> Result<Outcome, Failure> {
        let group = self.must(region).await?;
        let (least, most, wanted) = self.sizes(&group, instances);
        let is = (group.min_size(), group.max_size(), group.desired_capacity());
        let asked = is == (Some(least), Some(most), Some(wanted));
        if asked && self.is_reached(&group, instances) {
            return Ok(Outcome::Skipped {
                why: format!("{instances} instances of {} serve in {region}", self.component),
            });
        }
        if !asked {
            let (name, client) = (self.name(region)?, self.client(region).await?);
            let send = || {
                let call = client.update_auto_scaling_group().auto_scaling_group_name(name);
                call.min_size(least).max_size(most).desired_capacity(wanted).send()
            };
            let call = self.call(region, "UpdateAutoScalingGroup");
            self.access.change(call, context.deadline / 4, send).await.map_err(|r| r.failure())?;
        }
        let handle = Handle { autoscaling: region.clone(), instances };
        Ok(Outcome::Accepted { handle: serde_json::to_string(&handle).expect("a handle is names and numbers") })
    }

    fn findings(&self, group: &AutoScalingGroup, region: &Region) -> Vec<Finding> {
        let suspended = group.suspended_processes().iter().filter_map(|p| p.process_name());
        let stops = suspended.filter(|p| NEEDED.contains(p)).map(|process| Finding {
            code: code::AWS_SIZE.to_string(),
            severity: Severity::Blocker,
            message: format!("{} in {region} will not grow: its process {process} is suspended", self.component),
            hint: "resume it".to_owned(),
        });
        stops.collect()
    }
}

/// The group of that name; `None` when there is none.
pub(crate) async fn group_of(
    access: &Access,
    region: &Region,
    name: &str,
) -> Result<Option<AutoScalingGroup>, Failure> {
    let client = Client::new(&access.config(region).await?);
    let asked = access.looks().groups.ask(access.name(region).to_owned(), name, |question| async move {
        access.clock().sleep(GATHER).await;
        let call = Call { service: "autoscaling", region: access.name(region), action: "DescribeAutoScalingGroups" };
        let ask = || client.describe_auto_scaling_groups();
        let send = || ask().set_auto_scaling_group_names(Some(question.leave())).send();
        let answer = access.read(call, LOOK, send).await?;
        let named = |g: &AutoScalingGroup| Some((g.auto_scaling_group_name()?.to_owned(), g.clone()));
        Ok(answer.auto_scaling_groups().iter().filter_map(named).collect())
    });
    asked.await.map_err(|r| r.not_seen())
}

/// How many of its instances serve.
pub(crate) fn in_service(group: &AutoScalingGroup) -> u32 {
    let serves = |i: &&aws_sdk_autoscaling::types::Instance| {
        i.lifecycle_state() == Some(&LifecycleState::InService) && i.health_status() == Some("Healthy")
    };
    u32::try_from(group.instances().iter().filter(serves).count()).unwrap_or(u32::MAX)
}

#[async_trait]
impl Driver for AutoscalingDriver {
    fn describe(&self) -> Descriptor {
        Descriptor { pace: Pace::Minutes, ..Descriptor::caller_checked(Capability::Capacity) }
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        let region = place_of(&self.component, target)?;
        let group = self.must(region).await?;
        let desired = group.desired_capacity().and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
        let capacity = Some(Capacity { desired, ready: in_service(&group) });
        Ok(State { capacity, ..State::default() })
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        let Effect::SetCapacity { region, .. } = effect else { return Ok(Vec::new()) };
        let what = format!("Auto Scaling group {} in {region}", self.name(region)?);
        let hint = "compare `regions` of the component with the account";
        Ok(match there(self.group(region).await, &what, hint) {
            Ok(group) => self.findings(&group, region),
            Err(found) => found,
        })
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        match effect {
            Effect::SetCapacity { region, instances, .. } => self.set(region, *instances, context).await,
            other => Err(Failure::unsupported(format!("{} cannot {:?}", self.component, other.capability()))),
        }
    }

    async fn resume(&self, handle: &str, _context: &Context) -> Result<Outcome, Failure> {
        let Handle { autoscaling: region, instances } =
            serde_json::from_str(handle).map_err(|_| Failure::unsupported(format!("no such handle: {handle}")))?;
        let group = self.must(&region).await?;
        let (serve, asked) = (in_service(&group), group.desired_capacity());
        Ok(match self.is_reached(&group, instances) && asked >= i32::try_from(instances).ok() {
            true => Outcome::done_with(format!("{serve} instances of {} serve in {region}", self.component)),
            false => Outcome::Accepted { handle: handle.to_owned() },
        })
    }
}
