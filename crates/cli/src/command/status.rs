//! `pilotlight status`: regions, roles, lag, the verdict with its evidence, open runs.

mod matrix;
mod until;

use crate::args::StatusArgs;
use crate::connect;
use crate::error::{CliError, Exit};
use crate::operator::Operator;
use pilotlight_core::code;
use pilotlight_core::health::{Health, ServiceHealth};
use pilotlight_core::observation::{GATE_APART, Role, State};
use pilotlight_core::outcome::Finding;
use pilotlight_core::plan::{Plan, show_shares, taking};
use pilotlight_core::time::{show_duration, show_wall};
use pilotlight_engine::RunSummary;
use pilotlight_server::api::view::{
    ComponentStatus, ControllerView, DecisionView, Drift, DrillView, OlderAgent, PlanStatus, RegionStatus, StatusView,
    UnitStatus,
};
use std::fmt::Write;
use std::process::ExitCode;

/// Shows it.
pub(crate) async fn run(args: &StatusArgs) -> Result<ExitCode, CliError> {
    let plan = connect::read_plan(&args.view.plan.plan)?;
    let operator = Operator::of(&plan)?;
    let status = match args.until {
        Some(until) => until::reached(&operator, &plan, until, args.patience()?).await?,
        None => operator.status().await?,
    };
    if args.view.json {
        println!("{}", serde_json::to_string_pretty(&status).map_err(|e| CliError::new(Exit::Bug, e))?);
    } else {
        print!("{}", text(&status, &plan));
        if plan.controller.members.len() > 1 {
            println!();
            for (member, found) in plan.controller.members.iter().zip(operator.controllers().await) {
                println!("controller {:<10} {:<32} {}", member.name, found.url, standing(&found.view));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn standing(view: &Result<ControllerView, String>) -> String {
    match view {
        Ok(ControllerView { leads: true, term, .. }) => format!("leads, term {term}"),
        Ok(ControllerView { trouble: Some(why), .. }) => format!("STANDS BY, does not know who leads: {why}"),
        Ok(_) => "stands by".to_owned(),
        Err(why) => format!("NOT REACHED: {why}"),
    }
}

fn text(status: &StatusView, plan: &Plan) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{}  home {}  objectives: RTO {}, RPO {}  controller {} up {}",
        status.application,
        status.home,
        show_duration(status.rto_ms),
        show_duration(status.rpo_ms),
        status.version,
        show_duration(status.uptime_ms)
    );
    if let Some(shares) = &plan.shares {
        let _ = writeln!(out, "at rest users are led to {}", show_shares(shares));
    }
    if let Some(hold) = &status.hold {
        let _ = writeln!(out, "\nHELD  {hold}");
    }
    for unit in &status.units {
        unit_text(&mut out, unit, plan);
    }
    for region in &status.regions {
        region_text(&mut out, region);
    }
    if !status.findings.is_empty() {
        out.push_str("\ncontroller\n");
        to_mend(&mut out, &status.findings);
    }
    for component in &status.shared {
        let _ = writeln!(out, "\n{}", component_text(component, ""));
    }
    out.push_str(&matrix::text(&status.reach));
    for run in &status.open_runs {
        open_run_text(&mut out, status, run);
    }
    out
}

/// A region's agent and what it sees.
fn region_text(out: &mut String, region: &RegionStatus) {
    let heard = match region.heard_ms {
        Some(age) if region.heard => format!("agent heard {} ago", show_duration(age)),
        Some(age) => format!("AGENT SILENT for {}", show_duration(age)),
        None => "agent not heard yet".to_owned(),
    };
    let _ = writeln!(out, "\n{}  {heard}", region.region);
    if let Some(line) = older(region) {
        let _ = writeln!(out, "  OLD AGENT  {line}");
    }
    for line in another_plan(region) {
        let _ = writeln!(out, "  ANOTHER PLAN  {line}");
    }
    for component in &region.components {
        // What a silent agent saw is not what is.
        let was = if region.heard { "" } else { "last seen as " };
        let _ = writeln!(out, "  {}", component_text(component, was));
        to_mend(out, &component.state.findings);
        if let Some(line) = gate_apart(region, component) {
            let _ = writeln!(out, "    GATE APART  [{}] {line}", code::GATE_APART);
        }
    }
}

/// A run that has not ended, and what it waits for.
fn open_run_text(out: &mut String, status: &StatusView, run: &RunSummary) {
    let (since, standing) = (show_wall(run.started), crate::command::run::standing(&run.condition));
    let _ = writeln!(out, "\nopen run {}: {}, since {since}\n  {standing}", run.run, run.told);
    for wait in status.waits.get(&run.run).into_iter().flatten() {
        let _ = writeln!(out, "  {wait}");
    }
}

/// What a person should mend, with what to do.
fn to_mend(out: &mut String, findings: &[Finding]) {
    for Finding { code, message, hint, .. } in findings {
        let _ = writeln!(out, "    TO MEND  [{code}] {message}; {hint}");
    }
}

/// The region's agent is of an older version than the controller, and what follows from it.
pub(crate) fn older(region: &RegionStatus) -> Option<String> {
    let OlderAgent { speaks, controller } = region.older?;
    let unsaid = region.plan.as_ref().is_some_and(|plan| plan.agent.is_none());
    let unsaid = if unsaid { "; it does not say its plan, so nothing that rests on it moves by itself" } else { "" };
    let code = code::AGENT_OLD;
    Some(format!("[{code}] it speaks version {speaks} of the protocol, the controller version {controller}{unsaid}"))
}

/// The gate of a writer could confirm and does not: each commit waits for the candidate.
pub(crate) fn gate_apart<'a>(region: &RegionStatus, component: &'a ComponentStatus) -> Option<&'a str> {
    component.state.facts.get(GATE_APART).filter(|_| region.heard).map(String::as_str)
}

