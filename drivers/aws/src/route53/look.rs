//! What is published: the records of the name, the shares they mean, and what about them would stand in a move's way.

use super::{LOOK, Route53Driver, records};
use crate::access::ROUTE53_REGION;
use crate::call::Refused;
use crate::finding::{finding, not_asked};
use crate::words::refusal::Said;
use crate::words::weight;
use aws_sdk_route53::types::{HealthCheckConfig, ResourceRecordSet, ResourceRecordSetFailover};
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::observation::State;
use pilotlight_core::outcome::{Failure, Finding, Severity};
use pilotlight_core::plan::aws::{RecordPolicy, Route53Plan};
use std::collections::BTreeMap;

/// The records of a name.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// Those of the plan: one per region at most.
    pub(super) ours: Vec<ResourceRecordSet>,
    /// The region of the primary failover record.
    pub(super) primary: Option<Region>,
    /// Something else under this name, in words.
    pub(super) stranger: Option<String>,
}

impl Published {
    pub(super) fn read(plan: &Route53Plan, name: &str, sets: &[ResourceRecordSet]) -> Self {
        let mut published = Published::default();
        // The list starts at the name and goes on beyond it.
        for set in sets.iter().filter(|s| s.name() == name && *s.r#type() == records::kind(plan.record)) {
            let region = set.set_identifier().map(Region::new).filter(|r| plan.answers.contains_key(r));
            let chosen = match plan.policy {
                RecordPolicy::Weighted => set.weight().is_some(),
                RecordPolicy::Failover => set.failover().is_some(),
            };
            match region {
                Some(region) if chosen => {
                    if set.failover() == Some(&ResourceRecordSetFailover::Primary) {
                        published.primary = Some(region);
                    }
                    published.ours.push(set.clone());
                }
                _ => {
                    let who = set.set_identifier().map_or_else(|| "a simple one".to_owned(), |s| format!("`{s}`"));
                    published.stranger = Some(who);
                }
            }
        }
        published
    }

    /// Whether exactly these records are there.
    pub(super) fn is(&self, wanted: &[ResourceRecordSet]) -> bool {
        self.ours.len() == wanted.len() && wanted.iter().all(|w| self.ours.iter().any(|o| same(o, w)))
    }

    /// The shares that are published; none when the name was never led.
    pub(super) fn state(&self, plan: &Route53Plan) -> State {
        let shares = match plan.policy {
            RecordPolicy::Weighted => {
                let weight = |s: &ResourceRecordSet| {
                    let region = Region::new(s.set_identifier()?);
                    Some((region, s.weight().and_then(|w| u32::try_from(w).ok())?))
                };
                weight::shares(&self.ours.iter().filter_map(weight).collect())
            }
            RecordPolicy::Failover => self.primary.as_ref().map(|primary| {
                let share = |r: &Region| if r == primary { 100 } else { 0 };
                let named = self.ours.iter().filter_map(|s| s.set_identifier()).map(Region::new);
                named
                    .map(|r| {
                        let n = share(&r);
                        (r, n)
                    })
                    .collect()
            }),
        };
        let mut facts = BTreeMap::new();
        if let Some(stranger) = &self.stranger {
            facts.insert("stranger".to_owned(), stranger.clone());
        }
        State { shares, facts, ..State::default() }
    }
}

fn same(a: &ResourceRecordSet, b: &ResourceRecordSet) -> bool {
    let values = |s: &ResourceRecordSet| s.resource_records().iter().map(|r| r.value().to_owned()).collect::<Vec<_>>();
    let alias = |s: &ResourceRecordSet| {
        let target = s.alias_target()?;
        let name = target.dns_name().trim_end_matches('.').to_ascii_lowercase();
        Some((name, target.hosted_zone_id().to_owned()))
    };
    let ttl = |s: &ResourceRecordSet| s.ttl().filter(|_| s.alias_target().is_none());
    let weight = |s: &ResourceRecordSet| s.weight();
    a.set_identifier() == b.set_identifier()
        && weight(a) == weight(b)
        && a.failover() == b.failover()
        && a.health_check_id() == b.health_check_id()
        && ttl(a) == ttl(b)
        && values(a) == values(b)
        && alias(a) == alias(b)
}

