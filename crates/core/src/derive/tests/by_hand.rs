//! What somebody did to copies past Pilotlight: deleted them, or moved the writer.

use super::*;

/// What drivers are asked about is the whole move as it should be, and does not change with what stands in its way.
#[test]
fn what_is_refused_is_derived_as_planned_so_that_drivers_can_be_asked() {
    let whole = Scene::new(usual(), Verb::Switchover, "west");
    let gone = Role::Down { clean: true, was_writer: false };
    let cases = [
        Scene::new(usual(), Verb::Switchover, "west").role("database", "west", gone),
        Scene::new(usual(), Verb::Switchover, "west").role("database", "west", Role::Writer),
        Scene::new(usual(), Verb::Switchover, "west").role("database", "east", Role::Unresponsive),
        Scene::new(usual(), Verb::Switchover, "west").without("east"),
    ];
    for case in cases {
        let refused = case.refusal();
        let planned = derive_as_planned(&case.derivation()).unwrap_or_else(|e| panic!("{refused}: {e}"));
        assert_eq!(planned, whole.runbook(), "{refused}");
    }
    let nowhere = Scene::new(usual(), Verb::Switchover, "south");
    assert_eq!(derive_as_planned(&nowhere.derivation()).map_err(|r| r.code()), Err("PL-0202"));
}
