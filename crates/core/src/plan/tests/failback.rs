//! How the service goes home: what is read, and what cannot be meant.

use super::*;

fn with(failback: &str) -> Result<Plan, Faults> {
    Plan::read(&format!("{SAMPLE}\nfailback: {failback}\n"), "plan.yaml")
}

#[test]
fn a_failback_is_read_with_its_defaults() {
    assert_eq!(Plan::read(SAMPLE, "sample.yaml").unwrap().failback, None);
    let plan = with("{ soak: 10m }").unwrap().failback.unwrap();
    assert_eq!((plan.order, plan.shares.as_slice(), plan.max_errors), (ShiftOrder::WriterFirst, &[100][..], 1));
    assert_eq!(
        (plan.soak, plan.watch, plan.max_lag_bytes),
        (Duration::from_secs(600), Duration::from_secs(60), 16 << 20)
    );
    let plan = with("{ order: traffic-first, shares: [10, 50, 100], watch: 5m }").unwrap().failback.unwrap();
    assert_eq!((plan.order, plan.shares.as_slice()), (ShiftOrder::TrafficFirst, &[10, 50, 100][..]));
}

#[test]
fn shares_that_lead_nowhere_or_that_nobody_watches_are_faults() {
    for (text, key) in [
        ("{ shares: [10, 50] }", "failback.shares"),
        ("{ shares: [50, 10, 100] }", "failback.shares"),
        ("{ shares: [10, 10, 100] }", "failback.shares"),
        ("{ watch: 1s, every: 2s }", "failback.every"),
    ] {
        let faults = with(text).expect_err(text);
        let found: Vec<_> = faults.iter().map(|f| (f.code.as_str(), f.key_path.as_str())).collect();
        assert_eq!(found, [("PL-0840", key)], "{text}");
    }
    let blind = SAMPLE.split("verify:").next().unwrap().to_owned() + "\nfailback: { shares: [10, 100] }\n";
    let faults = Plan::read(&blind, "plan.yaml").expect_err("nothing watches");
    assert!(faults.iter().any(|f| f.code.as_str() == "PL-0840"), "{faults}");
}
