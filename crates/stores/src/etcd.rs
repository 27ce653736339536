//! Objects as keys of etcd, through its JSON gateway: a put is a transaction on the key's `mod_revision`.
//!
//! The gateway is part of every etcd since 3.4 and needs no generated code; the gRPC client would need `protoc` wherever
//! Pilotlight is built. Reads are linearizable (etcd's default), so what one controller was told the next one sees.
//!
//! With several endpoints one that does not answer is left for the next, within the deadline of the call. A put that got
//! no answer is not sent to another: it may be under way.

mod wire;

use crate::objects::{Expect, Object, Objects, Refused, Tag};
use async_trait::async_trait;
use pilotlight_engine::storage::StorageError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use wire::{Answer, Failure};

/// One endpoint has so long for one call: two fit into the deadline of a call of the store.
const LONGEST: Duration = Duration::from_millis(900);

/// Keys a page.
const PAGE: u64 = 500;

/// Where etcd is, and who asks.
pub struct EtcdSettings {
    /// Base URLs of its members.
    pub endpoints: Vec<String>,
    /// What every key begins with.
    pub prefix: String,
    /// Name and password, where etcd asks for them.
    pub login: Option<(String, String)>,
    /// Speaks HTTP and trusts etcd's authority.
    pub client: reqwest::Client,
}

/// See the module. Clones share everything.
#[derive(Clone)]
pub struct Etcd(Arc<Inner>);

struct Inner {
    settings: EtcdSettings,
    /// The endpoint that answered last.
    current: AtomicUsize,
    token: Mutex<Option<String>>,
}

impl Etcd {
    /// Asks nothing yet.
    pub fn new(settings: EtcdSettings) -> Self {
        Self(Arc::new(Inner { settings, current: AtomicUsize::new(0), token: Mutex::default() }))
    }

    fn key(&self, name: &str) -> String {
        wire::base64(format!("{}{name}", self.0.settings.prefix).as_bytes())
    }

    /// Asks the endpoint that answered last, then the others, if asking twice does no harm.
    async fn ask(&self, path: &str, body: &serde_json::Value, repeatable: bool) -> Result<Answer, StorageError> {
        let endpoints = &self.0.settings.endpoints;
        let first = self.0.current.load(Ordering::Relaxed);
        let mut last = None;
        for turn in 0..endpoints.len() {
            let at = (first + turn) % endpoints.len();
            match self.ask_one(&endpoints[at], path, body).await {
                Ok(answer) => {
                    self.0.current.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(Failure::Denied(why)) => return Err(StorageError::Denied { what: self.name(), why }),
                Err(Failure::Full) => return Err(StorageError::Full { file: self.name().into() }),
                Err(Failure::NotSent(why)) => last = Some(why),
                Err(Failure::NoAnswer(why)) => {
                    self.0.current.store((at + 1) % endpoints.len(), Ordering::Relaxed);
                    last = Some(why);
                    if !repeatable {
                        break;
                    }
                }
            }
        }
        let why = last.unwrap_or_else(|| "no endpoint is named".to_owned());
        Err(StorageError::Unreachable { what: self.name(), why })
    }

    /// A token that was kept may be from before a restart or a change of accounts, and etcd has several words for that.
    /// Whatever is refused with it is asked once more with a new one: what etcd refuses it has not done.
    async fn ask_one(&self, endpoint: &str, path: &str, body: &serde_json::Value) -> Result<Answer, Failure> {
        let client = &self.0.settings.client;
        let Some(login) = &self.0.settings.login else {
            return wire::post(client, endpoint, path, None, body, LONGEST).await;
        };
        if let Some(kept) = self.kept() {
            match wire::post(client, endpoint, path, Some(&kept), body, LONGEST).await {
                Err(Failure::Denied(_)) => self.forget(&kept),
                known => return known,
            }
        }
        let token = self.token(endpoint, login).await?;
        wire::post(client, endpoint, path, Some(&token), body, LONGEST).await
    }

    fn kept(&self) -> Option<String> {
        self.0.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Unless another call has brought a new one meanwhile.
    fn forget(&self, old: &str) {
        self.0.token.lock().unwrap_or_else(PoisonError::into_inner).take_if(|token| token == old);
    }

    async fn token(&self, endpoint: &str, (name, password): &(String, String)) -> Result<String, Failure> {
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let body = serde_json::json!({ "name": name, "password": password });
        let answer = wire::post(&self.0.settings.client, endpoint, "auth/authenticate", None, &body, LONGEST).await?;
        let token = answer.token.ok_or_else(|| Failure::Denied("it gave no token for the password".to_owned()))?;
        *self.0.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token)
    }
}

#[async_trait]
impl Objects for Etcd {
    fn name(&self) -> String {
        format!("etcd at {}", self.0.settings.endpoints.join(", "))
    }

    /// Each version of a value stays in etcd until it is compacted, and etcd refuses requests above 1.5 MB.
    fn chunk_bytes(&self) -> usize {
        8 * 1024
    }

    async fn get(&self, name: &str) -> Result<Option<Object>, StorageError> {
        let body = serde_json::json!({ "key": self.key(name) });
        let answer = self.ask("kv/range", &body, true).await?;
        let Some(kv) = answer.kvs.into_iter().next() else { return Ok(None) };
        Ok(Some(Object { tag: Tag(kv.mod_revision.clone()), body: kv.value(&self.name())? }))
    }

    async fn put(&self, name: &str, body: Vec<u8>, expect: &Expect) -> Result<Tag, Refused> {
        let key = self.key(name);
        // A key that is not there has revision 0.
        let revision = match expect {
            Expect::Absent => "0",
            Expect::Tagged(Tag(revision)) => revision,
        };
        let body = serde_json::json!({
            "compare": [{ "key": key, "target": "MOD", "result": "EQUAL", "mod_revision": revision }],
            "success": [{ "request_put": { "key": key, "value": wire::base64(&body) } }],
        });
        let answer = self.ask("kv/txn", &body, false).await.map_err(Refused::Unclear)?;
        match answer.header {
            Some(header) if answer.succeeded => Ok(Tag(header.revision)),
            Some(_) => Err(Refused::Changed),
            None => Err(Refused::Unclear(StorageError::Unreachable {
                what: self.name(),
                why: "it answered a transaction with something else".to_owned(),
            })),
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<(String, Tag)>, StorageError> {
        let prefix = format!("{}{folder}/", self.0.settings.prefix);
        // `0` is the letter after `/`: the range ends where the folder does.
        let end = wire::base64(format!("{}{folder}0", self.0.settings.prefix).as_bytes());
        let mut from = wire::base64(prefix.as_bytes());
        let mut found = Vec::new();
        loop {
            let body = serde_json::json!({ "key": from, "range_end": end, "limit": PAGE, "keys_only": true });
            let answer = self.ask("kv/range", &body, true).await?;
            for kv in &answer.kvs {
                let key = kv.key(&self.name())?;
                if let Some(leaf) = key.strip_prefix(&prefix) {
                    found.push((leaf.to_owned(), Tag(kv.mod_revision.clone())));
                }
                from = wire::base64(format!("{key}\0").as_bytes());
            }
            if !answer.more {
                return Ok(found);
            }
        }
    }

    async fn remove(&self, name: &str) -> Result<(), StorageError> {
        let body = serde_json::json!({ "key": self.key(name) });
        self.ask("kv/deleterange", &body, true).await.map(|_| ())
    }
}
