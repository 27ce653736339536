//! `pilotlight check PLAN --live`: reaches everything the plan names and lists what would stand in a failover's way.
//!
//! Changes nothing: dials ports, asks names, asks the controller what it hears and what a dry run of a move finds.

use crate::args::CheckArgs;
use crate::command::status::{another_plan, drift, gate_apart, led_elsewhere, older};
use crate::connect;
use crate::error::{CliError, Exit};
use crate::operator::Operator;
use crate::wiring::aws::Aws;
use crate::wiring::controller::Ports;
use crate::wiring::names::PlanNames;
use crate::wiring::secrets::{self, Secret};
use pilotlight_core::code;
use pilotlight_core::health::Alarm;
use pilotlight_core::id::{Region, Unit};
use pilotlight_core::outcome::{FailureKind, Finding, Severity};
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::{Kind, Plan};
use pilotlight_core::verdict::PortAnswer;
use pilotlight_engine::dry_run::DryStep;
use pilotlight_local::probe::names::Names;
use pilotlight_server::PortLook;
use pilotlight_server::api::view::{MoveReply, MoveRequest, StatusView};
use serde::Serialize;
use std::fmt::Display;
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

    /// The blocker that an error is.
    fn error(what: impl Into<String>, e: CliError) -> Self {
        let code = e.catalogued();
        Self::bad(what, Severity::Blocker, format!("{:#}", e.cause), e.hint.unwrap_or_default()).code(code)
    }

    /// What is wrong begins with its code.
    fn code(self, code: impl Display) -> Self {
        Self { what: format!("{code}: {}", self.what), ..self }
    }

    fn bad(what: impl Into<String>, severity: Severity, saw: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), severity: Some(severity), saw: saw.into(), hint: hint.into() }
    }
}

/// Looks at everything; exit 1 when something would make a failover fail.
pub(crate) async fn run(args: &CheckArgs) -> Result<ExitCode, CliError> {
    let plan = connect::read_plan(args.plan())?;
    let mut seen = secrets(&plan);
    seen.extend(ports(&plan).await);
    seen.extend(names(&plan).await);
    seen.extend(identities(&plan).await);
    seen.extend(needs(&plan).await);
    seen.extend(alarms(&plan).await);
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
    println!("\n{}", sum(seen));
}

/// A note is for a person to know; there is nothing to mend.
fn sum(seen: &[Looked]) -> String {
    let count = |wanted: &[Severity]| seen.iter().filter(|s| s.severity.is_some_and(|s| wanted.contains(&s))).count();
    let (bad, notes) = (count(&[Severity::Blocker, Severity::Warning]), count(&[Severity::Note]));
    let notes = match notes {
        0 => String::new(),
        1 => ", 1 note".to_owned(),
        n => format!(", {n} notes"),
    };
    format!("{} looked at, {bad} to be mended{notes}", seen.len())
}

fn secrets(plan: &Plan) -> Vec<Looked> {
    let look = |Secret { key, reference, .. }: Secret<'_>| match connect::secret(reference) {
        Ok(_) => Looked::good(key, "is there"),
        Err(e) => Looked::error(key, e),
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
        let silent = |what, saw| Looked::bad(what, Severity::Blocker, saw, hint).code(code::PLACE_SILENT);
        seen.push(match ports.look(target).await {
            PortAnswer::Answers => Looked::good(what, "answers"),
            PortAnswer::Refused => silent(what, "refuses connections"),
            PortAnswer::Unreachable => silent(what, "does not answer"),
        });
    }
    seen
}

async fn names(plan: &Plan) -> Vec<Looked> {
    let resolver = match PlanNames::of(plan) {
        Ok(resolver) => resolver,
        Err(e) => return vec![Looked::error("DNS", e)],
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
            Err(e) => {
                let code = if e.kind == FailureKind::Rejected { code::NAME_OUTSIDE_ZONE } else { code::DNS_SILENT };
                let hint = e.hint.clone().unwrap_or_else(|| "is the DNS server running?".to_owned());
                Looked::bad(what, Severity::Blocker, e.to_string(), hint).code(code)
            }
        });
    }
    seen
}

