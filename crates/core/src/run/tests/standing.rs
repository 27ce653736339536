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
