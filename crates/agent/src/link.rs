//! The way to the controllers: one request, one answer of whoever leads, and one log line when the answers change in kind.
//!
//! The controller that answered last is asked first. When it does not answer, or does not lead, the others are asked at
//! once and together: only the leader takes the request. A request that is waiting at the old leader is given up as soon
//! as another request has found the new one.
//!
//! Invariant: an answer of an older term than one that was heard is no answer. So a leader that was frozen and goes on
//! grants nothing and orders nothing here.
//!
//! An agent whose controllers are away for an hour says so once, not eighteen thousand times; one whose controllers answer
//! and refuse by turns says each of them once a minute.

mod error;

pub use error::WayError;

use async_trait::async_trait;
use error::Refusal;
use pilotlight_core::cause;
use pilotlight_core::leader::Term;
use pilotlight_core::protocol::{Heartbeat, HeartbeatReply, TERM_HEADER, TaskResult, WorkReply, WorkRequest};
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_driver::rarely::Rarely;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Carries an agent's messages to its controller and brings the answers back; each call ends within its time.
#[async_trait]
pub trait Way: Send + Sync {
    /// Presence, looks and the renewal of the lease.
    async fn heartbeat(&self, heartbeat: &Heartbeat, within: Duration) -> Result<HeartbeatReply, WayError>;
    /// Asks for tasks.
    async fn work(&self, request: &WorkRequest, within: Duration) -> Result<WorkReply, WayError>;
    /// Says what became of a task.
    async fn result(&self, result: &TaskResult, within: Duration) -> Result<(), WayError>;
    /// The newest term that was heard; zero where there is one controller.
    fn term(&self) -> Term;
    /// An agent before this one had heard that term.
    fn has_heard(&self, term: Term);
}

/// The way over HTTP.
pub struct HttpWay {
    dial: Arc<Dial>,
    /// The one that answered last; `None` when nobody did.
    leads: watch::Sender<Option<usize>>,
    /// The code of the trouble that was logged last.
    logged: Mutex<Option<String>>,
    rarely: Rarely,
}

/// What a request needs.
struct Dial {
    client: reqwest::Client,
    bases: Vec<String>,
    token: String,
    /// The newest that was heard.
    term: AtomicU64,
}

impl HttpWay {
    /// A way to the controllers at `bases`. The client trusts the plan's certificate authority, the token is the shared
    /// secret.
    pub fn new(client: reqwest::Client, bases: &[String], token: String) -> Self {
        let bases = bases.iter().map(|base| base.trim_end_matches('/').to_owned()).collect();
        let dial = Dial { client, bases, token, term: AtomicU64::new(0) };
        Self {
            dial: Arc::new(dial),
            leads: watch::Sender::new(Some(0)),
            logged: Mutex::new(None),
            rarely: Rarely::default(),
        }
    }

    /// Sends and waits at most `timeout` for the whole answer of one controller.
    pub(crate) async fn post<Q, A>(&self, path: &str, body: &Q, timeout: Duration) -> Result<A, WayError>
    where
        Q: Serialize + Sync,
        A: DeserializeOwned,
    {
        let body = serde_json::to_vec(body).expect("a message has only names, numbers and texts");
        let answer = self.ask(path, body.into(), timeout).await;
        let answer = answer.and_then(|(base, text)| {
            // 204 has no body; `null` is what a unit reads.
            let text: &[u8] = if text.is_empty() { b"null" } else { &text };
            serde_json::from_slice(text).map_err(|e| WayError::Garbled { url: base, why: e.to_string() })
        });
        self.log_change(answer.as_ref().err());
        answer
    }

    /// The answer with the controller it came from.
    async fn ask(&self, path: &str, body: Arc<[u8]>, timeout: Duration) -> Result<(String, Vec<u8>), WayError> {
        let mut leads = self.leads.subscribe();
        let current = *leads.borrow_and_update();
        let mut failed = None;
        if let Some(at) = current {
            let answer = tokio::select! {
                biased;
                answer = self.dial.send(at, path, &body, timeout) => answer,
                // Another request has found out that this one does not lead any more.
                () = moved(&mut leads, at) => Err(WayError::Unreachable {
                    url: self.dial.bases[at].clone(),
                    why: "another controller leads now".to_owned(),
                }),
            };
            match answer {
                Ok(text) => return Ok((self.dial.bases[at].clone(), text)),
                Err(e) if self.dial.bases.len() == 1 || !e.is_for_another() => return Err(e),
                Err(e) => failed = Some(e),
            }
        }
        self.ask_all(path, body, timeout, failed.is_some().then_some(current).flatten(), failed).await
    }

