//! Drills by schedule: begun at their time and when all is well, taken home by the next schedule when their time is over.

use crate::ground::{EAST, Ground, WEST, alarm, schedule};
use pilotlight_core::time::{Wall, show_wall};
use pilotlight_driver::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use std::time::Duration;

/// Too short to look about.
const TOO_SHORT: Duration = Duration::from_secs(12);

/// What EventBridge sends by the module `dr-lambda`: the drill's hour is some seconds here.
fn drill(at: Wall) -> Value {
    json!({"at": show_wall(at), "action": "drill", "to": WEST, "for": "15s", "by": "the schedule drill"})
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
