//! What a region needs besides the components: looked at there, and secrets beside their copies.
//!
//! Border: nothing here is made or changed. What could not be looked at is a finding, never a pass.

use crate::access::Access;
use crate::call::Refused;
use crate::finding::{finding, not_asked};
use crate::plain::{CERTIFICATES, KEYS, QUOTAS, Road, SECRETS};
use crate::words::need::{Secret, of_certificate, of_key, of_quota};
use crate::words::refusal::Said;
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::plan::aws::AwsQuota;
use pilotlight_core::time::Mono;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One dry run takes less.
const LATELY: Duration = Duration::from_secs(10);

/// What was found of each region, and when.
pub(crate) type Found = Mutex<BTreeMap<Region, (Mono, Vec<Finding>)>>;

/// The hint where something is not there.
const COMPARE: &str = "compare `needs` of the region with the account; names and ids differ between regions";

impl Access {
    /// Everything that the region needs and that is not as it must be. Asks that region only.
    pub async fn needs(&self, region: &Region) -> Vec<Finding> {
        let Some(needs) = self.needs_of(region).filter(|n| !n.is_empty()) else { return Vec::new() };
        let road = match self.road(region).await {
            Ok(road) => road,
            Err(failure) => return vec![not_asked(failure)],
        };
        let mut found = Vec::new();
        for name in &needs.secrets {
            found.extend(self.of_secret(&road, name, region).await);
        }
        for name in &needs.keys {
            let said = self.ask(&road, KEYS, "DescribeKey", &json!({"KeyId": name})).await;
            found.extend(judge(said, &format!("key {name} in {region}"), |said| of_key(said, name, region)));
        }
        for arn in &needs.certificates {
            let said = self.ask(&road, CERTIFICATES, "DescribeCertificate", &json!({"CertificateArn": arn})).await;
            let now = self.clock().wall();
            let judged = |said: &Value| of_certificate(said, arn, region, needs.certificate_days, now);
            found.extend(judge(said, &format!("certificate {arn}"), judged));
        }
        for need in &needs.quotas {
            found.extend(self.of_quota(&road, need, region).await);
        }
        found
    }

    /// The same as [`Access::needs`]; what was found a moment ago is found again, because many steps of a dry run ask.
    pub(crate) async fn needs_lately(&self, region: &Region) -> Vec<Finding> {
        let now = self.clock().mono();
        let lately = self.found().lock().unwrap_or_else(PoisonError::into_inner).get(region).cloned();
        if let Some((_, found)) = lately.filter(|(at, _)| now.since(*at) < LATELY) {
            return found;
        }
        let found = self.needs(region).await;
        let mut kept = self.found().lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(region.clone(), (self.clock().mono(), found.clone()));
        found
    }

    /// Secrets that several regions name: the same there, and their copies in step. Asks every region of the plan.
    pub async fn secrets_in_step(&self, regions: &[Region]) -> Vec<Finding> {
        let mut found = Vec::new();
        for (at, here) in regions.iter().enumerate() {
            let Some(needs) = self.needs_of(here) else { continue };
            for name in &needs.secrets {
                let there =
                    regions[at + 1..].iter().filter(|r| self.needs_of(r).is_some_and(|n| n.secrets.contains(name)));
                for there in there {
                    found.extend(self.pair(name, here, there).await);
                }
            }
        }
        found
    }

    async fn pair(&self, name: &str, here: &Region, there: &Region) -> Vec<Finding> {
        let (first, second) = (self.secret(name, here).await, self.secret(name, there).await);
        // What is missing or not to be seen in one of them is told by the look at that region.
        let (Some(first), Some(second)) = (first, second) else {
            let message = format!("whether the secret {name} is the same in {here} and {there} cannot be told");
            return vec![finding(code::AWS_SECRET, Severity::Warning, message, "look again when both regions answer")];
        };
        let copies = [first.copy(name, there, self.name(there)), second.copy(name, here, self.name(here))];
        let bad: Vec<Finding> = copies.into_iter().flatten().collect();
        if bad.is_empty() { first.same(&second, name, here, there).into_iter().collect() } else { bad }
    }

    async fn secret(&self, name: &str, region: &Region) -> Option<Secret> {
        let road = self.road(region).await.ok()?;
        let said = self.ask(&road, SECRETS, "DescribeSecret", &json!({"SecretId": name})).await;
        said.ok().map(|said| Secret::read(&said))
    }

    async fn of_secret(&self, road: &Road, name: &str, region: &Region) -> Option<Finding> {
        let said = self.ask(road, SECRETS, "DescribeSecret", &json!({"SecretId": name})).await;
        judge(said, &format!("secret {name} in {region}"), |said| Secret::read(said).here(name, region))
    }

    /// The value that was granted, or AWS's own where nobody asked for another.
    async fn of_quota(&self, road: &Road, need: &AwsQuota, region: &Region) -> Option<Finding> {
        let body = json!({"ServiceCode": need.service, "QuotaCode": need.quota});
        let mut said = self.ask(road, QUOTAS, "GetServiceQuota", &body).await;
        if said.as_ref().is_err_and(|refused| refused.said == Said::Missing) {
            said = self.ask(road, QUOTAS, "GetAWSDefaultServiceQuota", &body).await;
        }
        let what = format!("quota {} {} in {region}", need.service, need.quota);
        judge(said, &what, |said| of_quota(said, need, region))
    }
}

fn judge(said: Result<Value, Refused>, what: &str, judged: impl FnOnce(&Value) -> Option<Finding>) -> Option<Finding> {
    match said {
        Ok(said) => judged(&said),
        Err(refused) if refused.said == Said::Missing => {
            Some(finding(code::AWS_MISSING, Severity::Blocker, format!("there is no {what}"), COMPARE))
        }
        Err(refused) => Some(not_asked(refused.not_seen())),
    }
}
