//! Properties of the run state machine, over random runbooks and random but legal answers, and a few cases by hand.

mod abort;
mod skip;
mod standing;

use super::{Cause, Command, Event, Phase, Record, Returned, RunResult, RunState};
use crate::effect::{CommandLine, Effect, HandOver};
use crate::id::{Application, Component, Epoch, Region, RunId, StepId, Unit};
use crate::observation::{Condition, Target};
use crate::outcome::{Failure, FailureKind, Outcome, Output};
use crate::placement::{Intent, Mode, Placement, Verb};
use crate::position::Position;
use crate::runbook::{self, OnFailure, Runbook, Step};
use crate::time::Wall;
use proptest::prelude::*;
use std::time::Duration;

fn region() -> Region {
    Region::from("east")
}

fn component() -> Component {
    Component::from("database")
}

fn command(text: &str) -> Effect {
    let command = CommandLine { argv: vec![text.to_owned()], env: Default::default(), idempotent: false };
    Effect::Command { region: None, command }
}

fn step(id: &str, needs: &[&str], effect: Effect) -> Step {
    Step {
        id: StepId::from(id),
        title: id.to_owned(),
        why: String::new(),
        phase: runbook::Phase::Prepare,
        needs: needs.iter().map(|n| StepId::from(*n)).collect(),
        effect,
        before: None,
        after: None,
        deadline_ms: Duration::from_secs(1),
        settle_ms: None,
        retries: 0,
        undo: None,
        on_failure: OnFailure::Pause,
        approval: false,
    }
}

fn runbook(steps: Vec<Step>) -> Runbook {
    let target = Placement::in_region(&Region::from("west"));
    let intent = Intent { unit: Unit::from("payments"), verb: Verb::Failover, mode: Mode::Ungraceful, target };
    Runbook { application: Application::from("payments"), intent, from: region(), steps, basis: None }
}

fn started(steps: Vec<Step>) -> Record {
    let event = Event::RunStarted {
        run: RunId::from("run"),
        unit: Unit::from("payments"),
        epoch: Epoch(2),
        runbook: Box::new(runbook(steps)),
        cause: Cause::default(),
    };
    Record { seq: 1, at: Wall(1), event }
}

/// A run under test with all its records.
struct Walk {
    records: Vec<Record>,
    state: RunState,
}

impl Walk {
    fn new(steps: Vec<Step>) -> Self {
        let first = started(steps);
        Self { state: RunState::begin(&first).unwrap(), records: vec![first] }
    }

    fn record(&self, event: Event) -> Record {
        let seq = self.state.seq() + 1;
        Record { seq, at: Wall(seq), event }
    }

    fn try_push(&mut self, event: Event) -> bool {
        let record = self.record(event);
        let before = self.state.clone();
        match self.state.apply(&record) {
            Ok(()) => {
                self.records.push(record);
                true
            }
            Err(_) => {
                assert_eq!(self.state, before, "a refused event changed the state");
                false
            }
        }
    }

    fn push(&mut self, event: Event) {
        let record = self.record(event);
        self.state.apply(&record).unwrap();
        self.records.push(record);
    }

    fn start(&mut self, id: &str, attempt: u32) {
        self.push(Event::StepStarted { step: id.into(), attempt });
    }

    fn give(&mut self, id: &str, attempt: u32, result: Returned) {
        self.push(Event::StepReturned { step: id.into(), attempt, result });
    }

    fn done(&mut self, id: &str) {
        self.start(id, 1);
        self.give(id, 1, Ok(Outcome::done()));
    }
}

fn position() -> Position {
    Position { lineage: "a".into(), value: "1".into(), unit: "n".into() }
}

