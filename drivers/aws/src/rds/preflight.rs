//! What would stand in the way of a move, found before it.

use super::RdsDriver;
use super::like::left_out;
use crate::finding::{LOSES, far_behind, finding, not_asked, there, there_already};
use crate::words::instance::Instance;
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::plan::aws::SnapshotBefore;

impl RdsDriver {
    /// The instance, or why there is none to look at.
    async fn there(&self, region: &Region) -> Result<Instance, Vec<Finding>> {
        let name = self.plan.regions.get(region).map(|p| p.instance.as_str()).unwrap_or_default();
        let hint = "it was deleted or renamed, or the plan names another; make the replica anew";
        there(self.look(region).await, &format!("DB instance {name} in {region}"), hint)
    }

    pub(super) async fn before_stop(&self, region: &Region) -> Vec<Finding> {
        let seen = match self.there(region).await {
            Ok(seen) => seen,
            Err(found) => return found,
        };
        let (component, closed) = (&self.component, self.closed(region));
        let mut found = Vec::new();
        if closed.is_empty() {
            let message = format!("nothing can stop the writes of {component} in {region}");
            let hint = "give the instance `closed_groups` and `open_groups`";
            found.push(finding(code::AWS_NO_CLOSED_GROUPS, Severity::Blocker, message, hint));
        }
        if seen.source.is_none() && seen.groups == closed && !closed.is_empty() {
            let message = format!("clients of {component} in {region} are shut out although it is the writer");
            let hint = "an earlier run was left in its middle: go on with it or undo it";
            found.push(finding(code::AWS_HALF_DONE, Severity::Warning, message, hint));
        }
        found
    }

    pub(super) async fn before_promotion(&self, region: &Region) -> Vec<Finding> {
        let seen = match self.there(region).await {
            Ok(seen) => seen,
            Err(found) => return found,
        };
        let component = &self.component;
        let mut found = Vec::new();
        match self.role_of(region, Some(&seen)).role {
            Some(Role::Standby { streaming: true, .. }) => {}
            Some(Role::Standby { .. }) => {
                let message = format!("{component} in {region} does not replicate ({})", seen.status);
                let hint = "wait until it does; without it a planned move is refused";
                found.push(finding(code::AWS_NOT_IN_STEP, Severity::Blocker, message, hint));
            }
            Some(Role::Writer) => {
                let message = format!("{component} in {region} is the writer already, or was promoted by hand");
                // A planned move there is refused before it; what is left is a failover that enters it.
                found.push(there_already(message, true));
            }
            _ => {
                let message = format!("{component} in {region} is {} and no replica", seen.status);
                found.push(finding(code::AWS_HALF_DONE, Severity::Blocker, message, "let it join again first"));
            }
        }
        match self.lag(region, true).await {
            Ok(lag) => {
                let what = format!("{component} in {region}");
                found.extend(lag.and_then(|lag| far_behind(self.access.rpo(), &what, lag.value, LOSES)));
            }
            Err(failure) => found.push(Finding { severity: Severity::Warning, ..not_asked(failure) }),
        }
        if let Some(source) = &seen.source {
            found.extend(self.of_backups(region, source).await);
        }
        if self.plan.snapshot == SnapshotBefore::Changes {
            found.push(self.snapshot_costs(region, seen.gigabytes, true));
        }
        if seen.source.is_some() && seen.backups.as_writer().is_none() {
            let message = format!("{component} in {region} keeps no backups; promoted, it keeps them for one day");
            let hint = "set the replica's own retention to what the writer has";
            found.push(finding(code::AWS_NO_BACKUPS, Severity::Note, message, hint));
        }
        if !seen.protected {
            let message = format!("{component} in {region} is not protected from deletion");
            found.push(finding(code::AWS_UNPROTECTED, Severity::Note, message, "turn deletion protection on"));
        }
        found
    }

    /// What the new replica will lack although the old instance has it.
    async fn not_taken_over(&self, region: &Region) -> Option<Finding> {
        let name = &self.place(region).ok()?.instance;
        let lacks = left_out(&self.raw(region, name).await.ok()??);
        let message = format!(
            "the new replica of {} in {region} will be without what the old instance has: {}",
            self.component,
            lacks.join(", ")
        );
        let hint = "give it to the new one by hand when it follows, before users are led there again";
        (!lacks.is_empty()).then(|| finding(code::AWS_KEPT, Severity::Warning, message, hint))
    }

    pub(super) async fn before_rejoin(&self, region: &Region) -> Vec<Finding> {
        let seen = match self.there(region).await {
            Ok(seen) => seen,
            Err(found) => return found,
        };
        let mut found = Vec::new();
        if seen.source.is_none() {
            let message = format!(
                "the old instance of {} in {region} will be kept beside a new one, under a name that ends in the run's epoch",
                self.component
            );
            let hint = "it costs what it cost before, and each move keeps one more; delete it when nobody needs what only it holds";
            found.push(finding(code::AWS_KEPT, Severity::Note, message, hint));
            found.extend(self.not_taken_over(region).await);
        }
        if self.plan.snapshot != SnapshotBefore::Nothing {
            found.push(self.snapshot_costs(region, seen.gigabytes, false));
        }
        if self.plan.backups_follow {
            let message = format!("automated backups of {} will be replicated to {region} again", self.component);
            let hint = "copies cost money per GB and month, and what is sent between regions; `backups: leave` changes nothing";
            found.push(finding(code::AWS_BACKUPS, Severity::Note, message, hint));
        }
        found
    }
}
