//! Plans whose regions all take traffic at rest.

use super::*;
use crate::plan::Shares;

fn shares(of: &[(&str, u32)]) -> Shares {
    of.iter().map(|(region, share)| ((*region).into(), *share)).collect()
}

/// Users are led by `led`; the move ends with `traffic`.
fn active(verb: Verb, to: &str, led: &[(&str, u32)], traffic: &[(&str, u32)]) -> Scene {
    let mut plan = usual();
    plan.shares = Some(shares(&[("east", 60), ("west", 40)]));
    let mut scene = Scene::new(plan, verb, to);
    scene.intent.target.traffic = shares(traffic);
    let name = Target { component: "name".into(), region: None };
    scene.seen.insert(name, State { shares: Some(shares(led)), ..State::default() });
    scene
}

fn steps() -> FailbackPlan {
    let second = std::time::Duration::from_secs(1);
    FailbackPlan {
        order: ShiftOrder::WriterFirst,
        shares: vec![10, 50, 100],
        watch: second * 60,
        every: second,
        max_errors: 1,
        approval: false,
        soak: std::time::Duration::ZERO,
        max_lag_bytes: 1_024,
    }
}

fn led(runbook: &Runbook) -> Vec<Shares> {
    let of = |s: &crate::runbook::Step| match &s.effect {
        Effect::Route { shares, .. } | Effect::Shift { shares, .. } => Some(shares.clone()),
        _ => None,
    };
    runbook.steps.iter().filter_map(of).collect()
}

#[test]
fn a_drain_leads_users_elsewhere_and_touches_no_writer() {
    let lost = active(Verb::Drain, "east", &[("east", 60), ("west", 40)], &[("east", 100)]).without("west");
    let graph = [
        "notify-start-chat",
        "scale-payments-east",
        "route-name < scale-payments-east",
        "verify-1 < route-name",
        "verify-2 < verify-1",
        "notify-end-chat < verify-2",
    ];
    assert_eq!(lost.graph(), graph);
    assert!(lost.runbook().stays());
    let alive = active(Verb::Drain, "east", &[("east", 60), ("west", 40)], &[("east", 100)]);
    assert_eq!(alive.graph().last().unwrap(), "scale-down-payments-west < verify-2");
    let drained = active(Verb::Drain, "east", &[("east", 100)], &[("east", 100)]);
    assert_eq!(drained.refusal().code(), "PL-0201", "it takes nothing any more");
}

#[test]
fn shares_that_drifted_are_led_back_although_the_same_regions_take_users() {
    let rest = [("east", 60), ("west", 40)];
    let mut drifted = active(Verb::Failback, "east", &[("east", 30), ("west", 70)], &rest);
    assert_eq!(led(&drifted.runbook()), [shares(&rest)], "at once where the plan has no steps");
    drifted.plan.failback = Some(steps());
    let by_steps = [[("east", 30), ("west", 70)], rest];
    assert_eq!(
        led(&drifted.runbook()),
        by_steps[1..].iter().map(|s| shares(s)).collect::<Vec<_>>(),
        "{:?}",
        drifted.graph()
    );
    assert_eq!(active(Verb::Failback, "east", &rest, &rest).refusal().code(), "PL-0201");
}

#[test]
fn who_was_drained_comes_back_by_steps_with_its_instances_ready() {
    let mut back = active(Verb::Failback, "east", &[("east", 100)], &[("east", 60), ("west", 40)]);
    back.plan.failback = Some(steps());
    let ways = [[("east", 96), ("west", 4)], [("east", 80), ("west", 20)], [("east", 60), ("west", 40)]];
    assert_eq!(led(&back.runbook()), ways.map(|s| shares(&s)));
    let graph = back.graph();
    assert!(graph.iter().any(|s| s.starts_with("shift-10-east < ") && s.contains("scale-payments-west")), "{graph:?}");
    assert!(!graph.iter().any(|s| s.contains("promote") || s.contains("scale-down")), "{graph:?}");
    back.plan.failback = Some(FailbackPlan { approval: true, order: ShiftOrder::TrafficFirst, ..steps() });
    let runbook = back.runbook();
    assert_eq!(led(&runbook).len(), 3, "the writer needs no turn");
    let asks: Vec<&str> = runbook.steps.iter().filter(|s| s.approval).map(|s| s.id.as_str()).collect();
    assert_eq!(asks, ["shift-10-east"], "a person is asked before users notice");
}

#[test]
fn a_failback_of_the_writer_brings_the_shares_back_and_shrinks_nobody() {
    let mut home = active(Verb::Failback, "west", &[("east", 100)], &[("east", 40), ("west", 60)]);
    home.plan.shares = Some(shares(&[("east", 40), ("west", 60)]));
    home.plan.failback = Some(steps());
    assert_eq!(
        led(&home.runbook()),
        [[("east", 94), ("west", 6)], [("east", 70), ("west", 30)], [("east", 40), ("west", 60)]].map(|s| shares(&s))
    );
    let graph = home.graph();
    assert!(graph.iter().any(|s| s.starts_with("promote-database-west")), "{graph:?}");
    assert!(!graph.iter().any(|s| s.contains("scale-down")), "both take users: {graph:?}");
}

#[test]
fn nobody_is_led_back_to_a_copy_that_does_not_follow() {
    let rest = [("east", 60), ("west", 40)];
    let back = active(Verb::Failback, "east", &[("east", 100)], &rest);
    for role in [standby("east", false), FENCED, Role::Unknown] {
        assert_eq!(back.clone().role("database", "west", role.clone()).refusal().code(), "PL-0938", "{role:?}");
    }
    let takes = active(Verb::Failback, "east", &[("east", 50), ("west", 50)], &rest);
    assert!(
        takes.role("database", "west", standby("east", false)).derive().is_ok(),
        "it takes more than its share now"
    );
}

#[test]
fn a_copy_that_rejoins_where_users_are_leaves_its_instances_alone() {
    let mut astray =
        active(Verb::Rejoin, "east", &[("east", 60), ("west", 40)], &[("east", 100)]).role("database", "west", FENCED);
    assert!(!astray.graph().iter().any(|s| s.contains("scale-down")), "{:?}", astray.graph());
    astray.seen.retain(|t, _| t.region.is_some());
    assert!(astray.graph().iter().any(|s| s.contains("scale-down")), "{:?}", astray.graph());
}
