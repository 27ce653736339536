//! The way back of a region: looks at everything, asks `crate::words::reattach` what comes next, and does that one step.

use super::AuroraDriver;
use super::look::{LOOK, read_copy};
use super::switch::Handle;
use crate::words::cluster::Copy;
use crate::words::reattach::{Instance, Next, Scene, kept, newest};
use aws_sdk_rds::types::{DbCluster, DbInstance};
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Failure, Outcome};
use pilotlight_driver::Context;
use std::time::Duration;

/// The scene, and what the old cluster and its instances are like in AWS's own words.
pub(super) struct Back {
    pub(super) scene: Scene,
    pub(super) old: Option<DbCluster>,
    pub(super) old_instances: Vec<DbInstance>,
}

/// Whose way back it is, and from which run.
pub(super) struct Way<'a> {
    pub(super) region: &'a Region,
    pub(super) upstream: &'a Region,
    pub(super) epoch: u64,
    /// For one call.
    pub(super) time: Duration,
}

impl AuroraDriver {
    /// One step further. AWS makes the old region's cluster a follower by itself after its own failover; then this only waits.
    pub(super) async fn rejoin(
        &self,
        region: &Region,
        upstream: &Region,
        again: Option<u64>,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let component = &self.component;
        let epoch = again.unwrap_or(context.epoch.0);
        let way = Way { region, upstream, epoch, time: context.deadline / 10 };
        let back = Box::pin(self.back(&way)).await?;
        let going_on = Handle::Rejoin { region: region.clone(), upstream: upstream.clone(), epoch }.accepted();
        match back.scene.next() {
            Next::Done if again.is_none() => {
                Ok(Outcome::Skipped { why: format!("{component} in {region} follows {upstream}") })
            }
            Next::Done => {
                let kept = match back.scene.old {
                    Some(_) => format!("; the old cluster is kept as {0}, with a snapshot", back.scene.kept),
                    None => String::new(),
                };
                Ok(Outcome::done_with(format!("{component} in {region} follows {upstream}{kept}")))
            }
            Next::Wait => Ok(going_on),
            Next::Refuse(why, hint) => {
                Err(Failure::rejected(format!("{component} in {region} cannot join again: {why}")).hint(hint))
            }
            next => {
                tracing::info!(%component, %region, ?next, "joining again");
                Box::pin(self.go(&way, &back, &next)).await.map_err(|r| r.failure())?;
                Ok(going_on)
            }
        }
    }

    /// Everything that the next step depends on.
    pub(super) async fn back(&self, way: &Way<'_>) -> Result<Back, Failure> {
        let Way { region, upstream, epoch, .. } = *way;
        let (client, above) = (self.rds(region).await?, self.rds(upstream).await?);
        let name = &self.plan.regions[upstream].cluster;
        let (seen, source) = tokio::join!(Box::pin(self.look(region)), self.cluster(&above, upstream, name));
        let (seen, source) = (seen?, source?);
        let name = self.plan.regions[region].cluster.to_ascii_lowercase();
        let is_there = seen.copy.status.is_some();
        let member = seen.global.as_ref().zip(seen.arn()).and_then(|(g, arn)| g.member(arn));
        let is_new = member.is_some_and(|m| !m.is_writer);
        let mut kept = kept(&name, epoch);
        let mut old = self.cluster(&client, region, &kept).await?;
        if old.is_none() && (!is_there || is_new && !seen.has_instances) {
            // A run before this one may have kept it.
            let all = self.clusters(region).await?;
            if let Some(earlier) = newest(&name, all.iter().filter_map(|c| c.db_cluster_identifier())) {
                kept = earlier.to_owned();
                old = all.iter().find(|c| c.db_cluster_identifier() == Some(earlier)).cloned();
            }
        }
        let instances = if is_there { self.instances(region, &name).await? } else { Vec::new() };
        let old_instances = if old.is_some() { self.instances(region, &kept).await? } else { Vec::new() };
        let snapshot =
            if is_there && seen.copy.stopped_at.is_some() { self.snapshot(region, &kept).await? } else { None };
        let scene = Scene {
            instances: instances.iter().filter_map(in_short).collect(),
            old: old.as_ref().map(|c| c.status().unwrap_or("unknown").to_owned()),
            old_instances: old_instances.iter().filter_map(in_short).collect(),
            snapshot,
            upstream: source.as_ref().map_or_else(Copy::default, read_copy),
            closed: seen.closed,
            copy: seen.copy,
            global: seen.global,
            kept,
        };
        Ok(Back { scene, old, old_instances })
    }

    async fn clusters(&self, region: &Region) -> Result<Vec<DbCluster>, Failure> {
        let client = self.rds(region).await?;
        let send = || client.describe_db_clusters().into_paginator().items().send().try_collect();
        let asked = self.access.read(self.call(region, "DescribeDBClusters"), LOOK, send).await;
        asked.map_err(|r| r.not_seen())
    }

    /// State of a snapshot.
    pub(super) async fn snapshot(&self, region: &Region, name: &str) -> Result<Option<String>, Failure> {
        let client = self.rds(region).await?;
        let send = || client.describe_db_cluster_snapshots().db_cluster_snapshot_identifier(name).send();
        match self.access.read(self.call(region, "DescribeDBClusterSnapshots"), LOOK, send).await {
            Ok(found) => {
                let one = found.db_cluster_snapshots().first();
                Ok(one.map(|s| s.status().unwrap_or("unknown").to_owned()))
            }
            Err(refused) if refused.said == crate::words::refusal::Said::Missing => Ok(None),
            Err(refused) => Err(refused.not_seen()),
        }
    }
}

fn in_short(instance: &DbInstance) -> Option<Instance> {
    let status = instance.db_instance_status().unwrap_or("unknown").to_owned();
    Some((instance.db_instance_identifier()?.to_owned(), status))
}
