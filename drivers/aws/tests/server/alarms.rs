//! What alarms of CloudWatch say, through the driver's look.

use crate::ground::{EAST, Ground, WEST};
use pilotlight_core::health::Alarm;
use pilotlight_core::time::{Wall, show_wall};
use pilotlight_driver::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_quiet_raised_untold_or_not_there() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("front: errors");
    let put =
        ["cloudwatch", "put-metric-alarm", "--alarm-name", &name, "--namespace", "Front", "--metric-name", "Errors"];
    let how = ["--statistic", "Sum", "--period", "60", "--evaluation-periods", "1", "--threshold", "1"];
    let over = ["--comparison-operator", "GreaterThanThreshold"];
    ground.awscli(WEST, &[put.as_slice(), how.as_slice(), over.as_slice()].concat());
    let arn = format!("arn:aws:cloudwatch:{WEST}:123456789012:alarm:{name}");
    let access = ground.access();
    let mut said = Vec::new();
    for state in ["OK", "ALARM", "INSUFFICIENT_DATA"] {
        let words = ["cloudwatch", "set-alarm-state", "--alarm-name", &name, "--state-value", state];
        ground.awscli(WEST, &[words.as_slice(), &["--state-reason", "seen by hand"]].concat());
        said.push(access.alarm(&arn).await.unwrap());
    }
    assert!(matches!(&said[0], Alarm::Quiet(_)), "{said:?}");
    assert!(matches!(&said[1], Alarm::Raised(why) if why.contains("seen by hand")), "{said:?}");
    assert!(matches!(&said[2], Alarm::Untold(why) if why.contains("INSUFFICIENT_DATA")), "{said:?}");

    let elsewhere = format!("arn:aws:cloudwatch:{EAST}:123456789012:alarm:{name}");
    assert!(access.alarm(&elsewhere).await.unwrap_err().to_string().contains("no alarm"));
    ground.server.tell("regions/us-west-2", json!({"control": "refuse"})).await.unwrap();
    assert!(access.alarm(&arn).await.is_err(), "a region that is down says nothing");
}

/// So long is a period of one modelled hour in real time: longer than a busy awscli needs.
const PERIOD_MS: u64 = 36_000;

/// Puts values for a metric, each so many periods ago.
fn put(ground: &Ground, metric: &str, values: &[(u64, i32)]) {
    let now = SystemClock.wall().0;
    let datum = |(ago, value): &(u64, i32)| json!({"MetricName": metric, "Value": value, "Timestamp": show_wall(Wall(now - ago * PERIOD_MS))});
    let data: Value = values.iter().map(datum).collect();
    ground.awscli(WEST, &["cloudwatch", "put-metric-data", "--namespace", "Front", "--metric-data", &data.to_string()]);
}

/// Puts an alarm on more than one error in so many of three periods.
fn alarm(ground: &Ground, metric: &str, of_three: &str, missing: &str) -> String {
    let name = ground.fresh(missing);
    let what =
        ["cloudwatch", "put-metric-alarm", "--alarm-name", &name, "--namespace", "Front", "--metric-name", metric];
    let how =
        ["--statistic", "Sum", "--period", "3600", "--evaluation-periods", "3", "--datapoints-to-alarm", of_three];
    let over = ["--comparison-operator", "GreaterThanThreshold", "--threshold", "1", "--treat-missing-data", missing];
    ground.awscli(WEST, &[what.as_slice(), how.as_slice(), over.as_slice()].concat());
    name
}

fn states(ground: &Ground) -> BTreeMap<String, String> {
    let said = ground.awscli(WEST, &["cloudwatch", "describe-alarms"]);
    let text = |a: &Value, key: &str| a[key].as_str().unwrap_or_default().to_owned();
    said["MetricAlarms"].as_array().unwrap().iter().map(|a| (text(a, "AlarmName"), text(a, "StateValue"))).collect()
}

/// The rows are from the tables of AWS's manual on missing data. One more period that begins meanwhile changes none of them.
#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_an_alarm_follows_the_data_as_the_manual_says() {
    let Some(ground) = Ground::find().await else { return };
    // - - X - -
    put(&ground, "lone", &[(3, 5)]);
    let lone = ["missing", "ignore", "breaching", "notBreaching"].map(|missing| alarm(&ground, "lone", "3", missing));
    // 0 - X - X
    put(&ground, "gaps", &[(5, 0), (3, 5), (1, 5)]);
    let gaps = alarm(&ground, "gaps", "2", "notBreaching");
    put(&ground, "old", &[(20, 5)]);
    let old = alarm(&ground, "old", "1", "missing");
    let by_hand = ["cloudwatch", "set-alarm-state", "--alarm-name", &old, "--state-value", "ALARM"];
    ground.awscli(WEST, &[by_hand.as_slice(), &["--state-reason", "by hand"]].concat());
    let said = states(&ground);
    let words = ["ALARM", "INSUFFICIENT_DATA", "ALARM", "OK"];
    for (name, word) in lone.iter().zip(words).chain([(&gaps, "ALARM")]) {
        assert_eq!(said[name], word, "{name}: {said:?}");
    }
    let access = ground.access();
    let raised = access.alarm(&format!("arn:aws:cloudwatch:{WEST}:123456789012:alarm:{gaps}")).await.unwrap();
    assert!(matches!(&raised, Alarm::Raised(why) if why.contains("2 of 3 datapoints")), "{raised:?}");

    // - - X 0 0, whether a period has begun meanwhile or not: sums take back what is there.
    put(&ground, "gaps", &[(2, -5), (1, -5)]);
    // What was set by hand stood until the next evaluation, a modelled minute later.
    let said = states(&ground);
    assert_eq!((said[&gaps].as_str(), said[&old].as_str()), ("OK", "INSUFFICIENT_DATA"), "{said:?}");
}
