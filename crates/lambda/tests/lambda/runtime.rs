//! Lambda's side of the Runtime API, version 2018-06-01: hands out invocations, takes answers and errors.
//!
//! One server is one place where a function runs. The process that asks it may be killed; the next one that asks gets what
//! comes next, as in Lambda.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use pilotlight_driver::clock::{Clock, SystemClock, within};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// What a function said of an invocation.
pub(crate) type Said = Result<Value, Value>;

struct Invocation {
    id: String,
    payload: Value,
    deadline_ms: u64,
}

#[derive(Default)]
struct Desk {
    waiting: Mutex<VecDeque<Invocation>>,
    news: Notify,
    answers: Mutex<BTreeMap<String, oneshot::Sender<Said>>>,
}

pub(crate) struct RuntimeApi {
    pub(crate) address: SocketAddr,
    desk: Arc<Desk>,
    serving: tokio::task::JoinHandle<()>,
}

/// An invocation that was handed in.
pub(crate) struct Asked {
    answer: oneshot::Receiver<Said>,
    timeout: Duration,
}

impl RuntimeApi {
    pub(crate) async fn start() -> Self {
        let desk = Arc::new(Desk::default());
        let api = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(desk.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, api).await.unwrap() });
        Self { address, desk, serving }
    }

    /// Hands in an invocation that the function has so long for.
    pub(crate) fn ask(&self, id: &str, payload: Value, timeout: Duration) -> Asked {
        let deadline_ms = SystemClock.wall().0 + u64::try_from(timeout.as_millis()).unwrap();
        let (say, answer) = oneshot::channel();
        self.desk.answers.lock().unwrap().insert(id.to_owned(), say);
        self.desk.waiting.lock().unwrap().push_back(Invocation { id: id.to_owned(), payload, deadline_ms });
        self.desk.news.notify_one();
        Asked { answer, timeout }
    }

    /// The process that worked on it is gone: nobody will answer.
    pub(crate) fn forget(&self, id: &str) {
        self.desk.answers.lock().unwrap().remove(id);
    }
}

impl Asked {
    /// What the function says; it must do so before its time is over, as Lambda ends it then.
    pub(crate) async fn said(self) -> Said {
        let answer = within(&SystemClock, self.timeout, self.answer).await;
        answer.expect("the function says nothing in its time").expect("the function was not killed")
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn next(State(desk): State<Arc<Desk>>) -> Response {
    loop {
        let news = desk.news.notified();
        let waiting = desk.waiting.lock().unwrap().pop_front();
        if let Some(Invocation { id, payload, deadline_ms }) = waiting {
            let headers = [
                ("Lambda-Runtime-Aws-Request-Id", id),
                ("Lambda-Runtime-Deadline-Ms", deadline_ms.to_string()),
                ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-west-2:123456789012:function:dr".to_owned()),
                ("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700".to_owned()),
            ];
            return (headers, Json(payload)).into_response();
        }
        news.await;
    }
}

async fn response(State(desk): State<Arc<Desk>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    answered(&desk, &id, Ok(serde_json::from_slice(&body).unwrap_or_default()))
}

async fn error(State(desk): State<Arc<Desk>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    answered(&desk, &id, Err(serde_json::from_slice(&body).unwrap_or_default()))
}

fn answered(desk: &Desk, id: &str, said: Said) -> StatusCode {
    if let Some(answer) = desk.answers.lock().unwrap().remove(id) {
        let _ = answer.send(said);
    }
    StatusCode::ACCEPTED
}
