//! Looks at one region's bucket through that region's own API, and at what CloudWatch has of the copying.

use super::S3Driver;
use crate::call::Call;
use crate::metrics::{Metric, Value};
use crate::words::refusal::Said;
use crate::words::replication::{self, Bucket, Rule, bucket_of};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::types::{
    BucketVersioningStatus, DeleteMarkerReplicationStatus, ExistingObjectReplicationStatus, MetricsStatus,
    ReplicationConfiguration, ReplicationRule, ReplicationRuleStatus, ReplicationTimeStatus,
    SseKmsEncryptedObjectsStatus,
};
use pilotlight_core::id::Region;
use pilotlight_core::observation::{Role, State};
use pilotlight_core::outcome::Failure;
use std::sync::PoisonError;
use std::time::Duration;

/// A look that takes longer is worth nothing.
pub(super) const LOOK: Duration = Duration::from_secs(3);

/// A rule seen to copy longer ago than this says nothing of now.
const LATELY: Duration = Duration::from_secs(60);

/// Over so long failed operations are counted.
const DAY: Duration = Duration::from_secs(86_400);

/// A bucket, and its configuration as it has to be sent back.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) bucket: Bucket,
    pub(super) configuration: Option<ReplicationConfiguration>,
}

impl S3Driver {
    pub(super) async fn client(&self, region: &Region) -> Result<Client, Failure> {
        let config = self.access.config(region).await?;
        // A test server has one name for all buckets.
        let path = config.endpoint_url().is_some();
        Ok(Client::from_conf(Builder::from(&config).force_path_style(path).build()))
    }

    pub(super) fn call<'a>(&'a self, region: &'a Region, action: &'static str) -> Call<'a> {
        Call { service: "s3", region: self.access.name(region), action }
    }

    /// The region's bucket; `None` when there is none of that name.
    pub(super) async fn look(&self, region: &Region) -> Result<Option<Seen>, Failure> {
        let seen = Box::pin(self.ask(region)).await;
        let (_, other) = self.other(region)?;
        let rule = &self.place(region)?.rule;
        let copies = matches!(&seen, Ok(Some(s)) if s.bucket.copies(rule, &other.bucket));
        let mut copying = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        match copies {
            true => copying.insert(region.clone(), self.access.clock().mono()),
            false => copying.remove(region),
        };
        seen
    }

    async fn ask(&self, region: &Region) -> Result<Option<Seen>, Failure> {
        let (client, name) = (self.client(region).await?, &self.place(region)?.bucket);
        let owner = self.access.account();
        let versions =
            || client.get_bucket_versioning().bucket(name).set_expected_bucket_owner(owner.map(str::to_owned)).send();
        let rules =
            || client.get_bucket_replication().bucket(name).set_expected_bucket_owner(owner.map(str::to_owned)).send();
        let (versions, rules) = tokio::join!(
            self.access.read(self.call(region, "GetBucketVersioning"), LOOK, versions),
            self.access.read(self.call(region, "GetBucketReplication"), LOOK, rules),
        );
        let keeps_versions = match versions {
            Ok(answer) => answer.status() == Some(&BucketVersioningStatus::Enabled),
            Err(refused) if refused.said == Said::Missing => return Ok(None),
            Err(refused) => return Err(refused.not_seen()),
        };
        // A bucket without any rule is answered as something that is missing.
        let configuration = match rules {
            Ok(answer) => answer.replication_configuration,
            Err(refused) if refused.said == Said::Missing => None,
            Err(refused) => return Err(refused.not_seen()),
        };
        let rules = configuration.iter().flat_map(|c| c.rules()).map(read).collect();
        Ok(Some(Seen { bucket: Bucket { keeps_versions, rules }, configuration }))
    }

    /// The role by which S3 copies what is written there, and that each change of the rules passes on.
    pub(crate) async fn copied_by(&self, region: &Region) -> Result<Option<String>, Failure> {
        let seen = self.look(region).await?.and_then(|s| s.configuration);
        Ok(seen.map(|c| c.role).filter(|role| !role.is_empty()))
    }

    pub(super) async fn must(&self, region: &Region) -> Result<Seen, Failure> {
        let name = &self.place(region)?.bucket;
        let missing = || Failure::rejected(format!("there is no bucket {name} in {region}"));
        self.look(region).await?.ok_or_else(|| missing().hint("compare `regions` of the component with the account"))
    }

    /// A metric of the copying out of the region.
    fn metric(&self, source: &Region, name: &'static str) -> Result<Metric, Failure> {
        let (from, (_, to)) = (self.place(source)?, self.other(source)?);
        let dimensions = vec![
            ("SourceBucket", from.bucket.clone()),
            ("DestinationBucket", to.bucket.clone()),
            ("RuleId", from.rule.clone()),
        ];
        Ok(Metric { namespace: "AWS/S3", name, dimensions })
    }

    /// How many seconds the region's bucket is behind the other one. AWS publishes it where the copy is.
    pub(super) async fn lag(&self, region: &Region, now: bool) -> Result<Option<Value>, Failure> {
        let metric = self.metric(self.other(region)?.0, "ReplicationLatency")?;
        self.access.metric(region, &metric, now).await
    }

    /// How many operations wait to be copied to the region's bucket.
    pub(super) async fn pending(&self, region: &Region, now: bool) -> Result<Option<Value>, Failure> {
        let metric = self.metric(self.other(region)?.0, "OperationsPendingReplication")?;
        self.access.metric(region, &metric, now).await
    }

    /// How many operations on the region's bucket could not be copied, in a day. AWS publishes it where the source is.
    pub(super) async fn failed(&self, region: &Region) -> Result<f64, Failure> {
        let metric = self.metric(region, "OperationsFailedReplication")?;
        self.access.total_now(region, &metric, DAY).await
    }

    pub(super) async fn state(&self, region: &Region) -> Result<State, Failure> {
        let (upstream, other) = self.other(region)?;
        let seen = self.look(region).await?;
        let fed = {
            let copying = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
            copying.get(upstream).is_some_and(|at| self.access.clock().mono().since(*at) <= LATELY)
        };
        let bucket = seen.as_ref().map(|s| &s.bucket);
        let rule = &self.place(region)?.rule;
        let mut state = replication::state(bucket, rule, (upstream, &other.bucket), fed);
        if matches!(state.role, Some(Role::Standby { .. })) {
            // Without CloudWatch the role is still known.
            let (lag, pending) = tokio::join!(Box::pin(self.lag(region, false)), Box::pin(self.pending(region, false)));
            match lag {
                Ok(value) => state.lag = value.map(|v| v.lag(self.access.clock().wall())),
                Err(failure) => {
                    state.facts.insert("lag".to_owned(), failure.message);
                }
            }
            if let Ok(Some(pending)) = pending {
                state.facts.insert("pending".to_owned(), format!("{:.0} operations", pending.value));
            }
        }
        Ok(state)
    }
}

