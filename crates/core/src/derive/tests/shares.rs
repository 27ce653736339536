//! Failbacks whose traffic shifts by shares.

use super::*;

/// Home is west here.
fn by_shares(order: ShiftOrder) -> Scene {
    let mut plan = usual();
    let second = std::time::Duration::from_secs(1);
    plan.failback = Some(FailbackPlan {
        order,
        shares: vec![10, 100],
        watch: second * 60,
        every: second,
        max_errors: 1,
        approval: false,
        soak: second * 60,
        max_lag_bytes: 1_024,
    });
    Scene::new(plan, Verb::Failback, "west")
}

#[test]
fn traffic_follows_the_writer_home_by_shares() {
    assert_eq!(
        by_shares(ShiftOrder::WriterFirst).graph(),
        [
            "notify-start-chat",
            "scale-payments-west",
            "soak-database-west",
            "checkpoint-database-east < soak-database-west",
            "stop-writes-database-east < checkpoint-database-east, soak-database-west, scale-payments-west",
            "await-position-database-west < stop-writes-database-east",
            "grant-west < soak-database-west, await-position-database-west, scale-payments-west",
            "promote-database-west < grant-west, scale-payments-west",
            "shift-10-west < promote-database-west, scale-payments-west",
            "shift-100-west < shift-10-west",
            "verify-1 < shift-100-west",
            "verify-2 < verify-1",
            "notify-end-chat < verify-2",
            "rejoin-database-east < promote-database-west",
            "scale-down-payments-east < verify-2",
        ]
    );
}

#[test]
fn traffic_goes_ahead_of_the_writer_where_the_plan_says_so() {
    assert_eq!(
        by_shares(ShiftOrder::TrafficFirst).graph(),
        [
            "notify-start-chat",
            "scale-payments-west",
            "soak-database-west",
            "shift-10-west < soak-database-west, scale-payments-west",
            "shift-100-west < shift-10-west",
            "checkpoint-database-east < shift-100-west",
            "stop-writes-database-east < checkpoint-database-east, shift-100-west, scale-payments-west",
            "await-position-database-west < stop-writes-database-east",
            "grant-west < shift-100-west, await-position-database-west, scale-payments-west",
            "promote-database-west < grant-west, scale-payments-west",
            "route-name < promote-database-west, scale-payments-west",
            "verify-1 < route-name",
            "verify-2 < verify-1",
            "notify-end-chat < verify-2",
            "rejoin-database-east < promote-database-west",
            "scale-down-payments-east < verify-2",
        ]
    );
    let other = Scene {
        intent: Intent { verb: Verb::Switchover, ..by_shares(ShiftOrder::TrafficFirst).intent },
        ..by_shares(ShiftOrder::TrafficFirst)
    };
    assert!(other.graph().iter().all(|s| !s.starts_with("shift") && !s.starts_with("soak")), "only a failback");
}

#[test]
fn a_person_is_asked_once_all_is_ready_and_before_users_notice() {
    for (order, asks, needs) in [
        (ShiftOrder::WriterFirst, "checkpoint-database-east", "soak-database-west, scale-payments-west"),
        (ShiftOrder::TrafficFirst, "shift-10-west", "soak-database-west, scale-payments-west"),
    ] {
        let mut scene = by_shares(order);
        scene.plan.failback.as_mut().expect("made above").approval = true;
        let runbook = scene.runbook();
        let asking: Vec<&str> = runbook.steps.iter().filter(|s| s.approval).map(|s| s.id.as_str()).collect();
        assert_eq!(asking, [asks], "{order:?}");
        assert!(scene.graph().contains(&format!("{asks} < {needs}")), "{:#?}", scene.graph());
        let free = |s: &&crate::runbook::Step| s.needs.is_empty() && s.phase != crate::runbook::Phase::Notify;
        let unasked: Vec<&str> = runbook.steps.iter().filter(free).map(|s| s.id.as_str()).collect();
        assert_eq!(unasked, ["scale-payments-west", "soak-database-west"], "{order:?}: only what prepares");
    }
}

#[test]
fn a_share_is_watched_by_what_users_at_home_meet_and_knows_the_way_back() {
    let asked = |scene: &Scene| {
        let runbook = scene.runbook();
        let step = runbook.step(&"shift-10-west".into()).expect("the first share");
        assert_eq!(step.on_failure, OnFailure::Pause, "a person looks");
        let Effect::Shift { shares, former, watch, .. } = &step.effect else { panic!("{step:?}") };
        let of =
            |all: &BTreeMap<Region, u32>| all.iter().map(|(r, s)| format!("{r} {s}")).collect::<Vec<_>>().join(", ");
        assert_eq!((of(shares), of(former)), ("east 90, west 10".to_owned(), "east 100".to_owned()));
        let names = watch.as_ref().expect("watched").probes.iter().map(|w| w.name.clone());
        names.collect::<Vec<_>>()
    };
    let mut scene = by_shares(ShiftOrder::WriterFirst);
    assert_eq!(asked(&scene), ["proof 1", "proof 2"]);
    let check = |regions: &[&str]| HealthPlan {
        unit: unit(),
        probe: regions.is_empty().then(crate::fixture::probe),
        regions: regions.iter().map(|r| (Region::from(*r), crate::fixture::probe())).collect(),
        every: std::time::Duration::from_secs(1),
        failures: 3,
        recoveries: 2,
        latency: None,
        from: Vec::new(),
        quorum: None,
        move_after: None,
        alarms: BTreeMap::new(),
    };
    scene.plan.health = [("front".into(), check(&["east", "west"])), ("gateway".into(), check(&[]))].into();
    assert_eq!(asked(&scene), ["front in west", "gateway"]);
}

#[test]
fn a_share_that_nothing_watches_promises_no_way_back_by_itself() {
    let mut scene = by_shares(ShiftOrder::WriterFirst);
    let why = |scene: &Scene| scene.runbook().step(&"shift-10-west".into()).expect("the first share").why.clone();
    assert!(why(&scene).contains("it goes back"), "{}", why(&scene));
    scene.plan.verify.clear();
    assert!(why(&scene).contains("Nobody is asked"), "{}", why(&scene));
}
