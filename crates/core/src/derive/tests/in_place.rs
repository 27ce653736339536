//! What is started again: a writer that its agent gave up, where nobody takes its place, and a standby that died.

use super::*;

fn given_up() -> Scene {
    Scene::new(usual(), Verb::Failover, "east").role("database", "east", FENCED).without("west")
}

#[test]
fn it_is_started_again_where_it_is_and_users_are_led_there() {
    let case = given_up();
    assert_eq!(
        case.graph(),
        [
            "notify-start-chat",
            "scale-payments-east",
            "resume-writes-database-east",
            "route-name < resume-writes-database-east, scale-payments-east",
            "verify-1 < route-name",
            "verify-2 < verify-1",
            "notify-end-chat < verify-2",
        ]
    );
    let runbook = case.runbook();
    assert!(runbook.stays(), "the store names the writer all the while");
    let step = runbook.step(&"resume-writes-database-east".into()).expect("it is there");
    assert_eq!(step.title, "Start database in east again as the writer it was");
    assert!(matches!(step.after, Some(Condition::IsWriter { .. })), "{:?}", step.after);
    let standby = Scene::new(usual(), Verb::Failover, "east").role("database", "east", FENCED);
    assert_eq!(standby.graph(), case.graph(), "a person may choose it though a standby could take over");
}

#[test]
fn only_what_was_given_up_is_and_beside_nobody_who_writes() {
    assert_eq!(given_up().role("database", "west", Role::Writer).refusal().code(), "PL-0212");
    assert_eq!(given_up().without("east").refusal().code(), "PL-0201", "a fence that nobody sees is none");
    for role in [Role::Writer, Role::Down { clean: false, was_writer: true }, Role::Unresponsive, standby("west", true)]
    {
        let case = given_up().role("database", "east", role.clone());
        assert_eq!(case.refusal().code(), "PL-0201", "{role:?}");
    }
    let planned = Intent { mode: Mode::Graceful, verb: Verb::Switchover, ..given_up().intent };
    assert_eq!(Scene { intent: planned, ..given_up() }.refusal().code(), "PL-0201", "a planned move starts nothing");
    let by_api = given_up().driver("database", |d| d.needs_agent = false);
    assert_eq!(by_api.refusal().code(), "PL-0201", "no agent keeps such a fence");
}

#[test]
fn a_copy_that_was_a_writer_too_has_to_be_known_as_the_older_one() {
    let case = |east: Option<u32>, west: Option<u32>, role: Role| {
        let mut case =
            Scene::new(usual(), Verb::Failover, "east").role("database", "east", FENCED).role("database", "west", role);
        for (region, timeline) in [("east", east), ("west", west)] {
            let seen = case.seen.get_mut(&target("database", region)).expect("it was looked at");
            seen.facts.extend(timeline.map(|t| ("timeline".to_owned(), t.to_string())));
        }
        case
    };
    let crashed = || Role::Down { clean: false, was_writer: true };
    for role in [FENCED, crashed(), Role::Unknown] {
        assert!(case(Some(3), Some(2), role.clone()).derive().is_ok(), "{role:?}");
        for (east, west) in [(Some(2), Some(3)), (Some(2), Some(2)), (Some(2), None), (None, Some(2)), (None, None)] {
            assert_eq!(case(east, west, role.clone()).refusal().code(), "PL-0874", "{role:?}, {east:?}, {west:?}");
        }
    }
    let still = Role::Down { clean: true, was_writer: false };
    assert!(case(Some(2), Some(2), still).derive().is_ok(), "a standby's data holds nothing of its own");
}

#[test]
fn a_standby_that_died_is_made_the_writer_for_a_person_alone() {
    let died = Role::Down { clean: true, was_writer: false };
    let case = |consent| Scene {
        consent,
        ..Scene::new(usual(), Verb::Failover, "west").role("database", "east", FENCED).role(
            "database",
            "west",
            died.clone(),
        )
    };
    assert!(case(Consent::Given).graph().contains(&"promote-database-west < grant-west".to_owned()));
    assert_eq!(case(Consent::Policy).refusal().code(), "PL-0207");
    let mut empty = case(Consent::Given);
    let west = empty.seen.get_mut(&target("database", "west")).expect("it was looked at");
    west.facts.insert("data".to_owned(), "none".to_owned());
    assert_eq!(empty.refusal().code(), "PL-0207", "nothing is there that could be started");
}
