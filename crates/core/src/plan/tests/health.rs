//! Health checks: what is read, who asks, and what cannot be meant.

use super::*;
use crate::health::Question;
use crate::verdict::Witness;

fn with(health: &str) -> Result<Plan, Faults> {
    Plan::read(&format!("{SAMPLE}\nhealth:\n  front:\n{health}"), "plan.yaml")
}

fn codes(health: &str) -> Vec<(String, String)> {
    let faults = with(health).expect_err("the plan has a fault");
    faults.iter().map(|f| (f.code.to_string(), f.key_path.clone())).collect()
}

#[test]
fn a_check_is_read_with_its_defaults() {
    let plan = with("    regions: { east: { tcp: { address: 'e:1' } }, west: { tcp: { address: 'w:1' } } }").unwrap();
    let check = &plan.health[&"front".into()];
    assert_eq!((check.every, check.failures, check.recoveries), (Duration::from_secs(10), 3, 2));
    assert_eq!((check.latency, check.quorum, check.move_after), (None, None, None));
    assert_eq!(check.questions(&"front".into()).len(), 2);
    let east = Question { check: "front".into(), region: Some("east".into()) };
    assert_eq!(plan.askers(&east), [Witness::Agent("west".into()), Witness::Controller]);
}

const ALARM: &str = "arn:aws:cloudwatch:us-west-2:123456789012:alarm:front: errors";

#[test]
fn an_alarm_is_one_more_who_asks() {
    let regions = "regions: { east: { tcp: { address: 'e:1' } }, west: { tcp: { address: 'w:1' } } }";
    let plan = with(&format!("    {regions}\n    quorum: 2\n    alarms: {{ east: '{ALARM}' }}")).unwrap();
    let of = |region: &str| plan.askers(&Question { check: "front".into(), region: Some(region.into()) });
    assert_eq!((of("east").len(), of("west").len()), (3, 2));
    assert_eq!(of("east").last(), Some(&Witness::Observer(ALARMS.into())));
    assert!(!plan.observers().contains(&Witness::Observer(ALARMS.into())), "it hears nobody");
}

#[test]
fn every_kind_of_probe_can_be_asked() {
    for probe in [
        "{ http: { url: 'http://pay.demo.test/', status: 204, body_contains: ok } }",
        "{ sql: { dsn: 'host=h user=u', query: select 1, expect: '1' } }",
        "{ dns: { name: pay.demo.test, server: '127.0.0.1:53', expect: [10.0.0.1] } }",
        "{ exec: { command: [./look, --quick], timeout: 1s } }",
        "{ exec: { shell: 'test -e /tmp' } }",
    ] {
        let plan = with(&format!("    probe: {probe}\n    latency: 500ms\n    move_after: 5m"))
            .unwrap_or_else(|f| panic!("{f}"));
        let whole = Question { check: "front".into(), region: None };
        assert_eq!(plan.askers(&whole).len(), 3, "{probe}");
    }
}

#[test]
fn what_cannot_be_meant_is_a_fault() {
    let tcp = "{ tcp: { address: 'e:1' } }";
    for (health, code, key) in [
        ("    every: 1s".to_owned(), "PL-0118", "health.front"),
        (format!("    probe: {tcp}\n    regions: {{ east: {tcp} }}"), "PL-0118", "health.front.regions"),
        (format!("    probe: {tcp}\n    from: [weast]"), "PL-0132", "health.front.from[0]"),
        (format!("    regions: {{ east: {tcp} }}\n    quorum: 3"), "PL-0118", "health.front.quorum"),
        (format!("    probe: {tcp}\n    latency: 2s"), "PL-0118", "health.front.latency"),
        (format!("    probe: {tcp}\n    unit: billing"), "PL-0108", "health.front.unit"),
        (
            format!("    regions: {{ east: {tcp} }}\n    alarms: {{ east: front }}"),
            "PL-0138",
            "health.front.alarms.east",
        ),
        (
            format!("    regions: {{ east: {tcp} }}\n    alarms: {{ west: '{ALARM}' }}"),
            "PL-0118",
            "health.front.alarms.west",
        ),
        ("    probe: { exec: { command: [a], shell: b } }".to_owned(), "PL-0118", "health.front.probe.exec.shell"),
    ] {
        assert_eq!(codes(&health), [(code.to_owned(), key.to_owned())], "{health}");
    }
}

