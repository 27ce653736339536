//! Automated backups that AWS replicates to another region: whether they are there, and how old the newest moment is to which
//! they can be restored. Looked at where they would be needed; `turn` changes where that is.

use super::RdsDriver;
use super::look::LOOK;
use crate::finding::finding;
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Failure, Finding, Severity};
use pilotlight_core::time::{Mono, show_duration};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// AWS moves the newest moment every five minutes or so.
const AGAIN: Duration = Duration::from_secs(60);

/// The age of the newest restorable moment by region, and when it was asked for.
pub(super) type Ages = Mutex<BTreeMap<Region, (Mono, Option<Duration>)>>;

impl RdsDriver {
    /// How old the newest moment is to which the backups of that instance can be restored in the region; `None`: none are there.
    async fn age(&self, region: &Region, source: &str) -> Result<Option<Duration>, Failure> {
        let client = self.rds(region).await?;
        let name = source.rsplit(':').next().unwrap_or(source);
        let send = || {
            let call = client.describe_db_instance_automated_backups().db_instance_identifier(name);
            call.into_paginator().items().send().try_collect()
        };
        let call = self.call(region, "DescribeDBInstanceAutomatedBackups");
        let found: Result<Vec<_>, _> = self.access.read(call, LOOK, send).await;
        let found = match found {
            Ok(found) => found,
            Err(refused) if refused.said == crate::words::refusal::Said::Missing => Vec::new(),
            Err(refused) => return Err(refused.not_seen()),
        };
        let is_of = |b: &&aws_sdk_rds::types::DbInstanceAutomatedBackup| b.db_instance_arn() == Some(source);
        let newest =
            found.iter().filter(is_of).filter_map(|b| b.restore_window()?.latest_time()?.to_millis().ok()).max();
        let now = self.access.clock().wall().0;
        let age = |at: i64| Duration::from_millis(now.saturating_sub(u64::try_from(at).unwrap_or_default()));
        Ok(newest.map(age))
    }

    /// For `pilotlight status`, asked for once a minute at most.
    pub(super) async fn backups(&self, region: &Region, source: &str) -> Option<String> {
        self.plan.backups_within?;
        let now = self.access.clock().mono();
        let kept = self.ages.lock().unwrap_or_else(PoisonError::into_inner).get(region).copied();
        let (asked, age) = match kept.filter(|(at, _)| now.since(*at) < AGAIN) {
            Some(kept) => kept,
            None => {
                let fresh = match self.age(region, source).await {
                    Ok(age) => (now, age),
                    Err(failure) => return Some(failure.message),
                };
                self.ages.lock().unwrap_or_else(PoisonError::into_inner).insert(region.clone(), fresh);
                fresh
            }
        };
        Some(match age {
            Some(age) => format!("restorable to {} ago", show_duration(age + now.since(asked))),
            None => "none are replicated here".to_owned(),
        })
    }

    /// What is wrong with them, where the plan says how old they may be.
    pub(super) async fn of_backups(&self, region: &Region, source: &str) -> Option<Finding> {
        let most = self.plan.backups_within?;
        let component = &self.component;
        let say = |message, hint| Some(finding(code::AWS_BACKUPS, Severity::Warning, message, hint));
        match self.age(region, source).await {
            Ok(Some(age)) if age <= most => None,
            Ok(Some(age)) => {
                let (age, most) = (show_duration(age), show_duration(most));
                let message = format!(
                    "backups of {component} in {region} can be restored to {age} ago; `backups_within` is {most}"
                );
                say(message, "look at the events of the instance: replication of its backups has stopped or is slow")
            }
            Ok(None) => {
                let message = format!("no automated backups of {component} are replicated to {region}");
                say(message, "start their replication: `aws rds start-db-instance-automated-backups-replication`")
            }
            Err(failure) => say(failure.message, "nothing is known of the backups there"),
        }
    }
}
