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
    assert_eq!(bed.codes(&rejoin()).await, ["PL-0948", "PL-0950"], "what it costs");
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

/// Where backups of the instances are replicated to, as AWS's own client sees it: of which region, and how.
fn replicated(ground: &Ground, to: &str, name: &str) -> Vec<String> {
    let shown = ground.awscli(to, &["rds", "describe-db-instance-automated-backups"]);
    let all = shown["DBInstanceAutomatedBackups"].as_array().unwrap().iter();
    let ours = all.filter(|b| b["DBInstanceIdentifier"].as_str().unwrap().starts_with(name) && b["Region"] != to);
    ours.map(|b| format!("{} {}", b["Region"], b["Status"]).replace('"', "")).collect()
}

async fn moved(bed: &Bed<'_>, epoch: u64) -> Outcome {
    bed.done(&promote(), &context(epoch, "promote")).await.unwrap();
    bed.done(&Effect::Fence { component: "database".into(), region: EAST.into() }, &context(epoch, "fence"))
        .await
        .unwrap();
    bed.done(&rejoin(), &context(epoch, "rejoin")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_go_with_the_writer_and_a_lost_reply_starts_them_once() {
    let Some(ground) = Ground::find().await else { return };
    let within = Some(Duration::from_secs(900));
    let bed =
        Bed::make_with(&ground, true, RdsPlan { backups_follow: true, backups_within: within, ..RdsPlan::default() })
            .await;
    let name = bed.name().to_owned();
    let start = "start-db-instance-automated-backups-replication";
    let source = format!("arn:aws:rds:{EAST}:123456789012:db:{name}");
    ground.awscli(WEST, &["rds", start, "--source-db-instance-arn", &source]);
    let waits = tokio::time::Instant::now() + Duration::from_secs(90);
    while bed.codes(&promote()).await.contains(&"PL-0951".to_owned()) {
        assert!(tokio::time::Instant::now() < waits, "{:?}", replicated(&ground, WEST, &name));
    }
    assert_eq!(bed.codes(&rejoin()).await, ["PL-0948", "PL-0951"], "it is said before");
    let lose = json!({"kind": "lose-reply", "service": "rds", "times": 1,
                      "action": "StartDBInstanceAutomatedBackupsReplication"});
    ground.server.tell("faults", lose).await.unwrap();
    let outcome = moved(&bed, 2).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    let to_east = replicated(&ground, EAST, &name);
    assert!(to_east.len() == 1 && to_east[0].starts_with(WEST), "{to_east:?}");
    assert_eq!(
        replicated(&ground, WEST, &name),
        [format!("{EAST} retained")],
        "what is there is kept, and gets no more"
    );
    let calls = [ground.calls(0.0, EAST).await, ground.calls(0.0, WEST).await].concat();
    let count = |action: &str| calls.iter().filter(|c| c.contains(action)).count();
    assert_eq!((count("StartDBInstanceAuto"), count("StopDBInstanceAuto")), (2, 1), "one start is the test's own");
    let again = bed.done(&rejoin(), &context(3, "rejoin-again")).await.unwrap();
    assert!(matches!(again, Outcome::Skipped { .. }), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_that_aws_does_not_take_are_a_warning_and_the_region_follows() {
    let Some(ground) = Ground::find().await else { return };
    let bed = Bed::make_with(&ground, true, RdsPlan { backups_follow: true, ..RdsPlan::default() }).await;
    let deny =
        json!({"kind": "deny", "service": "rds", "action": "StartDBInstanceAutomatedBackupsReplication", "times": 9});
    ground.server.tell("faults", deny).await.unwrap();
    let outcome = moved(&bed, 2).await;
    let Outcome::Warned { warning, .. } = &outcome else { panic!("{outcome:?}") };
    assert!(warning.contains("StartDBInstanceAutomatedBackupsReplication"), "{warning}");
    assert!(matches!(bed.look(EAST).await.role, Some(Role::Standby { streaming: true, .. })));
}
