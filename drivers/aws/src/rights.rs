//! Rights that would be missing in the middle of a move: AWS simulates the policies of the role that would call.
//!
//! Border: calls that change something, and looks that only a move makes. Others are made by `check --live` itself. AWS's simulation knows the policies of the
//! role and of its organisation, not those of the resource.

mod keys;

use crate::access::{Access, ROUTE53_REGION};
use crate::autoscaling::group_of;
use crate::eks::EksDriver;
use crate::finding::finding;
use crate::identity::Caller;
use crate::rds::RdsDriver;
use crate::s3::S3Driver;
use crate::words::refusal::Said;
use crate::words::right::{Account, PASS_ROLE, denied, principal_of, results};
use pilotlight_core::code;
use pilotlight_core::id::{Component, Region};
use pilotlight_core::outcome::{Failure, Finding, Severity};
use pilotlight_core::plan::aws::{ACCELERATOR_REGION, AwsComponent};
use std::collections::BTreeMap;

const SIMULATE: &str = "SimulatePrincipalPolicy";
/// Who takes the role that an instance is watched with, and that of a bucket's rules.
const WATCHES: &str = "monitoring.rds.amazonaws.com";
const COPIES: &str = "s3.amazonaws.com";
const GIVE: &str = "give the role this right; terraform/modules/iam has a policy per driver";

/// Where a component's driver calls, as AWS names it, and the region of the plan that this is for.
fn places(component: &AwsComponent, access: &Access) -> Vec<(String, Region)> {
    let all = |called: &dyn Fn(&Region) -> String, regions: Vec<&Region>| {
        regions.into_iter().map(|r| (called(r), r.clone())).collect()
    };
    let there = |r: &Region| access.name(r).to_owned();
    match component {
        AwsComponent::Route53(r) if r.switch.is_some() => {
            all(&there, r.switch().map(|(_, away)| away).into_iter().collect())
        }
        AwsComponent::Route53(r) => r.answers.keys().take(1).map(|r| (ROUTE53_REGION.to_owned(), r.clone())).collect(),
        AwsComponent::Accelerator(a) => all(&|_| ACCELERATOR_REGION.to_owned(), a.regions.keys().collect()),
        AwsComponent::Sns(s) => {
            let name = s.topic.split(':').nth(3).unwrap_or_default();
            vec![(name.to_owned(), Region::new(name))]
        }
        other => match other.capacity() {
            Some((regions, _)) => all(&there, regions),
            None => all(&there, other.copies()),
        },
    }
}

/// A right without which a move fails; `said` is the simulation's word for it.
fn lacks(name: &Component, region: &Region, action: &str, on: &str, who: &str, said: &str) -> Finding {
    let message = format!("{name} in {region} needs {action} on {on}, and {who} has not: {said}");
    finding(code::AWS_RIGHT, Severity::Blocker, message, GIVE)
}

impl Access {
    /// Calls of these components that AWS would deny, and what could not be told.
    pub async fn rights(&self, components: &BTreeMap<&Component, &AwsComponent>) -> Vec<Finding> {
        let mut callers: BTreeMap<String, Result<Caller, Finding>> = BTreeMap::new();
        let mut found = Vec::new();
        for (name, component) in components {
            for (called, region) in places(component, self) {
                if !callers.contains_key(&called) {
                    let caller = self.principal(&called).await;
                    found.extend(caller.as_ref().err().cloned());
                    callers.insert(called.clone(), caller);
                }
                let Some(Ok(caller)) = callers.get(&called) else { continue };
                match self.of_component(name, component, &called, &region, caller).await {
                    Ok(more) => found.extend(more),
                    // What keeps one simulation from being made keeps all of this caller's.
                    Err(unknown) => {
                        found.push(unknown.clone());
                        callers.insert(called, Err(unknown));
                    }
                }
            }
        }
        found
    }

    /// Whose policies count where AWS is called in that region. No caller of its own for a root: it may do everything.
    async fn principal(&self, called: &str) -> Result<Caller, Finding> {
        let region = self.region_called(called).unwrap_or_else(|| Region::new(called));
        let caller = self.caller(&region).await?;
        let role = self.role(&region).map(str::to_owned);
        let arn = role.or_else(|| principal_of(&caller.arn)).unwrap_or_default();
        Ok(Caller { arn, ..caller })
    }

