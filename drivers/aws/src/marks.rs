//! Marks of a fence on what RDS runs, as tags: a process that dies in between takes none of them along.

use crate::access::Access;
use crate::call::Call;
use crate::words::instance::{REBOOTED, Reboot, STOPPED_AT};
use aws_sdk_rds::Client;
use aws_sdk_rds::types::Tag;
use pilotlight_core::outcome::Failure;
use std::time::Duration;

/// The marks of one instance or cluster.
pub(crate) struct Marks<'a> {
    pub(crate) access: &'a Access,
    pub(crate) client: Client,
    /// AWS's name of the region.
    pub(crate) region: &'a str,
    pub(crate) arn: &'a str,
    /// For each call.
    pub(crate) time: Duration,
}

impl Marks<'_> {
    /// Of the reboot after its clients were shut out.
    pub(crate) async fn reboot(&self, reboot: Reboot) -> Result<(), Failure> {
        self.set(REBOOTED, &reboot.word()).await
    }

    /// From now on it acknowledges nothing.
    pub(crate) async fn stopped(&self) -> Result<(), Failure> {
        self.set(STOPPED_AT, &self.access.clock().wall().0.to_string()).await
    }

    /// None of them any more.
    pub(crate) async fn clear(&self) -> Result<(), Failure> {
        let send = || {
            let call = self.client.remove_tags_from_resource().resource_name(self.arn);
            call.tag_keys(REBOOTED).tag_keys(STOPPED_AT).send()
        };
        let call = self.call("RemoveTagsFromResource");
        self.access.change(call, self.time, send).await.map(|_| ()).map_err(|r| r.failure())
    }

    async fn set(&self, key: &str, value: &str) -> Result<(), Failure> {
        let tag = Tag::builder().key(key).value(value).build();
        let send = || self.client.add_tags_to_resource().resource_name(self.arn).tags(tag.clone()).send();
        let call = self.call("AddTagsToResource");
        self.access.change(call, self.time, send).await.map(|_| ()).map_err(|r| r.failure())
    }

    fn call(&self, action: &'static str) -> Call<'_> {
        Call { service: "rds", region: self.region, action }
    }
}
