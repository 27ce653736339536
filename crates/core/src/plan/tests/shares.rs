//! Shares at rest: what is read, what cannot be meant, and who takes what when a region is away.

use super::*;
use crate::placement::Placement;
use crate::plan::aws::{AwsComponent, RecordPolicy};

fn with(shares: &str, writes: &str) -> String {
    let store = format!("kind: postgres\n    {writes}");
    format!("{}\nshares: {shares}\n", SAMPLE.replacen("kind: postgres", &store, 1))
}

fn read(text: &str) -> Result<Plan, Faults> {
    Plan::read(text, "plan.yaml")
}

fn faults(text: &str) -> Vec<(String, String)> {
    let faults = read(text).expect_err("it cannot be meant");
    faults.iter().map(|f| (f.code.as_str().to_owned(), f.key_path.clone())).collect()
}

fn fault(code: &str, key: &str) -> Vec<(String, String)> {
    vec![(code.to_owned(), key.to_owned())]
}

#[test]
fn a_plan_without_shares_leads_everybody_to_the_writer_and_says_nothing_of_them() {
    let plan = read(SAMPLE).unwrap();
    assert!(plan.shares.is_none() && !plan.is_active_active());
    assert_eq!(plan.placement(&"west".into(), |_| false), Placement::in_region(&"west".into()));
    assert!(!plan.drifts(&[("west".into(), 100)].into()));
    let text = serde_json::to_string(&plan).unwrap();
    assert!(!text.contains("\"shares\":{") && !text.contains("\"writes\""), "{text}");
    assert!(!format!("{:?}", meaning(&plan)).contains("at rest"));
}

#[test]
fn shares_are_read_and_each_store_says_who_writes_it() {
    let plan = read(&with("{ east: 60, west: 40 }", "writes: across")).unwrap();
    assert!(plan.is_active_active());
    assert_eq!(plan.components[&"database".into()].writes, Some(Writes::Across));
    let told = format!("{:?}", meaning(&plan));
    assert!(told.contains("east 60 %, west 40 % (active-active)"), "{told}");
    assert!(told.contains("one copy is written, in east at rest; instances of every region write to it"), "{told}");
    assert!(told.contains("asynchronous, so its newest writes may be lost"), "{told}");
    let alone = read(&with("{ east: 100, west: 0 }", "# says nothing")).unwrap();
    assert!(!alone.is_active_active(), "one region takes all, so nobody needs to say who writes");
}

#[test]
fn shares_that_cannot_be_meant_are_faults() {
    assert_eq!(faults(&with("{ east: 60, west: 50 }", "writes: across")), fault("PL-0932", "shares"));
    assert_eq!(faults(&with("{ east: 0, west: 100 }", "writes: across")), fault("PL-0932", "shares"));
    assert_eq!(faults(&with("{ east: 60, west: 40 }", "# nothing")), fault("PL-0933", "components.database"));
    let none = faults(&with("{ east: 100 }", "writes: across"));
    assert_eq!(none.len(), 1, "a region that is not named: {none:?}");
    let process = with("{ east: 60, west: 40 }", "writes: beside").replacen(
        "kind: process",
        "kind: process\n    writes: across",
        1,
    );
    assert_eq!(faults(&process), fault("PL-0933", "components.payments.writes"));
}

#[test]
fn several_regions_that_serve_do_not_make_an_asynchronous_store_lose_nothing() {
    let zero = |guarantee: &str| {
        let text = with("{ east: 60, west: 40 }", "writes: across").replacen("rpo: 5s ", "rpo: 0s ", 1);
        let text = text.replacen("guarantee: bounded", &format!("guarantee: {guarantee}"), 1);
        if guarantee == "strict" { text.replacen("beyond_rpo: expose", "# none", 1) } else { text }
    };
    assert!(faults(&zero("bounded")).contains(&("PL-0934".to_owned(), "objectives.rpo".to_owned())));
    let strict = read(&zero("strict"));
    assert!(strict.is_ok(), "{strict:?}");
}

#[test]
fn failover_records_cannot_lead_to_several_regions() {
    let road = "\n  zone:\n    kind: route53\n    zone: Z1\n    name: pay.example.com\n    policy: POLICY\n    answers: { east: { value: 192.0.2.1, health_check: e }, west: { value: 192.0.2.2, health_check: w } }\n";
    let text = |policy: &str| {
        let text = with("{ east: 60, west: 40 }", "writes: across");
        let text =
            format!("{text}aws: {{ regions: {{ east: {{ name: us-east-2 }}, west: {{ name: us-west-2 }} }} }}\n");
        text.replacen("\ncomponents:", &format!("\ncomponents:{}", road.replace("POLICY", policy)), 1)
    };
    assert_eq!(faults(&text("failover")), fault("PL-0932", "components.zone.policy"));
    let plan = read(&text("weighted")).unwrap();
    let Kind::Aws(AwsComponent::Route53(zone)) = &plan.components[&"zone".into()].kind else { panic!("{plan:?}") };
    assert_eq!(zone.policy, RecordPolicy::Weighted);
}

#[test]
fn the_share_of_who_is_away_goes_to_the_others_in_proportion() {
    let mut plan = read(&with("{ east: 60, west: 40 }", "writes: across")).unwrap();
    let traffic = |plan: &Plan, away: &[&str]| {
        let placement = plan.placement(&"east".into(), |r| away.contains(&r.as_str()));
        placement.traffic.into_iter().map(|(r, s)| format!("{r} {s}")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(traffic(&plan, &[]), "east 60, west 40");
    assert_eq!(traffic(&plan, &["west"]), "east 100");
    assert_eq!(traffic(&plan, &["east"]), "west 100");
    assert_eq!(traffic(&plan, &["east", "west"]), "east 100", "somebody takes all, where the writer is");
    plan.shares = Some([("east".into(), 50), ("north".into(), 25), ("west".into(), 25)].into());
    assert_eq!(traffic(&plan, &["west"]), "east 67, north 33");
    assert_eq!(traffic(&plan, &["east"]), "north 50, west 50");
    assert!(plan.drifts(&[("east".into(), 100)].into()));
    assert!(
        !plan.drifts(&[("east".into(), 50), ("north".into(), 25), ("west".into(), 25), ("south".into(), 0)].into())
    );
}
