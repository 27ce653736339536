//! `pilotlight check PLAN --live`: reaches everything the plan names and lists what would stand in a failover's way.
//!
//! Changes nothing: dials ports, asks names, asks the controller what it hears and what a dry run of a move finds.

use crate::args::CheckArgs;
use crate::command::status::led_elsewhere;
use crate::connect;
use crate::error::{CliError, Exit};
use crate::operator::Operator;
use crate::wiring::aws::Aws;
use crate::wiring::controller::Ports;
use crate::wiring::names::PlanNames;
use crate::wiring::secrets::{self, Secret};
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::{Kind, Plan};
use pilotlight_core::verdict::PortAnswer;
use pilotlight_engine::dry_run::DryStep;
use pilotlight_local::probe::names::Names;
use pilotlight_server::PortLook;
use pilotlight_server::api::view::{MoveReply, MoveRequest, StatusView};
use serde::Serialize;
use std::process::ExitCode;

/// One thing that was reached or not.
#[derive(Debug, Serialize)]
struct Looked {
    what: String,
    severity: Option<Severity>,
    saw: String,
    hint: String,
}

impl Looked {
    fn good(what: impl Into<String>, saw: impl Into<String>) -> Self {
        Self { what: what.into(), severity: None, saw: saw.into(), hint: String::new() }
    }

    fn bad(what: impl Into<String>, severity: Severity, saw: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), severity: Some(severity), saw: saw.into(), hint: hint.into() }
    }
}

/// Looks at everything; exit 1 when something would make a failover fail.
pub(crate) async fn run(args: &CheckArgs) -> Result<ExitCode, CliError> {
    let plan = connect::read_plan(&args.plan)?;
    let mut seen = secrets(&plan);
    seen.extend(ports(&plan).await);
    seen.extend(names(&plan).await);
    seen.extend(identities(&plan).await);
    seen.extend(controller(&plan).await);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&seen).map_err(|e| CliError::new(Exit::Bug, e))?);
    } else {
        show(&seen);
    }
    let blocked = seen.iter().any(|s| s.severity == Some(Severity::Blocker));
    Ok(if blocked { Exit::Failed.into() } else { ExitCode::SUCCESS })
}

fn show(seen: &[Looked]) {
    for Looked { what, severity, saw, hint } in seen {
        let mark = match severity {
            None => "ok      ",
            Some(Severity::Note) => "note    ",
            Some(Severity::Warning) => "warning ",
            Some(Severity::Blocker) => "BLOCKER ",
        };
        println!("{mark} {what}: {saw}");
        if !hint.is_empty() {
            println!("          hint: {hint}");
        }
    }
    let bad = seen.iter().filter(|s| s.severity.is_some()).count();
    println!("\n{} looked at, {bad} to be mended", seen.len());
}

fn secrets(plan: &Plan) -> Vec<Looked> {
    let look = |Secret { key, reference, .. }: Secret<'_>| match connect::secret(reference) {
        Ok(_) => Looked::good(key, "is there"),
        Err(e) => Looked::bad(key, Severity::Blocker, format!("{:#}", e.cause), e.hint.unwrap_or_default()),
    };
    secrets::of(plan).into_iter().map(look).collect()
}

async fn ports(plan: &Plan) -> Vec<Looked> {
    let ports = Ports::of(plan);
    let mut seen = Vec::new();
    for (target, address) in ports.all() {
        let region = target.region.as_ref().map_or("", Region::as_str);
        let what = format!("{} in {region} at {address}", target.component);
        let hint = "is it running there, and does a firewall let this machine through?";
        seen.push(match ports.look(target).await {
            PortAnswer::Answers => Looked::good(what, "answers"),
            PortAnswer::Refused => Looked::bad(what, Severity::Blocker, "refuses connections", hint),
            PortAnswer::Unreachable => Looked::bad(what, Severity::Blocker, "does not answer", hint),
        });
    }
    seen
}

async fn names(plan: &Plan) -> Vec<Looked> {
    let resolver = match PlanNames::of(plan) {
        Ok(resolver) => resolver,
        Err(e) => return vec![Looked::bad("DNS", Severity::Blocker, format!("{:#}", e.cause), "")],
    };
    let mut seen = Vec::new();
    for component in plan.components.values() {
        let Kind::Dns(dns) = &component.kind else { continue };
        let what = format!("{} at {}", dns.name, dns.server);
        seen.push(match resolver.resolve(&dns.name).await {
            Ok(found) => {
                let region = dns.answers.iter().find(|(_, address)| found.contains(address)).map(|(r, _)| r.as_str());
                match region {
                    Some(region) => Looked::good(what, format!("leads to {region}")),
                    None => Looked::bad(
                        what,
                        Severity::Warning,
                        format!("answers {found:?}, which is in no region of the plan"),
                        "a failover would replace this answer",
                    ),
                }
            }
            Err(e) => Looked::bad(what, Severity::Blocker, e.to_string(), "is the DNS server running?"),
        });
    }
    seen
}

