//! Route 53: the records of one name, one per region, changed in one batch and followed until every server has them.
//!
//! Weighted records: the weights are the shares. Failover records: the region with all the traffic is the primary, and
//! Route 53 itself answers with the secondary while the primary's health check is bad.
//!
//! Invariants:
//! - all records of the name change in one batch, so no moment has too few of them;
//! - records that are not one per region under their region's name are not touched: the move is refused;
//! - a change is done when Route 53 says that all of its servers have it, not before;
//! - with a switch no record is changed, and S3 in the region that is not home is all that a move calls (see `switch`).

mod look;
mod records;
mod switch;

use crate::access::{Access, ROUTE53_REGION};
use crate::call::Call;
use crate::finding::unanswered;
use async_trait::async_trait;
use aws_sdk_route53::Client;
use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ChangeStatus};
use look::Published;
use pilotlight_core::effect::{Capability, Descriptor, Effect, Pace};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::plan::aws::{RecordPolicy, Route53Plan};
use pilotlight_driver::{Context, Driver};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A look that takes longer is worth nothing.
const LOOK: Duration = Duration::from_secs(3);

/// See the module.
pub struct Route53Driver {
    component: Component,
    plan: Route53Plan,
    access: Access,
}

/// A change that Route 53 has accepted.
#[derive(Serialize, Deserialize)]
struct Handle {
    route53: String,
}

impl Route53Driver {
    /// Calls nobody yet.
    pub fn new(component: Component, plan: Route53Plan, access: Access) -> Self {
        Self { component, plan, access }
    }

    fn call(action: &'static str) -> Call<'static> {
        Call { service: "route53", region: ROUTE53_REGION, action }
    }

    async fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(&self.access.config_of(ROUTE53_REGION).await?))
    }

    /// The name as Route 53 writes it.
    fn full_name(&self) -> String {
        format!("{}.", self.plan.name.trim_end_matches('.'))
    }

    fn acceptable(&self, shares: &BTreeMap<Region, u32>) -> Result<(), Failure> {
        if let Some(region) = shares.keys().find(|r| !self.plan.answers.contains_key(*r)) {
            return Err(Failure::rejected(format!("{} has no answer for {region}", self.component)));
        }
        let lit = shares.values().filter(|s| **s > 0).count();
        match (lit, self.plan.policy) {
            (0, _) => Err(Failure::rejected(format!("{} would lead nobody anywhere", self.plan.name))),
            (1, _) | (_, RecordPolicy::Weighted) => Ok(()),
            (_, RecordPolicy::Failover) => {
                let name = &self.plan.name;
                Err(Failure::rejected(format!("{name} has failover records, which lead all traffic to one region"))
                    .hint("write `policy: weighted` to split traffic"))
            }
        }
    }

    async fn route(&self, shares: &BTreeMap<Region, u32>, context: &Context) -> Result<Outcome, Failure> {
        self.acceptable(shares)?;
        match self.switch() {
            Some(switch) => switch.turn(shares, context).await,
            None => self.change(shares, context).await.map_err(unanswered),
        }
    }

    async fn change(&self, shares: &BTreeMap<Region, u32>, context: &Context) -> Result<Outcome, Failure> {
        let published = self.published().await?;
        if let Some(stranger) = &published.stranger {
            return Err(Failure::rejected(format!(
                "{} has a record that is not of this plan: {stranger}",
                self.plan.name
            ))
            .hint("remove it by hand, or give it to the plan"));
        }
        let wanted = self.records(shares, &published);
        if published.is(&wanted) {
            return Ok(Outcome::Skipped { why: format!("{} leads there already", self.plan.name) });
        }
        let upserts = wanted.into_iter().map(|record| {
            let change = Change::builder().action(ChangeAction::Upsert).resource_record_set(record);
            change.build().expect("action and record were given")
        });
        // A failover record cannot become the primary while another one is: the old pair goes in the same batch.
        let deletes = self.in_the_way(shares, &published).into_iter().map(|record| {
            let change = Change::builder().action(ChangeAction::Delete).resource_record_set(record);
            change.build().expect("action and record were given")
        });
        let comment = format!("pilotlight {}", context.key);
        let changes: Vec<Change> = deletes.chain(upserts).collect();
        let batch = ChangeBatch::builder().set_changes(Some(changes)).comment(comment).build();
        let batch = batch.expect("changes were given");
        let client = self.client().await?;
        let send =
            || client.change_resource_record_sets().hosted_zone_id(&self.plan.zone).change_batch(batch.clone()).send();
        let call = Self::call("ChangeResourceRecordSets");
        let answer = self.access.change(call, context.deadline / 2, send).await.map_err(|r| r.failure())?;
        let id = answer.change_info().map(|c| c.id().to_owned()).unwrap_or_default();
        let handle = Handle { route53: id };
        Ok(Outcome::Accepted { handle: serde_json::to_string(&handle).expect("a handle is text") })
    }

    async fn published(&self) -> Result<Published, Failure> {
        let client = self.client().await?;
        let name = self.full_name();
        let send = || {
            let call = client.list_resource_record_sets().hosted_zone_id(&self.plan.zone).start_record_name(&name);
            call.start_record_type(records::kind(self.plan.record)).max_items(100).send()
        };
        let answer = self.access.read(Self::call("ListResourceRecordSets"), LOOK, send).await;
        let sets = answer.map_err(|r| r.not_seen())?;
        Ok(Published::read(&self.plan, &name, sets.resource_record_sets()))
    }
}

#[async_trait]
impl Driver for Route53Driver {
    fn describe(&self) -> Descriptor {
        Descriptor { pace: Pace::Minutes, ..Descriptor::caller_checked(Capability::Traffic) }
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        if target.component != self.component {
            return Err(Failure::unsupported(format!("{} is not {}", target.component, self.component)));
        }
        match self.switch() {
            Some(switch) => switch.state().await,
            None => Ok(self.published().await?.state(&self.plan)),
        }
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        match effect {
            Effect::Route { shares, .. } => match self.switch() {
                Some(switch) => Ok(switch.findings().await),
                None => self.findings(shares).await,
            },
            _ => Ok(Vec::new()),
        }
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        match effect {
            Effect::Route { shares, .. } => self.route(shares, context).await,
            other => Err(Failure::unsupported(format!("{} cannot {:?}", self.component, other.capability()))),
        }
    }

    async fn resume(&self, handle: &str, _context: &Context) -> Result<Outcome, Failure> {
        if let Some(switch) = self.switch() {
            return switch.take_up(handle).await;
        }
        let Handle { route53: id } =
            serde_json::from_str(handle).map_err(|_| Failure::unsupported(format!("no such handle: {handle}")))?;
        let client = self.client().await?;
        let send = || client.get_change().id(&id).send();
        let answer = self.access.read(Self::call("GetChange"), LOOK, send).await.map_err(|r| r.not_seen())?;
        Ok(match answer.change_info().map(|c| c.status()) {
            Some(ChangeStatus::Insync) => {
                Outcome::done_with(format!("every server of Route 53 has {}", self.plan.name))
            }
            _ => Outcome::Accepted { handle: handle.to_owned() },
        })
    }
}
