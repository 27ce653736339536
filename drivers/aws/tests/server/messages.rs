//! SNS: what is told arrives, in a queue behind the topic that AWS's own client reads; and what keeps it from that is found before.

use crate::ground::{Ground, WEST, context};
use async_trait::async_trait;
use pilotlight_aws::SnsDriver;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::Component;
use pilotlight_core::outcome::{FailureKind, Severity};
use pilotlight_core::plan::aws::SnsPlan;
use pilotlight_driver::Driver;
use pilotlight_driver::battery::{Bench, MessageBench, message};
use pilotlight_driver::guard::Guarded;
use serde_json::json;
use std::sync::Mutex;
use std::time::Duration;

struct Inbox<'a> {
    ground: &'a Ground,
    topic: String,
    queue: String,
    driver: Guarded<SnsDriver>,
    /// Read and deleted there.
    read: Mutex<Vec<String>>,
    _folder: tempfile::TempDir,
}

impl<'a> Inbox<'a> {
    fn make(ground: &'a Ground) -> Inbox<'a> {
        let name = ground.fresh("people");
        let text = |said: serde_json::Value| said.as_str().unwrap().to_owned();
        let topic = text(ground.awscli(WEST, &["sns", "create-topic", "--name", &name])["TopicArn"].take());
        let queue = text(ground.awscli(WEST, &["sqs", "create-queue", "--queue-name", &name])["QueueUrl"].take());
        let to = format!("arn:aws:sqs:{WEST}:123456789012:{name}");
        let words = ["sns", "subscribe", "--topic-arn", &topic, "--protocol", "sqs", "--notification-endpoint", &to];
        ground.awscli(WEST, &[&words[..], &["--attributes", "RawMessageDelivery=true"]].concat());
        let folder = tempfile::tempdir().unwrap();
        let driver = SnsDriver::new("people".into(), SnsPlan { topic: topic.clone() }, ground.access());
        let driver = Guarded::open(driver, folder.path()).unwrap();
        Inbox { ground, topic, queue, driver, read: Mutex::default(), _folder: folder }
    }

    async fn found(&self) -> Vec<(String, Severity)> {
        let found = self.driver.preflight(&told("never sent")).await.unwrap();
        found.into_iter().map(|f| (f.code, f.severity)).collect()
    }
}

fn told(message: &str) -> Effect {
    Effect::Notify { component: "people".into(), message: message.to_owned() }
}

impl Bench for Inbox<'_> {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(5)
    }
}

#[async_trait]
impl MessageBench for Inbox<'_> {
    fn component(&self) -> Component {
        "people".into()
    }

    async fn arrived(&self) -> Vec<String> {
        loop {
            let words = ["sqs", "receive-message", "--queue-url", &self.queue, "--max-number-of-messages", "10"];
            let said = self.ground.awscli(WEST, &words);
            let Some(some) = said["Messages"].as_array().filter(|some| !some.is_empty()) else { break };
            let bodies = some.iter().map(|m| m["Body"].as_str().unwrap().to_owned());
            self.read.lock().unwrap().extend(bodies);
            for one in some {
                let handle = one["ReceiptHandle"].as_str().unwrap();
                let words = ["sqs", "delete-message", "--queue-url", &self.queue, "--receipt-handle", handle];
                self.ground.awscli(WEST, &words);
            }
        }
        self.read.lock().unwrap().clone()
    }

    async fn swallow_next(&self) {
        let fault = json!({"kind": "lose-reply", "service": "sns", "action": "Publish", "times": 1});
        self.ground.server.tell("faults", fault).await.unwrap();
    }

    async fn refuse(&self) {
        let fault = json!({"kind": "throttle", "service": "sns", "action": "Publish", "times": 9_999});
        self.ground.server.tell("faults", fault).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_keeps_every_law_and_each_message_arrives() {
    let Some(ground) = Ground::find().await else { return };
    message(&Inbox::make(&ground)).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_tells_nobody_is_found_before_a_move() {
    let Some(ground) = Ground::find().await else { return };
    let inbox = Inbox::make(&ground);
    assert_eq!(inbox.found().await, []);
    let deny = json!({"kind": "deny", "service": "sns", "action": "GetTopicAttributes", "times": 1});
    ground.server.tell("faults", deny).await.unwrap();
    assert_eq!(inbox.found().await, [("PL-0362".to_owned(), Severity::Blocker)], "it may not be looked at");
    ground.server.tell(&format!("regions/{WEST}"), json!({"control": "refuse"})).await.unwrap();
    assert_eq!(inbox.found().await, [("PL-0361".to_owned(), Severity::Warning)], "it may answer by then");
    ground.server.tell(&format!("regions/{WEST}"), json!({"control": "up"})).await.unwrap();
    ground.awscli(WEST, &["sns", "delete-topic", "--topic-arn", &inbox.topic]);
    assert_eq!(inbox.found().await, [("PL-0364".to_owned(), Severity::Blocker)]);
    let lost = inbox.driver.apply(&told("into the void"), &context(1, "void")).await.unwrap_err();
    assert_eq!(lost.kind, FailureKind::Rejected, "{lost}");
}
