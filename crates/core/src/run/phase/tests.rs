//! docs/run-states.md is the table of legal transitions as [`next`] has it; `PILOTLIGHT_WRITE_DOCS=1` writes it anew.

use super::{Phase, Place, next};
use crate::effect::{CommandLine, Effect};
use crate::id::{Component, Region, StepId};
use crate::observation::{Condition, Target};
use crate::outcome::{Failure, FailureKind, Outcome};
use crate::run::{Event, Returned};
use crate::runbook::{self, OnFailure, Step};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

const HEAD: &str =
    "<!-- Written by `PILOTLIGHT_WRITE_DOCS=1 cargo test -p pilotlight-core transitions`. Do not edit. -->

# The states of a step

Every transition that a run's journal may hold, as the state machine itself answers when it is asked about each state
and each event. Everything else is illegal and is refused. Where a cell names several states, the outcome, the step's
post-condition, its retries and its `on failure` decide; [runbook-semantics.md](runbook-semantics.md) says how.

| from | event | to |
|---|---|---|
";

fn step(on_failure: OnFailure, after: bool) -> Step {
    let target = Target { component: Component::from("database"), region: Some(Region::from("east")) };
    let command = CommandLine { argv: vec!["true".to_owned()], env: Default::default(), idempotent: false };
    Step {
        id: StepId::from("step"),
        title: String::new(),
        why: String::new(),
        phase: runbook::Phase::Prepare,
        needs: Vec::new(),
        effect: Effect::Command { region: None, command },
        before: None,
        after: after.then_some(Condition::IsWriter { target }),
        deadline_ms: Duration::from_secs(1),
        settle_ms: None,
        retries: 1,
        undo: None,
        on_failure,
        approval: true,
    }
}

fn phases() -> Vec<Phase> {
    let (why, attempt) = (String::new(), 1);
    let stuck = |handle: Option<&str>| Phase::Stuck { why: String::new(), handle: handle.map(str::to_owned) };
    let undo_stuck = |unknown| Phase::UndoStuck { attempt, why: String::new(), unknown };
    vec![
        Phase::Waiting,
        Phase::Started,
        Phase::Accepted { handle: why.clone() },
        Phase::Returned,
        Phase::Unknown,
        Phase::Failed { why: why.clone() },
        stuck(None),
        stuck(Some("handle")),
        Phase::Done,
        Phase::Skipped { by: None, why: why.clone() },
        Phase::PassedOver { why: why.clone() },
        Phase::Undoing { attempt },
        Phase::UndoUnknown { attempt },
        Phase::UndoAgain { attempt },
        undo_stuck(false),
        undo_stuck(true),
        Phase::Undone,
        Phase::Left { why },
    ]
}

fn word(phase: &Phase) -> &'static str {
    match phase {
        Phase::Waiting => "waiting",
        Phase::Started => "started",
        Phase::Accepted { .. } => "accepted",
        Phase::Returned => "returned",
        Phase::Unknown => "unknown",
        Phase::Failed { .. } => "failed",
        Phase::Stuck { handle: None, .. } => "stuck",
        Phase::Stuck { handle: Some(_), .. } => "stuck, goes on at the driver",
        Phase::Done => "done",
        Phase::Skipped { .. } => "skipped",
        Phase::PassedOver { .. } => "passed over",
        Phase::Undoing { .. } => "undoing",
        Phase::UndoUnknown { .. } => "undo unknown",
        Phase::UndoAgain { .. } => "undo again",
        Phase::UndoStuck { unknown: false, .. } => "undo stuck, not taken back",
        Phase::UndoStuck { unknown: true, .. } => "undo stuck, outcome unknown",
        Phase::Undone => "undone",
        Phase::Left { .. } => "left as it is",
    }
}

fn answers() -> Vec<Returned> {
    use FailureKind::{OutcomeUnknown, Rejected, Transient, Unreachable, Unsupported};
    let kinds = [Transient, Rejected, OutcomeUnknown, Unreachable, Unsupported];
    let done = [Outcome::done(), Outcome::Skipped { why: String::new() }, Outcome::Accepted { handle: String::new() }];
    done.into_iter().map(Ok).chain(kinds.map(|kind| Err(Failure::new(kind, "")))).collect()
}

/// Every event that a step can meet.
fn events() -> Vec<Event> {
    let (id, by, why) = (StepId::from("step"), String::new(), String::new());
    let mut events = Vec::new();
    for attempt in [1, 2] {
        events.push(Event::StepStarted { step: id.clone(), attempt });
        events.push(Event::UndoStarted { step: id.clone(), attempt });
        for result in answers() {
            events.push(Event::StepReturned { step: id.clone(), attempt, result: result.clone() });
            events.push(Event::UndoReturned { step: id.clone(), attempt, result });
        }
    }
    events.extend([
        Event::StepHolds { step: id.clone() },
        Event::StepFailed { step: id.clone(), why: why.clone() },
        Event::StepSkipped { step: id.clone(), by: by.clone(), why: why.clone() },
        Event::Approved { step: id.clone(), by: by.clone() },
        Event::Stuck { step: id, why },
        Event::Resumed { by: by.clone() },
        Event::Recovered { by },
    ]);
    events
}

/// Where an event can lead from a phase, over every kind of step and of retries left.
fn targets(phase: &Phase, event: &Event) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for on_failure in [OnFailure::Pause, OnFailure::GoOn] {
        for (after, attempts, already) in
            [(false, 0, None), (false, 1, None), (true, 1, None), (true, 1, Some("")), (false, 2, None)]
        {
            let step = step(on_failure, after);
            let place = Place {
                step: &step,
                phase,
                attempts,
                attempts_counted: attempts,
                already,
                may_start: true,
                unwinding: false,
                may_undo: true,
            };
            found.extend(next(&place, event).as_ref().map(word));
        }
    }
    found
}

#[test]
fn the_transitions_on_disk_are_these() {
    let mut page = HEAD.to_owned();
    for phase in phases() {
        let mut rows: Vec<(&'static str, BTreeSet<&'static str>)> = Vec::new();
        for event in events() {
            let found = targets(&phase, &event);
            match rows.iter_mut().find(|(name, _)| *name == event.name()) {
                Some((_, to)) => to.extend(found),
                None => rows.push((event.name(), found)),
            }
        }
        for (name, to) in rows.into_iter().filter(|(_, to)| !to.is_empty()) {
            let to: Vec<&str> = to.into_iter().collect();
            writeln!(page, "| {} | `{name}` | {} |", word(&phase), to.join(", ")).unwrap();
        }
    }
    assert!(page.contains("| started | `recovered` | unknown |"), "{page}");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/run-states.md");
    if std::env::var_os("PILOTLIGHT_WRITE_DOCS").is_some() {
        std::fs::write(file, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(file).unwrap_or_default() == page,
        "docs/run-states.md is not what the state machine does; write it anew with \
         `PILOTLIGHT_WRITE_DOCS=1 cargo test -p pilotlight-core transitions` and look at the difference"
    );
}