/// Whose credentials AWS is called with, per region.
async fn identities(plan: &Plan) -> Vec<Looked> {
    let look = |(region, who): (Region, Result<String, Finding>)| match who {
        Ok(who) => Looked::good(format!("AWS in {region}"), who),
        Err(f) => Looked::bad(format!("{}: AWS in {region}", f.code), f.severity, f.message, f.hint),
    };
    Aws::of(plan).identities(plan).await.into_iter().map(look).collect()
}

async fn controller(plan: &Plan) -> Vec<Looked> {
    let what = format!("controller at {}", plan.controller.urls().join(", "));
    let operator = match Operator::of(plan) {
        Ok(operator) => operator,
        Err(e) => {
            return vec![Looked::bad(what, Severity::Blocker, format!("{:#}", e.cause), e.hint.unwrap_or_default())];
        }
    };
    let status: StatusView = match operator.get("/v1/status").await {
        Ok(status) => status,
        Err(e) => {
            return vec![Looked::bad(what, Severity::Blocker, format!("{:#}", e.cause), e.hint.unwrap_or_default())];
        }
    };
    let mut seen = vec![Looked::good(what, format!("answers, version {}", status.version))];
    for region in &status.regions {
        let what = format!("agent of {}", region.region);
        seen.push(if region.heard {
            Looked::good(what, "is heard")
        } else {
            Looked::bad(
                what,
                Severity::Blocker,
                "is not heard",
                "is `pilotlight agent` running there, with the right token?",
            )
        });
    }
    for (saw, hint) in status.units.iter().flat_map(led_elsewhere) {
        seen.push(Looked::bad("traffic", Severity::Warning, saw, hint));
    }
    seen.extend(preflight(&operator).await);
    seen
}

/// What a planned move would stumble over, by a dry run of it.
async fn preflight(operator: &Operator) -> Vec<Looked> {
    let request = MoveRequest {
        waive_rescue: None,
        writer_is_off: None,
        verb: Verb::Switchover,
        unit: None,
        target: None,
        mode: None,
        dry_run: true,
        by: connect::whoami(),
        why: "check --live".to_owned(),
    };
    match operator.post("/v1/moves", &request).await {
        Ok(MoveReply::DryRun { steps, findings, .. }) => of_dry_run(findings, steps),
        Ok(MoveReply::Started { run }) => {
            vec![Looked::bad(
                "a switchover",
                Severity::Blocker,
                format!("was started as {run} although only asked about"),
                "",
            )]
        }
        Err(e) => {
            vec![Looked::bad("a switchover", Severity::Warning, format!("{:#}", e.cause), e.hint.unwrap_or_default())]
        }
    }
}

/// What a move as a whole and its steps would stumble over. Only what nothing stands in the way of is good.
fn of_dry_run(findings: Vec<Finding>, steps: Vec<DryStep>) -> Vec<Looked> {
    let mut seen: Vec<Looked> = Vec::new();
    for finding in findings.into_iter().chain(steps.into_iter().flat_map(|s| s.findings)) {
        let one = Looked::bad(finding.code, finding.severity, finding.message, finding.hint);
        // The same setting stands in the way of several steps.
        if !seen.iter().any(|s| s.saw == one.saw) {
            seen.push(one);
        }
    }
    if seen.iter().all(|s| s.severity != Some(Severity::Blocker)) {
        seen.push(Looked::good("a switchover", "could be derived now"));
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::effect::Effect;
    use pilotlight_core::id::Epoch;
    use pilotlight_core::outcome::Failure;
    use pilotlight_engine::dry_run::Would;

    fn step(would: Would, findings: Vec<Finding>) -> DryStep {
        let effect = Effect::Promote { component: "database".into(), region: "west".into() };
        DryStep { id: "promote".into(), title: String::new(), why: String::new(), effect, would, findings }
    }

    #[test]
    fn a_step_that_cannot_be_seen_is_a_blocker_told_once_and_no_switchover_is_promised() {
        let failure = Failure::rejected("PL-0701: pg_rewind is not in /nowhere").hint("install it");
        let unseen = || {
            let would = Would::NotSeen { why: failure.message.clone() };
            step(would, vec![Finding::unseen("database in west", &failure)])
        };
        let seen = of_dry_run(vec![], vec![step(Would::Act, vec![]), unseen(), unseen()]);
        let [one] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!(
            (one.what.as_str(), one.severity, one.hint.as_str()),
            ("PL-0701", Some(Severity::Blocker), "install it")
        );
        let good = of_dry_run(vec![], vec![step(Would::Act, vec![])]);
        assert_eq!((good.len(), good[0].severity), (1, None));
    }

    #[test]
    fn what_stands_in_the_way_of_the_whole_move_is_a_blocker_although_each_step_could_be_done() {
        let behind = pilotlight_engine::Behind { unit: "shop".into(), stored: Epoch(1), met: Epoch(7) };
        let seen = of_dry_run(vec![behind.into()], vec![step(Would::Act, vec![])]);
        let [one] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!((one.what.as_str(), one.severity), ("PL-0874", Some(Severity::Blocker)));
        assert!(one.saw.contains("epoch 7 was seen") && one.hint.contains("--raise-epoch"), "{one:?}");
    }
}
