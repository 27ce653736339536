//! A detach the whole way through the binary: the global API fails, the copy is promoted alone, and the region that was left
//! is silenced, kept, joins again and is gone home to.

use crate::ground::{EAST, Ground, WEST};
use crate::seen::{follows, state};
use serde_json::{Value, json};
use std::sync::Arc;

fn plan() -> String {
    let groups = "open_groups: [sg-open], closed_groups: [sg-closed]";
    format!(
        r#"
application: payments
objectives: {{ rto: 15m, rpo: 1m }}
regions: [{EAST}, {WEST}]
controller: {{ listen: 127.0.0.1:7400, state: state, token: {{ env: PILOTLIGHT_TOKEN }} }}
policy: {{ mode: manual }}
components:
  database:
    kind: aurora
    global_cluster: payments
    detach: allowed
    regions: {{ {EAST}: {{ cluster: pay-east, {groups} }}, {WEST}: {{ cluster: pay-west, {groups} }} }}
"#
    )
}

async fn write(ground: &Ground, region: &str, cluster: &str) -> u64 {
    let body = json!({"region": region, "name": cluster});
    ground.server.tell("write", body).await.unwrap()["number"].as_u64().unwrap()
}

/// Waits until the copy of a region is seen in that role, as often as the controller looks.
async fn seen(ground: &Arc<Ground>, region: &str, role: &str) {
    let is = |status: &Value| match role {
        "standby" => follows(status, "database", region),
        role => state(status, "database", region)["role"] == role,
    };
    ground.until_status("the copy to be seen", is).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_was_left_by_a_detach_joins_again_and_is_gone_home_to() {
    let Some(ground) = Ground::find_at(200.0).await else { return };
    let members = json!([[EAST, "pay-east"], [WEST, "pay-west"]]);
    ground.server.tell("seed", json!({"aurora": [{"group": "payments", "members": members}]})).await.unwrap();
    ground.write_text(&plan());
    ground.serve_any().await;
    let ground = Arc::new(ground);
    // Asked again for half a minute. After a fault of the server's own it would be looked for a whole one.
    let code = "InvalidGlobalClusterStateFault";
    let fault =
        json!({"kind": "busy", "code": code, "service": "rds", "action": "FailoverGlobalCluster", "times": 9_999});
    ground.server.tell("faults", fault).await.unwrap();
    // Seen down by a controller that looks once a second.
    ground.server.tell("phases", json!({"reboot": 600})).await.unwrap();
    let (code, said) = ground.say(&["failover", "--to", WEST, "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    let kept = write(&ground, EAST, "pay-east").await;
    write(&ground, WEST, "pay-west").await;

    seen(&ground, WEST, "writer").await;
    let (code, said) = ground.say(&["rejoin", "--dry-run"]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("PL-0948") && said.contains("Fence database"), "{said}");
    let (code, said) = ground.say(&["rejoin", "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    let names: Vec<String> = {
        let shown = ground.server.ask(&format!("clusters?region={EAST}")).await.unwrap();
        shown["names"].as_array().unwrap().iter().filter_map(|n| n.as_str().map(str::to_owned)).collect()
    };
    let old = names.iter().find(|n| n.starts_with("pay-east-before-")).unwrap_or_else(|| panic!("{names:?}"));
    assert!(ground.held(EAST, old).await.contains(&kept), "what only the old side held is gone");

    seen(&ground, EAST, "standby").await;
    let written = write(&ground, WEST, "pay-west").await;
    let (code, said) = ground.say(&["failback", "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(ground.status()["units"][0]["writer"], Value::from(EAST));
    assert!(ground.held(EAST, "pay-east").await.contains(&written));
    seen(&ground, WEST, "standby").await;
    let (code, said) = ground.say(&["rejoin", "--yes"]).await;
    assert_eq!(code, 3, "at home, the other side follows by itself: {said}");
}
