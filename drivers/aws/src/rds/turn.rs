//! The replication of automated backups goes with the writer, where the plan wants it: when a region has joined again, those of
//! the new writer are replicated there, and those of the old instance no more.
//!
//! Border: what was replicated stays for as long as it was to be kept; AWS deletes it then. Both regions are up here.
//!
//! Invariant: the new direction begins before the old one ends.

use super::RdsDriver;
use super::look::{LOOK, backups};
use crate::call::Refused;
use crate::words::refusal::Said;
use aws_sdk_rds::types::DbInstanceAutomatedBackup;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::Failure;
use pilotlight_driver::Context;

/// What AWS calls copies that get nothing new.
const OVER: [&str; 4] = ["retained", "stopped", "failed", "error"];

/// How far it is.
pub(super) enum Turn {
    /// There is nothing more to do.
    Over,
    /// Something was asked for and is not seen yet.
    GoesOn,
    /// AWS does not take it, and why.
    Not(String),
}

impl RdsDriver {
    /// One step further.
    pub(super) async fn turn_backups(
        &self,
        region: &Region,
        upstream: &Region,
        kept: &str,
        context: &Context,
    ) -> Result<Turn, Failure> {
        if !self.plan.backups_follow {
            return Ok(Turn::Over);
        }
        let name = &self.place(upstream)?.instance;
        let Some(writer) = self.raw(upstream, name).await? else { return Ok(Turn::GoesOn) };
        let source = writer.db_instance_arn().unwrap_or_default().to_owned();
        let Some(days) = backups(&writer).as_writer() else {
            return Ok(Turn::Not(format!("{name} in {upstream} keeps none; set its retention")));
        };
        let there = match self.replicated(region, writer.dbi_resource_id()).await {
            Ok(there) => there,
            Err(refused) => return Ok(goes_on_or(&refused)),
        };
        if !there.iter().any(|b| b.db_instance_arn() == Some(&source)) {
            let asked = self.start_replication(region, &source, days, context).await;
            return Ok(asked.map_or_else(|refused| goes_on_or(&refused), |()| Turn::GoesOn));
        }
        // The old instance has another name now, and is the same to AWS.
        let Some(old) = self.raw(region, kept).await? else { return Ok(Turn::Over) };
        let left = match self.replicated(upstream, old.dbi_resource_id()).await {
            Ok(left) => left,
            Err(refused) => return Ok(goes_on_or(&refused)),
        };
        let Some(source) = left.iter().find_map(|b| b.db_instance_arn()) else { return Ok(Turn::Over) };
        let asked = self.stop_replication(upstream, source, context).await;
        Ok(asked.map_or_else(|refused| goes_on_or(&refused), |()| Turn::GoesOn))
    }

    /// Copies in that region of the backups of an instance that is elsewhere, as long as they get anything new.
    async fn replicated(&self, region: &Region, id: Option<&str>) -> Result<Vec<DbInstanceAutomatedBackup>, Refused> {
        let Some(id) = id else { return Ok(Vec::new()) };
        let client = self.rds(region).await.expect("a configuration is made without a call");
        let send = || {
            let call = client.describe_db_instance_automated_backups().dbi_resource_id(id);
            call.into_paginator().items().send().try_collect()
        };
        let call = self.call(region, "DescribeDBInstanceAutomatedBackups");
        let found: Vec<DbInstanceAutomatedBackup> = match self.access.read(call, LOOK, send).await {
            Err(refused) if refused.said == Said::Missing => Vec::new(),
            found => found?,
        };
        let goes_on = |b: &DbInstanceAutomatedBackup| {
            b.region() != Some(self.access.name(region)) && !b.status().is_some_and(|s| OVER.contains(&s))
        };
        Ok(found.into_iter().filter(goes_on).collect())
    }

    async fn start_replication(
        &self,
        region: &Region,
        source: &str,
        days: i32,
        context: &Context,
    ) -> Result<(), Refused> {
        let client = self.rds(region).await.expect("a configuration is made without a call");
        // Copies are encrypted as the copy of the data is.
        let key = self.key(region).await.ok().flatten();
        let send = || {
            let call = client.start_db_instance_automated_backups_replication().source_db_instance_arn(source);
            call.backup_retention_period(days).set_kms_key_id(key.clone()).send()
        };
        let call = self.call(region, "StartDBInstanceAutomatedBackupsReplication");
        self.access.change(call, context.deadline / 10, send).await.map(|_| ())
    }

    async fn stop_replication(&self, region: &Region, source: &str, context: &Context) -> Result<(), Refused> {
        let client = self.rds(region).await.expect("a configuration is made without a call");
        let send = || client.stop_db_instance_automated_backups_replication().source_db_instance_arn(source).send();
        let call = self.call(region, "StopDBInstanceAutomatedBackupsReplication");
        self.access.change(call, context.deadline / 10, send).await.map(|_| ())
    }
}

/// What was sent may have been done, and what is busy is free later: both are looked at again.
pub(super) fn goes_on_or(refused: &Refused) -> Turn {
    match refused.said {
        Said::Denied | Said::Wrong | Said::Missing => Turn::Not(refused.failure().message),
        _ => Turn::GoesOn,
    }
}