    /// Asks everybody but `except` at once; the first that takes it leads.
    async fn ask_all(
        &self,
        path: &str,
        body: Arc<[u8]>,
        timeout: Duration,
        except: Option<usize>,
        mut failed: Option<WayError>,
    ) -> Result<(String, Vec<u8>), WayError> {
        let mut asked = JoinSet::new();
        for at in (0..self.dial.bases.len()).filter(|at| Some(*at) != except) {
            let (dial, path, body) = (Arc::clone(&self.dial), path.to_owned(), Arc::clone(&body));
            asked.spawn(async move { (at, dial.send(at, &path, &body, timeout).await) });
        }
        while let Some(Ok((at, answer))) = asked.join_next().await {
            match answer {
                Ok(text) => {
                    self.leads.send_if_modified(|leads| leads.replace(at) != Some(at));
                    return Ok((self.dial.bases[at].clone(), text));
                }
                // What a controller says is worth more than that another says nothing.
                Err(e) if failed.as_ref().is_none_or(|f| matches!(f, WayError::Unreachable { .. })) => failed = Some(e),
                Err(_) => {}
            }
        }
        self.leads.send_if_modified(|leads| *leads == except && leads.take().is_some());
        Err(failed.unwrap_or_else(|| WayError::Unreachable { url: String::new(), why: "nobody to ask".to_owned() }))
    }

    fn log_change(&self, error: Option<&WayError>) {
        if !self.is_news(error.map(WayError::code), SystemClock.mono()) {
            return;
        }
        match error {
            Some(e) => tracing::warn!(code = e.code(), hint = e.hint(), "{e}; trying on"),
            None => {
                let at = self.leads.borrow().unwrap_or_default();
                tracing::info!("the controller at {} answers", self.dial.bases[at]);
            }
        }
    }

    /// Another kind of answer than the one that was told last. One that may not be told now is not taken for told: it is
    /// told later if it lasts.
    fn is_news(&self, code: Option<&str>, now: Mono) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let news = logged.as_deref() != code && self.rarely.may_say(code.unwrap_or("answers"), now);
        if news {
            *logged = code.map(str::to_owned);
        }
        news
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

    fn term(&self) -> Term {
        Term(self.dial.term.load(Ordering::SeqCst))
    }

    fn has_heard(&self, term: Term) {
        self.dial.term.fetch_max(term.0, Ordering::SeqCst);
    }
}

/// Returns when another controller than `at` is known to lead.
async fn moved(leads: &mut watch::Receiver<Option<usize>>, at: usize) {
    let other = leads.wait_for(|leads| leads.is_some_and(|leads| leads != at)).await.is_ok();
    if !other {
        // The link is gone, and with it whoever asks.
        std::future::pending::<()>().await;
    }
}

impl Dial {
    async fn send(&self, at: usize, path: &str, body: &[u8], timeout: Duration) -> Result<Vec<u8>, WayError> {
        let url = &self.bases[at];
        let unreachable = |e: reqwest::Error| WayError::Unreachable { url: url.clone(), why: cause::root(&e) };
        let request = self.client.post(format!("{url}{path}")).bearer_auth(&self.token).timeout(timeout);
        let request = request.header("content-type", "application/json").body(body.to_vec());
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let term = response.headers().get(TERM_HEADER).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        let body = response.bytes().await.map_err(unreachable)?;
        if !status.is_success() {
            return Err(match serde_json::from_slice::<Refusal>(&body) {
                Ok(refusal) => refusal.into_error(url),
                Err(_) => WayError::Garbled { url: url.clone(), why: format!("HTTP status {status}") },
            });
        }
        let term = term.unwrap_or_default();
        let newest = self.term.fetch_max(term, Ordering::SeqCst).max(term);
        if term < newest {
            let why = format!("it leads term {term}, and term {newest} has begun");
            return Err(WayError::Unreachable { url: url.clone(), why });
        }
        Ok(body.to_vec())
    }
}

#[cfg(test)]
mod tests;