/// Whose credentials AWS is called with, per region.
async fn identities(plan: &Plan) -> Vec<Looked> {
    let look = |(region, who): (Region, Result<String, Finding>)| match who {
        Ok(who) => Looked::good(format!("AWS in {region}"), who),
        Err(f) => Looked::bad(format!("AWS in {region}"), f.severity, f.message, f.hint).code(f.code),
    };
    Aws::of(plan).identities(plan).await.into_iter().map(look).collect()
}

/// Rights to what AWS runs, and what its regions need besides components.
async fn needs(plan: &Plan) -> Vec<Looked> {
    let aws = Aws::of(plan);
    let mut seen = Vec::new();
    let rights = aws.rights(plan).await.map(|found| ("rights in AWS".to_owned(), found));
    for (what, found) in rights.into_iter().chain(aws.needs(plan).await) {
        if found.is_empty() {
            seen.push(Looked::good(what.as_str(), "is there"));
        }
        let bad = |f: Finding| Looked::bad(what.as_str(), f.severity, f.message, f.hint).code(f.code);
        seen.extend(found.into_iter().map(bad));
    }
    seen
}

/// What each alarm says now: one that is not there, or has no data, has no voice.
async fn alarms(plan: &Plan) -> Vec<Looked> {
    let aws = Aws::of(plan);
    let mut seen = Vec::new();
    for arn in plan.health.values().flat_map(|check| check.alarms.values()) {
        let mute = |why, hint| Looked::bad(arn, Severity::Warning, why, hint).code(code::ALARM_MUTE);
        seen.push(match aws.alarm(arn).await {
            Ok(Alarm::Quiet(says)) => Looked::good(arn, says),
            Ok(Alarm::Raised(why)) => Looked::bad(arn, Severity::Note, why, ""),
            Ok(Alarm::Untold(why)) => mute(why, "it has no voice in the health check until it has data".to_owned()),
            Err(f) => mute(f.message, f.hint.unwrap_or_else(|| "compare the ARN with the account".to_owned())),
        });
    }
    seen
}

async fn controller(plan: &Plan) -> Vec<Looked> {
    let what = format!("controller at {}", plan.controller.urls().join(", "));
    let operator = match Operator::of(plan) {
        Ok(operator) => operator,
        Err(e) => return vec![Looked::error(what, e)],
    };
    let status: StatusView = match operator.get("/v1/status").await {
        Ok(status) => status,
        Err(e) => return vec![Looked::error(what, e)],
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
            .code(code::AGENT_SILENT)
        });
        if let Some(saw) = older(region) {
            let hint = "install the controller's version there and restart the agent";
            seen.push(Looked::bad(format!("version of the agent of {}", region.region), Severity::Warning, saw, hint));
        }
        for component in &region.components {
            let Some(saw) = gate_apart(region, component) else { continue };
            let what = format!("gate of {} in {}", component.component, region.region);
            let hint = "mend what the message ends with; until then each commit waits for the candidate";
            seen.push(Looked::bad(what, Severity::Warning, saw, hint).code(code::GATE_APART));
        }
        for saw in another_plan(region) {
            let hint =
                "give both the same plan and the same version, the controller first; nothing moves by itself meanwhile";
            seen.push(Looked::bad(format!("plan of {}", region.region), Severity::Warning, saw, hint));
        }
    }
    for (saw, hint) in status.units.iter().flat_map(led_elsewhere) {
        seen.push(Looked::bad("traffic", Severity::Warning, saw, hint));
    }
    for (saw, hint) in status.units.iter().flat_map(|unit| drift(unit, plan)) {
        seen.push(Looked::bad("traffic", Severity::Warning, saw, hint).code(code::SHARES_DIFFER));
    }
    for open in status.units.iter().filter_map(|unit| unit.exposed.first()).filter(|e| !e.over) {
        let hint = "mend the link between the regions, or the standby; a failover now would lose what is named here";
        seen.push(Looked::bad("the RPO", Severity::Warning, open.to_string(), hint).code(code::EXPOSED));
    }
    let components = status.regions.iter().flat_map(|region| &region.components);
    let looked = components.flat_map(|component| &component.state.findings).chain(&status.findings);
    let moved = moves(&operator, plan).await;
    // A dry run asks the copies that it concerns again.
    let news = |f: &&Finding| moved.iter().all(|m| m.saw != f.message);
    seen.extend(looked.filter(news).map(|f| Looked::bad(&f.code, f.severity, &f.message, &f.hint)));
    seen.extend(moved);
    seen
}

