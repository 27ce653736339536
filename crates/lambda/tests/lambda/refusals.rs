//! What cannot be done, and what is said then.

use crate::ground::{EAST, Ground, WEST, alarm, function, schedule};
use serde_json::{Value, json};
use std::time::Duration;

/// The error of an invocation has its code as its type, and says what to do.
fn is_refused(said: Result<Value, Value>, code: &str) {
    let error = said.expect_err("it is refused");
    assert_eq!(error["errorType"], code, "{error:#}");
    let message = error["errorMessage"].as_str().unwrap_or_default();
    assert!(message.contains("hint: ") && message.contains(&format!("explain {code}")), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_one_error_with_a_code() {
    let Some(ground) = Ground::find().await else { return };
    let whole = ground.plan("mode: manual", "");
    let sandbox = ground.sandbox("one").await;
    is_refused(ground.invoke(&sandbox, json!({"source": "aws.s3"})).await, "PL-0910");
    is_refused(ground.invoke(&sandbox, schedule()).await, "PL-0100");
    ground.write_plan("application: [");
    assert!(ground.invoke(&sandbox, schedule()).await.is_err());
    let process = format!(
        "components:\n  own:\n    kind: process\n    active: 1\n    regions: {{ {EAST}: {{ command: [\"true\"] }}, {WEST}: {{ command: [\"true\"] }} }}"
    );
    ground.write_plan(&whole.replace("components:", &process));
    is_refused(ground.invoke(&sandbox, schedule()).await, "PL-0912");
    ground.write_plan(&whole.replace("  store: {", "  #"));
    is_refused(ground.invoke(&sandbox, schedule()).await, "PL-0913");
    ground.write_plan(&whole);
    // A plan that is mended is read again without a new process.
    ground.enter(&sandbox, "one").await;
    let strange = alarm("ALARM", "00:01").to_string().replace("East is down", "Disk is full");
    is_refused(ground.invoke(&sandbox, serde_json::from_str(&strange).unwrap()).await, "PL-0911");
    let hurried = ground.ask(&sandbox, alarm("ALARM", "00:01"), Duration::from_secs(12)).said().await;
    is_refused(hurried, "PL-0914");
    is_refused(ground.invoke(&sandbox, json!({"action": "failover", "to": EAST})).await, "PL-0201");
}

#[test]
fn elsewhere_the_program_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let output = function(folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("PL-0915") && text.contains("pilotlight serve"), "{text}");
}
