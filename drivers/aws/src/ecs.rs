//! ECS services: how many tasks are asked for, how many run, and which capacity provider they run on.
//!
//! Border: task definitions, load balancers and scaling policies are the user's. Where the traffic is, more than `active` may
//! run and is not made less. Limits of AWS's own autoscaling and images are looked at before a move, never changed or pushed. What counts is the PRIMARY deployment (`rollout`): tasks of one before it
//! run on what is to be left.

mod images;
mod limits;
mod rollout;

use crate::access::Access;
use crate::call::Call;
use crate::finding::{finding, there};
use crate::place::place_of;
use crate::together::GATHER;
use crate::words::refusal::Said;
use async_trait::async_trait;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{CapacityProviderStrategyItem, Service};
use pilotlight_core::code;
use pilotlight_core::effect::{Capability, Descriptor, Effect, Pace};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{Capacity, State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome, Severity};
use pilotlight_core::plan::aws::EcsPlan;
use pilotlight_driver::{Context, Driver};
use rollout::{Progress, Rollout, runs_on};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A look that takes longer is worth nothing.
const LOOK: Duration = Duration::from_secs(3);

/// See the module. One for all regions of a component.
pub struct EcsDriver {
    component: Component,
    plan: EcsPlan,
    access: Access,
}

/// A count that AWS has accepted.
#[derive(Serialize, Deserialize)]
struct Handle {
    ecs: Region,
    tasks: u32,
    /// The deployment that was PRIMARY after the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deployment: Option<String>,
}

impl EcsDriver {
    /// Calls nobody yet.
    pub fn new(component: Component, plan: EcsPlan, access: Access) -> Self {
        Self { component, plan, access }
    }

    fn call<'a>(&'a self, region: &'a Region, action: &'static str) -> Call<'a> {
        Call { service: "ecs", region: self.access.name(region), action }
    }

    async fn client(&self, region: &Region) -> Result<Client, Failure> {
        Ok(Client::new(&self.access.config(region).await?))
    }

    /// `None` when there is no such service, or it was deleted.
    async fn service(&self, region: &Region) -> Result<Option<Service>, Failure> {
        let place = self.plan.regions.get(region);
        let place = place.ok_or_else(|| Failure::rejected(format!("{} has no service in {region}", self.component)))?;
        let client = self.client(region).await?;
        let key = (self.access.name(region).to_owned(), place.cluster.clone());
        let asked = self.access.looks().services.ask(key, &place.service, |question| async move {
            self.access.clock().sleep(GATHER).await;
            let call = || client.describe_services().cluster(&place.cluster);
            let send = || call().set_services(Some(question.leave())).send();
            let answer = self.access.read(self.call(region, "DescribeServices"), LOOK, send).await?;
            let live = |s: &&Service| s.status() != Some("INACTIVE");
            // A plan may name it by its ARN.
            let names = |s: &Service| [s.service_name(), s.service_arn()].map(|n| Some((n?.to_owned(), s.clone())));
            Ok(answer.services().iter().filter(live).flat_map(names).flatten().collect())
        });
        match asked.await {
            Ok(service) => Ok(service),
            Err(refused) if refused.said == Said::Missing => Ok(None),
            Err(refused) => Err(refused.not_seen()),
        }
    }

    async fn must(&self, region: &Region) -> Result<Service, Failure> {
        let place = self.plan.regions.get(region).map(|p| format!("{}/{}", p.cluster, p.service)).unwrap_or_default();
        let missing = || Failure::rejected(format!("there is no ECS service {place} in {region}"));
        self.service(region).await?.ok_or_else(|| missing().hint("compare `regions` of the component with the account"))
    }

    /// The capacity provider that this many tasks are to run on; `None` where the service keeps its own.
    fn provider(&self, tasks: u32) -> Option<&str> {
        let (active, standby) = (self.plan.active_provider.as_deref(), self.plan.standby_provider.as_deref());
        // With the same count on both sides nothing says which is meant; then the surer one is taken.
        if tasks >= self.plan.active { active } else { standby.or(active) }
    }

    /// What to ask for: where the traffic is, a scaling policy may have asked for more by now, and that stays.
    fn wanted(&self, service: &Service, tasks: u32) -> i32 {
        let least = to_count(tasks);
        if tasks >= self.plan.active { service.desired_count().max(least) } else { least }
    }

    /// How far the service is on its way to this many tasks. More of them may run only where the traffic is.
    fn progress(&self, service: &Service, tasks: u32, deployment: Option<&str>) -> Progress {
        let rollout = Rollout { tasks, may_be_more: tasks >= self.plan.active, provider: self.provider(tasks) };
        rollout.progress(service, deployment)
    }

    /// What is wrong with the PRIMARY deployment before a move.
    fn of_deployment(&self, region: &Region, service: &Service, grows: bool) -> Option<Finding> {
        let primary = rollout::primary(service)?;
        let said = rollout::unfinished(primary)?;
        let message = format!("the deployment of {} in {region} is {said}", self.component);
        let (severity, hint) = match (rollout::has_failed(primary), grows) {
            (true, true) => (
                Severity::Blocker,
                "a move begins it anew and may fail in the same way: mend it, or deploy what ran before",
            ),
            (true, false) => {
                (Severity::Warning, "it is begun anew when the service is made smaller; look why it failed")
            }
            (false, _) => {
                (Severity::Warning, "a move waits for its end: wait for it first, or look at the service's events")
            }
        };
        Some(finding(code::AWS_DEPLOYMENT, severity, message, hint))
    }

    async fn set(&self, region: &Region, tasks: u32, context: &Context) -> Result<Outcome, Failure> {
        let service = self.must(region).await?;
        let provider = self.provider(tasks);
        let count = self.wanted(&service, tasks);
        let progress = self.progress(&service, tasks, None);
        // For a deployment that failed ECS launches nothing more: it takes another.
        let anew = !runs_on(&service, provider) || matches!(progress, Progress::Failed(_));
        let asked = service.desired_count() == count && !anew;
        if asked && progress == Progress::Reached {
            return Ok(Outcome::Skipped { why: format!("{tasks} tasks of {} run in {region}", self.component) });
        }
        let service = if asked { service } else { self.update(region, count, provider, anew, context).await? };
        let deployment = rollout::primary(&service).and_then(|d| d.id()).map(str::to_owned);
        let handle = Handle { ecs: region.clone(), tasks, deployment };
        Ok(Outcome::Accepted { handle: serde_json::to_string(&handle).expect("a handle is names and numbers") })
    }

    /// The service as it is after the change.
    async fn update(
        &self,
        region: &Region,
        count: i32,
        provider: Option<&str>,
        anew: bool,
        context: &Context,
    ) -> Result<Service, Failure> {
        let place = &self.plan.regions[region];
        let client = self.client(region).await?;
        let strategy = provider.filter(|_| anew).map(|p| {
            let item = CapacityProviderStrategyItem::builder().capacity_provider(p).weight(1).build();
            item.expect("a provider was given")
        });
        let send = || {
            let call = client.update_service().cluster(&place.cluster).service(&place.service);
            let call = call.desired_count(count);
            // Without a new deployment running tasks stay on the old provider.
            let call = if anew { call.force_new_deployment(true) } else { call };
            call.set_capacity_provider_strategy(strategy.clone().map(|s| vec![s])).send()
        };
        let call = self.call(region, "UpdateService");
        let answer = self.access.change(call, context.deadline / 4, send).await.map_err(|r| r.failure())?;
        answer.service.ok_or_else(|| Failure::unknown(format!("ECS in {region} says nothing of what it changed")))
    }
}

