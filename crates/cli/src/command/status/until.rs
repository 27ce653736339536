//! `pilotlight status --until`: waits for what the next verb needs, and says what is missing.
//!
//! Border: looks only. What is missing is decided in [`missing`] from one answer of the controller; the rest is patience. A
//! controller that is away is waited for, since one that was only just started answers in a moment; one that does not know us is
//! believed.

use crate::args::Until;
use crate::error::{CliError, Exit};
use crate::operator::Operator;
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::observation::Role;
use pilotlight_core::plan::Plan;
use pilotlight_core::time::show_duration;
use pilotlight_core::verdict::Verdict;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_server::api::view::{StatusView, UnitStatus};
use std::time::Duration;

/// Between two looks: agents and drivers look no more often.
const PACE: Duration = Duration::from_secs(1);

/// The status that has it.
pub(super) async fn reached(
    operator: &Operator,
    plan: &Plan,
    until: Until,
    patience: Duration,
) -> Result<StatusView, CliError> {
    let end = SystemClock.mono() + patience;
    let mut told = Vec::new();
    loop {
        let lacks = match operator.status().await {
            Ok(status) => {
                let lacks = missing(&status, plan, until);
                if lacks.is_empty() {
                    return Ok(status);
                }
                lacks
            }
            Err(e) if e.exit == Exit::Failed => vec![format!("{:#}", e.cause)],
            Err(e) => return Err(e),
        };
        if SystemClock.mono() >= end {
            let text = format!("after {} still missing:\n  - {}", show_duration(patience), lacks.join("\n  - "));
            return Err(CliError::say(Exit::Failed, text)
                .code(code::WAITED_IN_VAIN.as_str())
                .hint("`pilotlight status` shows everything; --within waits longer"));
        }
        for lack in lacks.iter().filter(|lack| !told.contains(*lack)) {
            eprintln!("waiting: {lack}");
        }
        told = lacks;
        tokio::time::sleep(PACE).await;
    }
}

/// What keeps it from being so, a line each; empty when it is so.
fn missing(status: &StatusView, plan: &Plan, until: Until) -> Vec<String> {
    let silent = status.regions.iter().filter(|r| !r.heard).map(|r| format!("{} is not heard", r.region));
    let mut lacks: Vec<String> = silent.collect();
    if until == Until::Following {
        lacks.extend(status.open_runs.iter().map(|run| format!("{} has not ended: {}", run.run, run.told)));
        lacks.extend(status.units.iter().filter_map(unwell));
    }
    for (name, component) in &plan.components {
        let writer = status.units.iter().find(|u| u.unit == component.unit).and_then(|u| u.writer.as_ref());
        for region in component.copies() {
            // Of a silent region nothing newer is known.
            let Some(seen) = status.regions.iter().find(|r| r.region == *region && r.heard) else { continue };
            let state = seen.components.iter().find(|c| c.component == *name).map(|c| &c.state);
            let role = state.and_then(|state| Some((state, state.role.as_ref()?)));
            let good = match (until, role.map(|(_, role)| role)) {
                (_, None | Some(Role::Unknown)) => false,
                (Until::Heard, _) => true,
                (Until::Following, Some(role)) => follows(role, region, writer),
            };
            if !good {
                let says = role.map_or_else(|| "was not seen yet".to_owned(), |(s, role)| super::role_text(role, s));
                lacks.push(format!("{name} in {region}: {says}"));
            }
        }
    }
    lacks
}

fn unwell(unit: &UnitStatus) -> Option<String> {
    match (&unit.writer, unit.judgement.as_ref().map(|j| j.verdict)) {
        (None, _) => Some(format!("no writer of {} is known", unit.unit)),
        (_, Some(Verdict::Healthy)) => None,
        (_, None) => Some(format!("{} is not judged yet", unit.unit)),
        (_, Some(verdict)) => Some(format!("{} is {verdict}", unit.unit)),
    }
}

/// It is the writer where the store has it, or receives what that one writes.
fn follows(role: &Role, region: &Region, writer: Option<&Region>) -> bool {
    match role {
        Role::Writer => writer == Some(region),
        Role::Standby { upstream, streaming } => {
            *streaming && writer != Some(region) && (upstream.is_none() || upstream.as_ref() == writer)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::plan::SAMPLE;
    use serde_json::{Value, json};

    fn standby(upstream: &str, streaming: bool) -> Value {
        json!({ "role": "standby", "upstream": upstream, "streaming": streaming })
    }

    fn plan() -> Plan {
        Plan::read(SAMPLE, "sample.yaml").expect("the sample has no fault")
    }

    /// The plan's database: the writer east, and what west is.
    fn status(west: &Value, heard: bool, verdict: &str) -> StatusView {
        let plan = plan();
        let (name, component) = plan.components.iter().find(|(_, c)| c.is_replicated()).expect("it has data");
        let copy = |state: &Value| json!([{ "component": name, "state": state, "age_ms": 1 }]);
        let region = |region: &str, heard: bool, state: &Value| json!({ "region": region, "heard_ms": 1, "heard": heard, "components": copy(state) });
        let judgement = json!({
            "unit": component.unit, "writer": "east", "verdict": verdict, "scope": { "scope": "unit", "unit": component.unit },
            "evidence": [], "candidates": [], "returned": [],
        });
        serde_json::from_value(json!({
            "application": plan.application, "home": "east", "rto_ms": 1, "rpo_ms": 1, "version": "0", "uptime_ms": 1,
            "at": 0, "shared": [], "open_runs": [],
            "units": [{
                "unit": component.unit, "epoch": 1, "writer": "east", "run": null, "judgement": judgement,
                "decision": { "decision": "hold", "why": "-", "code": null }, "lease": { "lease": "lapsed" },
            }],
            "regions": [region("east", true, &json!({ "role": "writer" })), region("west", heard, west)],
        }))
        .expect("a status as the API sends it")
    }

    #[test]
    fn regions_are_waited_for_alone_or_with_their_copies() {
        let behind = status(&standby("east", false), false, "healthy");
        assert_eq!(missing(&behind, &plan(), Until::Heard), ["west is not heard"]);
        assert_eq!(missing(&behind, &plan(), Until::Following), ["west is not heard"]);
        let back = status(&standby("east", false), true, "healthy");
        assert_eq!(missing(&back, &plan(), Until::Heard), [""; 0]);
        let lacks = missing(&back, &plan(), Until::Following);
        assert_eq!(lacks.len(), 1, "{lacks:?}");
        assert!(lacks[0].ends_with("in west: standby of east, NOT streaming"), "{lacks:?}");
        let good = status(&standby("east", true), true, "healthy");
        assert_eq!(missing(&good, &plan(), Until::Following), [""; 0]);
    }

    #[test]
    fn another_writer_another_source_and_a_unit_that_is_unwell_are_missing() {
        let told = |west: &Value, verdict: &str| missing(&status(west, true, verdict), &plan(), Until::Following);
        assert!(told(&json!({ "role": "writer" }), "healthy")[0].ends_with("in west: writer"));
        assert!(told(&standby("north", true), "healthy")[0].ends_with("standby of north, streaming"));
        assert_eq!(told(&standby("east", true), "service-unhealthy").len(), 1);
        let unseen = status(&json!({ "role": "unknown" }), true, "healthy");
        assert!(missing(&unseen, &plan(), Until::Heard)[0].ends_with("in west: CANNOT BE SEEN"));
        let mut none = status(&standby("east", true), true, "healthy");
        none.regions[1].components.clear();
        assert!(missing(&none, &plan(), Until::Following)[0].ends_with("in west: was not seen yet"));
    }
}
