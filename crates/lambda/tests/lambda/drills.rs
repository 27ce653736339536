//! Drills by schedule: begun at their time and when all is well, taken home by the next schedule when their time is over,
//! however many invocations each way takes.

use crate::ground::{EAST, Ground, Sandbox, WEST, alarm, schedule};
use crate::wait::until;
use pilotlight_core::time::{Wall, show_wall};
use pilotlight_driver::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Too short to look about.
const TOO_SHORT: Duration = Duration::from_secs(12);

/// Where users are led is changed in Route 53, which is in one region.
const NAME_CHANGES: &str = "ChangeResourceRecordSets in us-east-1";

/// The least that a way back is begun with; not enough for its end.
const BEGINS: Duration = Duration::from_secs(28);

/// Seven seconds of a run.
const A_PIECE: Duration = Duration::from_secs(13);

/// What EventBridge sends by the module `dr-lambda`: the drill's hour is some seconds here.
fn drill(at: Wall) -> Value {
    json!({"at": show_wall(at), "action": "drill", "to": WEST, "for": "30s", "by": "the schedule drill"})
}

fn refused(said: Result<Value, Value>, code: &str, word: &str) {
    let error = said.expect_err("it is refused");
    let message = error["errorMessage"].as_str().unwrap_or_default();
    assert!(error["errorType"] == code && message.contains(word), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_by_schedule_begins_when_all_is_well_and_comes_home_by_itself() {
    let Some(ground) = Ground::find().await else { return };
    ground.write_plan(&ground.plan("mode: manual", ""));
    let sandbox = ground.sandbox("one").await;
    ground.enter(&sandbox, "one").await;

    // What nobody watches begins only in its time, and not while an alarm is on.
    let now = SystemClock.wall();
    refused(ground.invoke(&sandbox, drill(Wall(now.0 - 3_600_000))).await, "PL-0919", "was set for");
    let hurried = ground.ask(&sandbox, alarm("ALARM", "00:01"), TOO_SHORT).said().await;
    assert_eq!(hurried.expect_err("the alarm is kept, and not looked into")["errorType"], "PL-0914");
    refused(ground.invoke(&sandbox, drill(now)).await, "PL-0918", "alarm east-down is on");
    ground.invoke(&sandbox, alarm("OK", "00:02")).await.unwrap();
    let held = ground.invoke(&sandbox, json!({"action": "hold", "by": "ada", "why": "lunch"})).await.unwrap();
    assert!(held["state"] == "done" && held["says"][0].as_str().unwrap().contains("ada"), "{held:#}");
    refused(ground.invoke(&sandbox, drill(now)).await, "PL-0918", "ada");
    ground.invoke(&sandbox, json!({"action": "hold", "by": "ada", "on": false})).await.unwrap();
    assert_eq!(ground.promotions().await, 0);

    let out = ground.invoke(&sandbox, drill(now)).await.unwrap_or_else(|e| panic!("{e}\n{}", ground.log("one")));
    assert_eq!((&out["state"], &out["units"][0]["writer"]), (&json!("done"), &json!(WEST)), "{out:#}");
    assert!(out["says"].to_string().contains("then it is taken back to us-east-2"), "{out:#}\n{}", ground.log("one"));
    assert_eq!(ground.led_to().await, WEST);

    // EventBridge delivers at least once, and another schedule finds the writer away.
    let again = ground.invoke(&sandbox, drill(now)).await.unwrap();
    assert!(again["says"][0].as_str().unwrap().starts_with("asked for before by the same schedule"), "{again:#}");
    refused(ground.invoke(&sandbox, drill(Wall(now.0 + 1_000))).await, "PL-0917", "begins at home");

    let home = ground.next(&sandbox, |said| said["units"][0]["writer"] == EAST).await;
    assert_eq!(home["state"], "done", "{home:#}\n{}", ground.log("one"));
    assert!(home["runs"][0]["why"].as_str().unwrap().contains("the time of drill switchover-"), "{home:#}");
    assert_eq!(ground.led_to().await, EAST);
    assert!(ground.writes(EAST).await);
    let over = ground.invoke(&sandbox, schedule()).await.unwrap();
    assert_eq!(over["says"][0], "nothing is open", "{over:#}");

    // Nothing could serve where it would go.
    ground.awscli(&["ecs", "delete-service", "--cluster", "pay", "--service", "web", "--force"]);
    refused(ground.invoke(&sandbox, drill(SystemClock.wall())).await, "PL-0918", "a dry run meets");
    assert_eq!(ground.led_to().await, EAST);
}

/// The run ended well.
fn is_done(said: &Value) -> bool {
    said["says"].to_string().contains(", done\"")
}

/// Wakes a new process by the schedule until the run is over; says what came of it, and how often it was cut.
async fn in_pieces(ground: &Ground, sandbox: &mut Sandbox, mut said: Value) -> (Value, u32) {
    let run = said["runs"][0]["run"].clone();
    let mut cuts = 0;
    while said["says"].to_string().contains("under way") {
        cuts += 1;
        assert!(
            said["state"] == "goes-on" && cuts < 12,
            "it does not come to its end: {said:#}\n{}",
            ground.log("one")
        );
        ground.replace(sandbox, "one");
        let piece = ground.ask(sandbox, schedule(), A_PIECE).said().await;
        said = piece.unwrap_or_else(|e| panic!("{e}\n{}", ground.log("one")));
        assert_eq!(said["runs"][0]["run"], run, "the same run goes on: {said:#}\n{}", ground.log("one"));
    }
    (said, cuts)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_many_invocations_cut_is_made_once_and_comes_home() {
    let Some(ground) = Ground::find().await else { return };
    ground.write_plan(&ground.plan("mode: manual", ""));
    let mut sandbox = ground.sandbox("one").await;
    ground.enter(&sandbox, "one").await;
    let standby = ["rds", "describe-db-instances", "--db-instance-identifier", "pay-west"];
    until("the copy to replicate", async || {
        let shown = ground.awscli(&standby)["DBInstances"][0]["StatusInfos"].to_string();
        if shown.contains("\"replicating\"") { Ok(()) } else { Err(shown) }
    })
    .await;
    let before = ground.changes().await;
    // Half a minute in all, where an invocation has seven seconds.
    ground.server.tell("phases", json!({"reboot": 400.0, "promote": 500.0, "task": 400.0})).await.unwrap();

    let begun = ground.ask(&sandbox, drill(SystemClock.wall()), A_PIECE).said().await;
    let begun = begun.unwrap_or_else(|e| panic!("{e}\n{}", ground.log("one")));
    let (away, cuts) = in_pieces(&ground, &mut sandbox, begun).await;
    assert!(cuts >= 2, "{cuts}: {away:#}");
    assert!(is_done(&away) && away["units"][0]["writer"] == WEST, "{away:#}\n{}", ground.log("one"));
    assert_eq!(ground.led_to().await, WEST);
    let out = ground.invoke(&sandbox, schedule()).await.unwrap();
    let waits = out["state"] == "goes-on" && out["runs"].as_array().is_none_or(Vec::is_empty);
    assert!(waits, "its time is not over: {out:#}");

    let is_back = |said: &Value| said["runs"][0]["verb"] == "failback";
    let back = until("the drill to be taken back", async || {
        let said = ground.ask(&sandbox, schedule(), BEGINS).said().await.map_err(|e| e.to_string())?;
        if is_back(&said) { Ok(said) } else { Err(said.to_string()) }
    })
    .await;
    let (home, cuts) = in_pieces(&ground, &mut sandbox, back).await;
    assert!(cuts >= 1, "{cuts}: {home:#}");
    assert!(is_done(&home) && home["units"][0]["writer"] == EAST, "{home:#}\n{}", ground.log("one"));
    assert!(ground.led_to().await == EAST && ground.writes(EAST).await);

    let mut made = ground.changes().await;
    made.iter_mut().for_each(|(what, times)| *times -= before.get(what).copied().unwrap_or_default());
    made.retain(|_, times| *times > 0);
    let mut wanted = BTreeMap::from([(NAME_CHANGES.to_owned(), 2)]);
    for region in [EAST, WEST] {
        // Each region's instance is shut, later renamed and made anew, and promoted; its service grows and shrinks.
        for (action, times) in [
            ("ModifyDBInstance", 2),
            ("RebootDBInstance", 1),
            ("CreateDBInstanceReadReplica", 1),
            ("PromoteReadReplica", 1),
            ("UpdateService", 2),
        ] {
            wanted.insert(format!("{action} in {region}"), times);
        }
    }
    assert_eq!(made, wanted, "everything is made once in each direction\n{}", ground.log("one"));
}
