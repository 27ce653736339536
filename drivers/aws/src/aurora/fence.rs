//! Silencing an old writer that a detach has left behind: its clients are shut out, its instances rebooted, the moment noted.
//!
//! No part of a move: there AWS stops the old writer by its one call.

use super::AuroraDriver;
use super::look::{LOOK, Seen};
use super::switch::Handle;
use crate::call::SHOWS_WITHIN;
use crate::instance::{REBOOTED, Reboot, STOPPED_AT};
use aws_sdk_rds::types::{DbInstance, Filter, Tag};
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
            self.note(region, &seen, context).await?;
            return Ok(going_on);
        }
        if seen.closed.is_empty() {
            return Err(Failure::rejected(format!("nothing can silence {component} in {region}"))
                .hint("give the members `closed_groups` and `open_groups`; `pilotlight explain PL-0376` says why"));
        }
        if copy.groups != seen.closed {
            if !copy.rests() {
                let status = copy.status.as_deref().unwrap_or("absent");
                return Err(Failure::transient(format!("{component} in {region} is {status}")));
            }
            // Marks of an earlier fence would be believed.
            self.unmark(region, &seen, context).await?;
            self.close(region, &seen, context).await?;
            return Ok(going_on);
        }
        if !copy.groups_settled || !copy.rests() {
            return Ok(going_on);
        }
        let instances = self.instances(region, copy.name()).await?;
        let away = instances.iter().filter(|i| i.db_instance_status() != Some("available")).count();
        if away > 0 {
            if away == instances.len() && matches!(copy.reboot, Some(Reboot::Asked(_))) {
                self.mark(region, &seen, REBOOTED, &Reboot::Seen.word(), context).await?;
            }
            return Ok(going_on);
        }
        let now = self.access.clock().wall();
        if copy.reboot.is_none() {
            for name in instances.iter().filter_map(|i| i.db_instance_identifier()) {
                let client = self.rds(region).await?;
                let send = || client.reboot_db_instance().db_instance_identifier(name).send();
                let call = self.call(region, "RebootDBInstance");
                self.access.change(call, context.deadline / 4, send).await.map_err(|r| r.failure())?;
            }
            self.mark(region, &seen, REBOOTED, &Reboot::Asked(now).word(), context).await?;
            return Ok(going_on);
        }
        if !copy.reboot.is_some_and(|r| r.is_over(now, SHOWS_WITHIN)) {
            return Ok(going_on);
        }
        // They are back, and closed: whatever was acknowledged was so before now.
        self.note(region, &seen, context).await?;
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

    async fn note(&self, region: &Region, seen: &Seen, context: &Context) -> Result<(), Failure> {
        let now = self.access.clock().wall().0.to_string();
        self.mark(region, seen, STOPPED_AT, &now, context).await
    }

    async fn mark(
        &self,
        region: &Region,
        seen: &Seen,
        key: &str,
        value: &str,
        context: &Context,
    ) -> Result<(), Failure> {
        let (client, arn) = (self.rds(region).await?, seen.arn().unwrap_or_default());
        let tag = Tag::builder().key(key).value(value).build();
        let send = || client.add_tags_to_resource().resource_name(arn).tags(tag.clone()).send();
        let call = self.call(region, "AddTagsToResource");
        self.access.change(call, context.deadline / 4, send).await.map(|_| ()).map_err(|r| r.failure())
    }

    async fn unmark(&self, region: &Region, seen: &Seen, context: &Context) -> Result<(), Failure> {
        if seen.copy.reboot.is_none() && seen.copy.stopped_at.is_none() {
            return Ok(());
        }
        let (client, arn) = (self.rds(region).await?, seen.arn().unwrap_or_default());
        let send = || {
            let call = client.remove_tags_from_resource().resource_name(arn);
            call.tag_keys(REBOOTED).tag_keys(STOPPED_AT).send()
        };
        let call = self.call(region, "RemoveTagsFromResource");
        self.access.change(call, context.deadline / 4, send).await.map(|_| ()).map_err(|r| r.failure())
    }
}
