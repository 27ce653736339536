//! The end before the end: what is taken back, from where on there is only forward, and for whom a run gives way.

use super::*;

#[test]
fn an_abort_undoes_newest_first_before_the_point_of_no_return() {
    let mut steps =
        vec![step("a", &[], command("a")), step("b", &["a"], command("b")), step("c", &["b"], command("c"))];
    for s in &mut steps {
        s.undo = Some(command("back"));
    }
    let mut walk = Walk::new(steps);
    walk.done("a");
    walk.done("b");
    walk.push(Event::AbortAsked { by: "ada".into() });
    for expected in ["b", "a"] {
        let commands = walk.state.commands();
        assert!(matches!(&commands[..], [Command::Undo { step, .. }] if step.as_str() == expected), "{commands:?}");
        walk.push(Event::UndoStarted { step: expected.into(), attempt: 1 });
        walk.push(Event::UndoReturned { step: expected.into(), attempt: 1, result: Ok(Outcome::done()) });
    }
    assert_eq!(walk.state.commands(), [Command::End { result: RunResult::Undone }]);
}

#[test]
fn a_run_gives_way_until_it_touches_the_writer() {
    let stop = Effect::StopWrites { component: component(), region: region() };
    let scale = Effect::SetCapacity { component: component(), region: region(), instances: 2 };
    let mut walk = Walk::new(vec![step("scale", &[], scale), step("stop", &["scale"], stop)]);
    assert!(!walk.state.stance().gives_way, "a failover never does");
    let gives_way = |walk: &Walk| {
        let mut state = walk.state.clone();
        state.runbook.intent.verb = Verb::Switchover;
        state.stance().gives_way
    };
    assert!(gives_way(&walk), "nothing has begun");
    walk.done("scale");
    assert!(gives_way(&walk), "instances do no harm");
    walk.push(Event::Paused { by: "ada".into(), why: String::new() });
    assert!(gives_way(&walk), "a paused one as well");
    walk.push(Event::Resumed { by: "ada".into() });
    walk.start("stop", 1);
    assert!(!gives_way(&walk), "the writer may be stopped by now");
}

#[test]
fn a_run_gives_way_again_when_the_writer_has_arrived() {
    let promote = Effect::Promote { component: component(), region: region() };
    let watch = Effect::SetCapacity { component: component(), region: region(), instances: 2 };
    let mut walk = Walk::new(vec![step("promote", &[], promote), step("shift", &["promote"], watch)]);
    let gives_way = |walk: &Walk| {
        let mut state = walk.state.clone();
        state.runbook.intent.verb = Verb::Failback;
        state.stance().gives_way
    };
    walk.start("promote", 1);
    assert!(!gives_way(&walk), "nobody knows where the writer is");
    walk.give("promote", 1, Ok(Outcome::done()));
    walk.start("shift", 1);
    assert!(gives_way(&walk), "only users are still under way");
    assert!(!walk.state.stance().gives_way, "a failover never does");
}

#[test]
fn an_abort_after_the_point_of_no_return_leaves_everything() {
    let promote = Effect::Promote { component: component(), region: region() };
    let mut steps = vec![step("a", &[], command("a")), step("p", &["a"], promote), step("z", &["p"], command("z"))];
    steps[0].undo = Some(command("back"));
    let mut walk = Walk::new(steps);
    walk.done("a");
    walk.start("p", 1);
    walk.push(Event::AbortAsked { by: "ada".into() });
    assert_eq!(walk.state.commands(), [], "the promotion is still under way");
    let mut refused = RunState::replay(&walk.records).unwrap();
    let no = Event::StepReturned { step: "p".into(), attempt: 1, result: Err(Failure::rejected("no")) };
    refused.apply(&walk.record(no)).unwrap();
    assert!(matches!(&refused.commands()[..], [Command::Undo { .. }]), "a promotion that was refused is no promotion");
    walk.give("p", 1, Ok(Outcome::done()));
    assert_eq!(walk.state.commands(), [Command::End { result: RunResult::Aborted }]);
}

