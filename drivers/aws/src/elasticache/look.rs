//! Looks at one region's replication group: the global datastore and the group as that region's own API shows them.

use super::ElastiCacheDriver;
use crate::call::Call;
use crate::metrics::{Metric, Value};
use crate::words::datastore::{self, Datastore, Member};
use crate::words::refusal::Said;
use aws_sdk_elasticache::Client;
use aws_sdk_elasticache::types::{GlobalReplicationGroup, GlobalReplicationGroupMember};
use pilotlight_core::id::Region;
use pilotlight_core::observation::{Role, State};
use pilotlight_core::outcome::Failure;
use std::time::Duration;

/// A look that takes longer is worth nothing.
pub(super) const LOOK: Duration = Duration::from_secs(3);

/// What one region's API shows.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(super) datastore: Option<Datastore>,
    /// State of the replication group; `None` when there is none.
    pub(super) group: Option<String>,
    /// A cache cluster of it, under whose name CloudWatch has the lag.
    cluster: Option<String>,
    region: String,
    name: String,
}

impl Seen {
    #[cfg(test)]
    pub(super) fn of(datastore: Datastore) -> Self {
        let (region, name) = (String::new(), String::new());
        Seen { datastore: Some(datastore), group: None, cluster: None, region, name }
    }

    /// The region's member of the datastore.
    pub(super) fn member(&self) -> Option<&Member> {
        self.datastore.as_ref().and_then(|d| d.member(&self.region, &self.name))
    }

    /// The primary, or alone, and nothing moves any more.
    pub(super) fn is_writer(&self, role: Option<&Role>) -> bool {
        let moving = self.member().is_some() && self.datastore.as_ref().is_some_and(|d| !d.is_settled());
        role == Some(&Role::Writer) && !moving
    }
}

impl ElastiCacheDriver {
    pub(super) async fn client(&self, region: &Region) -> Result<Client, Failure> {
        Ok(Client::new(&self.access.config(region).await?))
    }

    pub(super) fn call<'a>(&'a self, region: &'a Region, action: &'static str) -> Call<'a> {
        Call { service: "elasticache", region: self.access.name(region), action }
    }

    pub(super) async fn look(&self, region: &Region) -> Result<Seen, Failure> {
        let (client, name) = (self.client(region).await?, self.group(region)?);
        let (datastore, group) = tokio::join!(self.datastore(&client, region), self.own(&client, region, name));
        let (status, cluster) = group?.unzip();
        let region = self.access.name(region).to_owned();
        Ok(Seen { datastore: datastore?, group: status, cluster: cluster.flatten(), region, name: name.to_owned() })
    }

    async fn datastore(&self, client: &Client, region: &Region) -> Result<Option<Datastore>, Failure> {
        let name = &self.plan.global_datastore;
        let send = || {
            let call = client.describe_global_replication_groups().global_replication_group_id(name);
            call.show_member_info(true).send()
        };
        match self.access.read(self.call(region, "DescribeGlobalReplicationGroups"), LOOK, send).await {
            Ok(answer) => Ok(answer.global_replication_groups().first().map(read)),
            Err(refused) if refused.said == Said::Missing => Ok(None),
            Err(refused) => Err(refused.not_seen()),
        }
    }

    /// State and first cluster of the region's own group.
    async fn own(
        &self,
        client: &Client,
        region: &Region,
        name: &str,
    ) -> Result<Option<(String, Option<String>)>, Failure> {
        let send = || client.describe_replication_groups().replication_group_id(name).send();
        match self.access.read(self.call(region, "DescribeReplicationGroups"), LOOK, send).await {
            Ok(answer) => Ok(answer.replication_groups().first().map(|group| {
                (group.status().unwrap_or("unknown").to_owned(), group.member_clusters().first().cloned())
            })),
            Err(refused) if refused.said == Said::Missing => Ok(None),
            Err(refused) => Err(refused.not_seen()),
        }
    }

    /// How far the region's group is behind, as CloudWatch has it there.
    pub(super) async fn lag(&self, region: &Region, seen: &Seen, now: bool) -> Result<Option<Value>, Failure> {
        let Some(cluster) = seen.cluster.clone() else { return Ok(None) };
        let dimensions = vec![("CacheClusterId", cluster)];
        let metric = Metric { namespace: "AWS/ElastiCache", name: "GlobalDatastoreReplicationLag", dimensions };
        self.access.metric(region, &metric, now).await
    }

    pub(super) fn state(&self, seen: &Seen) -> State {
        let plan_region = |name: &str| self.access.plan_region(self.plan.regions.keys(), name);
        datastore::state(seen.datastore.as_ref(), seen.member(), seen.group.as_deref(), plan_region)
    }

    pub(super) async fn whole_state(&self, region: &Region) -> Result<State, Failure> {
        let seen = self.look(region).await?;
        let mut state = self.state(&seen);
        if matches!(state.role, Some(Role::Standby { .. })) {
            // Without CloudWatch the role is still known.
            match self.lag(region, &seen, false).await {
                Ok(value) => state.lag = value.map(|v| v.lag(self.access.clock().wall())),
                Err(failure) => {
                    state.facts.insert("lag".to_owned(), failure.message);
                }
            }
        }
        Ok(state)
    }
}

fn read(group: &GlobalReplicationGroup) -> Datastore {
    let member = |m: &GlobalReplicationGroupMember| {
        Some(Member {
            group: m.replication_group_id()?.to_owned(),
            region: m.replication_group_region()?.to_owned(),
            is_primary: m.role().is_some_and(|r| r.eq_ignore_ascii_case("primary")),
            status: m.status().unwrap_or("unknown").to_ascii_lowercase(),
        })
    };
    Datastore {
        status: group.status().unwrap_or("unknown").to_owned(),
        members: group.members().iter().filter_map(member).collect(),
    }
}
