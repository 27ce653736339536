//! Runs that are longer than an invocation, killed in the middle, or met by two at once.

use crate::ground::{EAST, Ground, LONG, WEST, alarm, schedule};
use crate::wait::until;
use serde_json::json;
use std::time::Duration;

/// Enough for a look, and not for a promotion.
const SHORT: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_in_the_next_invocation() {
    let Some(ground) = Ground::find().await else { return };
    ground.write_plan(&ground.plan("mode: manual", ""));
    let sandbox = ground.sandbox("one").await;
    ground.enter(&sandbox, "one").await;
    // A promotion that takes far longer than the invocation.
    ground.server.tell("phases", json!({"promote": 1_250.0})).await.unwrap();
    ground.region(EAST, "hang", "down").await;
    let ask = json!({"action": "failover", "to": WEST, "by": "ada"});
    let said = ground.ask(&sandbox, ask, SHORT).said().await.unwrap_or_else(|e| panic!("{e}\n{}", ground.log("one")));
    assert_eq!(said["state"], "goes-on", "{said:#}\n{}", ground.log("one"));
    let run = said["runs"][0]["run"].clone();
    let mut invocations = 1;
    let end = until("the run to end", async || {
        invocations += 1;
        let said = ground.ask(&sandbox, schedule(), SHORT).said().await.map_err(|e| e.to_string())?;
        if said["state"] == "goes-on" { Err(said.to_string()) } else { Ok(said) }
    })
    .await;
    assert_eq!(end["state"], "done", "{end:#}\n{}", ground.log("one"));
    assert_eq!(end["runs"][0]["run"], run, "the same run went on");
    assert!(invocations >= 2);
    assert_eq!(ground.promotions().await, 1, "what was accepted is not asked for again");
    assert_eq!(ground.led_to().await, WEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_invocation_is_gone_on_with() {
    let Some(ground) = Ground::find().await else { return };
    ground.write_plan(&ground.plan("mode: automatic", ", least_fence: none"));
    let mut sandbox = ground.sandbox("one").await;
    ground.enter(&sandbox, "one").await;
    ground.region(EAST, "hang", "down").await;
    let request = ground.request();
    let _killed = sandbox.api.ask(&request, alarm("ALARM", "00:01"), LONG);
    until("the promotion to be asked for", async || match ground.promotions().await {
        0 => Err(ground.log("one")),
        _ => Ok(()),
    })
    .await;
    ground.replace(&mut sandbox, "one");
    sandbox.api.forget(&request);
    // Nobody comes back for the event itself; the schedule does.
    let said = ground.invoke(&sandbox, schedule()).await.unwrap_or_else(|e| panic!("{e}\n{}", ground.log("one")));
    assert_eq!(said["state"], "done", "{said:#}\n{}", ground.log("one"));
    assert_eq!(said["units"][0]["writer"], WEST);
    assert_eq!(ground.promotions().await, 1);
    assert_eq!(ground.led_to().await, WEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_make_one_failover() {
    let Some(ground) = Ground::find().await else { return };
    ground.write_plan(&ground.plan("mode: automatic", ", least_fence: none"));
    let (one, two) = (ground.sandbox("one").await, ground.sandbox("two").await);
    ground.enter(&one, "one").await;
    ground.region(EAST, "hang", "down").await;
    let (first, second) =
        (ground.ask(&one, alarm("ALARM", "00:01"), LONG), ground.ask(&two, alarm("ALARM", "00:01"), LONG));
    let (first, second) = (first.said().await.unwrap(), second.said().await.unwrap());
    let states = [&first["state"], &second["state"]];
    assert!(
        states.iter().any(|s| **s == "done"),
        "{first:#}\n{second:#}\n{}\n{}",
        ground.log("one"),
        ground.log("two")
    );
    assert_eq!(ground.promotions().await, 1, "{first:#}\n{second:#}");
    assert_eq!(ground.led_to().await, WEST);
}
