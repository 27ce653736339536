//! Turning the direction round: the new bucket's rule first, the old one's when everything has arrived.

use super::S3Driver;
use super::look::Seen;
use crate::finding::MOVED_BY_HAND;
use aws_sdk_s3::types::{ReplicationConfiguration, ReplicationRuleStatus};
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_core::time::Wall;
use pilotlight_driver::Context;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A planned move waits until the copy is at most so many seconds behind: what is on its way still arrives.
const CLOSE: f64 = 60.0;

/// CloudWatch has a value a minute, some late. When it says nothing for so long, it will not.
const SAYS_WITHIN: Duration = Duration::from_secs(600);

/// Work that goes on: what its end looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "s3", rename_all = "kebab-case")]
enum Handle {
    /// Nothing is changed yet: the copy is too far behind.
    Near { from: Region, to: Region },
    /// The old bucket's rule goes on until nothing waits.
    Drain { region: Region, upstream: Region, since: Wall },
}

impl Handle {
    fn accepted(&self) -> Outcome {
        Outcome::Accepted { handle: serde_json::to_string(self).expect("a handle is names and times") }
    }
}

impl S3Driver {
    pub(super) async fn switch(
        &self,
        from: &Region,
        to: &Region,
        allow_loss: bool,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let (component, target) = (&self.component, self.place(to)?);
        let source = self.place(from)?;
        let seen = self.must(to).await?;
        if seen.bucket.copies(&target.rule, &source.bucket) {
            return Ok(Outcome::Skipped { why: format!("{component} in {to} is copied to {from}") });
        }
        let behind = self.lag(to, true).await;
        if !allow_loss {
            if !self.must(from).await?.bucket.copies(&source.rule, &target.bucket) {
                let message = format!("{component} in {from} is not copied to {to}");
                return Err(Failure::rejected(message).hint(MOVED_BY_HAND));
            }
            if let Ok(Some(lag)) = &behind
                && lag.value > CLOSE
            {
                return Ok(Handle::Near { from: from.clone(), to: to.clone() }.accepted());
            }
        }
        self.set(to, &seen, ReplicationRuleStatus::Enabled, context).await?;
        let lag = behind.ok().flatten().map(|v| format!("{:.0} s behind by CloudWatch", v.value));
        let lag = lag.unwrap_or_else(|| "behind by nobody knows how much".to_owned());
        let text = match allow_loss {
            false => {
                format!("{component}: {to} is copied to {from} from now on; {from} goes on until it has been left")
            }
            true => format!(
                "{component}: {to} is copied to {from} from now on, and was {lag}; what was on its way comes when {from} \
                 is back, and nothing stops who writes there"
            ),
        };
        let output = Output { assurance: Some(FenceAssurance::TrafficOnly), text, ..Output::default() };
        Ok(Outcome::Done { output })
    }

    /// Both rules copy until nothing waits any more; then the one of `region` ends.
    pub(super) async fn rejoin(
        &self,
        region: &Region,
        upstream: &Region,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        self.drain(region, upstream, self.access.clock().wall(), context).await
    }

    async fn drain(
        &self,
        region: &Region,
        upstream: &Region,
        since: Wall,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let (component, old, new) = (&self.component, self.place(region)?, self.place(upstream)?);
        if !self.must(upstream).await?.bucket.copies(&new.rule, &old.bucket) {
            let message = format!("{component} in {upstream} is not copied to {region}, so {region} cannot follow it");
            return Err(Failure::rejected(message).hint(MOVED_BY_HAND));
        }
        let seen = self.must(region).await?;
        if !seen.bucket.copies(&old.rule, &new.bucket) {
            return Ok(Outcome::Skipped { why: format!("{component} in {region} follows {upstream}") });
        }
        let handle = Handle::Drain { region: region.clone(), upstream: upstream.clone(), since };
        // Only what was measured after users had left says that nothing more comes.
        let waits = self.pending(upstream, true).await?.filter(|v| v.at >= since);
        let waited = self.access.clock().wall().since(since);
        match waits {
            Some(waits) if waits.value > 0.0 => return Ok(handle.accepted()),
            None if waited < SAYS_WITHIN => return Ok(handle.accepted()),
            _ => {}
        }
        let mut doubts = Vec::new();
        if waits.is_none() {
            doubts.push(format!("CloudWatch did not say whether everything in {} has been copied", old.bucket));
        }
        match self.failed(region).await {
            Ok(failed) if failed > 0.0 => doubts.push(format!(
                "{failed:.0} operations on {} could not be copied in a day: only it has them",
                old.bucket
            )),
            Ok(_) => {}
            Err(failure) => doubts.push(failure.message),
        }
        self.set(region, &seen, ReplicationRuleStatus::Disabled, context).await?;
        let text = format!("{component} in {region} follows {upstream}");
        let output = Output { assurance: Some(FenceAssurance::TrafficOnly), text, ..Output::default() };
        match doubts.is_empty() {
            true => Ok(Outcome::Done { output }),
            false => Ok(Outcome::Warned { output, warning: doubts.join("; ") }),
        }
    }

    /// Sends the configuration back with another status of our rule.
    async fn set(
        &self,
        region: &Region,
        seen: &Seen,
        status: ReplicationRuleStatus,
        context: &Context,
    ) -> Result<(), Failure> {
        let (place, (_, other)) = (self.place(region)?, self.other(region)?);
        let ours = seen.bucket.rule(&place.rule).filter(|r| r.to == other.bucket);
        let (Some(configuration), Some(_)) = (&seen.configuration, ours) else {
            let message = format!("bucket {} has no rule {} that copies to {}", place.bucket, place.rule, other.bucket);
            return Err(Failure::rejected(message).hint("make it, disabled; a move only enables it"));
        };
        let configuration = with_status(configuration, &place.rule, &status);
        let (client, owner) = (self.client(region).await?, self.access.account());
        let send = || {
            let call = client.put_bucket_replication().bucket(&place.bucket);
            let call = call.set_expected_bucket_owner(owner.map(str::to_owned));
            call.replication_configuration(configuration.clone()).send()
        };
        let call = self.call(region, "PutBucketReplication");
        let sent = Box::pin(self.access.change(call, context.deadline / 4, send)).await;
        sent.map(|_| ()).map_err(|r| r.failure())
    }

    /// Looks after accepted work.
    pub(super) async fn take_up(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        let read: Handle =
            serde_json::from_str(handle).map_err(|_| Failure::unsupported(format!("no such handle: {handle}")))?;
        match read {
            Handle::Near { from, to } => self.switch(&from, &to, false, context).await,
            Handle::Drain { region, upstream, since } => self.drain(&region, &upstream, since, context).await,
        }
    }
}

fn with_status(
    configuration: &ReplicationConfiguration,
    rule: &str,
    status: &ReplicationRuleStatus,
) -> ReplicationConfiguration {
    let mut changed = configuration.clone();
    for of in changed.rules.iter_mut().filter(|r| r.id() == Some(rule)) {
        of.status = status.clone();
    }
    changed
}
