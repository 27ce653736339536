//! Looks at one region's copy: the global cluster and the DB cluster as that region's own API shows them.

use super::AuroraDriver;
use crate::call::Call;
use crate::metrics::{Metric, Value};
use crate::together::GATHER;
use crate::words::cluster::{self, Copy, Global, Member, Moving, region_of};
use crate::words::instance::{REBOOTED, Reboot, STOPPED_AT};
use crate::words::refusal::Said;
use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbCluster, Filter, GlobalCluster};
use pilotlight_core::id::Region;
use pilotlight_core::observation::{Role, State};
use pilotlight_core::outcome::Failure;
use std::collections::BTreeSet;
use std::time::Duration;

/// A look that takes longer is worth nothing.
pub(super) const LOOK: Duration = Duration::from_secs(3);

/// What one region's API shows.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `None` when there is no such global cluster.
    pub(super) global: Option<Global>,
    pub(super) copy: Copy,
    /// Security groups that let nobody in.
    pub(super) closed: BTreeSet<String>,
    /// Of the DB cluster, for the findings.
    pub(super) engine: Option<String>,
    pub(super) deletion_protection: bool,
    pub(super) has_instances: bool,
}

impl Seen {
    pub(super) fn state(&self, driver: &AuroraDriver) -> State {
        let plan_region =
            |name: &str| driver.plan.regions.keys().find(|region| driver.access.name(region) == name).cloned();
        cluster::state(self.global.as_ref(), &self.copy, &self.closed, plan_region)
    }

    pub(super) fn arn(&self) -> Option<&str> {
        self.copy.arn.as_deref()
    }

    /// The copy is a member of the global cluster.
    pub(super) fn is_member(&self) -> bool {
        self.global.as_ref().zip(self.arn()).is_some_and(|(g, arn)| g.member(arn).is_some())
    }

    /// The copy is the writer, alone or of the global cluster, and nothing moves any more.
    pub(super) fn is_writer(&self, driver: &AuroraDriver) -> bool {
        let settled = self.global.as_ref().is_none_or(|g| g.moving.is_none());
        settled && self.state(driver).role == Some(Role::Writer)
    }
}

impl AuroraDriver {
    pub(super) async fn rds(&self, region: &Region) -> Result<Client, Failure> {
        Ok(Client::new(&self.access.config(region).await?))
    }

