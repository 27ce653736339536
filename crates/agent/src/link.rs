//! The way to the controller: one request, one answer, and one log line when the answers change in kind.
//!
//! An agent whose controller is away for an hour says so once, not eighteen thousand times.

use async_trait::async_trait;
use pilotlight_core::protocol::{Heartbeat, HeartbeatReply, TaskResult, WorkReply, WorkRequest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Carries an agent's messages to its controller and brings the answers back; each call ends within its time.
#[async_trait]
pub trait Way: Send + Sync {
    /// Presence, looks and the renewal of the lease.
    async fn heartbeat(&self, heartbeat: &Heartbeat, within: Duration) -> Result<HeartbeatReply, WayError>;
    /// Asks for tasks.
    async fn work(&self, request: &WorkRequest, within: Duration) -> Result<WorkReply, WayError>;
    /// Says what became of a task.
    async fn result(&self, result: &TaskResult, within: Duration) -> Result<(), WayError>;
}

/// The way over HTTP.
pub struct HttpWay {
    client: reqwest::Client,
    base: String,
    token: String,
    /// The code of the trouble that was logged last.
    logged: Mutex<Option<String>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// It answered with a refusal.
    #[error("the controller at {url} refuses ({code}): {message}")]
    Refused { url: String, code: String, message: String, hint: String },
    /// It did not answer, or not in time.
    #[error("the controller at {url} does not answer (PL-0403): {why}")]
    Unreachable { url: String, why: String },
    /// The answer is not one of ours.
    #[error("the controller at {url} answers something else (PL-0401): {why}")]
    Garbled { url: String, why: String },
}

/// The body of a refusal.
#[derive(Debug, Deserialize)]
struct Refusal {
    code: String,
    message: String,
    #[serde(default)]
    hint: String,
}

impl WayError {
    fn code(&self) -> &str {
        match self {
            WayError::Refused { code, .. } => code,
            WayError::Unreachable { .. } => "PL-0403",
            WayError::Garbled { .. } => "PL-0401",
        }
    }

    fn hint(&self) -> &str {
        match self {
            WayError::Refused { hint, .. } => hint,
            WayError::Unreachable { .. } => "is `pilotlight serve` running, and is controller.url right from here?",
            WayError::Garbled { .. } => "is controller.url the address of a controller of this version?",
        }
    }
}

impl HttpWay {
    /// A way to `base`. The client trusts the plan's certificate authority, the token is the shared secret.
    pub fn new(client: reqwest::Client, base: &str, token: String) -> Self {
        Self { client, base: base.trim_end_matches('/').to_owned(), token, logged: Mutex::new(None) }
    }

    /// Sends and waits at most `timeout` for the whole answer.
    pub(crate) async fn post<Q, A>(&self, path: &str, body: &Q, timeout: Duration) -> Result<A, WayError>
    where
        Q: Serialize + Sync,
        A: DeserializeOwned,
    {
        let answer = self.send(path, body, timeout).await;
        self.log_change(answer.as_ref().err());
        answer
    }

    async fn send<Q, A>(&self, path: &str, body: &Q, timeout: Duration) -> Result<A, WayError>
    where
        Q: Serialize + Sync,
        A: DeserializeOwned,
    {
        let url = format!("{}{path}", self.base);
        let unreachable = |e: reqwest::Error| WayError::Unreachable { url: self.base.clone(), why: root_cause(&e) };
        let request = self.client.post(&url).bearer_auth(&self.token).timeout(timeout).json(body);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            // 204 has no body; `null` is what a unit reads.
            let text: &[u8] = if body.is_empty() { b"null" } else { &body };
            return serde_json::from_slice(text)
                .map_err(|e| WayError::Garbled { url: self.base.clone(), why: e.to_string() });
        }
        Err(match serde_json::from_slice::<Refusal>(&body) {
            Ok(Refusal { code, message, hint }) => WayError::Refused { url: self.base.clone(), code, message, hint },
            Err(_) => WayError::Garbled { url: self.base.clone(), why: format!("HTTP status {status}") },
        })
    }

    fn log_change(&self, error: Option<&WayError>) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let code = error.map(|e| e.code().to_owned());
        if *logged == code {
            return;
        }
        match error {
            Some(e) => tracing::warn!(code = e.code(), hint = e.hint(), "{e}; trying on"),
            None => tracing::info!("the controller at {} answers again", self.base),
        }
        *logged = code;
    }
}

#[async_trait]
impl Way for HttpWay {
    async fn heartbeat(&self, heartbeat: &Heartbeat, within: Duration) -> Result<HeartbeatReply, WayError> {
        self.post("/v1/agent/heartbeat", heartbeat, within).await
    }

    async fn work(&self, request: &WorkRequest, within: Duration) -> Result<WorkReply, WayError> {
        self.post("/v1/agent/work", request, within).await
    }

    async fn result(&self, result: &TaskResult, within: Duration) -> Result<(), WayError> {
        self.post("/v1/agent/result", result, within).await
    }
}

/// The innermost cause, which names the address or the deadline; the outer layers only repeat the URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