/// Any of the answers a driver may give.
fn answer(dice: u8) -> Returned {
    match dice % 13 {
        0..5 => Ok(Outcome::Done { output: Output { position: Some(position()), ..Output::default() } }),
        5 => Ok(Outcome::Skipped { why: "so already".into() }),
        6 => Ok(Outcome::Warned { output: Output::default(), warning: "hm".into() }),
        7 => Ok(Outcome::Accepted { handle: "h".into() }),
        8 => Err(Failure::transient("later")),
        9 => Err(Failure::rejected("no")),
        10 => Err(Failure::unknown("?")),
        _ => Err(Failure::unreachable("away")),
    }
}

/// One legal thing to record for a command; `None` leaves it for later.
fn respond(command: &Command, dice: u8) -> Vec<Event> {
    let undo_answer = |dice| match answer(dice) {
        Ok(Outcome::Accepted { .. }) => Ok(Outcome::done()),
        other => other,
    };
    match command.clone() {
        Command::Start { step, attempt, .. } => vec![
            Event::StepStarted { step: step.clone(), attempt },
            Event::StepReturned { step, attempt, result: answer(dice) },
        ],
        Command::Fail { step, why } => vec![Event::StepFailed { step, why }],
        Command::Observe { step } if dice.is_multiple_of(4) => {
            vec![Event::StepFailed { step, why: "never seen".into() }]
        }
        Command::Observe { step } => vec![Event::StepHolds { step }],
        Command::Look { step, attempt, .. } => match dice % 4 {
            0 => vec![Event::StepHolds { step }],
            1 => vec![Event::StepReturned { step, attempt, result: answer(dice / 4) }],
            2 => vec![Event::Stuck { step, why: "not to be seen".into() }],
            _ => vec![Event::StepReturned { step, attempt, result: Ok(Outcome::done()) }],
        },
        Command::Reattach { step, .. } if dice.is_multiple_of(5) => vec![Event::Stuck { step, why: "still".into() }],
        Command::Reattach { step, attempt, .. } => {
            vec![Event::StepReturned { step, attempt, result: Ok(Outcome::done()) }]
        }
        Command::Undo { step, attempt, .. } => vec![
            Event::UndoStarted { step: step.clone(), attempt },
            Event::UndoReturned { step, attempt, result: undo_answer(dice) },
        ],
        Command::LookUndo { step, .. } if dice.is_multiple_of(3) => vec![Event::Stuck { step, why: "?".into() }],
        Command::LookUndo { step, attempt, .. } => {
            vec![Event::UndoReturned { step, attempt, result: Ok(Outcome::done()) }]
        }
        Command::AskApproval { step } => vec![Event::Approved { step, by: "ada".into() }],
        Command::End { result } => vec![Event::RunEnded { result }],
    }
}

/// Something a person or a crash may do at any time; often illegal.
fn intrude(walk: &Walk, dice: u8, which: usize) -> Event {
    let steps = &walk.state.runbook().steps;
    let step = steps[which % steps.len()].id.clone();
    let by = "ada".to_owned();
    match dice % 13 {
        0 => Event::Paused { by, why: "tea".into() },
        1 | 2 => Event::Resumed { by },
        3 => Event::AbortAsked { by },
        4 => Event::StepSkipped { step, by, why: "by hand".into() },
        5 => Event::Approved { step, by },
        6 | 7 => Event::Recovered { by },
        8 => Event::StepStarted { step, attempt: 1 },
        9 => Event::UndoStarted { step, attempt: 1 },
        10 => Event::StepHolds { step },
        11 => Event::Overtaken { why: "an old copy".into() },
        _ => Event::RunEnded { result: RunResult::Done },
    }
}