/// Where the plan of the region's agent differs from the controller's, one line each.
pub(crate) fn another_plan(region: &RegionStatus) -> Vec<String> {
    let Some(PlanStatus { controller, agent, differs }) = &region.plan else { return Vec::new() };
    let Some(agent) = agent else { return Vec::new() };
    let code = code::PLANS_DIFFER;
    differs.iter().map(|d| format!("[{code}] {d} (digests {agent} and {controller})")).collect()
}

/// Where the writer is; without one, why.
fn writer(unit: &UnitStatus) -> &str {
    match (&unit.writer, &unit.run, unit.epoch) {
        (Some(region), _, _) => region.as_str(),
        (None, Some(_), _) => "nowhere (being moved)",
        (None, None, None) => "not known yet (no writer was seen so far; the first that is seen is taken on)",
        (None, None, Some(_)) => "nowhere (no run moves it)",
    }
}

fn unit_text(out: &mut String, unit: &UnitStatus, plan: &Plan) {
    let waits = plan.waits_for_candidate(&unit.unit);
    let writer = writer(unit);
    let epoch = unit.epoch.map_or_else(|| "-".to_owned(), |e| e.to_string());
    let _ = writeln!(out, "\nunit {}  writer {writer}  epoch {epoch}  {}", unit.unit, unit.lease);
    if let Some(region) = &unit.candidate {
        let _ = writeln!(out, "  candidate {region}: the writer waits for it");
    } else if waits && unit.writer.is_some() {
        let _ = writeln!(out, "  candidate NONE: nobody takes over by itself until a standby has caught up");
    }
    if let Some(judgement) = &unit.judgement {
        let _ = writeln!(out, "  verdict: {} ({})", judgement.verdict, judgement.scope);
        for evidence in &judgement.evidence {
            let _ = writeln!(out, "    - {evidence}");
        }
    }
    for service in unit.judgement.iter().flat_map(|j| &j.health) {
        service_text(out, service);
    }
    let _ = match &unit.decision {
        DecisionView::Hold { why, code: None } => writeln!(out, "  holds still: {why}"),
        DecisionView::Hold { why, code: Some(code) } => writeln!(out, "  holds still: [{code}] {why}"),
        DecisionView::Start { intent, refused: None, .. } => {
            writeln!(out, "  wants: {}", intent.aim())
        }
        DecisionView::Start { intent, refused: Some(refused), .. } => {
            writeln!(out, "  wants: {}, but [{}] {}", intent.aim(), refused.code, refused.message)
        }
    };
    for (saw, hint) in led_elsewhere(unit) {
        let _ = writeln!(out, "  USERS ARE LED ELSEWHERE  {saw}; {hint}");
    }
    for (saw, hint) in drift(unit, plan) {
        let _ = writeln!(out, "  SHARES DIFFER FROM THE PLAN  [{}] {saw}; {hint}", code::SHARES_DIFFER);
    }
    for exposed in &unit.exposed {
        let since = show_wall(exposed.since);
        let _ = match exposed.over {
            true => writeln!(out, "  was exposed from {since}: {exposed}"),
            false => writeln!(out, "  EXPOSED since {since}: [{}] {exposed}", code::EXPOSED),
        };
    }
    if let Some(DrillView { drill, held }) = &unit.drill {
        let back = format!("{} is taken back to {} at {}", drill.run, drill.from, show_wall(drill.until));
        let held = held.as_ref().map(|why| format!(", BUT NOT YET: {why}")).unwrap_or_default();
        let _ = writeln!(out, "  drill {back}{held}");
    }
    if let Some(cooling) = &unit.cooling_down {
        let _ = writeln!(
            out,
            "  cooling down after {} for {} more, not before {}; `pilotlight acknowledge` ends it",
            cooling.run,
            show_duration(cooling.left_ms),
            show_wall(cooling.until)
        );
    }
}

