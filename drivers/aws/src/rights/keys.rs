//! Rights to the key that a region's database is encrypted with: RDS uses it in the caller's name when it makes a copy anew.
//!
//! Border: keys of the user's own. A key's own policy may give what the role's do not, and is not read: so a warning.

use crate::access::Access;
use crate::aurora::AuroraDriver;
use crate::finding::finding;
use crate::identity::Caller;
use crate::plain::KEYS;
use crate::rds::RdsDriver;
use crate::right::KEY_CALLS;
use pilotlight_core::code;
use pilotlight_core::id::{Component, Region};
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::plan::aws::AwsComponent;
use serde_json::json;

const GIVE: &str =
    "terraform/modules/iam gives it for its variable `keys`; nothing lacks where the key's own policy names the role";

impl Access {
    /// Calls to the key that the policies of the role do not allow.
    pub(super) async fn to_key(
        &self,
        name: &Component,
        component: &AwsComponent,
        called: &str,
        region: &Region,
        caller: &Caller,
    ) -> Result<Vec<Finding>, Finding> {
        let Some((kind, key)) = self.key_of(name, component, region).await else { return Ok(Vec::new()) };
        if self.is_of_aws(called, &key).await {
            return Ok(Vec::new());
        }
        let calls = KEY_CALLS.iter().find(|(k, _)| *k == kind).map(|(_, calls)| *calls).unwrap_or_default();
        let via = format!("rds.{called}.amazonaws.com");
        let lacking = self.simulate(called, &caller.arn, calls, &key, Some(&via)).await?;
        let say = |(action, said): (String, String)| {
            let message = format!(
                "{name} in {region} needs {action} on {key} through {via} to be made anew, and {} has not: {said}",
                caller.arn
            );
            finding(code::AWS_RIGHT, Severity::Warning, message, GIVE)
        };
        Ok(lacking.into_iter().map(say).collect())
    }

    /// What the region's database is encrypted with. Where it cannot be seen, the look at it says so.
    async fn key_of(
        &self,
        name: &Component,
        component: &AwsComponent,
        region: &Region,
    ) -> Option<(&'static str, String)> {
        let (kind, key) = match component {
            AwsComponent::Rds(r) => {
                ("rds", RdsDriver::new(name.clone(), r.clone(), self.clone()).key(region).await.ok()??)
            }
            // Only the way back after a detach makes clusters.
            AwsComponent::Aurora(a) if a.may_detach && a.can_close() => {
                ("aurora", AuroraDriver::new(name.clone(), a.clone(), self.clone()).key(region).await.ok()??)
            }
            _ => return None,
        };
        key.starts_with("arn:").then_some((kind, key))
    }

    /// AWS's own keys may be used by whoever may use the service.
    async fn is_of_aws(&self, called: &str, key: &str) -> bool {
        let Ok(road) = self.road_of(called).await else { return false };
        let said = self.ask(&road, KEYS, "DescribeKey", &json!({"KeyId": key})).await;
        said.is_ok_and(|said| said["KeyMetadata"]["KeyManager"] == "AWS")
    }
}
