//! Limits of AWS's own autoscaling of a service (Application Auto Scaling), looked at before a move: a count outside of them does
//! not stay, whoever set it.
//!
//! Border: they are the user's. Nothing here changes a limit, suspends a policy, or asks which policies there are.

use super::EcsDriver;
use crate::finding::{finding, not_asked};
use crate::plain::SCALING;
use aws_sdk_ecs::types::Service;
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Failure, Finding, Severity};
use serde_json::{Value, json};

/// What is scaled of a service.
const COUNT: &str = "ecs:service:DesiredCount";

/// Between which counts a service is kept; without a bound where nothing would keep it.
#[derive(Debug, PartialEq, Eq)]
struct Limits {
    least: Option<u32>,
    most: Option<u32>,
}

impl Limits {
    /// Out of what Application Auto Scaling says of a service; `None` when it knows nothing of it. What is suspended, moves
    /// nothing: policies in one direction, or what is scheduled, in both.
    fn read(said: &Value) -> Option<Self> {
        let target = said["ScalableTargets"].as_array()?.first()?;
        let number = |name: &str| u32::try_from(target[name].as_u64()?).ok();
        let is_off = |name: &str| target["SuspendedState"][name] == true;
        let moves = |policies: &str| !is_off(policies) || !is_off("ScheduledScalingSuspended");
        Some(Self {
            least: number("MinCapacity").filter(|_| moves("DynamicScalingOutSuspended")),
            most: number("MaxCapacity").filter(|_| moves("DynamicScalingInSuspended")),
        })
    }

    /// What is wrong with them for so many tasks of `what`. Where the traffic is, more may run.
    fn finding(&self, what: &str, tasks: u32, may_be_more: bool) -> Option<Finding> {
        if let Some(most) = self.most.filter(|most| *most < tasks) {
            let message =
                format!("AWS's autoscaling of {what} allows {most} tasks at most, and a move asks for {tasks}");
            let hint =
                "raise the scalable target's maximum, or its next activity takes tasks away and the step waits in vain";
            return Some(finding(code::AWS_SIZE, Severity::Blocker, message, hint));
        }
        let least = self.least.filter(|least| *least > tasks && !may_be_more)?;
        let message = format!("AWS's autoscaling of {what} wants {least} tasks at least, and a move leaves {tasks}");
        let hint = "lower the scalable target's minimum, or its next activity makes the standby as large again";
        Some(finding(code::AWS_SIZE, Severity::Warning, message, hint))
    }
}

impl EcsDriver {
    /// What AWS's own autoscaling would make of so many tasks. A move goes without knowing it, so no answer is a warning.
    pub(super) async fn of_limits(&self, region: &Region, service: &Service, tasks: u32) -> Option<Finding> {
        match self.limits(region, service).await {
            Ok(limits) => {
                let what = format!("{} in {region}", self.component);
                limits?.finding(&what, tasks, tasks >= self.plan.active)
            }
            Err(failure) => Some(Finding { severity: Severity::Warning, ..not_asked(failure) }),
        }
    }

    async fn limits(&self, region: &Region, service: &Service) -> Result<Option<Limits>, Failure> {
        // A plan may name both by their ARNs; AWS's answer has the names.
        let cluster = service.cluster_arn().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default();
        let id = format!("service/{cluster}/{}", service.service_name().unwrap_or_default());
        let question = json!({"ServiceNamespace": "ecs", "ResourceIds": [id], "ScalableDimension": COUNT});
        let road = self.access.road(region).await?;
        let said = self.access.ask(&road, SCALING, "DescribeScalableTargets", &question).await;
        said.map(|said| Limits::read(&said)).map_err(|refused| refused.not_seen())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(least: u32, most: u32, suspended: &[&str]) -> Value {
        let of = |name| (format!("{name}Suspended"), suspended.contains(&name));
        let state = ["DynamicScalingIn", "DynamicScalingOut", "ScheduledScaling"].map(of).into_iter();
        let state: serde_json::Map<String, Value> = state.map(|(name, is)| (name, json!(is))).collect();
        json!({"ScalableTargets": [{"MinCapacity": least, "MaxCapacity": most, "SuspendedState": state}]})
    }

    #[test]
    fn a_count_outside_of_the_limits_does_not_stay() {
        let found = |said: &Value, tasks, may_be_more| {
            Limits::read(said)?.finding("app in west", tasks, may_be_more).map(|f| (f.severity, f.code))
        };
        let size = |severity| Some((severity, code::AWS_SIZE.to_string()));
        assert_eq!(found(&said(1, 3, &[]), 6, true), size(Severity::Blocker));
        assert_eq!(found(&said(1, 6, &[]), 6, true), None);
        assert_eq!(found(&said(4, 20, &[]), 1, false), size(Severity::Warning));
        assert_eq!(found(&said(8, 20, &[]), 6, true), None, "where the traffic is more may run");
        assert_eq!(found(&said(1, 1, &[]), 1, false), None);
    }

    #[test]
    fn what_is_suspended_takes_no_task_and_adds_none() {
        let read = |suspended: &[&str]| Limits::read(&said(1, 3, suspended)).map(|l| (l.least, l.most));
        assert_eq!(read(&["DynamicScalingIn"]), Some((Some(1), Some(3))), "a schedule may still");
        assert_eq!(read(&["DynamicScalingIn", "ScheduledScaling"]), Some((Some(1), None)));
        assert_eq!(read(&["DynamicScalingOut", "ScheduledScaling"]), Some((None, Some(3))));
        assert_eq!(Limits::read(&json!({"ScalableTargets": []})), None);
    }
}