#[test]
fn a_copy_that_was_the_writer_already_is_past_the_point_of_no_return_too() {
    let promote = Effect::Promote { component: component(), region: region() };
    let mut steps = vec![step("a", &[], command("a")), step("p", &["a"], promote), step("z", &["p"], command("z"))];
    steps[0].undo = Some(command("back"));
    let mut walk = Walk::new(steps);
    walk.done("a");
    walk.start("p", 1);
    walk.give("p", 1, Ok(Outcome::Skipped { why: "it is the writer already".to_owned() }));
    walk.push(Event::AbortAsked { by: "ada".into() });
    assert_eq!(walk.state.commands(), [Command::End { result: RunResult::Aborted }], "the old writer stays silent");
}

#[test]
fn a_prepared_failover_is_withdrawn_while_nothing_of_it_has_begun() {
    let promote = Effect::Promote { component: component(), region: region() };
    let mut steps =
        vec![step("tell", &[], command("tell")), step("fence", &[], command("fence")), step("p", &["fence"], promote)];
    steps[0].phase = crate::runbook::Phase::Notify;
    steps[1].approval = true;
    let withdrawn = || Event::Withdrawn { why: "east works again".into(), evidence: vec!["east takes writes".into()] };
    let mut walk = Walk::new(steps);
    walk.start("tell", 1);
    let mut begun = RunState::replay(&walk.records).unwrap();
    walk.push(withdrawn());
    assert_eq!(walk.state.commands(), [], "a message is under way");
    assert!(
        matches!(walk.state.condition(), crate::run::Condition::Unwinding { why } if why.contains("east works again"))
    );
    walk.give("tell", 1, Ok(Outcome::done()));
    assert_eq!(walk.state.commands(), [Command::End { result: RunResult::Withdrawn }]);
    let mut next = |event| {
        let record = Record { seq: begun.seq() + 1, at: Wall(9), event };
        begun.apply(&record)
    };
    next(Event::Approved { step: "fence".into(), by: "ada".into() }).unwrap();
    next(Event::StepStarted { step: "fence".into(), attempt: 1 }).unwrap();
    let refused = next(withdrawn()).unwrap_err();
    assert!(refused.to_string().contains("a step has begun"), "{refused}");
}

/// Steps `stop`, which can be taken back, and `p`, the promotion, and a run that has stopped the old writer.
fn stopped() -> Walk {
    let promote = Effect::Promote { component: component(), region: region() };
    let mut steps =
        vec![step("stop", &[], command("stop")), step("w", &["stop"], command("w")), step("p", &["w"], promote)];
    steps[0].undo = Some(command("back"));
    steps[1].on_failure = OnFailure::Undo;
    let mut walk = Walk::new(steps);
    walk.done("stop");
    walk
}

fn overtaken() -> Event {
    Event::Overtaken { why: "an old copy of the store was put back".into() }
}

#[test]
fn a_run_whose_store_is_an_old_copy_leads_nobody_back_and_may_go_forward() {
    let mut walk = stopped();
    walk.push(overtaken());
    assert!(!walk.try_push(overtaken()), "once");
    assert!(walk.state.is_past_return() && walk.state.view().past_return);
    let mut aborted = RunState::replay(&walk.records).unwrap();
    aborted.apply(&walk.record(Event::AbortAsked { by: "ada".into() })).unwrap();
    assert_eq!(aborted.commands(), [Command::End { result: RunResult::Aborted }], "the old writer stays silent");
    walk.start("w", 1);
    walk.give("w", 1, Err(Failure::rejected("no")));
    assert_eq!(walk.state.commands(), [], "a step that failed takes nothing back either");
    assert!(matches!(walk.state.condition(), crate::run::Condition::Waiting { .. }));
    walk.push(Event::Resumed { by: "ada".into() });
    assert!(matches!(&walk.state.commands()[..], [Command::Start { step, .. }] if step.as_str() == "w"));
}

#[test]
fn one_that_was_being_taken_back_stands_still_until_a_person_ends_it() {
    for answer in [Ok(Outcome::done()), Err(Failure::transient("not now"))] {
        let mut walk = stopped();
        walk.start("w", 1);
        walk.give("w", 1, Err(Failure::rejected("no")));
        walk.push(Event::UndoStarted { step: "stop".into(), attempt: 1 });
        walk.push(overtaken());
        walk.push(Event::UndoReturned { step: "stop".into(), attempt: 1, result: answer });
        assert_eq!(walk.state.commands(), [], "neither back nor forward");
        let condition = walk.state.condition();
        assert!(
            matches!(&condition, crate::run::Condition::Waiting { why } if why[0].contains("PL-0874")),
            "{condition:?}"
        );
        let _ = walk.try_push(Event::Resumed { by: "ada".into() });
        assert_eq!(walk.state.commands(), [], "nor when it is resumed");
        walk.push(Event::AbortAsked { by: "ada".into() });
        assert_eq!(walk.state.commands(), [Command::End { result: RunResult::Aborted }]);
    }
}

