//! How a run stands, as people read it.

use super::*;
use crate::run::Condition as Stands;
use crate::runbook::returning;

fn paused(why: &str) -> Event {
    Event::Paused { by: "ada".into(), why: why.into() }
}

#[test]
fn a_pause_says_at_once_what_it_waits_for_and_afterwards_that_a_person_must_act() {
    let mut walk = Walk::new(vec![step("a", &[], command("a")), step("b", &["a"], command("b"))]);
    walk.start("a", 1);
    walk.push(paused("lunch"));
    let Stands::Pausing { steps, why } = walk.state.condition() else { panic!("{:?}", walk.state.condition()) };
    assert_eq!(steps, [StepId::from("a")]);
    assert_eq!(why, ["paused by ada: lunch; resume it or abort it"]);
    walk.give("a", 1, Ok(Outcome::done()));
    assert_eq!(walk.state.condition(), Stands::Waiting { why });
}

#[test]
fn a_pause_without_a_reason_has_no_empty_one() {
    let mut walk = Walk::new(vec![step("a", &[], command("a"))]);
    walk.push(paused(""));
    assert_eq!(walk.state.waits_for(), ["paused by ada; resume it or abort it"]);
}

#[test]
fn a_rejoin_is_told_by_who_comes_back_and_not_as_a_move_from_somewhere_to_itself() {
    let (east, west) = (Region::from("east"), Region::from("west"));
    let follow =
        Effect::Rejoin { component: component(), region: Region::from("west"), upstream: Region::from("east") };
    let back = returning([&follow, &command("a"), &follow].into_iter());
    assert_eq!(back, std::slice::from_ref(&west));
    assert_eq!(Verb::Rejoin.told(&east, &east, &back), "rejoin of west");
    assert_eq!(Verb::Rejoin.told(&east, &east, &[]), "rejoin, the writer stays in east");
    assert_eq!(Verb::Switchover.told(&east, &east, &[]), "switchover, the writer stays in east");
    assert_eq!(Verb::Failover.told(&east, &west, &back), "failover from east to west");
    let intent =
        |verb, to| Intent { unit: "payments".into(), verb, mode: Mode::Graceful, target: Placement::in_region(to) };
    assert_eq!(intent(Verb::Rejoin, &east).aim(), "rejoin, so that copies follow east again");
    assert_eq!(intent(Verb::Failover, &west).aim(), "failover to west");
}

fn note() -> Step {
    let message = "failover started".to_owned();
    let effect = Effect::Notify { component: Component::from("people"), message };
    Step { on_failure: OnFailure::GoOn, retries: 2, ..step("note", &[], effect) }
}

#[test]
fn a_note_that_may_have_been_told_is_not_told_twice_and_holds_nothing_up() {
    let mut walk = Walk::new(vec![note(), step("a", &[], command("a")), step("b", &["a"], command("b"))]);
    walk.start("note", 1);
    walk.start("a", 1);
    walk.give("note", 1, Err(Failure::unknown("no answer came")));
    let commands = walk.state.commands();
    let [Command::Fail { step, why }] = &commands[..] else { panic!("{commands:?}") };
    assert_eq!((step.as_str(), why.as_str()), ("note", "it may have been told: no answer came"));
    walk.push(Event::StepFailed { step: step.clone(), why: why.clone() });
    assert!(matches!(walk.state.phase(&"note".into()), Some(Phase::PassedOver { .. })));
    walk.give("a", 1, Ok(Outcome::done()));
    assert!(!walk.state.is_paused());
    walk.done("b");
    assert_eq!(walk.state.commands(), [Command::End { result: RunResult::DoneWithWarnings }]);
}

#[test]
fn a_note_that_a_crash_interrupted_is_told_once_more() {
    let mut walk = Walk::new(vec![note()]);
    walk.start("note", 1);
    walk.give("note", 1, Err(Failure::unreachable("away")));
    walk.start("note", 2);
    walk.push(Event::Recovered { by: "next".into() });
    assert!(matches!(walk.state.commands()[..], [Command::Look { attempt: 2, .. }]), "{:?}", walk.state.commands());
    walk.give("note", 2, Err(Failure::unknown("no answer came")));
    assert!(matches!(walk.state.commands()[..], [Command::Fail { .. }]), "{:?}", walk.state.commands());
}

#[test]
fn what_a_move_rests_on_is_looked_at_although_the_run_would_go_on() {
    let mut walk = Walk::new(vec![Step { on_failure: OnFailure::GoOn, ..step("a", &[], command("a")) }]);
    walk.start("a", 1);
    walk.give("a", 1, Err(Failure::unknown("no answer came")));
    assert!(matches!(walk.state.commands()[..], [Command::Look { .. }]), "{:?}", walk.state.commands());
}
