//! Looks at the endpoint groups of the listener, and at what about them would stand in a move's way.

use super::AcceleratorDriver;
use crate::finding::{finding, not_asked};
use crate::words::dial::{hundredths, shares};
use aws_sdk_globalaccelerator::types::{EndpointGroup, HealthState};
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::observation::State;
use pilotlight_core::outcome::{Failure, Finding, Severity};
use pilotlight_core::plan::aws::ACCELERATOR_REGION;
use std::collections::BTreeMap;
use std::time::Duration;

/// A look that takes longer is worth nothing.
pub(super) const LOOK: Duration = Duration::from_secs(3);

/// The groups of a listener.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Dials of the plan's groups, in hundredths of a per cent.
    pub(super) dials: BTreeMap<Region, u32>,
    /// The plan's groups themselves.
    ours: BTreeMap<Region, EndpointGroup>,
    /// AWS's names of the regions of other groups that take users.
    strangers: Vec<String>,
}

impl Groups {
    pub(super) fn stranger(&self) -> Option<&str> {
        self.strangers.first().map(String::as_str)
    }

    /// The shares that the dials mean.
    pub(super) fn state(&self) -> State {
        let mut facts = BTreeMap::new();
        if let Some(stranger) = self.stranger() {
            facts.insert("stranger".to_owned(), stranger.to_owned());
        }
        State { shares: shares(&self.dials), facts, ..State::default() }
    }
}

impl AcceleratorDriver {
    pub(super) async fn groups(&self) -> Result<Groups, Failure> {
        let client = self.client().await?;
        let send = || client.list_endpoint_groups().listener_arn(&self.plan.listener).max_results(100).send();
        let answer = self.access.read(Self::call("ListEndpointGroups"), LOOK, send).await;
        let answer = answer.map_err(|r| r.not_seen())?;
        let mut groups = Groups::default();
        for group in answer.endpoint_groups() {
            let dial = hundredths(group.traffic_dial_percentage().unwrap_or(100.0));
            let ours = self.plan.regions.iter().find(|(_, arn)| Some(arn.as_str()) == group.endpoint_group_arn());
            match ours {
                Some((region, _)) => {
                    groups.dials.insert(region.clone(), dial);
                    groups.ours.insert(region.clone(), group.clone());
                }
                None if dial > 0 => {
                    groups.strangers.push(group.endpoint_group_region().unwrap_or("a region").to_owned());
                }
                None => {}
            }
        }
        Ok(groups)
    }

    pub(super) async fn findings(&self, to: &BTreeMap<Region, u32>) -> Vec<Finding> {
        let component = &self.component;
        let mut found = Vec::new();
        if self.plan.regions.keys().any(|r| self.access.name(r) == ACCELERATOR_REGION) {
            let message = format!(
                "{component} is moved by Global Accelerator's control plane in {ACCELERATOR_REGION}, a region of this plan"
            );
            let hint = "its health checks lead users away from a lost region without any call";
            found.push(finding(code::AWS_CONTROL_PLANE, Severity::Warning, message, hint));
        }
        let groups = match self.groups().await {
            Ok(groups) => groups,
            Err(failure) => {
                found.push(not_asked(failure));
                return found;
            }
        };
        for stranger in &groups.strangers {
            let message = format!("{component} also leads users to {stranger}, which the plan does not name");
            let hint = "turn its dial to 0, or give it to the plan";
            found.push(finding(code::AWS_ENDPOINTS, Severity::Blocker, message, hint));
        }
        for region in self.plan.regions.keys() {
            let serves = to.get(region).is_some_and(|s| *s > 0);
            found.extend(of_group(component, region, groups.ours.get(region), serves));
        }
        found
    }
}

/// What would keep users from a region that is to get some.
fn of_group(
    component: &pilotlight_core::id::Component,
    region: &Region,
    group: Option<&EndpointGroup>,
    serves: bool,
) -> Option<Finding> {
    let say = |severity, message: String, hint| Some(finding(code::AWS_ENDPOINTS, severity, message, hint));
    let Some(group) = group else {
        let message = format!("the listener of {component} has no such endpoint group for {region}");
        return say(Severity::Blocker, message, "compare `regions` of the component with the account");
    };
    let endpoints = group.endpoint_descriptions();
    let severity = if serves { Severity::Blocker } else { Severity::Warning };
    if endpoints.is_empty() {
        let message = format!("the endpoint group of {component} in {region} is empty");
        return say(severity, message, "add the region's load balancer");
    }
    if endpoints.iter().all(|e| e.weight() == Some(0)) {
        let message = format!("every endpoint of {component} in {region} has weight 0, whatever the dial says");
        return say(severity, message, "give one a weight; Pilotlight turns dials and leaves weights alone");
    }
    if endpoints.iter().all(|e| e.health_state() == Some(&HealthState::Unhealthy)) {
        let message = format!("no endpoint of {component} in {region} is healthy, so users are led elsewhere");
        return say(Severity::Warning, message, "a standby without instances is unhealthy until it has some");
    }
    None
}
