//! A snapshot before a risky change, where the plan wants one: called after the run's epoch, so the same step finds it again.

use super::look::LOOK;
use super::{Asked, Handle, RdsDriver};
use crate::finding::finding;
use crate::words::refusal::Said;
use aws_sdk_rds::types::DbSnapshot;
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Failure, Finding, Outcome, Severity};
use pilotlight_core::plan::aws::SnapshotBefore;
use pilotlight_driver::Context;

impl RdsDriver {
    /// One step towards a snapshot of the region's instance; `true` when it is there.
    pub(super) async fn snapshot(&self, region: &Region, id: &str, context: &Context) -> Result<bool, Failure> {
        let (component, name) = (&self.component, &self.place(region)?.instance);
        let client = self.rds(region).await?;
        let seen = self.snapshot_called(region, id).await?;
        match seen.as_ref().map(|s| s.status().unwrap_or("unknown")) {
            Some("available") => Ok(true),
            Some("failed") => Err(Failure::rejected(format!("snapshot {id} of {component} in {region} failed"))
                .hint("look why, delete it and try again, or take `snapshot` out of the plan")),
            Some(_) => Ok(false),
            None => {
                let send =
                    || client.create_db_snapshot().db_snapshot_identifier(id).db_instance_identifier(name).send();
                let call = self.call(region, "CreateDBSnapshot");
                self.access.change(call, context.deadline / 10, send).await.map_err(|r| r.failure())?;
                Ok(false)
            }
        }
    }

    async fn snapshot_called(&self, region: &Region, id: &str) -> Result<Option<DbSnapshot>, Failure> {
        let client = self.rds(region).await?;
        let send = || client.describe_db_snapshots().db_snapshot_identifier(id).send();
        match self.access.read(self.call(region, "DescribeDBSnapshots"), LOOK, send).await {
            Ok(found) => Ok(found.db_snapshots().first().cloned()),
            Err(refused) if refused.said == Said::Missing => Ok(None),
            Err(refused) => Err(refused.not_seen()),
        }
    }

    /// How far AWS is with a snapshot of the instance, for `pilotlight status`. What cannot be told is not said.
    pub(super) async fn in_progress(&self, region: &Region) -> Option<String> {
        let (client, name) = (self.rds(region).await.ok()?, &self.place(region).ok()?.instance);
        let send = || client.describe_db_snapshots().db_instance_identifier(name).send();
        let found = self.access.read(self.call(region, "DescribeDBSnapshots"), LOOK, send).await.ok()?;
        let one = found.db_snapshots().iter().find(|s| s.status() == Some("creating"))?;
        Some(format!("{} is being made, {} %", one.db_snapshot_identifier()?, one.percent_progress().unwrap_or(0)))
    }

    /// The snapshot before a promotion, if the plan wants it; then the promotion.
    pub(super) async fn promote_behind(
        &self,
        region: &Region,
        id: &str,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        if self.snapshot(region, id, context).await? {
            return self.promote(region, None, Asked::Now, context).await;
        }
        Ok(Handle::Snapshot { region: region.clone(), id: id.to_owned() }.accepted())
    }

    /// The name of the snapshot before a promotion, where the plan wants one.
    pub(super) fn before_promoting(&self, region: &Region, epoch: u64) -> Option<String> {
        let instance = &self.plan.regions.get(region)?.instance;
        (self.plan.snapshot == SnapshotBefore::Changes).then(|| format!("{instance}-at-{epoch}"))
    }

    /// That one will be made, and what that means.
    pub(super) fn snapshot_costs(&self, region: &Region, gigabytes: Option<i32>, waits: bool) -> Finding {
        let size = gigabytes.map(|g| format!(" of up to {g} GB")).unwrap_or_default();
        let waits = if waits { "; the promotion waits for it, minutes to hours" } else { "" };
        let message = format!("a snapshot{size} of {} in {region} will be made first{waits}", self.component);
        let hint = "it costs money per GB and month until somebody deletes it; `snapshot: never` makes none";
        finding(code::AWS_SNAPSHOT, Severity::Note, message, hint)
    }
}