fn to_count(tasks: u32) -> i32 {
    i32::try_from(tasks).unwrap_or(i32::MAX)
}

fn count(tasks: i32) -> u32 {
    u32::try_from(tasks).unwrap_or_default()
}

/// Why tasks do not come: the newest of what ECS says.
fn newest_event(service: &Service) -> Option<&str> {
    service.events().first().and_then(|e| e.message())
}

#[async_trait]
impl Driver for EcsDriver {
    fn describe(&self) -> Descriptor {
        Descriptor { pace: Pace::Minutes, ..Descriptor::caller_checked(Capability::Capacity) }
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        let region = place_of(&self.component, target)?;
        let service = self.must(region).await?;
        let capacity = Capacity { desired: count(service.desired_count()), ready: count(service.running_count()) };
        let mut facts = BTreeMap::new();
        let providers: Vec<&str> = service.capacity_provider_strategy().iter().map(|s| s.capacity_provider()).collect();
        if !providers.is_empty() {
            facts.insert("provider".to_owned(), providers.join(", "));
        }
        if let Some(said) = rollout::primary(&service).and_then(rollout::unfinished) {
            facts.insert("deployment".to_owned(), said);
        }
        if let (true, Some(event)) = (capacity.ready < capacity.desired, newest_event(&service)) {
            facts.insert("event".to_owned(), event.to_owned());
        }
        Ok(State { capacity: Some(capacity), facts, ..State::default() })
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        let Effect::SetCapacity { region, instances, .. } = effect else { return Ok(Vec::new()) };
        let place = self.plan.regions.get(region).map(|p| format!("{}/{}", p.cluster, p.service)).unwrap_or_default();
        let hint = "compare `regions` of the component with the account";
        Ok(match there(self.service(region).await, &format!("ECS service {place} in {region}"), hint) {
            Ok(service) => {
                let grows = *instances >= self.plan.active;
                let mut found: Vec<Finding> = self.of_deployment(region, &service, grows).into_iter().collect();
                found.extend(self.of_limits(region, &service, *instances).await);
                // What is made smaller pulls no image.
                if grows {
                    found.extend(Box::pin(self.of_images(region, &service)).await);
                }
                found
            }
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
        let Handle { ecs: region, tasks, deployment } =
            serde_json::from_str(handle).map_err(|_| Failure::unsupported(format!("no such handle: {handle}")))?;
        let service = self.must(&region).await?;
        match self.progress(&service, tasks, deployment.as_deref()) {
            Progress::Reached => Ok(Outcome::done_with(format!("{tasks} tasks of {} run in {region}", self.component))),
            Progress::Coming => Ok(Outcome::Accepted { handle: handle.to_owned() }),
            Progress::Failed(why) => {
                let why = why.or_else(|| newest_event(&service).map(str::to_owned));
                let why = why.unwrap_or_else(|| "no reason is given".to_owned());
                Err(Failure::rejected(format!("ECS gave up on {} in {region}: {why}", self.component))
                    .hint("look at the stopped tasks of the service; the step tried again begins another deployment"))
            }
        }
    }
}
