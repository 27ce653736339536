//! A failover while the lost region and us-east-1, where Route 53's control plane is, refuse every call: users are moved by an
//! object in the region that is left, stay there when home is back, and go home by its deletion.

use crate::ground::{EAST, Ground, WEST};
use crate::seen::{follows, heard};
use serde_json::json;
use std::fs;
use std::sync::Arc;

/// The name as the plan of these tests has it, and moved by an object.
fn switch(plan: &str, check: &str) -> String {
    let plain = format!("answers: {{ {EAST}: {{ value: 192.0.2.1 }}, {WEST}: {{ value: 192.0.2.2 }} }}");
    assert!(plan.contains(&plain));
    let checked = format!(
        "policy: failover\n    switch: {{ home: {EAST}, bucket: pay-switch, takes: 2s }}\n    \
         answers: {{ {EAST}: {{ value: 192.0.2.1, health_check: {check} }}, {WEST}: {{ value: 192.0.2.2 }} }}"
    );
    plan.replace(&plain, &checked)
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_moved_without_the_control_planes_of_home_and_of_route53() {
    let Some(ground) = Ground::find().await else { return };
    let zone = ground.seed().await;
    let made = json!({
        "zone": zone, "name": "pay.example.com", "region": WEST, "bucket": "pay-switch", "object": "users-are-away",
        "home": EAST, "answers": {EAST: "192.0.2.1", WEST: "192.0.2.2"},
    });
    let made = ground.server.tell("seed", json!({"switches": [made]})).await.unwrap();
    ground.write_plan(&zone, "mode: manual, lease: 3s, renew: 500ms");
    let file = ground.folder().join("pilotlight.yaml");
    let plan = fs::read_to_string(&file).unwrap();
    fs::write(&file, switch(&plan, made["switches"]["pay-switch"].as_str().unwrap())).unwrap();
    ground.serve().await;
    let ground = Arc::new(ground);
    assert_eq!(ground.write().await.unwrap().0, EAST);

    for region in [EAST, "us-east-1"] {
        ground.region(region, "refuse", "down").await;
    }
    ground.until_status("the region to be silent", |status| heard(status, EAST) == Some(false)).await;
    let asked_at = ground.now().await;
    let (code, said) = ground.say(&["failover", "--to", WEST, "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    let took = ground.now().await - asked_at;
    assert_eq!(ground.write().await.unwrap().0, WEST);
    println!("failover without Route 53's control plane: {took:.0} s modelled");
    for region in [EAST, "us-east-1"] {
        let calls = ground.calls(asked_at, region).await;
        let is_look = |c: &String| ["Describe", "Get", "List"].iter().any(|l| c.starts_with(l));
        assert!(calls.iter().all(is_look), "only looks reach {region}: {calls:?}");
    }

    for region in [EAST, "us-east-1"] {
        ground.region(region, "up", "up").await;
    }
    ground.until_status("the copy to follow", |status| follows(status, "database", EAST)).await;
    assert_eq!(ground.write().await.unwrap().0, WEST, "home is back, and nobody is led there by itself");
    let (code, said) = ground.say(&["failback", "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(ground.write().await.unwrap().0, EAST);
}
