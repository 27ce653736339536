//! `pilotlight policy replay`: makes the decisions of a recording again, with the plan that decided then and with a changed
//! one, and says where they differ. Needs no controller.

mod recorded;

use crate::args::ReplayArgs;
use crate::connect;
use crate::error::{CliError, Exit};
use pilotlight_core::code;
use pilotlight_core::plan::Plan;
use pilotlight_core::recording::{Difference, Scene, Turn, changes, differences, replay as decide_again};
use pilotlight_core::time::{show_duration, show_wall};
use recorded::Recorded;
use serde::Serialize;
use std::fmt::Write;
use std::process::ExitCode;

#[derive(Serialize)]
struct View<'a> {
    application: &'a str,
    observations: usize,
    /// The decisions under the plan that decided then.
    recorded: Vec<&'a Turn>,
    /// Those under the changed plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<&'a Turn>>,
    differences: Vec<Difference>,
    notes: Vec<String>,
}

/// Replays it.
pub(crate) fn replay(args: &ReplayArgs) -> Result<ExitCode, CliError> {
    let recorded = recorded::read(&args.recording)?;
    let changed = args.plan.as_deref().map(connect::read_plan).transpose()?;
    if let Some(changed) = &changed {
        of_these_units(changed, &recorded.scenes)?;
    }
    let then = match (Plan::read(&recorded.plan, "the recorded plan"), &changed) {
        (Ok(plan), _) => plan,
        // A plan of another version: what it decided is in the lines, what it would decide is not known.
        (Err(_), Some(changed)) => changed.clone(),
        (Err(faults), None) => {
            return Err(CliError::say(Exit::Usage, format!("the recorded plan has faults in this version: {faults}"))
                .code(code::RECORDING_UNREADABLE.as_str())
                .hint("name a plan with --plan"));
        }
    };
    let first = decide_again(&then, &recorded.scenes);
    let second = changed.as_ref().map(|plan| decide_again(plan, &recorded.scenes));
    let found = second.as_ref().map(|second| differences(&first, second)).unwrap_or_default();
    let view = View {
        application: &recorded.application,
        observations: recorded.scenes.len(),
        recorded: changes(&first),
        changed: second.as_ref().map(|s| changes(s)),
        notes: notes(&recorded, &then, changed.as_ref(), &first, &found),
        differences: found,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&view).map_err(|e| CliError::new(Exit::Bug, e))?);
    } else {
        print!("{}", text(&view, &recorded.scenes));
    }
    Ok(ExitCode::SUCCESS)
}

/// What a plan decides of a unit that it has not is nothing.
fn of_these_units(changed: &Plan, scenes: &[Scene]) -> Result<(), CliError> {
    let units = changed.units();
    let Some(other) = scenes.iter().find(|scene| !units.contains(&&scene.unit)) else { return Ok(()) };
    let has = units.iter().map(|unit| unit.as_str()).collect::<Vec<_>>().join(", ");
    let what = format!("the recording is of unit {}, and the changed plan has only {has}", other.unit);
    Err(CliError::say(Exit::Usage, what)
        .code(code::RECORDING_UNREADABLE.as_str())
        .hint("name a changed plan of the same application, with the units it had"))
}

/// Who and what the changed plan looks at, and the recording knows nothing of.
fn unseen(then: &Plan, changed: &Plan) -> Vec<String> {
    let known = then.observers();
    let new = changed.observers().into_iter().filter(|o| !known.contains(o)).map(|o| o.to_string());
    let mut unseen: Vec<String> = new.collect();
    unseen.extend(
        changed.components.keys().filter(|c| !then.components.contains_key(*c)).map(|c| format!("component {c}")),
    );
    unseen.extend(changed.health.keys().filter(|h| !then.health.contains_key(*h)).map(|h| format!("health check {h}")));
    unseen
}

/// The first word says what a decision does.
fn does(decision: &str) -> Option<&str> {
    decision.split_whitespace().next()
}

/// What a reader must know to read the result rightly.
fn notes(
    recorded: &Recorded,
    then: &Plan,
    changed: Option<&Plan>,
    first: &[Turn],
    found: &[Difference],
) -> Vec<String> {
    let mut notes = Vec::new();
    if recorded.torn > 0 {
        notes.push(format!(
            "{} lines at the end of a file were not written to their end and are left out",
            recorded.torn
        ));
    }
    if recorded.plans > 1 {
        notes.push("the plan was changed while this was recorded; the newest one is replayed".to_owned());
    }
    let other = recorded.scenes.iter().zip(first).filter(|(s, t)| s.verdict != t.verdict).count();
    if other > 0 {
        notes.push(format!("{other} verdicts are others than were reached then: by another version or another plan"));
    }
    let decided = recorded.scenes.iter().zip(first).filter(|(s, t)| s.verdict == t.verdict);
    let other = decided.filter(|(s, t)| does(&s.decision) != does(&t.decision)).count();
    if other > 0 {
        notes.push(format!("{other} decisions are others than were made then, of the same verdicts"));
    }
    let unseen = changed.map(|changed| unseen(then, changed)).unwrap_or_default();
    if !unseen.is_empty() {
        notes.push(format!(
            "the recording holds nothing of {}, which the changed plan looks at: each counts as not heard, so what that changes says \
             nothing about a day on which it was there",
            unseen.join(", ")
        ));
    }
    if changed.is_some_and(|c| (c.policy.lease, c.policy.renew) != (then.policy.lease, then.policy.renew)) {
        notes.push("lease and renewal are others: the recording holds the leases as they were granted".to_owned());
    }
    if changed.is_some_and(|c| c.policy.least_fence != then.policy.least_fence) {
        notes.push(
            "`least_fence` is another: what is decided is replayed, not whether a runbook could be derived for it, and that is \
             where a fence that is too weak is refused (PL-0209)"
                .to_owned(),
        );
    }
    if found.iter().any(|d| d.first.contains("starts a ") || d.second.contains("starts a ")) {
        notes.push(
            "after a difference in what is started, the recording shows what happened, not what would have".to_owned(),
        );
    }
    notes
}

fn text(view: &View<'_>, scenes: &[Scene]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "recording of {}, {} observations", view.application, view.observations);
    if let (Some(first), Some(last)) = (scenes.first(), scenes.last()) {
        let _ = writeln!(out, "from {} to {}", show_wall(first.at), show_wall(last.at));
    }
    timeline(&mut out, "as the plan of then decides", &view.recorded);
    if let Some(changed) = &view.changed {
        timeline(&mut out, "as the changed plan decides", changed);
        let _ = writeln!(out, "\ndifferences");
        for d in &view.differences {
            let lasted = show_duration(d.to.since(d.from));
            let _ = writeln!(out, "  {} for {lasted}, unit {}", show_wall(d.from), d.unit);
            let _ = writeln!(out, "    then:    {}\n    changed: {}", d.first, d.second);
        }
        if view.differences.is_empty() {
            let _ = writeln!(out, "  none: both plans decide the same on all of it");
        }
    }
    for note in &view.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

fn timeline(out: &mut String, title: &str, turns: &[&Turn]) {
    let _ = writeln!(out, "\n{title}");
    for turn in turns {
        let _ = writeln!(out, "  {}  {:<15} {}", show_wall(turn.at), turn.verdict, turn.decision);
        for evidence in turn.evidence.iter().filter(|_| turn.starts) {
            let _ = writeln!(out, "      - {evidence}");
        }
    }
}
