//! The writer was moved past Pilotlight: a person enters it where it is, and users are led there. Never a second writer.

use crate::ground::{EAST, Ground, WEST};
use crate::seen::{heard, state};
use serde_json::json;
use std::process::Command;
use std::sync::Arc;

const WEST_CLUSTER: &str = "arn:aws:rds:us-west-2:123456789012:cluster:pay-west";
const MOVES: [&str; 3] = ["SwitchoverGlobalCluster", "FailoverGlobalCluster", "RemoveFromGlobalCluster"];

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
    ground
        .until_status("the move by hand to be seen", |status| {
            state(status, "database", WEST)["role"] == "writer" && state(status, "database", EAST)["role"] == "standby"
        })
        .await;
    let (code, said) = ground.say(&["switchover", "--to", WEST, "--yes"]).await;
    assert!(code == 3 && said.contains("PL-0207"), "a planned move has nothing to start from: {code} {said}");
    let (code, said) = ground.say(&["failover", "--to", WEST, "--dry-run"]).await;
    assert!(code == 0 && said.contains("PL-0365") && said.contains("seen to write already"), "{code} {said}");

    let since = ground.now().await;
    let (code, said) = ground.say(&["failover", "--to", WEST, "--yes"]).await;
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
    ground.until_status("the old copy to follow", |status| state(status, "database", EAST)["streaming"] == true).await;
    let (code, said) = ground.say(&["failback", "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(ground.write().await.unwrap().0, EAST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_promoted_by_hand_is_entered_only_while_home_is_not_seen_to_write() {
    let Some(ground) = served().await else { return };
    let before = ground.status()["units"][0]["epoch"].clone();
    detach(&ground);
    ground
        .until_status("two to be seen to write", |status| {
            state(status, "database", WEST)["role"] == "writer" && state(status, "database", EAST)["role"] == "writer"
        })
        .await;
    let (code, said) = ground.say(&["failover", "--to", WEST, "--yes"]).await;
    assert!(code == 3 && said.contains("PL-0207"), "{code} {said}");
    let status = ground.status();
    assert_eq!((&status["units"][0]["writer"], &status["units"][0]["epoch"]), (&json!(EAST), &before), "{status}");

    ground.region(EAST, "refuse", "down").await;
    ground.until_status("home to be silent", |status| heard(status, EAST) == Some(false)).await;
    let (code, said) = ground.say(&["failover", "--to", WEST, "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(ground.status()["units"][0]["writer"], WEST);
    assert_eq!(ground.write().await.unwrap().0, WEST);
}
