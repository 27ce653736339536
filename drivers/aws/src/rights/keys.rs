//! Rights to the keys of what a move uses: RDS uses a database's in the caller's name when it makes a copy anew, SNS a topic's
//! when something is told to it.
//!
//! Border: keys of the user's own. A key's own policy may give what the role's do not, and is not read: so a warning.

use crate::access::Access;
use crate::aurora::AuroraDriver;
use crate::finding::finding;
use crate::identity::Caller;
use crate::plain::KEYS;
use crate::rds::RdsDriver;
use crate::sns::SnsDriver;
use crate::words::right::{KEY_CALLS, key_arn};
use pilotlight_core::code;
use pilotlight_core::id::{Component, Region};
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::plan::aws::AwsComponent;
use serde_json::{Value, json};

const GIVE: &str =
    "terraform/modules/iam gives it for its variable `keys`; nothing lacks where the key's own policy names the role";

/// A key that a service uses in the caller's name.
struct Used {
    kind: &'static str,
    /// The service, as `kms:ViaService` names it.
    service: &'static str,
    /// What for.
    so_that: &'static str,
    /// As the thing that is encrypted names it.
    key: String,
}

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
        let used = match self.key_of(name, component, region).await {
            Ok(Some(used)) => used,
            Ok(None) => return Ok(Vec::new()),
            Err(why) => {
                let message = format!("rights to the key of {name} in {region} were not simulated: {why}");
                return Ok(vec![finding(
                    code::AWS_RIGHT,
                    Severity::Warning,
                    message,
                    "look again when it can be seen",
                )]);
            }
        };
        let seen = self.described(called, &used.key).await;
        if seen["KeyManager"] == "AWS" {
            return Ok(Vec::new());
        }
        let arn = seen["Arn"].as_str().map(str::to_owned).or_else(|| key_arn(&used.key, called, &caller.account));
        let Some(key) = arn else {
            let message =
                format!("rights to {} of {name} were not simulated: whose name that is is not known", used.key);
            let hint = "name the key by its ARN or id, or let the role call kms:DescribeKey";
            return Ok(vec![finding(code::AWS_RIGHT, Severity::Note, message, hint)]);
        };
        let calls = KEY_CALLS.iter().find(|(k, _)| *k == used.kind).map(|(_, calls)| *calls).unwrap_or_default();
        let via = format!("{}.{called}.amazonaws.com", used.service);
        let lacking = self.simulate(called, &caller.arn, calls, &key, Some(("kms:ViaService", &via))).await?;
        let say = |(action, said): (String, String)| {
            let message = format!(
                "{name} in {region} needs {action} on {key} through {via} {}, and {} has not: {said}",
                used.so_that, caller.arn
            );
            finding(code::AWS_RIGHT, Severity::Warning, message, GIVE)
        };
        Ok(lacking.into_iter().map(say).collect())
    }

    /// What the region's database or the topic is encrypted with. Where a database cannot be seen, the look at it says so.
    async fn key_of(
        &self,
        name: &Component,
        component: &AwsComponent,
        region: &Region,
    ) -> Result<Option<Used>, String> {
        let anew = |kind, key: Option<String>| {
            let key = key.filter(|key| key.starts_with("arn:"));
            key.map(|key| Used { kind, service: "rds", so_that: "to be made anew or kept", key })
        };
        Ok(match component {
            AwsComponent::Rds(r) => {
                let driver = RdsDriver::new(name.clone(), r.clone(), self.clone());
                anew("rds", driver.key(region).await.unwrap_or_default())
            }
            // Only the way back after a detach makes clusters, and a planned move a snapshot where it is wanted.
            AwsComponent::Aurora(a) if a.may_detach && a.can_close() || component.keeps_first() => {
                let driver = AuroraDriver::new(name.clone(), a.clone(), self.clone());
                anew("aurora", driver.key(region).await.unwrap_or_default())
            }
            // The dry run looks at the topic, and not at its key.
            AwsComponent::Sns(s) => {
                let driver = SnsDriver::new(name.clone(), s.clone(), self.clone());
                let key = driver.key().await.map_err(|failure| failure.message)?;
                key.map(|key| Used { kind: "sns", service: "sns", so_that: "for people to be told", key })
            }
            _ => None,
        })
    }

    /// What KMS says of a key; nothing where it does not. AWS's own keys may be used by whoever may use the service.
    async fn described(&self, called: &str, key: &str) -> Value {
        // Its name is reserved, and says whose it is to those who may not look at it.
        if key.contains("alias/aws/") {
            return json!({"KeyManager": "AWS"});
        }
        let Ok(road) = self.road_of(called).await else { return Value::Null };
        let said = self.ask(&road, KEYS, "DescribeKey", &json!({"KeyId": key})).await;
        said.map(|mut said| said["KeyMetadata"].take()).unwrap_or_default()
    }
}
