//! Messages to a real HTTP server.

use super::*;
use crate::stage::{self, Site};
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::routing::post;
use pilotlight_core::id::Epoch;
use pilotlight_core::outcome::FailureKind;
use pilotlight_driver::battery::{self, Bench, MessageBench};
use pilotlight_driver::guard::Guarded;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

#[derive(Default)]
struct Inbox {
    bodies: Mutex<Vec<serde_json::Value>>,
    refuses: AtomicBool,
    swallows: AtomicBool,
}

async fn site(inbox: &Arc<Inbox>) -> Site {
    let take = async |Shared(inbox): Shared<Arc<Inbox>>, axum::Json(body): axum::Json<serde_json::Value>| {
        if inbox.refuses.load(Ordering::SeqCst) {
            return (StatusCode::SERVICE_UNAVAILABLE, "no more, and the hook was /T00/secret-hook");
        }
        inbox.bodies.lock().unwrap().push(body);
        if inbox.swallows.swap(false, Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        (StatusCode::OK, "ok")
    };
    Site::start(axum::Router::new().route("/T00/secret-hook", post(take)).with_state(Arc::clone(inbox))).await
}

fn driver(url: String) -> WebhookDriver {
    let redactor = Redactor::new(["very-secret-token".to_owned(), "/T00/secret-hook".to_owned()]);
    WebhookDriver::new("hook".into(), stage::client(), url, redactor)
}

fn context(deadline: Duration) -> Context {
    Context {
        unit: "payments".into(),
        epoch: Epoch(1),
        key: EffectKey::new(&"run".into(), &"notify".into(), 1),
        deadline,
        cancel: CancellationToken::new(),
    }
}

fn notify(message: &str) -> Effect {
    Effect::Notify { component: "hook".into(), message: message.to_owned() }
}

#[tokio::test]
async fn a_message_is_posted_once_per_key_and_without_secrets() {
    let inbox = Arc::new(Inbox::default());
    let site = site(&inbox).await;
    let driver = driver(site.url("/T00/secret-hook"));
    for _ in 0..2 {
        let sent = driver.apply(&notify("token is very-secret-token"), &context(Duration::from_secs(10))).await;
        assert_eq!(sent, Ok(Outcome::done()));
    }
    assert_eq!(*inbox.bodies.lock().unwrap(), [serde_json::json!({ "text": "token is [secret]" })]);
}

#[tokio::test]
async fn no_failure_shows_where_it_was_sent() {
    let inbox = Arc::new(Inbox { refuses: AtomicBool::new(true), ..Inbox::default() });
    let site = site(&inbox).await;
    let silent = stage::silent().await;
    // Only who does not answer is not waited for for long.
    let (soon, late) = (Duration::from_millis(500), Duration::from_secs(30));
    for (url, kind, deadline) in [
        (site.url("/T00/secret-hook"), FailureKind::Transient, late),
        (stage::refused_url("/T00/secret-hook").await, FailureKind::Transient, late),
        // It may have read the message.
        (format!("http://{}/T00/secret-hook", silent.local_addr().unwrap()), FailureKind::OutcomeUnknown, soon),
        ("no url at all /T00/secret-hook".to_owned(), FailureKind::Transient, late),
    ] {
        let failure = driver(url).apply(&notify("hello"), &context(deadline)).await.unwrap_err();
        assert_eq!(failure.kind, kind);
        let shown = format!("{failure:?}");
        assert!(!shown.contains("secret-hook") && !shown.contains("127.0.0.1"), "{shown}");
        assert!(shown.contains("hook"), "it names the component: {shown}");
    }
    let findings = driver("no url at all".to_owned()).preflight(&notify("hello")).await.unwrap();
    assert_eq!(findings.len(), 1);
}

struct Real {
    driver: Guarded<WebhookDriver>,
    inbox: Arc<Inbox>,
    _site: Site,
    _folder: TempDir,
}

impl Bench for Real {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }

    /// So long a message without an answer is waited for.
    fn patience(&self) -> Duration {
        Duration::from_secs(5)
    }
}

#[async_trait]
impl MessageBench for Real {
    fn component(&self) -> Component {
        "hook".into()
    }

    async fn arrived(&self) -> Vec<String> {
        let bodies = self.inbox.bodies.lock().unwrap();
        bodies.iter().map(|b| b["text"].as_str().unwrap().to_owned()).collect()
    }

    async fn swallow_next(&self) {
        self.inbox.swallows.store(true, Ordering::SeqCst);
    }

    async fn refuse(&self) {
        self.inbox.refuses.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_real_webhook_keeps_every_law() {
    let (inbox, folder) = (Arc::new(Inbox::default()), TempDir::new().unwrap());
    let site = site(&inbox).await;
    let driver = Guarded::open(driver(site.url("/T00/secret-hook")), folder.path()).unwrap();
    battery::message(&Real { driver, inbox, _site: site, _folder: folder }).await.assert_kept();
}
