//! What would keep the object from moving users: of the bucket, the records and the health check.

use super::Switch;
use crate::access::ROUTE53_REGION;
use crate::finding::finding;
use crate::route53::{LOOK, Published, Route53Driver};
use crate::words::refusal::Said;
use aws_sdk_route53::types::{HealthCheckConfig, HealthCheckType};
use pilotlight_core::code;
use pilotlight_core::outcome::{Finding, Severity};

impl Switch<'_> {
    /// What would keep the object from moving users.
    pub(in crate::route53) async fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        match self.is_there().await {
            Ok(is_there) => found.extend(self.of_everybody(is_there).await),
            Err(e) => {
                let message = format!("the switch of {} cannot be looked at: {}", self.driver.plan.name, e.message);
                let hint = "compare `switch` with the bucket; the role needs s3:ListBucket on it";
                found.push(finding(code::AWS_SWITCH, Severity::Blocker, message, hint));
            }
        }
        match self.driver.published().await {
            Ok(published) => found.extend(self.of_records(&published)),
            Err(f) => {
                let hint = "the move does not need it; that records and check are right is not known";
                found.push(finding(code::AWS_NOT_ASKED, Severity::Warning, f.message, hint));
                return found;
            }
        }
        let Some(check) = self.check() else { return found };
        let Ok(client) = self.driver.client().await else { return found };
        let send = || client.get_health_check().health_check_id(check).send();
        match self.access().read(Route53Driver::call("GetHealthCheck"), LOOK, send).await {
            Ok(answer) => {
                if let Some(config) = answer.health_check().and_then(|c| c.health_check_config()) {
                    found.extend(self.of_check(check, config));
                }
            }
            Err(refused) if refused.said == Said::Missing => {
                let message = format!("the health check {check} of {} does not exist", self.plan.home);
                found.push(finding(code::AWS_SWITCH, Severity::Blocker, message, "make it, as docs/aws.md says"));
            }
            Err(refused) => {
                let hint = "the move does not need it; that the check is right is not known";
                found.push(finding(code::AWS_NOT_ASKED, Severity::Warning, refused.not_seen().message, hint));
            }
        }
        found
    }

    fn of_records(&self, published: &Published) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut say = |message: String, hint: &str| {
            found.push(finding(code::AWS_SWITCH, Severity::Blocker, message, hint));
        };
        let (name, home) = (&self.driver.plan.name, &self.plan.home);
        let shares = [(home.clone(), 100)].into();
        if published.stranger.is_some() || !published.is(&self.driver.records(&shares, published)) {
            let hint = "make them once, as docs/aws.md says: a switch changes no record";
            say(format!("{name} has not the two failover records of the plan, {home} first"), hint);
        }
        if published.ours.iter().filter_map(|r| r.alias_target()).any(|a| a.evaluate_target_health()) {
            let hint = "take `evaluate target health` off both records: it moves users past the switch, and back";
            say(format!("an alias of {name} also looks at its target's health"), hint);
        }
        found
    }

    fn of_check(&self, check: &str, config: &HealthCheckConfig) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut say =
            |severity, message: String, hint: &str| found.push(finding(code::AWS_SWITCH, severity, message, hint));
        match (config.inverted() == Some(true), config.disabled() == Some(true)) {
            (true, false) => {}
            (false, false) => {
                let message =
                    format!("the health check {check} is not inverted: users are away while the object is not there");
                say(Severity::Blocker, message, "invert it");
            }
            // A disabled check counts as healthy, and inverted as unhealthy.
            (inverted, true) => {
                let where_users_are = if inverted { "so users are away" } else { "so users are at home" };
                let message = format!(
                    "the health check {check} is disabled, {where_users_are}, whether the object is there or not"
                );
                say(Severity::Blocker, message, "enable it, inverted, once the object is where users are to be");
            }
        }
        let host = config.fully_qualified_domain_name().unwrap_or_default();
        let path = config.resource_path().unwrap_or_default().trim_start_matches('/');
        // Another region's S3 answers with a redirect, which checkers take for healthy.
        let asks_for_it = host.eq_ignore_ascii_case(&self.host()) && path == self.plan.object;
        if *config.r#type() != HealthCheckType::Https || !asks_for_it {
            let wanted = format!("{}/{}", self.host(), self.plan.object);
            let message = format!("the health check {check} asks for {host}/{path}, not for {wanted} by HTTPS");
            say(Severity::Blocker, message, "compare it with `switch.bucket` and `switch.object`");
        }
        let seconds = config.request_interval().unwrap_or(30) * config.failure_threshold().unwrap_or(3);
        if u64::try_from(seconds).unwrap_or_default() > self.plan.takes.as_secs() {
            let message = format!("the checkers of {check} need {seconds} s, longer than `takes` says");
            say(Severity::Warning, message, "raise `takes`, or lower the check's interval and threshold");
        }
        if self.access().name(self.away) == ROUTE53_REGION {
            let message = format!("the switch of {} is in {ROUTE53_REGION}", self.driver.plan.name);
            say(Severity::Note, message, "users are led home by themselves while S3 there does not answer");
        }
        found
    }
}