/// A health check; each voice only where they are not all of one opinion, or not of the best.
fn service_text(out: &mut String, service: &ServiceHealth) {
    let _ = writeln!(out, "  service {}", service.line());
    if service.count(Health::Healthy) == service.voices.len() {
        return;
    }
    for voice in &service.voices {
        let (age, took) = (show_duration(voice.age_ms), show_duration(voice.took_ms));
        let _ = writeln!(out, "    - {}: {}: {} (took {took}, {age} ago)", voice.by, voice.health, voice.says);
    }
}

/// What leads users past the writer, each with the verb that ends it.
pub(crate) fn led_elsewhere(unit: &UnitStatus) -> Vec<(String, String)> {
    let Some(writer) = &unit.writer else { return Vec::new() };
    let hint = format!("`pilotlight switchover --to {writer}` leads them there and leaves the writer alone");
    unit.led_elsewhere
        .iter()
        .map(|road| (format!("{road} does not lead to {writer}, the writer"), hint.clone()))
        .collect()
}

/// What leads users by other shares than the plan has at rest, each with the verb that ends it.
pub(crate) fn drift(unit: &UnitStatus, plan: &Plan) -> Vec<(String, String)> {
    let Some(at_rest) = &plan.shares else { return Vec::new() };
    let hint = "`pilotlight failback` leads users by the plan's shares again, once every region of them is back";
    let says = |drift: &Drift| {
        let (component, seen) = (&drift.component, show_shares(&taking(&drift.seen)));
        format!("{component} leads to {seen}, the plan says {}", show_shares(&taking(at_rest)))
    };
    unit.drift.iter().map(|drift| (says(drift), hint.to_owned())).collect()
}

fn component_text(component: &ComponentStatus, was: &str) -> String {
    let State { role, position, lag, waiting, capacity, shares, .. } = &component.state;
    let mut parts = Vec::new();
    if let Some(role) = role {
        parts.push(role_text(role, &component.state));
    }
    if let Some(waiting) = waiting {
        parts.push(format!("waits for {}", waiting.waits));
    }
    if let Some(position) = position {
        parts.push(format!("at {}", position.value));
    }
    if let Some(lag) = lag {
        let bytes = lag.received_bytes.map(|b| format!("{b} bytes to receive"));
        let replay = lag.replay_bytes.map(|b| format!("{b} bytes to replay"));
        let age = lag.seconds_ms.map(|s| format!("{} behind", show_duration(s)));
        parts.extend([bytes, replay, age].into_iter().flatten());
    }
    if let Some(capacity) = capacity {
        parts.push(format!("{} of {} instances ready", capacity.ready, capacity.desired));
    }
    if let Some(shares) = shares {
        let shares: Vec<String> = shares.iter().map(|(region, share)| format!("{region} {share} %")).collect();
        parts.push(format!("leads to {}", shares.join(", ")));
    }
    format!("{:<14} {was}{}", component.component, parts.join(", "))
}

