//! What a component that AWS runs is, in a sentence for `check`: what a move of it asks of which region's control plane, planned and
//! not, and what it must launch on the day.
//!
//! Border: says what the drivers do; which calls these are is in docs/aws.md.

use super::{ACCELERATOR_REGION, AwsComponent, Route53Plan};
use crate::id::Region;
use crate::plan::Plan;

/// Where Route 53 is called, whatever the plan's regions are.
const ROUTE53_REGION: &str = "us-east-1";

/// A failover asks nothing of the region that it leaves.
const THERE: &str = "where it goes";

impl AwsComponent {
    /// What it is, and what moving it rests on.
    pub fn words(&self, plan: &Plan) -> String {
        format!("{}; {}", self.is(), self.asks(plan))
    }

    fn is(&self) -> String {
        let places = |regions: Vec<&Region>| regions.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", ");
        match self {
            AwsComponent::Aurora(a) => {
                let detach = match (a.may_detach, a.can_close()) {
                    (false, _) => "is never detached",
                    (true, true) => "may be detached and joined again",
                    (true, false) => "may be detached; without `closed_groups` people join it again",
                };
                let places = places(a.regions.keys().collect());
                format!("Aurora global cluster {} in {places}; a copy {detach}", a.global_cluster)
            }
            AwsComponent::Rds(r) => {
                let stops = r.regions.values().all(|i| !i.closed_groups.is_empty());
                let stops = if stops { "security groups stop writes" } else { "nothing can stop writes" };
                let places = places(r.regions.keys().collect());
                format!("an RDS instance and its read replicas in {places}; {stops}")
            }
            AwsComponent::ElastiCache(e) => {
                let detach = if e.may_detach { "may be taken out" } else { "is never taken out" };
                let places = places(e.regions.keys().collect());
                format!("ElastiCache global datastore {} in {places}; a copy {detach}", e.global_datastore)
            }
            AwsComponent::S3(s) => format!(
                "buckets in {}; the serving one is copied to the other, and nothing stops writes to a bucket",
                places(s.regions.keys().collect())
            ),
            AwsComponent::Ecs(e) => sized("an ECS service", "task", e.active, e.standby),
            AwsComponent::Autoscaling(a) => sized("an Auto Scaling group", "instance", a.active, a.standby),
            AwsComponent::Eks(e) => sized("an EKS node group", "node", e.active, e.standby),
            AwsComponent::Route53(Route53Plan { name, switch: Some(s), .. }) => format!(
                "the name {name} in Route 53, moved by the object {} in the bucket {} away from {}",
                s.object, s.bucket, s.home
            ),
            AwsComponent::Route53(r) => format!("the name {} in Route 53", r.name),
            AwsComponent::Accelerator(a) => {
                format!("a listener of Global Accelerator with groups in {}", places(a.regions.keys().collect()))
            }
            AwsComponent::Sns(s) => format!("tells people through {}", s.topic),
        }
    }

    /// Whose control planes a move needs.
    fn asks(&self, plan: &Plan) -> String {
        let copies = |service: &str, waits: &str| {
            format!("a planned move needs {service} in both regions{waits}, a failover only {THERE}")
        };
        let waits = " and CloudWatch where the copy is";
        let either = |service: &str| format!("any move needs {service} {THERE}");
        match self {
            AwsComponent::Aurora(_) => copies("the control plane of RDS", ""),
            AwsComponent::Rds(_) => copies("the control plane of RDS", waits),
            AwsComponent::ElastiCache(_) => copies("the control plane of ElastiCache", waits),
            AwsComponent::S3(_) => copies("S3", waits),
            AwsComponent::Ecs(_) => either("the control plane of ECS"),
            AwsComponent::Autoscaling(_) => either("the control plane of EC2 Auto Scaling"),
            AwsComponent::Eks(_) => either("the control plane of EKS"),
            AwsComponent::Route53(r) => match r.switch() {
                Some((_, away)) => format!("any move needs S3 in {away} and no control plane of Route 53"),
                None => one_place(plan, ROUTE53_REGION, "no record changes"),
            },
            AwsComponent::Accelerator(_) => one_place(plan, ACCELERATOR_REGION, "no dial is turned"),
            AwsComponent::Sns(s) => {
                let region = s.topic.split(':').nth(3).unwrap_or_default();
                let lost = if may_lose(plan, region) { ", which the plan may lose" } else { "" };
                format!("SNS is asked in {region}{lost}; a move goes on without it, and nobody is told")
            }
        }
    }
}

/// A control plane that is in one region for all.
fn one_place(plan: &Plan, region: &str, so: &str) -> String {
    let lost = match may_lose(plan, region) {
        true => ", which is a region of the plan: see PL-0373",
        false => "",
    };
    format!("its control plane is in {region}, so {so} while that is down, planned or not{lost}")
}

fn may_lose(plan: &Plan, region: &str) -> bool {
    plan.regions.iter().any(|r| plan.aws.name_of(r) == region)
}

/// What is not kept warm has to be had on the day, when others want it, too.
fn sized(what: &str, one: &str, active: u32, standby: u32) -> String {
    let many = |n: u32| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let sizes = format!("{what}, {} where the traffic is and {standby} elsewhere", many(active));
    match active.checked_sub(standby).filter(|missing| *missing > 0) {
        None => format!("{sizes}: nothing is launched in a move"),
        Some(missing) => format!(
            "{sizes}: {} must be launched in a move, during the outage when it is a failover, and AWS may not have the room",
            many(missing)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_warm_is_said_to_be_launched_on_the_day() {
        let said = sized("an ECS service", "task", 6, 1);
        assert!(said.contains("6 tasks where the traffic is and 1 elsewhere: 5 tasks must be launched"), "{said}");
        let said = sized("a node group", "node", 3, 2);
        assert!(said.contains(": 1 node must be launched"), "{said}");
        for (active, standby) in [(2, 2), (1, 3)] {
            assert!(sized("x", "task", active, standby).ends_with("nothing is launched in a move"));
        }
    }
}
