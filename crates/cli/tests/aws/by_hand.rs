//! The writer was moved past Pilotlight: a person enters it where it is, and users are led there. Never a second writer.

use crate::ground::{EAST, Ground, WEST};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;

const WEST_CLUSTER: &str = "arn:aws:rds:us-west-2:123456789012:cluster:pay-west";
const MOVES: [&str; 3] = ["SwitchoverGlobalCluster", "FailoverGlobalCluster", "RemoveFromGlobalCluster"];

async fn say(ground: &Arc<Ground>, words: &'static [&'static str]) -> (i32, String) {
    let asking = ground.clone();
    let (code, out, err) = tokio::task::spawn_blocking(move || asking.said(words)).await.unwrap();
    (code, format!("{out}\n{err}\n{}", ground.log()))
}

/// The copy of a region, as the controller sees it.
fn copy(status: &Value, region: &str) -> Value {
    let regions = status["regions"].as_array().cloned().unwrap_or_default();
    let region = regions.into_iter().find(|r| r["region"] == region).unwrap_or_default();
    let components = region["components"].as_array().cloned().unwrap_or_default();
    components.into_iter().find(|c| c["component"] == "database").unwrap_or_default()["state"].clone()
}

fn heard(status: &Value, region: &str) -> bool {
    let regions = status["regions"].as_array().cloned().unwrap_or_default();
    regions.iter().any(|r| r["region"] == region && r["heard"] == true)
}

async fn until(ground: &Arc<Ground>, what: &'static str, is: impl Fn(&Value) -> bool + Send + 'static) {
    let asking = ground.clone();
    let wait = move || {
        tokio::runtime::Handle::current().block_on(asking.until(what, |ground| {
            let status = ground.status();
            if is(&status) { Ok(()) } else { Err(format!("{status}\n{}", ground.log())) }
        }));
    };
    tokio::task::spawn_blocking(wait).await.unwrap();
}

async fn served() -> Option<Arc<Ground>> {
    let ground = Ground::find().await?;
    let zone = ground.seed().await;
    ground.write_plan(&zone, "mode: manual, lease: 3s, renew: 500ms");
    ground.serve().await;
    assert_eq!(ground.write().await.unwrap().0, EAST);
    Some(Arc::new(ground))
}

/// Somebody takes the copy out of the global cluster, which promotes it alone, with AWS's own client.
fn detach(ground: &Ground) {
    let mut command = Command::new(ground.server.folder.join("bin/aws"));
    command.args(["--endpoint-url", &ground.server.endpoint(), "--region", WEST, "rds", "remove-from-global-cluster"]);
    command.args(["--global-cluster-identifier", "payments", "--db-cluster-identifier", WEST_CLUSTER]);
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test").env("AWS_PAGER", "");
    let said = command.output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_by_hand_is_entered_and_users_are_led_after_it() {
    let Some(ground) = served().await else { return };
    let before = ground.status()["units"][0]["epoch"].as_u64().unwrap();
    let moved = json!({"global_cluster": "payments", "target": WEST_CLUSTER});
    ground.server.tell("by-hand/switchover", moved).await.unwrap();
    until(&ground, "the move by hand to be seen", |status| {
        copy(status, WEST)["role"] == "writer" && copy(status, EAST)["role"] == "standby"
    })
    .await;
    let (code, said) = say(&ground, &["switchover", "--to", WEST, "--yes"]).await;
    assert!(code == 3 && said.contains("PL-0207"), "a planned move has nothing to start from: {code} {said}");
    let (code, said) = say(&ground, &["failover", "--to", WEST, "--dry-run"]).await;
    assert!(code == 0 && said.contains("PL-0365") && said.contains("seen to write already"), "{code} {said}");

    let since = ground.now().await;
    let (code, said) = say(&ground, &["failover", "--to", WEST, "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    for region in [EAST, WEST] {
        let calls = ground.calls(since, region).await;
        assert!(calls.iter().all(|c| !MOVES.contains(&c.as_str())), "nothing was to be moved: {calls:?}");
    }
    let status = ground.status();
    assert_eq!(status["units"][0]["writer"], WEST, "{status}");
    assert!(status["units"][0]["epoch"].as_u64().unwrap() > before, "{status}");
    assert_eq!(ground.write().await.unwrap().0, WEST);
    // And home again, as from any other region.
    until(&ground, "the old copy to follow", |status| copy(status, EAST)["streaming"] == true).await;
    let (code, said) = say(&ground, &["failback", "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(ground.write().await.unwrap().0, EAST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_promoted_by_hand_is_entered_only_while_home_is_not_seen_to_write() {
    let Some(ground) = served().await else { return };
    let before = ground.status()["units"][0]["epoch"].clone();
    detach(&ground);
    until(&ground, "two to be seen to write", |status| {
        copy(status, WEST)["role"] == "writer" && copy(status, EAST)["role"] == "writer"
    })
    .await;
    let (code, said) = say(&ground, &["failover", "--to", WEST, "--yes"]).await;
    assert!(code == 3 && said.contains("PL-0207"), "{code} {said}");
    let status = ground.status();
    assert_eq!((&status["units"][0]["writer"], &status["units"][0]["epoch"]), (&json!(EAST), &before), "{status}");

    ground.region(EAST, "refuse", "down").await;
    until(&ground, "home to be silent", |status| !heard(status, EAST)).await;
    let (code, said) = say(&ground, &["failover", "--to", WEST, "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(ground.status()["units"][0]["writer"], WEST);
    assert_eq!(ground.write().await.unwrap().0, WEST);
}