#[test]
fn a_run_says_whom_it_has_not_promoted_while_it_could_still_lead_the_old_writer_back() {
    let (west, elsewhere) = (Region::from("west"), Region::from("south"));
    let mut steps = stopped().state.runbook().steps.clone();
    steps[2].effect = Effect::Promote { component: component(), region: west.clone() };
    let other = Effect::Promote { component: "index".into(), region: elsewhere };
    steps.push(step("other", &["w"], other));
    assert_eq!(Walk::new(steps.clone()).state.not_yet_promoted(), [], "its undo makes nobody a writer");
    steps[0].undo = Some(Effect::ResumeWrites { component: component(), region: region() });
    let target = Target { component: component(), region: Some(west) };
    let mut walk = Walk::new(steps);
    walk.done("stop");
    assert_eq!(walk.state.not_yet_promoted(), std::slice::from_ref(&target));
    walk.done("w");
    walk.start("p", 1);
    assert_eq!(walk.state.not_yet_promoted(), [], "it is being promoted");
    walk.give("p", 1, Err(Failure::transient("it is no standby that runs")));
    assert_eq!(walk.state.not_yet_promoted(), [target], "nothing was done, says its agent");
    walk.push(overtaken());
    assert_eq!(walk.state.not_yet_promoted(), [], "it is known");
}

#[test]
fn one_that_is_being_ended_and_cannot_take_a_step_back_says_what_leads_on_to_whoever_ends_it_again() {
    let mut walk = stopped();
    walk.push(Event::AbortAsked { by: "ada".into() });
    let refused = |walk: &Walk| {
        let mut state = walk.state.clone();
        state.apply(&walk.record(Event::AbortAsked { by: "ada".into() })).unwrap_err().to_string()
    };
    assert!(refused(&walk).ends_with("is being ended already"), "it goes on by itself: {}", refused(&walk));
    walk.push(Event::UndoStarted { step: "stop".into(), attempt: 1 });
    let unheard = Err(Failure::new(FailureKind::Unreachable, "its agent is not heard"));
    walk.push(Event::UndoReturned { step: "stop".into(), attempt: 1, result: unheard });
    assert_eq!(walk.state.commands(), []);
    assert!(refused(&walk).contains("resume the run"), "{}", refused(&walk));
    walk.push(Event::Resumed { by: "ada".into() });
    assert!(matches!(&walk.state.commands()[..], [Command::Undo { step, attempt: 2, .. }] if step.as_str() == "stop"));
    walk.push(Event::UndoStarted { step: "stop".into(), attempt: 2 });
    walk.push(Event::UndoReturned { step: "stop".into(), attempt: 2, result: Ok(Outcome::done()) });
    assert_eq!(walk.state.commands(), [Command::End { result: RunResult::Undone }]);
}

#[test]
fn what_was_begun_elsewhere_and_refused_in_the_end_is_taken_back() {
    let mut stop = step("stop", &[], Effect::StopWrites { component: component(), region: region() });
    stop.undo = Some(Effect::ResumeWrites { component: component(), region: region() });
    stop.on_failure = OnFailure::Undo;
    let refused = || Err(Failure::rejected("the quota is used up"));
    let mut walk = Walk::new(vec![stop.clone()]);
    walk.start("stop", 1);
    walk.give("stop", 1, Ok(Outcome::Accepted { handle: "groups".into() }));
    walk.give("stop", 1, refused());
    assert!(matches!(&walk.state.commands()[..], [Command::Undo { step, attempt: 1, .. }] if step.as_str() == "stop"));
    let mut walk = Walk::new(vec![stop]);
    walk.start("stop", 1);
    walk.give("stop", 1, refused());
    assert_eq!(walk.state.commands(), [Command::End { result: RunResult::Undone }], "nothing was begun");
}