    pub(super) fn call<'a>(&'a self, region: &'a Region, action: &'static str) -> Call<'a> {
        Call { service: "rds", region: self.access.name(region), action }
    }

    /// Looks through the region's own API.
    pub(super) async fn look(&self, region: &Region) -> Result<Seen, Failure> {
        let client = self.rds(region).await?;
        let name = &self.plan.regions[region].cluster;
        let (global, copy) = tokio::join!(self.global(&client, region), self.cluster(&client, region, name));
        let (global, copy, closed) = (global?, copy?, self.closed(region));
        let Some(copy) = copy else {
            let copy = Copy::default();
            return Ok(Seen { global, copy, closed, engine: None, deletion_protection: false, has_instances: false });
        };
        Ok(Seen {
            global,
            closed,
            engine: copy.engine_version().map(str::to_owned),
            deletion_protection: copy.deletion_protection().unwrap_or_default(),
            has_instances: !copy.db_cluster_members().is_empty(),
            copy: read_copy(&copy),
        })
    }

    /// How far the region's copy is behind, as CloudWatch has it there.
    pub(super) async fn lag(&self, region: &Region, seen: &Seen) -> Result<Option<Value>, Failure> {
        let cluster = ("DBClusterIdentifier", self.plan.regions[region].cluster.to_ascii_lowercase());
        let writer = seen.global.as_ref().and_then(Global::writer).and_then(|w| region_of(&w.arn));
        let source = ("SourceRegion", writer.unwrap_or_default().to_owned());
        // AWS's console lists it by source; others ask for the cluster alone.
        for dimensions in [vec![cluster.clone(), source], vec![cluster]] {
            let metric = Metric { namespace: "AWS/RDS", name: "AuroraGlobalDBReplicationLag", dimensions };
            if let Some(value) = self.access.metric(region, &metric, false).await? {
                return Ok(Some(value.to_seconds()));
            }
        }
        Ok(None)
    }

    pub(super) async fn whole_state(&self, region: &Region) -> Result<State, Failure> {
        let seen = self.look(region).await?;
        let mut state = seen.state(self);
        if matches!(state.role, Some(Role::Standby { .. })) {
            // Without CloudWatch the role is still known.
            match self.lag(region, &seen).await {
                Ok(value) => state.lag = value.map(|v| v.lag(self.access.clock().wall())),
                Err(failure) => {
                    state.facts.insert("lag".to_owned(), failure.message);
                }
            }
        }
        Ok(state)
    }

    async fn global(&self, client: &Client, region: &Region) -> Result<Option<Global>, Failure> {
        // AWS keeps identifiers in small letters.
        let (key, name) = (self.access.name(region).to_owned(), self.plan.global_cluster.to_ascii_lowercase());
        let asked = self.access.looks().global_clusters.ask(key, &name, |question| async move {
            self.access.clock().sleep(GATHER).await;
            let send = || {
                let call = client.describe_global_clusters();
                let call = match question.leave().as_slice() {
                    [one] => call.global_cluster_identifier(one),
                    _ => call,
                };
                call.into_paginator().items().send().try_collect()
            };
            let found: Vec<GlobalCluster> =
                self.access.read(self.call(region, "DescribeGlobalClusters"), LOOK, send).await?;
            let named = |g: GlobalCluster| Some((g.global_cluster_identifier()?.to_ascii_lowercase(), g));
            Ok(found.into_iter().filter_map(named).collect())
        });
        match asked.await {
            Ok(global) => Ok(global.as_ref().map(read)),
            Err(refused) if refused.said == Said::Missing => Ok(None),
            Err(refused) => Err(refused.not_seen()),
        }
    }

    /// The key that the region's cluster is encrypted with.
    pub(crate) async fn key(&self, region: &Region) -> Result<Option<String>, Failure> {
        let (client, name) = (self.rds(region).await?, &self.plan.regions[region].cluster);
        Ok(self.cluster(&client, region, name).await?.and_then(|c| c.kms_key_id))
    }

    /// The cluster of that name, in AWS's own words.
    pub(super) async fn cluster(
        &self,
        client: &Client,
        region: &Region,
        name: &str,
    ) -> Result<Option<DbCluster>, Failure> {
        let (key, name) = (self.access.name(region).to_owned(), name.to_ascii_lowercase());
        let asked = self.access.looks().clusters.ask(key, &name, |question| async move {
            self.access.clock().sleep(GATHER).await;
            let send = || {
                let call = client.describe_db_clusters();
                match question.leave().as_slice() {
                    [one] => call.db_cluster_identifier(one),
                    several => call.filters(named(several)),
                }
                .send()
            };
            let answer = self.access.read(self.call(region, "DescribeDBClusters"), LOOK, send).await?;
            let named = |c: &DbCluster| Some((c.db_cluster_identifier()?.to_ascii_lowercase(), c.clone()));
            Ok(answer.db_clusters().iter().filter_map(named).collect())
        });
        match asked.await {
            Ok(copy) => Ok(copy),
            Err(refused) if refused.said == Said::Missing => Ok(None),
            Err(refused) => Err(refused.not_seen()),
        }
    }
}

/// Only the clusters of these names; one that is not there is left out.
fn named(names: &[String]) -> Filter {
    Filter::builder().name("db-cluster-id").set_values(Some(names.to_vec())).build()
}

pub(super) fn read_copy(cluster: &DbCluster) -> Copy {
    let tag = |key: &str| cluster.tag_list().iter().find(|t| t.key() == Some(key)).and_then(|t| t.value());
    let security = cluster.vpc_security_groups();
    Copy {
        arn: cluster.db_cluster_arn().map(str::to_owned),
        status: cluster.status().map(str::to_owned),
        source: cluster.replication_source_identifier().filter(|s| !s.is_empty()).map(str::to_owned),
        security: security.iter().filter_map(|g| g.vpc_security_group_id()).map(str::to_owned).collect(),
        security_settled: security.iter().all(|g| g.status() == Some("active")),
        reboot: tag(REBOOTED).map(Reboot::read),
        stopped_at: tag(STOPPED_AT).and_then(|at| at.parse().ok()),
    }
}

fn read(global: &GlobalCluster) -> Global {
    let member = |m: &aws_sdk_rds::types::GlobalClusterMember| {
        Some(Member {
            arn: m.db_cluster_arn()?.to_owned(),
            is_writer: m.is_writer().unwrap_or_default(),
            sync: m.synchronization_status().map(|s| s.as_str().to_owned()),
        })
    };
    let moving = global.failover_state().and_then(|f| {
        Some(Moving { status: f.status()?.as_str().to_owned(), to: f.to_db_cluster_arn().map(str::to_owned) })
    });
    Global {
        status: global.status().unwrap_or("unknown").to_owned(),
        members: global.global_cluster_members().iter().filter_map(member).collect(),
        moving,
    }
}
