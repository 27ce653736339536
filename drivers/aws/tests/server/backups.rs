//! Snapshots before an RDS instance is changed, and automated backups in the other region.

use crate::ground::{EAST, Ground, WEST, context};
use crate::rds::{Bed, promote};
use pilotlight_core::effect::Effect;
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::{FailureKind, Outcome};
use pilotlight_core::plan::aws::{RdsPlan, SnapshotBefore};
use pilotlight_driver::battery::Bench;
use serde_json::{Value, json};
use std::time::Duration;

fn rejoin() -> Effect {
    Effect::Rejoin { component: "database".into(), region: EAST.into(), upstream: WEST.into() }
}

fn snapshots(ground: &Ground, region: &str, name: &str) -> Vec<String> {
    let words = ["rds", "describe-db-snapshots", "--snapshot-type", "manual", "--db-instance-identifier", name];
    let shown = ground.awscli(region, &words);
    let named = |s: &Value| format!("{} {}", s["DBSnapshotIdentifier"], s["Status"]).replace('"', "");
    shown["DBSnapshots"].as_array().unwrap().iter().map(named).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_is_kept_in_a_snapshot_first_and_a_lost_reply_makes_no_second_one() {
    let Some(ground) = Ground::find().await else { return };
    let plan = RdsPlan { snapshot: SnapshotBefore::Changes, ..RdsPlan::default() };
    let bed = Bed::make_with(&ground, true, plan).await;
    let name = bed.name().to_owned();
    assert_eq!(bed.codes(&promote()).await, ["PL-0950"]);
    let lose = json!({"kind": "lose-reply", "service": "rds", "action": "CreateDBSnapshot", "times": 1});
    ground.server.tell("faults", lose).await.unwrap();
    let lost = bed.done(&promote(), &context(2, "promote")).await.unwrap_err();
    assert_eq!(lost.kind, FailureKind::OutcomeUnknown, "{lost}");
    let shown = bed.until(WEST, |s| s.facts.contains_key("snapshot")).await;
    assert!(shown.facts["snapshot"].starts_with(&format!("{name}-at-2 is being made")), "{shown:?}");
    assert!(matches!(shown.role, Some(Role::Standby { .. })), "nothing is promoted before it is there: {shown:?}");
    let since = ground.now().await;
    bed.done(&promote(), &context(2, "promote")).await.unwrap();
    let calls = ground.calls(since, WEST).await;
    assert!(!calls.contains(&"CreateDBSnapshot".to_owned()), "{calls:?}");
    assert_eq!(snapshots(&ground, WEST, &name), [format!("{name}-at-2 available")]);

    bed.done(&Effect::Fence { component: "database".into(), region: EAST.into() }, &context(3, "fence")).await.unwrap();
    assert_eq!(bed.codes(&rejoin()).await, ["PL-0950"]);
    let outcome = bed.done(&rejoin(), &context(3, "rejoin")).await.unwrap();
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    let all =
        ground.awscli(EAST, &["rds", "describe-db-snapshots", "--db-snapshot-identifier", &format!("{name}-before-3")]);
    assert_eq!(all["DBSnapshots"][0]["Status"], "available", "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_that_are_old_or_not_there_are_named() {
    let Some(ground) = Ground::find().await else { return };
    let plan = RdsPlan { backups_within: Some(Duration::from_secs(900)), ..RdsPlan::default() };
    let bed = Bed::make_with(&ground, true, plan).await;
    let source = format!("arn:aws:rds:{EAST}:123456789012:db:{}", bed.name());
    assert_eq!(bed.codes(&promote()).await, ["PL-0951"]);
    let age = |age: Value| json!({"region": WEST, "source": source, "age": age});
    for (seconds, found) in [(300, vec![]), (7_200, vec!["PL-0951"])] {
        ground.server.tell("backups", age(json!(seconds))).await.unwrap();
        assert_eq!(bed.codes(&promote()).await, found, "{seconds} s");
    }
    let said = bed.driver().preflight(&promote()).await.unwrap();
    assert!(said[0].message.contains("can be restored to 2 h"), "{said:?}");
    // AWS's own client sees the same.
    let shown = ground.awscli(WEST, &["rds", "describe-db-instance-automated-backups"]);
    assert_eq!(shown["DBInstanceAutomatedBackups"][0]["DBInstanceArn"], source, "{shown}");
    let unasked = Bed::make(&ground, true).await;
    assert_eq!(unasked.codes(&promote()).await, Vec::<String>::new(), "nobody looks who was not asked to");
    assert!(!unasked.look(WEST).await.facts.contains_key("backups"));
}
