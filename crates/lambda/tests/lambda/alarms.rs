//! Alarms: one that is right, one that is wrong, one that comes twice, one that is over.

use crate::ground::{EAST, Ground, WEST, alarm, alarm_of, schedule};
use pilotlight_core::time::Wall;
use pilotlight_driver::clock::{Clock, SystemClock};

/// Pilotlight may start by itself, and under this alarm without a fence of the lost region.
const STANDING: (&str, &str) = ("mode: automatic", ", least_fence: none");

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_the_looks_confirm_fails_over_once() {
    let Some(ground) = Ground::find().await else { return };
    ground.write_plan(&ground.plan(STANDING.0, STANDING.1));
    let sandbox = ground.sandbox("one").await;
    ground.enter(&sandbox, "one").await;
    assert_eq!(ground.led_to().await, EAST);

    ground.region(EAST, "hang", "down").await;
    let raised = ground.raised_by_data();
    let said = ground.invoke(&sandbox, raised.clone()).await;
    let said = said.unwrap_or_else(|e| panic!("{e}\n{}", ground.log("one")));
    assert_eq!(said["state"], "done", "{said:#}\n{}", ground.log("one"));
    assert_eq!(said["units"][0]["writer"], WEST, "{said:#}");
    let run = said["runs"][0].clone();
    assert_eq!(run["automatic"], true, "{run}");
    assert!(run["why"].as_str().unwrap().contains("standing order of alarm east-down"), "{run}");
    assert_eq!(ground.led_to().await, WEST);
    assert!(ground.writes(WEST).await);

    // SNS delivers at least once.
    let again = ground.invoke(&sandbox, raised).await.unwrap();
    assert_eq!(again["state"], "nothing", "{again:#}");
    assert!(again["says"][0].as_str().unwrap().contains("came twice"), "{again:#}");
    // A later one of the same alarm finds the writer elsewhere.
    let later = ground.invoke(&sandbox, alarm_of("ALARM", SystemClock.wall())).await.unwrap();
    assert!(later["alarms"]["east-down"].as_str().unwrap().contains("is in us-west-2"), "{later:#}");
    assert_eq!(ground.promotions().await, 1, "one alarm, one failover");
    let over = ground.invoke(&sandbox, schedule()).await.unwrap();
    assert_eq!(over["says"][0], "nothing is open", "{over:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_alarm_moves_no_writer_that_is_well() {
    let Some(ground) = Ground::find().await else { return };
    ground.write_plan(&ground.plan(STANDING.0, STANDING.1));
    let sandbox = ground.sandbox("one").await;
    ground.enter(&sandbox, "one").await;
    // One that lay in the dead-letter queue for a day, and one that would be the newest for ever.
    let now = SystemClock.wall();
    for at in [Wall(now.0 - 86_400_000), Wall(now.0 + 86_400_000)] {
        let said = ground.invoke(&sandbox, alarm_of("ALARM", at)).await.unwrap();
        assert!(
            said["state"] == "nothing" && said["says"][0].as_str().unwrap().contains("nothing is kept"),
            "{said:#}"
        );
    }
    let said = ground.invoke(&sandbox, alarm("ALARM", "00:01")).await.unwrap();
    assert_eq!(said["state"], "holds", "{said:#}\n{}", ground.log("one"));
    assert!(said["alarms"]["east-down"].as_str().unwrap().contains("holds still: healthy"), "{said:#}");
    // It stays on, so the schedule looks again, until CloudWatch says that it is over.
    let said = ground.invoke(&sandbox, schedule()).await.unwrap();
    assert_eq!(said["state"], "holds", "{said:#}");
    // No data is no end.
    let said = ground.invoke(&sandbox, alarm("INSUFFICIENT_DATA", "00:02")).await.unwrap();
    assert_eq!(said["state"], "nothing", "{said:#}");
    let said = ground.invoke(&sandbox, alarm("OK", "00:03")).await.unwrap();
    assert_eq!(said["state"], "nothing", "{said:#}");
    // What was sent before it and comes after it starts nothing.
    let said = ground.invoke(&sandbox, alarm("ALARM", "00:02")).await.unwrap();
    assert!(said["says"][0].as_str().unwrap().contains("a newer message came before"), "{said:#}");
    let said = ground.invoke(&sandbox, schedule()).await.unwrap();
    assert_eq!(said["says"][0], "nothing is open", "{said:#}");
    assert_eq!(ground.promotions().await, 0);
    assert_eq!(ground.led_to().await, EAST);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_standing_order_the_fence_decides() {
    let Some(ground) = Ground::find().await else { return };
    ground.write_plan(&ground.plan("mode: automatic", ""));
    let sandbox = ground.sandbox("one").await;
    ground.enter(&sandbox, "one").await;
    ground.region(EAST, "refuse", "down").await;
    let said = ground.invoke(&sandbox, alarm("ALARM", "00:01")).await.unwrap();
    assert_eq!(said["state"], "holds", "{said:#}\n{}", ground.log("one"));
    let says = said["alarms"]["east-down"].as_str().unwrap();
    assert!(says.contains("region lost") && says.contains("refused"), "{says}");
    assert_eq!(ground.promotions().await, 0);
}

/// Nothing in that region can be asked, and no fence is asked for; but users write there, and the copy receives what they write.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_hangs_is_no_lost_region() {
    let Some(ground) = Ground::find().await else { return };
    ground.write_plan(&ground.plan(STANDING.0, STANDING.1));
    let sandbox = ground.sandbox("one").await;
    ground.enter(&sandbox, "one").await;
    ground.region(EAST, "hang", "up").await;
    assert!(ground.writes(EAST).await);
    let said = ground.invoke(&sandbox, alarm("ALARM", "00:01")).await.unwrap();
    assert_eq!(said["state"], "holds", "{said:#}\n{}", ground.log("one"));
    let says = said["alarms"]["east-down"].as_str().unwrap();
    assert!(says.contains("holds still: agent lost"), "{says}");
    assert_eq!(ground.promotions().await, 0, "{said:#}");
    assert!(ground.writes(EAST).await);
    assert_eq!(ground.led_to().await, EAST);
}
