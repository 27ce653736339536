//! Whether a plan can be run from a function, and how long a look takes there.
//!
//! A function has no address, no disk that lasts, and is not there between two invocations. So whatever dials the controller
//! (agents, observers) cannot be part of such a plan, and its store must be one that others keep.

use crate::problem::Problem;
use pilotlight_core::code;
use pilotlight_core::id::Unit;
use pilotlight_core::plan::{ComponentPlan, Plan, StorePlan};
use std::time::Duration;

/// What the verdict rests on beside leases: looks through an API count for so long, and a little for their way.
const LOOKS: Duration = Duration::from_secs(12);

/// Refuses what can only be run by a controller that stays.
pub(crate) fn fits(plan: &Plan) -> Result<(), Problem> {
    let needs_agent = |c: &ComponentPlan| {
        let placed = c.is_replicated() || c.capacity().is_some();
        (placed && !c.is_managed()) || c.hook().is_some_and(|h| h.region.is_some())
    };
    let with_agents: Vec<&str> =
        plan.components.iter().filter(|(_, c)| needs_agent(c)).map(|(name, _)| name.as_str()).collect();
    if !with_agents.is_empty() {
        return Err(Problem::new(
            code::NEEDS_A_MACHINE,
            format!("a function cannot run components that need an agent: {}", with_agents.join(", ")),
            "agents dial a controller that stays; run `pilotlight serve` for this plan, or leave to the function only what AWS runs",
        ));
    }
    if !plan.policy.observers.is_empty() {
        return Err(Problem::new(
            code::NEEDS_A_MACHINE,
            "a function cannot hear the places in `policy.observers`, and without them it would never be in the majority",
            "take them out of the plan of the function, or run `pilotlight serve`",
        ));
    }
    if !plan.components.values().any(ComponentPlan::is_managed) {
        return Err(Problem::new(
            code::NEEDS_A_MACHINE,
            "nothing in the plan is run by AWS, so a function has nothing to move",
            "run `pilotlight serve` for this plan",
        ));
    }
    match &plan.controller.store {
        StorePlan::S3(_) | StorePlan::Etcd(_) => Ok(()),
        StorePlan::Sqlite | StorePlan::Folder(_) => Err(Problem::new(
            code::STORE_OF_ONE_MACHINE,
            "`controller.store` is on a disk of this machine, which the next invocation does not have",
            "write `controller.store: { s3: { bucket: ... } }`, with a bucket outside the regions that may be lost",
        )),
    }
}

/// How long a controller that has just begun has to look at a unit until nothing changes its mind but news: it waits out a
/// whole lease before it calls a silent region lost, and health checks fail several times before they count.
pub(crate) fn look(plan: &Plan, unit: &Unit) -> Duration {
    let lease = plan.policy.lease + plan.policy.lease / 50;
    let looks = plan.policy.renew.max(Duration::from_secs(1)) * 3 + LOOKS;
    let check = |h: &pilotlight_core::plan::HealthPlan| {
        let probes = h.probe.iter().chain(h.regions.values());
        let slowest = probes.map(|p| p.timeout()).max().unwrap_or_default();
        (h.every + slowest) * h.failures + h.move_after.unwrap_or_default()
    };
    let checks = plan.health.values().filter(|h| &h.unit == unit).map(check).max().unwrap_or_default();
    lease + looks + checks.max(plan.policy.unhealthy_for.unwrap_or_default())
}

/// The longest of them.
pub(crate) fn longest_look(plan: &Plan) -> Duration {
    plan.units().into_iter().map(|unit| look(plan, unit)).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::plan::SAMPLE;

    const MANAGED: &str = "
application: pay
objectives: { rto: 15m, rpo: 1m }
regions: [us-east-2, us-west-2]
controller: { listen: 127.0.0.1:7400, token: { env: T }, store: STORE }
policy: { mode: manual, lease: 3s, unhealthy_for: 20s }
components:
  database:
    kind: aurora
    global_cluster: pay
    regions: { us-east-2: { cluster: a }, us-west-2: { cluster: b } }
";

    fn managed(store: &str) -> Plan {
        Plan::read(&MANAGED.replace("STORE", store), "plan").unwrap()
    }

    #[test]
    fn agents_and_disks_are_refused_by_name() {
        let problem = fits(&Plan::read(SAMPLE, "sample").unwrap()).unwrap_err();
        assert_eq!(problem.code, code::NEEDS_A_MACHINE.to_string());
        assert!(problem.message.contains("database"), "{problem:?}");
        for store in ["sqlite", "{ folder: shared }"] {
            let problem = fits(&managed(store)).unwrap_err();
            assert_eq!(problem.code, code::STORE_OF_ONE_MACHINE.to_string(), "{store}");
        }
        assert_eq!(fits(&managed("{ s3: { bucket: journal } }")), Ok(()));
        let mut watched = managed("{ s3: { bucket: journal } }");
        watched.policy.observers.push("office".into());
        assert_eq!(fits(&watched).unwrap_err().code, code::NEEDS_A_MACHINE.to_string());
    }

    #[test]
    fn a_look_outlasts_the_lease_and_what_the_policy_bears() {
        let plan = managed("sqlite");
        let unit: Unit = "pay".into();
        let seconds = look(&plan, &unit).as_secs();
        assert!(seconds >= 3 + 3 + 12 + 20, "{seconds}");
        assert_eq!(longest_look(&plan), look(&plan, &unit));
    }
}
