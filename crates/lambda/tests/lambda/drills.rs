//! Drills by schedule: begun at their time, longer than an invocation, taken home by the schedule when their time is over.

use crate::ground::{EAST, Ground, WEST, alarm, schedule};
use pilotlight_core::time::{Wall, show_wall};
use pilotlight_driver::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use std::time::Duration;

/// Too short for the whole move.
const SHORT: Duration = Duration::from_secs(40);

/// What EventBridge sends by the module `dr-lambda`: the drill's hour is some seconds here.
fn drill(at: Wall) -> Value {
    json!({"at": show_wall(at), "action": "drill", "to": WEST, "for": "20s", "by": "the schedule drill"})
}

fn refused(said: Result<Value, Value>, code: &str, word: &str) {
    let error = said.expect_err("it is refused");
    let message = error["errorMessage"].as_str().unwrap_or_default();
    assert!(error["errorType"] == code && message.contains(word), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_by_schedule_goes_there_and_comes_home_by_itself() {
    let Some(ground) = Ground::find().await else { return };
    ground.write_plan(&ground.plan("mode: manual", ""));
    let sandbox = ground.sandbox("one").await;
    ground.enter(&sandbox, "one").await;
    // A promotion that takes longer than what is left of the invocation.
    ground.server.tell("phases", json!({"promote": 1_500.0})).await.unwrap();
    let now = SystemClock.wall();
    let said =
        ground.ask(&sandbox, drill(now), SHORT).said().await.unwrap_or_else(|e| panic!("{e}\n{}", ground.log("one")));
    assert_eq!(said["state"], "goes-on", "{said:#}\n{}", ground.log("one"));
    let out = ground.next(&sandbox, |said| said["runs"][0]["condition"]["is"] == "ended").await;
    assert_eq!(out["units"][0]["writer"], WEST, "{out:#}\n{}", ground.log("one"));
    assert!(out["says"].to_string().contains("then it is taken back to us-east-2"), "{out:#}");
    assert_eq!(ground.led_to().await, WEST);
    ground.server.tell("phases", json!({"promote": 60.0})).await.unwrap();

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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_nobody_watches_begins_only_in_its_time_and_when_all_is_well() {
    let Some(ground) = Ground::find().await else { return };
    ground.write_plan(&ground.plan("mode: manual", ""));
    let sandbox = ground.sandbox("one").await;
    ground.enter(&sandbox, "one").await;
    let now = SystemClock.wall();
    refused(ground.invoke(&sandbox, drill(Wall(now.0 - 3_600_000))).await, "PL-0919", "was set for");
    ground.invoke(&sandbox, alarm("ALARM", "00:01")).await.unwrap();
    refused(ground.invoke(&sandbox, drill(now)).await, "PL-0918", "alarm east-down is on");
    ground.invoke(&sandbox, alarm("OK", "00:02")).await.unwrap();
    ground.region(EAST, "refuse", "down").await;
    refused(ground.invoke(&sandbox, drill(now)).await, "PL-0918", "is not well");
    assert_eq!(ground.promotions().await, 0);
    assert_eq!(ground.led_to().await, EAST);
}
