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
    /// It has no room for what is written: nothing was done, here or at any other endpoint.
    Full,
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

/// gRPC's number for what is used up, of which there are several, and what etcd says when it is its quota.
const FULL: (u32, &str) = (8, "space exceeded");

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
    Err(refused(endpoint, status, &text))
}

fn refused(endpoint: &str, status: reqwest::StatusCode, text: &[u8]) -> Failure {
    let Complaint { error, code } = serde_json::from_slice(text).unwrap_or(Complaint { error: String::new(), code: 0 });
    let why = format!("{endpoint}: {status} {error}");
    match code {
        code if code == FULL.0 && error.contains(FULL.1) => Failure::Full,
        code if DENIED.contains(&code) => Failure::Denied(why),
        _ => Failure::NoAnswer(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As etcd 3.4 answers.
    #[test]
    fn each_refusal_is_told_apart() {
        let of = |status: u16, text: &str| {
            let status = reqwest::StatusCode::from_u16(status).unwrap();
            match refused("e", status, text.as_bytes()) {
                Failure::Full => "full".to_owned(),
                Failure::Denied(why) => format!("denied {why}"),
                Failure::NotSent(why) | Failure::NoAnswer(why) => format!("no answer {why}"),
            }
        };
        let full = r#"{"error":"etcdserver: mvcc: database space exceeded","message":"etcdserver: mvcc: database space exceeded","code":8}"#;
        assert_eq!(of(429, full), "full");
        let many = r#"{"error":"etcdserver: too many requests","code":8}"#;
        assert_eq!(of(429, many), "no answer e: 429 Too Many Requests etcdserver: too many requests");
        let old = r#"{"error":"etcdserver: revision of auth store is old","code":3}"#;
        assert_eq!(of(400, old), "denied e: 400 Bad Request etcdserver: revision of auth store is old");
        assert_eq!(of(502, "<html>"), "no answer e: 502 Bad Gateway ");
    }
}
