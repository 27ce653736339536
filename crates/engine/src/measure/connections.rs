//! Connections to the service, and one request over them.
//!
//! As long as all is well, connections are kept, as browsers and apps do. After any failure nothing of the old ones is
//! used again: the next request makes a new connection and so looks at the name again, which may have moved. Until one
//! request was good, every request makes its own connection; else a region that answers "not here" over a kept
//! connection would hold its users for ever.

use crate::measure::request_log::RequestOutcome;
use crate::measure::resolve::{ForHttp, NameResolver};
use pilotlight_core::id::Region;
use reqwest::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use reqwest::{Response, Url};
use std::error::Error;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The header in which a service names its region.
const REGION_HEADER: &str = "x-pilotlight-region";

/// Longest name of a region that is believed.
const MAX_REGION_BYTES: usize = 100;

/// Errors are kept for people: this much of the chain is enough.
const MAX_ERROR_BYTES: usize = 300;

pub(crate) struct Connections {
    url: Url,
    host: String,
    timeout: Duration,
    resolver: Arc<NameResolver>,
    current: Mutex<Arc<Generation>>,
}

/// Connections that were made since the last failure.
struct Generation {
    client: reqwest::Client,
    good: AtomicBool,
}

/// How a request ended.
pub(crate) struct Answer {
    pub(crate) outcome: RequestOutcome,
    pub(crate) region: Option<Region>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) error: Option<String>,
}

impl Connections {
    pub(crate) fn new(url: Url, timeout: Duration, resolver: Arc<NameResolver>) -> reqwest::Result<Self> {
        let current = Mutex::new(generation(timeout, &resolver)?);
        let host = url.host_str().unwrap_or_default().to_owned();
        Ok(Self { url, host, timeout, resolver, current })
    }

    /// Sends one payment and waits for its end.
    pub(crate) async fn pay(&self, id: &str) -> Answer {
        let generation = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut request = generation.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        if !generation.good.load(Ordering::Relaxed) {
            request = request.header(CONNECTION, HeaderValue::from_static("close"));
        }
        let sent = request.body(format!(r#"{{"id":"{id}"}}"#)).send().await;
        let answer = match sent {
            Ok(response) => read(response).await,
            Err(error) => self.failed(&error),
        };
        if answer.outcome == RequestOutcome::Acked {
            generation.good.store(true, Ordering::Relaxed);
        } else if generation.good.load(Ordering::Relaxed) {
            self.renew(&generation);
        }
        answer
    }

    fn failed(&self, error: &reqwest::Error) -> Answer {
        let outcome = if error.is_timeout() {
            RequestOutcome::Timeout
        } else if error.is_connect() || error.is_builder() {
            RequestOutcome::Error
        } else {
            RequestOutcome::InDoubt
        };
        let address = self.resolver.known(&self.host).and_then(|known| known.first().copied());
        Answer { outcome, region: None, address, error: Some(chain(error)) }
    }

    /// Makes new connections, unless another request that failed has done so already.
    fn renew(&self, failed: &Arc<Generation>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, failed) {
            match generation(self.timeout, &self.resolver) {
                Ok(fresh) => *current = fresh,
                Err(error) => tracing::warn!(%error, "connections are kept after a failure"),
            }
        }
    }
}

fn generation(timeout: Duration, resolver: &Arc<NameResolver>) -> reqwest::Result<Arc<Generation>> {
    let client = reqwest::Client::builder()
        .dns_resolver(Arc::new(ForHttp(resolver.clone())))
        .timeout(timeout)
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        // The service is asked over plain HTTP; without roots to load a new generation costs next to nothing.
        .tls_certs_only([])
        .build()?;
    Ok(Arc::new(Generation { client, good: AtomicBool::new(false) }))
}

async fn read(response: Response) -> Answer {
    let status = response.status();
    let address = response.remote_addr().map(|a| a.ip());
    let named = response.headers().get(REGION_HEADER).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let (outcome, region, error) = match response.bytes().await {
        Ok(body) => {
            let region = named.or_else(|| region_in(&body));
            if status.is_success() {
                (RequestOutcome::Acked, region, None)
            } else {
                let body = String::from_utf8_lossy(&body);
                (RequestOutcome::Refused, region, Some(short(format!("{status}: {}", body.trim()))))
            }
        }
        Err(error) => {
            let outcome = if error.is_timeout() { RequestOutcome::Timeout } else { RequestOutcome::InDoubt };
            (outcome, named, Some(chain(&error)))
        }
    };
    let region = region.filter(|r| r.len() <= MAX_REGION_BYTES).map(Region::new);
    Answer { outcome, region, address, error }
}

fn region_in(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Receipt {
        region: Option<String>,
    }
    serde_json::from_slice::<Receipt>(body).ok()?.region
}

/// The causes of an error, the innermost last; reqwest's outer ones say little.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(inner) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    short(if text.is_empty() { error.to_string() } else { text })
}

fn short(mut text: String) -> String {
    if text.len() > MAX_ERROR_BYTES {
        let end = (0..=MAX_ERROR_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}
