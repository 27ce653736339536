//! A snapshot of the writer's cluster before a planned move, where the plan wants one: called after the run's epoch, so the
//! same step finds it again. AWS serves users while it is made, and the move waits for it.

use super::AuroraDriver;
use crate::detach::Move;
use crate::finding::finding;
use aws_sdk_rds::types::Tag;
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Failure, Finding, Severity};
use pilotlight_core::plan::aws::SnapshotBefore;
use pilotlight_driver::Context;

/// The tag with the name of the run that a snapshot was made for.
const RUN: &str = "pilotlight:run";

impl AuroraDriver {
    fn keeps_first(&self, allow_loss: bool) -> bool {
        self.plan.snapshot == SnapshotBefore::Changes && !allow_loss
    }

    /// The name of the snapshot that the move waits for: the one that was begun, or this run's.
    pub(super) fn kept_first(&self, wanted: &Move<'_>, begun: Option<String>, context: &Context) -> Option<String> {
        let cluster = self.plan.regions.get(wanted.from)?.cluster.to_ascii_lowercase();
        begun.or_else(|| self.keeps_first(wanted.allow_loss).then(|| format!("{cluster}-at-{}", context.epoch)))
    }

    /// One step towards it; `true` when it is there.
    pub(super) async fn is_kept(&self, region: &Region, id: &str, context: &Context) -> Result<bool, Failure> {
        match self.snapshot(region, id).await?.as_deref() {
            Some("available") => Ok(true),
            Some("failed") => Err(Failure::rejected(format!("snapshot {id} of {} in {region} failed", self.component))
                .hint("look why, delete it and try again, or take `snapshot` out of the plan")),
            Some(_) => Ok(false),
            None => {
                let (client, cluster) = (self.client(region).await, &self.plan.regions[region].cluster);
                let run = context.key.as_str().split('/').next().unwrap_or_default();
                let tag = Tag::builder().key(RUN).value(run).build();
                let send = || {
                    let call = client.create_db_cluster_snapshot().db_cluster_snapshot_identifier(id);
                    call.db_cluster_identifier(cluster).tags(tag.clone()).send()
                };
                let call = self.call(region, "CreateDBClusterSnapshot");
                self.access.change(call, context.deadline / 10, send).await.map_err(|r| r.failure())?;
                Ok(false)
            }
        }
    }

    /// That one will be made, and what that means.
    pub(super) fn snapshot_costs(&self, from: &Region, allow_loss: bool) -> Option<Finding> {
        let message = format!(
            "a snapshot of {} in {from} will be made first; the move waits for it, minutes to an hour, and users are served \
             meanwhile",
            self.component
        );
        let hint =
            "it costs money per GB and month until somebody deletes it; `snapshot: before-rejoin` makes none here";
        self.keeps_first(allow_loss).then(|| finding(code::AWS_SNAPSHOT, Severity::Note, message, hint))
    }
}
