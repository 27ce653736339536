//! Silencing an old writer that a detach has left behind: its clients are shut out, its instances rebooted, the moment noted.
//!
//! No part of a move: there AWS stops the old writer by its one call.

use super::AuroraDriver;
use super::look::{LOOK, Seen};
use super::switch::Handle;
use crate::call::SHOWS_WITHIN;
use crate::marks::Marks;
use crate::words::instance::Reboot;
use crate::words::silence::{Next, Runs, Silencing};
use aws_sdk_rds::types::{DbInstance, Filter};
use pilotlight_core::id::Region;
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_driver::Context;

impl AuroraDriver {
    /// One step further: close, reboot, note the moment. Done when the moment is noted.
    pub(super) async fn fence(&self, region: &Region, context: &Context) -> Result<Outcome, Failure> {
        let (component, seen) = (&self.component, self.look(region).await?);
        let (copy, going_on) = (&seen.copy, Handle::Fence { region: region.clone() }.accepted());
        match seen.state(self).role {
            Some(Role::Standby { .. } | Role::Down { was_writer: false, .. }) => {
                return Ok(Outcome::Skipped { why: format!("{component} in {region} takes no writes") });
            }
            Some(Role::Fenced { assurance }) => {
                let text = format!("clients of {component} in {region} are shut out and their sessions were ended");
                return Ok(Outcome::Done { output: Output { assurance: Some(assurance), text, ..Output::default() } });
            }
            _ => {}
        }
        if copy.is_stopped() {
            self.marks(region, &seen, context).await?.stopped().await?;
            return Ok(going_on);
        }
        if seen.closed.is_empty() {
            return Err(Failure::rejected(format!("nothing can silence {component} in {region}"))
                .hint("give the members `closed_groups` and `open_groups`; `pilotlight explain PL-0376` says why"));
        }
        let closed = copy.security == seen.closed;
        let reachable = closed && copy.security_settled && copy.rests();
        let instances = if reachable { self.instances(region, copy.name()).await? } else { Vec::new() };
        let up = instances.iter().filter(|i| i.db_instance_status() == Some("available")).count();
        let silencing = Silencing {
            closed,
            settled: copy.security_settled,
            rests: copy.rests(),
            runs: match up {
                _ if !reachable => Runs::Some,
                up if up == instances.len() => Runs::All,
                0 => Runs::None,
                _ => Runs::Some,
            },
            reboot: copy.reboot,
        };
        let now = self.access.clock().wall();
        match silencing.next(now, SHOWS_WITHIN) {
            Next::Busy => {
                let status = copy.status.as_deref().unwrap_or("absent");
                return Err(Failure::transient(format!("{component} in {region} is {status}")));
            }
            Next::Close => {
                self.unmark(region, &seen, context).await?;
                self.close(region, &seen, context).await?;
            }
            Next::Wait => {}
            Next::Reboot => {
                for name in instances.iter().filter_map(|i| i.db_instance_identifier()) {
                    let client = self.rds(region).await?;
                    let send = || client.reboot_db_instance().db_instance_identifier(name).send();
                    let call = self.call(region, "RebootDBInstance");
                    self.access.change(call, context.deadline / 4, send).await.map_err(|r| r.failure())?;
                }
                self.marks(region, &seen, context).await?.reboot(Reboot::Asked(now)).await?;
            }
            Next::SeenDown => self.marks(region, &seen, context).await?.reboot(Reboot::Seen).await?,
            Next::Note => self.marks(region, &seen, context).await?.stopped().await?,
        }
        Ok(going_on)
    }

    /// The instances of a cluster.
    pub(super) async fn instances(&self, region: &Region, cluster: &str) -> Result<Vec<DbInstance>, Failure> {
        let client = self.rds(region).await?;
        let of = Filter::builder().name("db-cluster-id").values(cluster).build();
        let send = || client.describe_db_instances().filters(of.clone()).into_paginator().items().send().try_collect();
        let asked = self.access.read(self.call(region, "DescribeDBInstances"), LOOK, send).await;
        let found: Vec<DbInstance> = asked.map_err(|r| r.not_seen())?;
        Ok(found)
    }

    async fn close(&self, region: &Region, seen: &Seen, context: &Context) -> Result<(), Failure> {
        let (client, closed) = (self.rds(region).await?, seen.closed.iter().cloned().collect::<Vec<_>>());
        let send = || {
            let call = client.modify_db_cluster().db_cluster_identifier(seen.copy.name()).apply_immediately(true);
            call.set_vpc_security_group_ids(Some(closed.clone())).send()
        };
        let call = self.call(region, "ModifyDBCluster");
        self.access.change(call, context.deadline / 4, send).await.map(|_| ()).map_err(|r| r.failure())
    }

    async fn marks<'a>(&'a self, region: &'a Region, seen: &'a Seen, context: &Context) -> Result<Marks<'a>, Failure> {
        let (client, time, arn) = (self.rds(region).await?, context.deadline / 4, seen.arn().unwrap_or_default());
        Ok(Marks { access: &self.access, client, region: self.access.name(region), arn, time })
    }

    async fn unmark(&self, region: &Region, seen: &Seen, context: &Context) -> Result<(), Failure> {
        match seen.copy.reboot.is_none() && seen.copy.stopped_at.is_none() {
            true => Ok(()),
            false => self.marks(region, seen, context).await?.clear().await,
        }
    }
}