fn any_step(i: usize) -> impl Strategy<Value = Step> {
    let flags = (any::<[bool; 4]>(), 0..8u8, 0..3u32, 0..3u8);
    (proptest::collection::vec(0..10usize, 0..3), flags).prop_map(move |(needs, (bits, kind, retries, failure))| {
        let id = format!("s{i}");
        let mut needs: Vec<String> = needs.iter().filter(|n| **n < i).map(|n| format!("s{n}")).collect();
        needs.dedup();
        let effect = match kind {
            0 => Effect::Fence { component: component(), region: region() },
            1 => Effect::Promote { component: component(), region: region() },
            2 if i > 0 => Effect::AwaitPosition {
                component: component(),
                region: region(),
                position: HandOver::From(StepId::new(format!("s{}", i - 1))),
            },
            3 => Effect::Checkpoint { component: component(), region: region() },
            _ => command("true"),
        };
        let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
        let mut step = step(&id, &needs, effect);
        let target = Target { component: component(), region: Some(region()) };
        step.after = bits[0].then_some(Condition::IsWriter { target });
        step.undo = bits[1].then(|| command("back"));
        step.approval = bits[2] && bits[3];
        step.retries = retries;
        step.on_failure = [OnFailure::Pause, OnFailure::GoOn, OnFailure::Undo][usize::from(failure)];
        step
    })
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    (1..10usize).prop_flat_map(|n| (0..n).map(any_step).collect::<Vec<_>>())
}

/// Checks a new event against the state before it.
fn check(before: &RunState, event: &Event) {
    match event {
        Event::StepStarted { step, .. } => {
            for need in &before.runbook().step(step).unwrap().needs {
                assert!(before.phase(need).unwrap().is_settled(), "{step} started before {need}");
            }
            assert!(!before.is_paused() && !before.is_aborting(), "{step} started while the run was held");
            let undone = |s: &&Step| before.phase(&s.id).is_some_and(Phase::is_of_an_undo);
            let undone = before.runbook().steps.iter().find(undone);
            assert!(undone.is_none(), "{step} started after something was taken back: {undone:?}");
        }
        Event::UndoStarted { step, .. } => assert!(!before.is_past_return(), "{step} undone after no return"),
        Event::StepSkipped { step, .. } => {
            let effect = &before.runbook().step(step).unwrap().effect;
            let undo = matches!(before.phase(step), Some(Phase::UndoStuck { .. }));
            assert!(undo || !matches!(effect, Effect::Fence { .. }), "a fence was passed over by hand");
        }
        _ => {}
    }
}