impl Route53Driver {
    pub(super) async fn findings(&self, shares: &BTreeMap<Region, u32>) -> Result<Vec<Finding>, Failure> {
        let mut findings = Vec::new();
        match self.published().await {
            Ok(published) => {
                if let Some(stranger) = published.stranger {
                    let message = format!("{} has a record that is not of this plan: {stranger}", self.plan.name);
                    findings.push(finding(
                        code::AWS_RECORD,
                        Severity::Blocker,
                        message,
                        "remove it by hand, or give it to the plan",
                    ));
                }
                if published.ours.is_empty() {
                    let message = format!("{} has no record yet", self.plan.name);
                    findings.push(finding(
                        code::AWS_RECORD,
                        Severity::Note,
                        message,
                        "the first publication makes them",
                    ));
                }
            }
            Err(f) => findings.push(not_asked(f)),
        }
        let checked = |r: &Region| self.plan.answers.get(r).is_some_and(|a| a.health_check.is_some());
        let lit_are_checked = shares.iter().filter(|(_, s)| **s > 0).all(|(r, _)| checked(r));
        if self.plan.policy == RecordPolicy::Weighted && self.plan.answers.len() > 1 && lit_are_checked {
            let message = format!(
                "while every serving region of {} is unhealthy, Route 53 answers with the others",
                self.plan.name
            );
            let hint =
                "users may reach a region whose writer does not write; leave health checks away from weighted records";
            findings.push(finding(code::AWS_HEALTH_CHECK, Severity::Warning, message, hint));
        }
        if self.plan.answers.keys().any(|r| self.access.name(r) == ROUTE53_REGION) {
            let message =
                format!("{} is moved by Route 53's control plane in us-east-1, a region of this plan", self.plan.name);
            let hint = "with `policy: failover` and health checks traffic leaves a lost region without any call";
            findings.push(finding(code::AWS_CONTROL_PLANE, Severity::Warning, message, hint));
        }
        for (region, check) in self.plan.answers.iter().filter_map(|(r, a)| Some((r, a.health_check.as_deref()?))) {
            let serves = shares.get(region).is_some_and(|s| *s > 0);
            findings.extend(self.health_check(region, check, serves).await);
        }
        Ok(findings)
    }

    async fn health_check(&self, region: &Region, check: &str, serves: bool) -> Option<Finding> {
        let of_check = |severity, message, hint| Some(finding(code::AWS_HEALTH_CHECK, severity, message, hint));
        let unseen = |r: &Refused| Some(Finding { severity: Severity::Warning, ..not_asked(r.not_seen()) });
        let client = self.client().await.ok()?;
        let send = || client.get_health_check().health_check_id(check).send();
        let config = match self.access.read(Self::call("GetHealthCheck"), LOOK, send).await {
            Ok(answer) => answer.health_check().and_then(|c| c.health_check_config().cloned()),
            Err(refused) if refused.said == Said::Missing => {
                let message = format!("the health check {check} of {region} does not exist");
                return of_check(Severity::Blocker, message, "make it, or take it out of the plan");
            }
            Err(refused) => return unseen(&refused),
        };
        let is = |set: fn(&HealthCheckConfig) -> Option<bool>| config.as_ref().and_then(set).unwrap_or_default();
        if let Some((counts, hint)) = counts(is(HealthCheckConfig::disabled), is(HealthCheckConfig::inverted)) {
            let message = format!("the health check {check} of {region} {counts}");
            return of_check(Severity::Warning, message, hint);
        }
        let send = || client.get_health_check_status().health_check_id(check).send();
        let status = match self.access.read(Self::call("GetHealthCheckStatus"), LOOK, send).await {
            Ok(status) => status,
            Err(refused) => return unseen(&refused),
        };
        let words = status.health_check_observations().iter().filter_map(|o| o.status_report()?.status());
        let words: Vec<&str> = words.collect();
        let good = words.iter().filter(|w| w.starts_with("Success")).count();
        match (good * 2 > words.len(), serves) {
            (false, true) => {
                let message =
                    format!("the health check {check} of {region} is not good ({good} of {} checkers)", words.len());
                of_check(Severity::Warning, message, "Route 53 will not lead users there while it is bad")
            }
            _ => None,
        }
    }
}

/// What a check says that does not say what its checkers see, and what to do: AWS takes a disabled check for healthy, and then
/// turns round what is inverted.
fn counts(disabled: bool, inverted: bool) -> Option<(&'static str, &'static str)> {
    match (disabled, inverted) {
        (false, false) => None,
        (true, false) => Some(("is disabled, so it counts as healthy", "enable it")),
        (true, true) => Some((
            "is disabled and inverted, so it counts as unhealthy",
            "where it holds users away from an old writer, take both back once that region has joined again",
        )),
        (false, true) => Some((
            "is inverted, so it counts as unhealthy while the region is well, and as healthy while it is not",
            "take it back when the drill is over",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn a_disabled_check_is_healthy_and_inverted_it_is_not() {
        assert!(counts(true, false).is_some_and(|(c, _)| c.ends_with("counts as healthy")));
        assert!(counts(true, true).is_some_and(|(c, _)| c.ends_with("counts as unhealthy")));
        assert!(counts(false, true).is_some_and(|(c, _)| c.contains("unhealthy while the region is well")));
        assert_eq!(counts(false, false), None);
    }
}
