//! What would stand in the way of a move, found before it.

use super::S3Driver;
use super::look::Seen;
use crate::finding::{far_behind, finding, not_asked, there};
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Finding, Severity};

impl S3Driver {
    /// Of a lost region nothing is asked.
    pub(super) async fn before_switch(&self, from: &Region, to: &Region, allow_loss: bool) -> Vec<Finding> {
        let mut found = self.of_bucket(to, false).await;
        if !allow_loss {
            found.extend(self.of_bucket(from, true).await);
            match self.failed(from).await {
                Ok(failed) if failed > 0.0 => {
                    let message =
                        format!("{failed:.0} operations on {} in {from} could not be copied in a day", self.component);
                    let hint =
                        "look at the events of the bucket for the reason, and copy the objects by a batch replication";
                    found.push(finding(code::AWS_NOT_COPIED, Severity::Warning, message, hint));
                }
                Ok(_) => {}
                Err(failure) => found.push(Finding { severity: Severity::Warning, ..not_asked(failure) }),
            }
        }
        match self.lag(to, true).await {
            Ok(lag) => {
                let what = format!("{} in {to}", self.component);
                let hint = "a failover now leaves that much behind; a planned move waits until it is at most 60 s";
                found.extend(lag.and_then(|lag| far_behind(self.access.rpo(), &what, lag.value, hint)));
            }
            Err(failure) => found.push(Finding { severity: Severity::Warning, ..not_asked(failure) }),
        }
        found
    }

    async fn of_bucket(&self, region: &Region, copies_now: bool) -> Vec<Finding> {
        let name = self.plan.regions.get(region).map(|p| p.bucket.as_str()).unwrap_or_default();
        let hint = "it was deleted, or the plan names another";
        match there(self.look(region).await, &format!("bucket {name} in {region}"), hint) {
            Ok(seen) => self.of_rules(region, &seen, copies_now),
            Err(found) => found,
        }
    }

    fn of_rules(&self, region: &Region, seen: &Seen, copies_now: bool) -> Vec<Finding> {
        let (Ok(place), Ok((_, other))) = (self.place(region), self.other(region)) else { return Vec::new() };
        let (bucket, id) = (&place.bucket, &place.rule);
        let mut found = Vec::new();
        if !seen.bucket.keeps_versions {
            let message = format!("bucket {bucket} in {region} keeps no versions, so nothing is copied from or to it");
            found.push(finding(code::AWS_NO_VERSIONS, Severity::Blocker, message, "enable versioning"));
        }
        let rule = match seen.bucket.rule(id) {
            None => {
                let message = format!("bucket {bucket} in {region} has no rule {id}");
                let hint = "make it, disabled where the service does not run; a move only enables it";
                found.push(finding(code::AWS_RULE, Severity::Blocker, message, hint));
                return found;
            }
            Some(rule) => rule,
        };
        if rule.to != other.bucket {
            let message = format!("rule {id} of bucket {bucket} copies to {}, not to {}", rule.to, other.bucket);
            let hint = "compare the buckets in the plan with the rule";
            found.push(finding(code::AWS_RULE, Severity::Blocker, message, hint));
        } else if copies_now && !rule.is_enabled {
            let message = format!("rule {id} of bucket {bucket} is disabled, so {} falls behind", other.bucket);
            let hint = "enable it; what was written meanwhile needs a batch replication";
            found.push(finding(code::AWS_RULE, Severity::Blocker, message, hint));
        }
        for (severity, gap, hint) in rule.gaps(self.plan.existing_copied) {
            let message = format!("rule {id} of bucket {bucket} {gap}");
            found.push(finding(code::AWS_RULE_INCOMPLETE, severity, message, hint));
        }
        let strange = |r: &&crate::words::replication::Rule| r.id != *id && r.is_enabled && r.to == other.bucket;
        for strange in seen.bucket.rules.iter().filter(strange) {
            let message = format!("rule {} of bucket {bucket} also copies to {}", strange.id, other.bucket);
            let hint = "a move leaves it as it is: make one rule of them";
            found.push(finding(code::AWS_RULE, Severity::Warning, message, hint));
        }
        found
    }
}
