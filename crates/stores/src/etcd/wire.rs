//! The few messages of etcd's JSON gateway: numbers are text, bytes are base64, what is zero or false is left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pilotlight_core::cause;
use pilotlight_engine::storage::StorageError;
use serde::Deserialize;
use std::time::Duration;

/// What is read of the answers to range, transaction, deletion and authentication.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Answer {
    pub(super) header: Option<Header>,
    #[serde(default)]
    pub(super) kvs: Vec<KeyValue>,
    #[serde(default)]
    pub(super) more: bool,
    #[serde(default)]
    pub(super) succeeded: bool,
    pub(super) token: Option<String>,
}

/// Of every answer.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    /// Of the store; after a transaction that has put something, of what it has put.
    pub(super) revision: String,
}

/// A key with its newest value.
#[derive(Debug, Deserialize)]
pub(super) struct KeyValue {
    key: String,
    #[serde(default)]
    value: String,
    pub(super) mod_revision: String,
}

impl KeyValue {
    pub(super) fn key(&self, engine: &str) -> Result<String, StorageError> {
        let damaged = || garbled(engine, "a key");
        String::from_utf8(STANDARD.decode(&self.key).map_err(|_| damaged())?).map_err(|_| damaged())
    }

    pub(super) fn value(&self, engine: &str) -> Result<Vec<u8>, StorageError> {
        STANDARD.decode(&self.value).map_err(|_| garbled(engine, "a value"))
    }
}

fn garbled(engine: &str, what: &str) -> StorageError {
    StorageError::Damaged { file: engine.into(), place: what.to_owned(), why: "it is not base64 of ours".to_owned() }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// It answers, and will not do this for us.
    Denied(String),
    /// Nothing has left: another endpoint can be asked.
    NotSent(String),
    /// It may have been done.
    NoAnswer(String),
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// What etcd says when it refuses.
#[derive(Debug, Deserialize)]
struct Complaint {
    #[serde(default)]
    error: String,
    /// Of gRPC.
    #[serde(default)]
    code: u32,
}

/// gRPC's numbers for "who are you" and "you may not", and etcd's for a wrong name or password.
const DENIED: &[u32] = &[3, 7, 16];

/// Asks one endpoint.
pub(super) async fn post(
    client: &reqwest::Client,
    endpoint: &str,
    path: &str,
    token: Option<&str>,
    body: &serde_json::Value,
    longest: Duration,
) -> Result<Answer, Failure> {
    let url = format!("{}/v3/{path}", endpoint.trim_end_matches('/'));
    let mut request = client.post(url).timeout(longest).json(body);
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let failed = |e: reqwest::Error| {
        let why = format!("{endpoint}: {}", cause::root(&e));
        if e.is_connect() { Failure::NotSent(why) } else { Failure::NoAnswer(why) }
    };
    let response = request.send().await.map_err(failed)?;
    let status = response.status();
    let text = response.bytes().await.map_err(failed)?;
    if status.is_success() {
        return serde_json::from_slice(&text).map_err(|e| Failure::NoAnswer(format!("{endpoint}: {e}")));
    }
    let complaint = serde_json::from_slice::<Complaint>(&text).unwrap_or(Complaint { error: String::new(), code: 0 });
    let why = format!("{endpoint}: {status} {}", complaint.error);
    Err(if DENIED.contains(&complaint.code) { Failure::Denied(why) } else { Failure::NoAnswer(why) })
}