    async fn of_component(
        &self,
        name: &Component,
        component: &AwsComponent,
        called: &str,
        region: &Region,
        caller: &Caller,
    ) -> Result<Vec<Finding>, Finding> {
        let mut found = Vec::new();
        let seen = self.seen(name, component, region).await;
        let account = Account { id: &caller.account, plan: self.plan() };
        let Some(rights) = account.rights(component, region, seen) else {
            let message = format!("rights to {name} in {region} were not simulated: it cannot be seen");
            found.push(finding(code::AWS_RIGHT, Severity::Warning, message, "look again when it is there"));
            return Ok(found);
        };
        if caller.arn.is_empty() {
            return Ok(found);
        }
        for (actions, resource) in rights.iter().flat_map(|r| r.resources.iter().map(|to| (&r.actions, to))) {
            for (action, said) in self.simulate(called, &caller.arn, actions, resource, None).await? {
                found.push(lacks(name, region, &action, resource, &caller.arn, &said));
            }
        }
        found.extend(self.to_pass(name, component, called, region, caller).await?);
        found.extend(self.to_key(name, component, called, region, caller).await?);
        Ok(found)
    }

    /// What a move passes on: the role that the old instance was watched with, that of a bucket's rules.
    async fn to_pass(
        &self,
        name: &Component,
        component: &AwsComponent,
        called: &str,
        region: &Region,
        caller: &Caller,
    ) -> Result<Option<Finding>, Finding> {
        let (role, to) = match component {
            AwsComponent::Rds(plan) => {
                let driver = RdsDriver::new(name.clone(), plan.clone(), self.clone());
                (driver.watched_by(region).await, WATCHES)
            }
            AwsComponent::S3(plan) => {
                let driver = S3Driver::new(name.clone(), plan.clone(), self.clone());
                (driver.copied_by(region).await, COPIES)
            }
            _ => return Ok(None),
        };
        // What could not be looked at, or has no rule, is named by the look.
        let Ok(Some(role)) = role else { return Ok(None) };
        let given = Some(("iam:PassedToService", to));
        let denied = self.simulate(called, &caller.arn, &[PASS_ROLE], &role, given).await?;
        Ok(denied.first().map(|(action, said)| lacks(name, region, action, &role, &caller.arn, said)))
    }

    /// The ARN of what AWS names itself.
    async fn seen(&self, name: &Component, component: &AwsComponent, region: &Region) -> Option<String> {
        match component {
            AwsComponent::Autoscaling(a) => {
                let group = group_of(self, region, a.regions.get(region)?).await.ok()??;
                group.auto_scaling_group_arn().map(str::to_owned)
            }
            AwsComponent::Eks(e) => {
                let driver = EksDriver::new(name.clone(), e.clone(), self.clone());
                Some(driver.node_group(region).await.ok()??.arn).filter(|arn| !arn.is_empty())
            }
            _ => None,
        }
    }

    /// The calls that are not allowed, or why that cannot be told; `given` is a condition's key and its value.
    async fn simulate(
        &self,
        called: &str,
        principal: &str,
        actions: &[&str],
        resource: &str,
        given: Option<(&str, &str)>,
    ) -> Result<Vec<(String, String)>, Finding> {
        let unknown = |failure: &Failure, hint: &str| {
            let message = format!("rights of {principal} cannot be told: {}", failure.message);
            finding(code::AWS_RIGHT, Severity::Warning, message, hint)
        };
        let road = self.road_of(called).await.map_err(|f| unknown(&f, "are there credentials for AWS?"))?;
        let mut fields =
            vec![("PolicySourceArn".to_owned(), principal), ("ResourceArns.member.1".to_owned(), resource)];
        fields.extend(actions.iter().enumerate().map(|(n, a)| (format!("ActionNames.member.{}", n + 1), *a)));
        if let Some((key, value)) = given {
            for (rest, value) in [("Name", key), ("Type", "string"), ("Values.member.1", value)] {
                fields.push((format!("ContextEntries.member.1.ContextKey{rest}"), value));
            }
        }
        let answer = self.ask_iam(&road, SIMULATE, &fields).await.map_err(|refused| {
            let hint = match refused.said {
                Said::Denied => "give the role iam:SimulatePrincipalPolicy on itself, or look at its policies by hand",
                Said::Missing => "name the role in `aws.role`: its path is not in the credentials",
                _ => "IAM is one for all regions and may be down with one of them; look again",
            };
            unknown(&refused.not_seen(), hint)
        })?;
        if results(&answer) < actions.len() {
            let failure = Failure::rejected("IAM did not answer for each call");
            return Err(unknown(&failure, "look at the policies by hand"));
        }
        Ok(denied(&answer))
    }
}