fn role_text(role: &Role, state: &State) -> String {
    match role {
        Role::Down { .. } if state.has_no_data() => state.says().unwrap_or("there is no database").to_owned(),
        Role::Writer => "writer".to_owned(),
        Role::Standby { upstream, streaming } => {
            let of = upstream.as_ref().map(|u| format!(" of {u}")).unwrap_or_default();
            format!("standby{of}, {}", if *streaming { "streaming" } else { "NOT streaming" })
        }
        Role::Down { clean, was_writer } => {
            let what = if *was_writer { "the writer" } else { "a standby" };
            format!("DOWN ({}, was {what})", if *clean { "stopped in order" } else { "crashed" })
        }
        Role::Unresponsive => state.because("DOES NOT ANSWER"),
        Role::Fenced { assurance } if state.is_gone() => {
            format!("fenced ({assurance}), and its data directory is EMPTY")
        }
        Role::Fenced { assurance } => format!("fenced ({assurance})"),
        Role::Unknown => state.because("CANNOT BE SEEN"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::plan::{Guarantee, SAMPLE};

    fn unit(epoch: Option<u64>, run: Option<&str>, region: Option<&str>) -> UnitStatus {
        serde_json::from_value(serde_json::json!({
            "unit": "payments", "epoch": epoch, "writer": region, "run": run, "judgement": null,
            "decision": { "decision": "hold", "why": "no data yet", "code": null }, "lease": { "lease": "lapsed" }
        }))
        .expect("a unit as the API sends it")
    }

    #[test]
    fn what_a_silent_agent_saw_is_told_as_past() {
        let component = serde_json::json!({ "component": "database", "state": { "role": "writer" }, "age_ms": 9 });
        let component: ComponentStatus = serde_json::from_value(component).expect("a component as the API sends it");
        assert_eq!(component_text(&component, ""), "database       writer");
        assert_eq!(component_text(&component, "last seen as "), "database       last seen as writer");
    }

    #[test]
    fn what_a_look_found_is_told_with_its_code_and_what_to_do() {
        let finding = serde_json::json!({ "code": "PL-0961", "severity": "warning", "message": "4 MB are free", "hint": "make room" });
        let state = serde_json::json!({ "role": "writer", "findings": [finding] });
        let component = serde_json::json!({ "component": "database", "state": state, "age_ms": 9 });
        let component: ComponentStatus = serde_json::from_value(component).expect("a component as the API sends it");
        let mut out = String::new();
        to_mend(&mut out, &component.state.findings);
        assert_eq!(out, "    TO MEND  [PL-0961] 4 MB are free; make room\n");
    }

    #[test]
    fn a_gate_that_cannot_confirm_is_told_while_its_agent_is_heard() {
        let state = serde_json::json!({ "role": "writer", "facts": { "gate apart": "it is not connected" } });
        let mut region: RegionStatus = serde_json::from_value(serde_json::json!({
            "region": "east", "heard_ms": 9, "heard": true,
            "components": [{ "component": "database", "state": state, "age_ms": 9 }]
        }))
        .expect("a region as the API sends it");
        assert_eq!(gate_apart(&region, &region.components[0]), Some("it is not connected"));
        region.heard = false;
        assert_eq!(gate_apart(&region, &region.components[0]), None);
    }

    fn sample() -> Plan {
        Plan::read(SAMPLE, "sample.yaml").expect("the sample has no fault")
    }

    #[test]
    fn another_plan_is_told_with_what_differs_and_both_digests() {
        let region = |plan: serde_json::Value| -> RegionStatus {
            let region =
                serde_json::json!({ "region": "east", "heard_ms": 9, "heard": true, "components": [], "plan": plan });
            serde_json::from_value(region).expect("a region as the API sends it")
        };
        let differs = serde_json::json!([{ "part": "policy.guarantee", "agent": "bounded", "controller": "strict" }]);
        let told = another_plan(&region(serde_json::json!({ "controller": "aa", "agent": "bb", "differs": differs })));
        let line =
            "[PL-0981] policy.guarantee is `bounded` for the agent and `strict` for the controller (digests bb and aa)";
        assert_eq!(told, [line]);
        let mut old = region(serde_json::json!({ "controller": "aa", "agent": null }));
        assert_eq!((another_plan(&old), older(&old)), (vec![], None));
        old.older = Some(OlderAgent { speaks: 2, controller: 3 });
        let told = older(&old).expect("it is older");
        assert!(told.starts_with("[PL-0982] it speaks version 2") && told.contains("does not say its plan"), "{told}");
        assert!(another_plan(&region(serde_json::json!({ "controller": "aa", "agent": "aa" }))).is_empty());
    }

    #[test]
    fn shares_that_differ_from_the_plan_are_told_with_the_verb_that_ends_it() {
        let mut plan = sample();
        let drifted = |plan: &Plan| {
            let drift =
                vec![Drift { component: "name".into(), seen: [("east".into(), 100), ("west".into(), 0)].into() }];
            let mut out = String::new();
            unit_text(&mut out, &UnitStatus { drift, ..unit(Some(1), None, Some("east")) }, plan);
            out
        };
        assert!(!drifted(&plan).contains("SHARES"), "a plan without shares");
        plan.shares = Some([("east".into(), 60), ("west".into(), 40)].into());
        let told = drifted(&plan);
        let says = "[PL-0935] name leads to east 100 %, the plan says east 60 %, west 40 %; `pilotlight failback`";
        assert!(told.contains(says), "{told}");
    }

    #[test]
    fn a_writer_that_nobody_could_replace_is_told() {
        let told = |guarantee| {
            let (mut out, mut plan) = (String::new(), sample());
            plan.policy.guarantee = guarantee;
            let unit = UnitStatus { unit: plan.application.as_str().into(), ..unit(Some(1), None, Some("east")) };
            unit_text(&mut out, &unit, &plan);
            out
        };
        let (waits, alone) = (told(Guarantee::Bounded), told(Guarantee::BestEffort));
        assert!(waits.contains("candidate NONE"), "{waits}");
        assert!(!alone.contains("candidate"), "{alone}");
    }

    #[test]
    fn a_unit_without_a_writer_says_why() {
        assert_eq!(writer(&unit(Some(1), None, Some("east"))), "east");
        assert!(writer(&unit(None, None, None)).contains("no writer was seen so far"));
        assert_eq!(writer(&unit(Some(2), Some("failover-1"), None)), "nowhere (being moved)");
        assert_eq!(writer(&unit(Some(2), None, None)), "nowhere (no run moves it)");
    }
}
