//! Buckets the whole way through the binary: a failover with an object on its way, a rejoin that waits for it, and home.

use crate::ground::{EAST, Ground, WEST};
use crate::seen::{follows, heard};
use serde_json::json;
use std::sync::Arc;

const EAST_BUCKET: &str = "shop-east-2";
const WEST_BUCKET: &str = "shop-west-2";

fn plan() -> String {
    format!(
        r#"
application: shop
objectives: {{ rto: 15m, rpo: 15m }}
regions: [{EAST}, {WEST}]
controller: {{ listen: 127.0.0.1:7400, state: state, token: {{ env: PILOTLIGHT_TOKEN }} }}
policy: {{ mode: manual }}
components:
  objects:
    kind: s3
    existing_copied: true
    regions: {{ {EAST}: {{ bucket: {EAST_BUCKET} }}, {WEST}: {{ bucket: {WEST_BUCKET} }} }}
"#
    )
}

async fn write(ground: &Ground, region: &str, bucket: &str) -> u64 {
    let body = json!({"store": "objects", "region": region, "name": bucket});
    ground.server.tell("write", body).await.unwrap()["number"].as_u64().unwrap()
}

async fn holds(ground: &Ground, region: &str, bucket: &str, number: u64) -> bool {
    let held = ground.server.ask(&format!("held?store=objects&region={region}&name={bucket}")).await.unwrap();
    held["numbers"].as_array().unwrap().contains(&json!(number))
}

async fn lag(ground: &Ground, seconds: f64) {
    let body = json!({"store": "objects", "name": WEST_BUCKET, "seconds": seconds});
    ground.server.tell("lag", body).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_fail_over_take_what_was_on_its_way_and_go_home() {
    let Some(ground) = Ground::find().await else { return };
    let buckets = json!([{"regions": [[EAST, EAST_BUCKET], [WEST, WEST_BUCKET]]}]);
    ground.server.tell("seed", json!({"buckets": buckets})).await.unwrap();
    ground.write_text(&plan());
    ground.serve_any().await;
    let ground = Arc::new(ground);
    ground.until_status("the copy to follow", |status| follows(status, "objects", WEST)).await;
    let (code, said) = ground.say(&["check", "--live"]).await;
    assert_eq!(code, 0, "{said}");

    lag(&ground, 100_000.0).await;
    let kept = write(&ground, EAST, EAST_BUCKET).await;
    ground.region(EAST, "hang", "down").await;
    ground.until_status("the region to be silent", |status| heard(status, EAST) == Some(false)).await;
    let since = ground.now().await;
    let (code, said) = ground.say(&["failover", "--to", WEST, "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    let calls = ground.calls(since, EAST).await;
    assert!(calls.iter().all(|action| action.starts_with("Get")), "only looks reach a lost region: {calls:?}");
    assert_eq!(ground.status()["units"][0]["writer"], WEST);
    assert!(!holds(&ground, WEST, WEST_BUCKET, kept).await);
    let new = write(&ground, WEST, WEST_BUCKET).await;

    ground.region(EAST, "up", "up").await;
    lag(&ground, 0.0).await;
    ground.until_status("the region to be heard", |status| heard(status, EAST) == Some(true)).await;
    let (code, said) = ground.say(&["rejoin", "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    assert!(holds(&ground, WEST, WEST_BUCKET, kept).await, "what only the lost region held never came");

    ground.until_status("the old bucket to follow", |status| follows(status, "objects", EAST)).await;
    let (code, said) = ground.say(&["failback", "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(ground.status()["units"][0]["writer"], EAST);
    for number in [kept, new] {
        assert!(holds(&ground, EAST, EAST_BUCKET, number).await, "{number} is not at home");
    }
    ground.until_status("the other bucket to follow", |status| follows(status, "objects", WEST)).await;
    let (code, said) = ground.say(&["rejoin", "--yes"]).await;
    assert_eq!(code, 3, "home, one rule copies and the other waits: {said}");
}
