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

/// West writes, and a person asks for a failover there.
fn moved(driver: impl FnOnce(&mut Descriptor)) -> Scene {
    let scene = Scene::new(usual(), Verb::Failover, "west").driver("database", driver);
    Scene { consent: Consent::Given, ..scene.role("database", "west", Role::Writer) }
}

/// Like RDS: no agent, a fence of its own and several calls.
fn api(d: &mut Descriptor) {
    d.needs_agent = false;
    d.fence_assurance = FenceAssurance::ConnectionsCut;
    d.guard = Guard::CallerChecked;
}

#[test]
fn a_writer_that_was_moved_by_hand_is_entered_by_a_persons_failover() {
    let follows = moved(provider).role("database", "east", standby("west", true));
    let graph = follows.graph();
    assert!(graph.contains(&"switch-database-west < grant-west".to_owned()), "{graph:?}");
    assert!(graph.contains(&"route-name < switch-database-west, scale-payments-west".to_owned()), "{graph:?}");
    let step = |scene: &Scene, id: &str| scene.runbook().step(&id.into()).expect("it is a step").clone();
    let why = step(&follows, "switch-database-west").why;
    assert!(why.contains("seen to write already") && why.contains("In east it is a standby"), "{why}");

    let silent = moved(provider).without("east");
    let why = step(&silent, "switch-database-west").why;
    assert!(why.contains("Nothing stops database in east if it lives"), "{why}");

    let replica = moved(api).role("database", "east", standby("west", true));
    assert!(replica.graph().iter().all(|step| !step.starts_with("fence-")), "{:?}", replica.graph());
    let fenced = moved(api).role("database", "east", FENCED);
    assert!(fenced.graph().contains(&"grant-west < fence-database-east".to_owned()), "{:?}", fenced.graph());
}

/// Wherever two might write, it is refused as before.
#[test]
fn a_second_writer_is_never_entered() {
    let stopped = Role::Down { clean: true, was_writer: true };
    let east = |role: Role| moved(provider).role("database", "east", role);
    let mut cases: Vec<Scene> =
        [Role::Writer, Role::Unresponsive, Role::Unknown, stopped.clone()].map(east).into_iter().collect();
    cases.push(Scene { consent: Consent::Policy, ..east(standby("west", true)) });
    cases.push(Scene { consent: Consent::AskFirst, ..east(standby("west", true)) });
    let mut planned = east(standby("west", true));
    (planned.intent.verb, planned.intent.mode) = (Verb::Switchover, Mode::Graceful);
    cases.push(planned);
    cases.push(moved(|_| ()).role("database", "east", standby("west", true)));
    cases.push(moved(|_| ()).without("east"));
    for case in cases {
        assert_eq!(case.refusal().code(), "PL-0207", "{:?}", case.seen);
    }
    let graph = moved(api).role("database", "east", stopped).graph();
    assert!(graph.contains(&"grant-west < fence-database-east".to_owned()), "it is fenced first: {graph:?}");
}
