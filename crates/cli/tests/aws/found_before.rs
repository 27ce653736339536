//! Bad days found by `check --live` before a move: of every unit of a plan, with exit code 1, whether the move is refused as a
//! whole or one of its steps would fail.

use crate::ground::{EAST, Ground, WEST};
use crate::seen::state;
use crate::wait::until;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const EAST_BUCKET: &str = "found-east-2";
const WEST_BUCKET: &str = "found-west-2";

/// A database, and buckets in a unit of their own.
fn plan() -> String {
    format!(
        r#"
application: payments
objectives: {{ rto: 15m, rpo: 15m }}
regions: [{EAST}, {WEST}]
controller: {{ listen: 127.0.0.1:7400, state: state, token: {{ env: PILOTLIGHT_TOKEN }} }}
policy: {{ mode: manual }}
components:
  database:
    kind: aurora
    global_cluster: payments
    regions: {{ {EAST}: {{ cluster: pay-east }}, {WEST}: {{ cluster: pay-west }} }}
  objects:
    kind: s3
    unit: files
    existing_copied: true
    regions: {{ {EAST}: {{ bucket: {EAST_BUCKET} }}, {WEST}: {{ bucket: {WEST_BUCKET} }} }}
"#
    )
}

/// Asks until the check ends with that code and says all of that; panics with what it said last.
async fn found(ground: &Arc<Ground>, what: &str, code: i32, told: &[&str]) {
    let ask = async || {
        let (ended, said) = ground.say(&["check", "--live"]).await;
        let missing: Vec<&&str> = told.iter().filter(|t| !said.contains(**t)).collect();
        match ended == code && missing.is_empty() {
            true => Ok(()),
            false => Err(format!("exit {ended}, without {missing:?}: {said}")),
        }
    };
    until(what, Duration::from_secs(90), ask).await;
}

async fn by_hand(ground: &Arc<Ground>, to: &str) {
    let cluster = if to == EAST { "pay-east" } else { "pay-west" };
    let target = format!("arn:aws:rds:{to}:123456789012:cluster:{cluster}");
    let moved = json!({"global_cluster": "payments", "target": target});
    ground.server.tell("by-hand/switchover", moved).await.unwrap();
    let is = |status: &Value| state(status, "database", to)["role"] == "writer";
    ground.until_status("the move by hand to be seen", is).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_make_a_move_of_any_unit_fail_fails_the_check() {
    let Some(ground) = Ground::find().await else { return };
    let made = json!({
        "aurora": [{"group": "payments", "members": [[EAST, "pay-east"], [WEST, "pay-west"]]}],
        "buckets": [{"regions": [[EAST, EAST_BUCKET], [WEST, WEST_BUCKET]]}],
    });
    ground.server.tell("seed", made).await.unwrap();
    ground.write_text(&plan());
    ground.serve_any().await;
    let ground = Arc::new(ground);
    let whole = &["ok       a switchover of payments: could be", "ok       a switchover of files: could be"];
    found(&ground, "both units to pass", 0, whole).await;

    // A right that is missing, of the second unit alone: the first one passes.
    let deny =
        json!({"kind": "deny", "service": "s3", "region": WEST, "action": "GetBucketReplication", "times": 9_999});
    ground.server.tell("faults", deny).await.unwrap();
    let told = &["BLOCKER  PL-0362: GetBucketReplication in us-west-2", "ok       a switchover of payments"];
    found(&ground, "the missing right to be named", 1, told).await;
    ground.server.no_faults().await.unwrap();

    by_hand(&ground, WEST).await;
    let told = &["BLOCKER  PL-0207: a switchover of payments", "BLOCKER  PL-0365", "ok       a switchover of files"];
    found(&ground, "the move by hand to be named", 1, told).await;
    by_hand(&ground, EAST).await;
    found(&ground, "both units to pass again", 0, whole).await;

    // Of the first unit alone: what is deleted is not there, whatever else.
    ground.server.tell("by-hand/forget-clusters", json!({"name": "pay-west"})).await.unwrap();
    let told = &["BLOCKER  PL-0207: a switchover of payments", "BLOCKER  PL-0364", "ok       a switchover of files"];
    found(&ground, "the deleted copy to be named", 1, told).await;
}