/// What must be refused here, whatever is commanded: tried on a copy.
fn check_refusals(walk: &Walk) {
    let legal = |event: Event| walk.state.clone().apply(&walk.record(event)).is_ok();
    for step in &walk.state.runbook().steps {
        let id = || step.id.clone();
        let phases = walk.state.runbook().steps.iter().filter_map(|s| walk.state.phase(&s.id));
        if walk.state.is_past_return() || phases.into_iter().any(Phase::is_in_flight) {
            for attempt in 1..3 {
                assert!(!legal(Event::UndoStarted { step: id(), attempt }), "{} undone too late or too soon", step.id);
            }
        }
        let begun_undoing = matches!(walk.state.phase(&step.id), Some(Phase::Undone | Phase::Left { .. }));
        if begun_undoing {
            assert!(
                !legal(Event::Approved { step: id(), by: "ada".into() }),
                "{} goes forward after its undo",
                step.id
            );
        }
        let in_hand = matches!(walk.state.phase(&step.id), Some(Phase::UndoStuck { .. }));
        if matches!(step.effect, Effect::Fence { .. }) && !in_hand {
            let skip = Event::StepSkipped { step: id(), by: "ada".into(), why: String::new() };
            assert!(!legal(skip), "{} makes the old writer silent and was passed over", step.id);
        }
    }
    let undoing = walk.records.iter().any(|r| matches!(r.event, Event::UndoStarted { .. }));
    if undoing {
        for command in walk.state.commands() {
            assert!(!matches!(command, Command::Start { .. }), "forward after an undo: {command:?}");
        }
        for step in &walk.state.runbook().steps {
            let in_hand = matches!(walk.state.phase(&step.id), Some(Phase::UndoStuck { .. }));
            let skip = Event::StepSkipped { step: step.id.clone(), by: "ada".into(), why: String::new() };
            assert!(in_hand || !legal(skip), "{} was passed over while the run is taken back", step.id);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_legal_walk_ends_or_waits_for_a_person(
        steps in any_steps(),
        dice in proptest::collection::vec(any::<(u8, u8, usize)>(), 200),
    ) {
        let mut walk = Walk::new(steps);
        for (i, (answer, intrusion, which)) in dice.into_iter().enumerate() {
            if intrusion < 40 {
                let before = walk.state.clone();
                let event = intrude(&walk, answer, which);
                if walk.try_push(event.clone()) {
                    check(&before, &event);
                }
            }
            check_refusals(&walk);
            let commands = walk.state.commands();
            if commands.is_empty() {
                // A crash in the middle leaves nothing in flight that is not looked at; else a person is named.
                let under_way = walk.state.runbook().steps.iter().any(|s| {
                    matches!(walk.state.phase(&s.id), Some(Phase::Started | Phase::Undoing { .. }))
                });
                prop_assert!(
                    walk.state.ended().is_some() || under_way || !walk.state.waits_for().is_empty(),
                    "nothing to do and nobody to wait for: {:#?}", walk.state.view()
                );
                if walk.state.ended().is_some() { break; }
                let by = "ada".to_owned();
                let event = if under_way { Event::Recovered { by } } else { Event::Resumed { by } };
                let _ = walk.try_push(event);
                continue;
            }
            for event in respond(&commands[i % commands.len()], answer) {
                let before = walk.state.clone();
                check(&before, &event);
                walk.push(event);
            }
        }
        // Every prefix replays, and the whole replays to the same state.
        let replayed = RunState::replay(&walk.records).unwrap();
        prop_assert_eq!(&replayed, &walk.state);
        for end in 1..walk.records.len() {
            prop_assert!(RunState::replay(&walk.records[..end]).is_ok());
        }
    }

    #[test]
    fn good_answers_always_lead_to_the_end(steps in any_steps(), order in proptest::collection::vec(any::<usize>(), 64)) {
        let mut walk = Walk::new(steps);
        for pick in order {
            let commands = walk.state.commands();
            let Some(command) = commands.get(pick % commands.len().max(1)) else { break };
            let good = if matches!(command, Command::Observe { .. }) { 1 } else { 0 };
            for event in respond(command, good) {
                walk.push(event);
            }
            if walk.state.commands().is_empty() && walk.state.is_paused() {
                // Only a position that was never handed over can hold it.
                let failed = walk.state.waits_for();
                prop_assert!(failed.iter().all(|w| w.contains("handed over no position")), "{:?}", failed);
                return Ok(());
            }
        }
        prop_assert!(walk.state.ended().is_some());
    }
}

#[test]
fn a_runbook_that_cannot_be_walked_is_refused() {
    let circle = vec![step("a", &["b"], command("a")), step("b", &["a"], command("b"))];
    let twice = vec![step("a", &[], command("a")), step("a", &[], command("b"))];
    let missing = vec![step("a", &["z"], command("a"))];
    for (steps, expected) in [(circle, "needs itself"), (twice, "twice"), (missing, "not in the runbook")] {
        let error = RunState::begin(&started(steps)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn records_out_of_order_are_refused() {
    let mut walk = Walk::new(vec![step("a", &[], command("a"))]);
    for seq in [0, 1, 3, u64::MAX] {
        let record = Record { seq, at: Wall(0), event: Event::Recovered { by: "x".into() } };
        assert!(walk.state.apply(&record).is_err(), "record {seq}");
    }
    assert!(walk.try_push(Event::Recovered { by: "x".into() }));
}

#[test]
fn what_is_unknown_is_looked_at_and_never_tried_again() {
    for kind in [FailureKind::Transient, FailureKind::Unreachable, FailureKind::OutcomeUnknown] {
        let mut steps = vec![step("a", &[], command("a"))];
        steps[0].retries = 9;
        let mut walk = Walk::new(steps);
        walk.start("a", 1);
        walk.push(Event::Recovered { by: "x".into() });
        walk.give("a", 1, Err(Failure::new(kind, "?")));
        let commands = walk.state.commands();
        assert!(matches!(&commands[..], [Command::Look { attempt: 1, .. }]), "{kind:?}: {commands:?}");
    }
}

#[test]
fn what_may_have_changed_something_is_taken_back_and_what_cannot_have_is_not() {
    for (first, undone) in [(Failure::unknown("?"), true), (Failure::rejected("no"), false)] {
        let mut steps = vec![step("a", &[], command("a"))];
        steps[0].undo = Some(command("back"));
        let mut walk = Walk::new(steps);
        walk.start("a", 1);
        walk.give("a", 1, Err(first.clone()));
        if undone {
            walk.give("a", 1, Err(Failure::rejected("the second call changed nothing; the first may have")));
        }
        walk.push(Event::AbortAsked { by: "ada".into() });
        let commands = walk.state.commands();
        assert_eq!(matches!(&commands[..], [Command::Undo { .. }]), undone, "{first:?}: {commands:?}");
    }
}

#[test]
fn retries_are_counted_and_a_person_may_grant_more() {
    let mut steps = vec![step("a", &[], command("a"))];
    steps[0].retries = 1;
    let mut walk = Walk::new(steps);
    for attempt in [1, 2] {
        walk.start("a", attempt);
        walk.give("a", attempt, Err(Failure::transient("later")));
    }
    assert!(walk.state.commands().is_empty() && walk.state.is_paused());
    walk.push(Event::Resumed { by: "ada".into() });
    assert!(matches!(&walk.state.commands()[..], [Command::Start { attempt: 3, .. }]));
    walk.start("a", 3);
    walk.give("a", 3, Ok(Outcome::done()));
    assert_eq!(walk.state.commands(), [Command::End { result: RunResult::Done }]);
}

#[test]
fn a_hand_over_position_reaches_the_step_that_waits_for_it() {
    let stop = Effect::StopWrites { component: component(), region: region() };
    let wait = |position| Effect::AwaitPosition { component: component(), region: region(), position };
    let from = wait(HandOver::From(StepId::from("stop")));
    let mut walk = Walk::new(vec![step("stop", &[], stop), step("wait", &["stop"], from)]);
    assert!(walk.state.hands_over(&"stop".into()));
    walk.start("stop", 1);
    let output = Output { position: Some(position()), ..Output::default() };
    walk.give("stop", 1, Ok(Outcome::Done { output }));
    let expected = Command::Start { step: "wait".into(), attempt: 1, effect: wait(HandOver::At(position())) };
    assert_eq!(walk.state.commands(), [expected]);
}

#[test]
fn events_are_written_with_their_names() {
    let walk = Walk::new(vec![step("a", &[], command("a"))]);
    let failed = Event::StepReturned { step: "a".into(), attempt: 1, result: Err(Failure::rejected("no")) };
    for event in [walk.records[0].event.clone(), failed, Event::RunEnded { result: RunResult::DoneWithWarnings }] {
        let record = Record { seq: 7, at: Wall(8), event };
        let text = serde_json::to_string(&record).unwrap();
        assert!(text.contains(&format!("\"event\":\"{}\"", record.event.name())), "{text}");
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}

#[test]
fn what_cannot_be_is_said_in_words() {
    let walk = Walk::new(vec![step("a", &[], command("a"))]);
    let refused = |event| walk.state.clone().apply(&Record { seq: 2, at: Wall(8), event }).unwrap_err().to_string();
    let skip = Event::StepSkipped { step: "nostep".into(), by: "ada".to_owned(), why: String::new() };
    assert_eq!(refused(skip), "step nostep cannot be skipped now: the runbook has no such step");
    assert_eq!(
        refused(Event::Resumed { by: "ada".to_owned() }),
        "the run cannot be resumed now: the run is not paused"
    );
}
