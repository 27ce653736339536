//! What alarms of CloudWatch say, through the driver's look.

use crate::ground::{EAST, Ground, WEST};
use pilotlight_core::health::Alarm;
use serde_json::json;

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