/// What a planned move of each unit would stumble over, by a dry run of it.
async fn moves(operator: &Operator, plan: &Plan) -> Vec<Looked> {
    let units = plan.units();
    let mut seen = Vec::new();
    for unit in &units {
        let what = match units.len() {
            1 => "a switchover".to_owned(),
            _ => format!("a switchover of {unit}"),
        };
        let answer = match ask(operator, unit, None).await {
            // Of several regions none is fit to take over by itself: each says why.
            Err(e) if e.code.as_deref() == Some(code::PLAN_UNKNOWN_REGION.as_str()) => None,
            answer => Some(answer),
        };
        match answer {
            Some(answer) => seen.extend(of_move(&what, answer)),
            None => {
                for region in &plan.regions {
                    let answer = ask(operator, unit, Some(region.clone())).await;
                    // Where the writer is, there is nothing to move.
                    if !answer.as_ref().is_err_and(|e| e.code.as_deref() == Some(code::ALREADY_THERE.as_str())) {
                        seen.extend(of_move(&format!("{what} to {region}"), answer));
                    }
                }
            }
        }
    }
    seen
}

async fn ask(operator: &Operator, unit: &Unit, target: Option<Region>) -> Result<MoveReply, CliError> {
    let request = MoveRequest {
        unit: Some(unit.clone()),
        target,
        dry_run: true,
        why: "check --live".to_owned(),
        ..MoveRequest::new(Verb::Switchover, connect::whoami())
    };
    operator.post("/v1/moves", &request).await
}

/// What came of a dry run. One that is refused would be refused on the day it is needed.
fn of_move(what: &str, answer: Result<MoveReply, CliError>) -> Vec<Looked> {
    match answer {
        Ok(MoveReply::DryRun { steps, findings, .. }) => of_dry_run(what, findings, steps),
        Ok(MoveReply::Started { run }) => {
            let saw = format!("was started as {run} although only asked about");
            vec![Looked::bad(what, Severity::Blocker, saw, "")]
        }
        Err(mut e) => {
            let found = std::mem::take(&mut e.findings);
            let mut seen = vec![Looked::error(what, e)];
            found.into_iter().for_each(|finding| tell(&mut seen, finding));
            seen
        }
    }
}

/// The same setting stands in the way of several steps, and is told once.
fn tell(seen: &mut Vec<Looked>, finding: Finding) {
    let one = Looked::bad(finding.code, finding.severity, finding.message, finding.hint);
    if !seen.iter().any(|s| s.saw == one.saw) {
        seen.push(one);
    }
}

