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
    let plan = with(&format!("    {regions}\n    quorum: 3\n    alarms: {{ east: '{ALARM}' }}")).unwrap();
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