fn read(rule: &ReplicationRule) -> Rule {
    let to = rule.destination();
    let metrics = to.and_then(|d| d.metrics()).is_some_and(|m| *m.status() == MetricsStatus::Enabled);
    let time = to.and_then(|d| d.replication_time()).is_some_and(|t| *t.status() == ReplicationTimeStatus::Enabled);
    let kms = rule.source_selection_criteria().and_then(|c| c.sse_kms_encrypted_objects());
    let markers = rule.delete_marker_replication().and_then(|m| m.status());
    let existing = rule.existing_object_replication();
    Rule {
        id: rule.id().unwrap_or_default().to_owned(),
        is_enabled: *rule.status() == ReplicationRuleStatus::Enabled,
        to: to.map(|d| bucket_of(d.bucket()).to_owned()).unwrap_or_default(),
        only: only(rule),
        delete_markers: markers == Some(&DeleteMarkerReplicationStatus::Enabled),
        kms: kms.is_some_and(|k| *k.status() == SseKmsEncryptedObjectsStatus::Enabled),
        metrics,
        time_control: time,
        existing: existing.is_some_and(|e| *e.status() == ExistingObjectReplicationStatus::Enabled),
    }
}

/// What a filter lets through, when it does not let everything through.
#[expect(deprecated, reason = "rules of the first version are still in use")]
fn only(rule: &ReplicationRule) -> Option<String> {
    let filter = rule.filter();
    let both = filter.and_then(|f| f.and());
    let prefix = [rule.prefix(), filter.and_then(|f| f.prefix()), both.and_then(|b| b.prefix())];
    let tagged = filter.and_then(|f| f.tag()).is_some() || both.is_some_and(|b| !b.tags().is_empty());
    match (prefix.into_iter().flatten().find(|p| !p.is_empty()), tagged) {
        (None, false) => None,
        (None, true) => Some("objects with certain tags".to_owned()),
        (Some(prefix), false) => Some(format!("objects under `{prefix}`")),
        (Some(prefix), true) => Some(format!("objects under `{prefix}` with certain tags")),
    }
}