/// What a move as a whole and its steps would stumble over. Only what nothing stands in the way of is good.
fn of_dry_run(what: &str, findings: Vec<Finding>, steps: Vec<DryStep>) -> Vec<Looked> {
    let mut seen = Vec::new();
    findings.into_iter().chain(steps.into_iter().flat_map(|s| s.findings)).for_each(|f| tell(&mut seen, f));
    if seen.iter().all(|s| s.severity != Some(Severity::Blocker)) {
        seen.push(Looked::good(what, "could be derived now"));
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::behind::Lack;
    use pilotlight_core::effect::Effect;
    use pilotlight_core::id::Epoch;
    use pilotlight_core::outcome::Failure;
    use pilotlight_core::runbook::Basis;
    use pilotlight_engine::Behind;
    use pilotlight_engine::dry_run::Would;

    fn step(would: Would, findings: Vec<Finding>) -> DryStep {
        let effect = Effect::Promote { component: "database".into(), region: "west".into() };
        DryStep { id: "promote".into(), title: String::new(), why: String::new(), effect, would, findings }
    }

    #[test]
    fn a_note_is_counted_and_not_to_be_mended() {
        let bad = |severity| Looked::bad("x", severity, "y", "");
        let seen = [Looked::good("x", "y"), bad(Severity::Note)];
        assert_eq!(sum(&seen), "2 looked at, 0 to be mended, 1 note");
        let seen = [bad(Severity::Warning), bad(Severity::Blocker), bad(Severity::Note), bad(Severity::Note)];
        assert_eq!(sum(&seen), "4 looked at, 2 to be mended, 2 notes");
        assert_eq!(sum(&[Looked::good("x", "y")]), "1 looked at, 0 to be mended");
    }

    #[test]
    fn a_step_that_cannot_be_seen_is_a_blocker_told_once_and_no_switchover_is_promised() {
        let failure = Failure::rejected("PL-0701: pg_rewind is not in /nowhere").hint("install it");
        let unseen = || {
            let would = Would::NotSeen { why: failure.message.clone() };
            step(would, vec![Finding::unseen("database in west", &failure)])
        };
        let seen = of_dry_run("a switchover", vec![], vec![step(Would::Act, vec![]), unseen(), unseen()]);
        let [one] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!(
            (one.what.as_str(), one.severity, one.hint.as_str()),
            ("PL-0701", Some(Severity::Blocker), "install it")
        );
        let good = of_dry_run("a switchover", vec![], vec![step(Would::Act, vec![])]);
        assert_eq!((good.len(), good[0].severity), (1, None));
    }

    #[test]
    fn what_stands_in_the_way_of_the_whole_move_is_a_blocker_although_each_step_could_be_done() {
        let basis = |epoch| Basis { epoch: Epoch(epoch), candidacy: 0, mark: 0 };
        let behind = Behind { unit: "shop".into(), stored: basis(1), met: basis(7), lack: Lack::Epoch };
        let seen = of_dry_run("a switchover", vec![behind.into()], vec![step(Would::Act, vec![])]);
        let [one] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!((one.what.as_str(), one.severity), ("PL-0874", Some(Severity::Blocker)));
        assert!(one.saw.contains("epoch 7 was seen") && one.hint.contains("--raise-epoch"), "{one:?}");
    }

    #[test]
    fn a_move_that_is_refused_is_a_blocker_with_its_code_and_with_what_drivers_found() {
        let found = |code: &str, message: &str| Finding {
            code: code.to_owned(),
            severity: Severity::Warning,
            message: message.to_owned(),
            hint: String::new(),
        };
        let mut refused = CliError::say(Exit::Refused, "only a standby can take over\n  - west is down")
            .code("PL-0207")
            .hint("make it a standby");
        refused.findings = vec![
            found("PL-0364", "there is no cluster"),
            found("PL-0364", "there is no cluster"),
            found("PL-0367", "late"),
        ];
        let seen = of_move("a switchover of files", Err(refused));
        let codes: Vec<&str> = seen.iter().map(|s| s.what.as_str()).collect();
        assert_eq!(codes, ["PL-0207: a switchover of files", "PL-0364", "PL-0367"]);
        assert_eq!(seen[0].severity, Some(Severity::Blocker));
        assert!(seen[0].saw.contains("west is down") && seen[0].hint == "make it a standby", "{:?}", seen[0]);
    }
}
