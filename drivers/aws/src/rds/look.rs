//! Looks at one region's instance through that region's own API, and at its lag in CloudWatch there.

use super::RdsDriver;
use crate::call::Call;
use crate::metrics::{Metric, Value};
use crate::together::GATHER;
use crate::words::instance::{self, BACKUPS, Backups, Instance, REBOOTED, Reboot, STOPPED_AT};
use crate::words::refusal::Said;
use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbInstance, Filter};
use pilotlight_core::id::Region;
use pilotlight_core::observation::{Role, State};
use pilotlight_core::outcome::Failure;
use std::time::Duration;

/// A look that takes longer is worth nothing.
pub(super) const LOOK: Duration = Duration::from_secs(3);

impl RdsDriver {
    pub(super) async fn rds(&self, region: &Region) -> Result<Client, Failure> {
        Ok(Client::new(&self.access.config(region).await?))
    }

    pub(super) fn call<'a>(&'a self, region: &'a Region, action: &'static str) -> Call<'a> {
        Call { service: "rds", region: self.access.name(region), action }
    }

    /// AWS's own words of an instance; `None` when there is none of that name.
    pub(super) async fn raw(&self, region: &Region, name: &str) -> Result<Option<DbInstance>, Failure> {
        let client = self.rds(region).await?;
        // AWS keeps identifiers in small letters.
        let (key, name) = (self.access.name(region).to_owned(), name.to_ascii_lowercase());
        let asked = self.access.looks().instances.ask(key, &name, |question| async move {
            self.access.clock().sleep(GATHER).await;
            let send = || {
                let call = client.describe_db_instances();
                match question.leave().as_slice() {
                    [one] => call.db_instance_identifier(one),
                    several => call.filters(named(several)),
                }
                .send()
            };
            let answer = self.access.read(self.call(region, "DescribeDBInstances"), LOOK, send).await?;
            let named = |i: &DbInstance| Some((i.db_instance_identifier()?.to_ascii_lowercase(), i.clone()));
            Ok(answer.db_instances().iter().filter_map(named).collect())
        });
        match asked.await {
            Ok(instance) => Ok(instance),
            Err(refused) if refused.said == Said::Missing => Ok(None),
            Err(refused) => Err(refused.not_seen()),
        }
    }

    /// The key that the region's instance is encrypted with.
    pub(crate) async fn key(&self, region: &Region) -> Result<Option<String>, Failure> {
        Ok(self.raw(region, &self.place(region)?.instance).await?.and_then(|i| i.kms_key_id))
    }

    /// The role that the region's instance is watched with, if it is (enhanced monitoring).
    pub(crate) async fn watched_by(&self, region: &Region) -> Result<Option<String>, Failure> {
        let seen = self.raw(region, &self.place(region)?.instance).await?;
        Ok(seen.filter(|i| i.monitoring_interval() > Some(0)).and_then(|i| i.monitoring_role_arn))
    }

    /// The plan's instance in the region.
    pub(super) async fn look(&self, region: &Region) -> Result<Option<Instance>, Failure> {
        Ok(self.raw(region, &self.place(region)?.instance).await?.as_ref().map(read))
    }

    pub(super) async fn must(&self, region: &Region) -> Result<Instance, Failure> {
        let name = &self.place(region)?.instance;
        let missing = || Failure::rejected(format!("there is no DB instance {name} in {region}"));
        self.look(region).await?.ok_or_else(|| missing().hint("compare `regions` of the component with the account"))
    }

    fn lag_metric(&self, region: &Region) -> Result<Metric, Failure> {
        let dimensions = vec![("DBInstanceIdentifier", self.place(region)?.instance.clone())];
        Ok(Metric { namespace: "AWS/RDS", name: "ReplicaLag", dimensions })
    }

    /// The lag as CloudWatch had it last.
    pub(super) async fn lag(&self, region: &Region, now: bool) -> Result<Option<Value>, Failure> {
        let metric = self.lag_metric(region)?;
        self.access.metric(region, &metric, now).await
    }

    pub(super) fn role_of(&self, region: &Region, seen: Option<&Instance>) -> State {
        let plan_region = |name: &str| self.access.plan_region(self.plan.regions.keys(), name);
        instance::state(seen, &self.closed(region), plan_region)
    }

    pub(super) async fn state(&self, region: &Region) -> Result<State, Failure> {
        let seen = self.look(region).await?;
        let mut state = self.role_of(region, seen.as_ref());
        if seen.as_ref().is_some_and(|s| s.status == "backing-up")
            && let Some(snapshot) = self.in_progress(region).await
        {
            state.facts.insert("snapshot".to_owned(), snapshot);
        }
        if let Some(source) = seen.as_ref().and_then(|s| s.source.as_deref())
            && let Some(backups) = self.backups(region, source).await
        {
            state.facts.insert("backups".to_owned(), backups);
        }
        let now = self.access.clock().wall();
        match &state.role {
            Some(Role::Writer) => state.position = Some(self.position(now.0)),
            Some(Role::Fenced { .. }) => {
                state.position = seen.and_then(|s| s.stopped_at).map(|at| self.position(at));
            }
            // Without CloudWatch the role is still known.
            Some(Role::Standby { .. }) => match self.lag(region, false).await {
                Ok(Some(value)) => {
                    state.position = value.reached().map(|at| self.position(at));
                    state.lag = Some(value.lag(now));
                }
                Ok(None) => {}
                Err(failure) => {
                    state.facts.insert("lag".to_owned(), failure.message);
                }
            },
            _ => {}
        }
        Ok(state)
    }
}

/// Only the instances of these names; one that is not there is left out.
fn named(names: &[String]) -> Filter {
    Filter::builder().name("db-instance-id").set_values(Some(names.to_vec())).build()
}

pub(super) fn backups(seen: &DbInstance) -> Backups {
    let tag = seen.tag_list().iter().find(|t| t.key() == Some(BACKUPS)).and_then(|t| t.value());
    let before = tag.and_then(|days| days.parse().ok()).filter(|days| *days > 0);
    Backups { own: seen.backup_retention_period().unwrap_or_default(), before }
}

fn read(seen: &DbInstance) -> Instance {
    let tag = |key: &str| seen.tag_list().iter().find(|t| t.key() == Some(key)).and_then(|t| t.value());
    let groups = seen.vpc_security_groups();
    let replication = seen.status_infos().iter().find(|i| i.status_type() == Some("read replication"));
    Instance {
        arn: seen.db_instance_arn().unwrap_or_default().to_owned(),
        status: seen.db_instance_status().unwrap_or("unknown").to_owned(),
        source: seen.read_replica_source_db_instance_identifier().filter(|s| !s.is_empty()).map(str::to_owned),
        replication: replication.and_then(|i| i.status()).map(str::to_owned),
        groups: groups.iter().filter_map(|g| g.vpc_security_group_id()).map(str::to_owned).collect(),
        groups_settled: groups.iter().all(|g| g.status() == Some("active")),
        reboot: tag(REBOOTED).map(Reboot::read),
        gigabytes: seen.allocated_storage(),
        protected: seen.deletion_protection().unwrap_or_default(),
        backups: backups(seen),
        stopped_at: tag(STOPPED_AT).and_then(|at| at.parse().ok()),
    }
}