/// A quorum that those who ask can never be is no check: it would say "unknown" for ever.
#[test]
fn a_quorum_is_one_that_every_question_can_reach() {
    let tcp = "{ tcp: { address: 'e:1' } }";
    let both = format!("    regions: {{ east: {tcp}, west: {tcp} }}");
    let quorum = "health.front.quorum";
    for (health, key) in [
        // The region's own agent is named, and does not ask.
        (format!("{both}\n    from: [east, west]\n    quorum: 2"), Some(quorum)),
        (format!("{both}\n    from: [east, west]\n    quorum: 1"), None),
        (format!("{both}\n    from: [east, west, controller]\n    quorum: 2"), None),
        // Named twice is one voice.
        (format!("    probe: {tcp}\n    from: [east, east]\n    quorum: 2"), Some(quorum)),
        // Nobody is left to ask about the west.
        (format!("{both}\n    from: [west]"), Some("health.front.from")),
        // An alarm is a voice in its own region only, and never enough alone unless the plan says so.
        (format!("{both}\n    quorum: 3\n    alarms: {{ east: '{ALARM}' }}"), Some(quorum)),
        (format!("{both}\n    quorum: 3\n    alarms: {{ east: '{ALARM}', west: '{ALARM}' }}"), None),
        (
            format!("    regions: {{ east: {tcp} }}\n    from: [east]\n    alarms: {{ east: '{ALARM}' }}"),
            Some("health.front.from"),
        ),
        (
            format!(
                "    regions: {{ east: {tcp} }}\n    from: [east]\n    quorum: 1\n    alarms: {{ east: '{ALARM}' }}"
            ),
            None,
        ),
    ] {
        let found = with(&health).map_or_else(|f| f.iter().cloned().collect(), |_| Vec::new());
        let found: Vec<_> = found.iter().map(|f| (f.code.as_str(), f.key_path.as_str())).collect();
        assert_eq!(found, key.map(|key| ("PL-0118", key)).into_iter().collect::<Vec<_>>(), "{health}");
    }
}

/// All of AWS: no region has an agent, so the controller and further observers are all who ask.
#[test]
fn where_no_agent_runs_none_is_waited_for() {
    const MANAGED: &str = "\
application: shop
objectives: { rto: 15m, rpo: 1m }
regions: [us-east-1, us-west-2]
controller: { listen: '127.0.0.1:7400', state: state, token: { env: PILOTLIGHT_TOKEN } }
policy: { mode: approve-first, least_fence: provider-attested, observers: [paris] }
components:
  database:
    kind: aurora
    global_cluster: shop
    regions: { us-east-1: { cluster: east }, us-west-2: { cluster: west } }
health:
  front:
    regions: { us-east-1: { tcp: { address: 'e:1' } }, us-west-2: { tcp: { address: 'w:1' } } }
";
    let plan = Plan::read(MANAGED, "plan.yaml").unwrap_or_else(|f| panic!("{f}"));
    let east = Question { check: "front".into(), region: Some("us-east-1".into()) };
    assert_eq!(plan.askers(&east), [Witness::Controller, Witness::Observer("paris".into())]);
    let alone = Plan::read(&MANAGED.replace(", observers: [paris]", ""), "plan.yaml").unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(alone.askers(&east), [Witness::Controller]);
    assert_eq!(alone.health[&"front".into()].quorum_of(&east, 1), 1, "the controller is all who ask, and is enough");
    for more in ["    from: [us-east-1, us-west-2]\n", "    quorum: 3\n"] {
        let faults = Plan::read(&format!("{MANAGED}{more}"), "plan.yaml").expect_err("no agent ever asks");
        assert_eq!(faults.iter().map(|f| f.code.as_str()).collect::<Vec<_>>(), ["PL-0118"], "{more}");
    }
}
