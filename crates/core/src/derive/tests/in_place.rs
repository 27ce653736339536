//! A writer that its agent gave up, where nobody takes its place.

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
