//! HTTP requests as probes.

use pilotlight_core::cause::chain;
use pilotlight_core::effect::{HttpMethod, Probe};
use pilotlight_core::outcome::Failure;
use reqwest::{Response, StatusCode, Url};

/// Read of an answer's body when it is searched; a health page is shorter.
const BODY_BYTES: usize = 1024 * 1024;

/// Shown of a body that was not as expected.
const SHOWN_CHARACTERS: usize = 300;

pub(super) async fn ask(client: &reqwest::Client, probe: &Probe) -> Result<String, Failure> {
    let Probe::Http { url, method, status, body_contains, .. } = probe else {
        return Err(Failure::unsupported("not an HTTP probe"));
    };
    let url: Url = url.parse().map_err(|e| Failure::rejected(format!("not a URL: {e}")))?;
    let request = match method {
        HttpMethod::Get => client.get(url),
        HttpMethod::Post => client.post(url).header("content-length", 0),
    };
    let mut response = request.send().await.map_err(|e| unreached(&e.without_url()))?;
    let got = response.status();
    let (good, expected) = match status {
        Some(status) => (got.as_u16() == *status, status.to_string()),
        None => (got.is_success(), "any 2xx".to_owned()),
    };
    if !good {
        let body = read(&mut response).await.unwrap_or_default();
        return Err(Failure::transient(format!("answered {}, expected {expected}", show(got))).output(shorten(&body)));
    }
    if let Some(wanted) = body_contains {
        let body = read(&mut response).await?;
        if !body.contains(wanted) {
            let said = format!("answered {} without {wanted:?} in its body", show(got));
            return Err(Failure::transient(said).output(shorten(&body)));
        }
    }
    Ok(format!("answered {}", show(got)))
}

async fn read(response: &mut Response) -> Result<String, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| unreached(&e.without_url()))? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_BYTES {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn unreached(error: &reqwest::Error) -> Failure {
    Failure::unreachable(chain(error))
}

fn show(status: StatusCode) -> String {
    status.canonical_reason().map_or(status.as_u16().to_string(), |why| format!("{} {why}", status.as_u16()))
}

fn shorten(body: &str) -> String {
    body.chars().take(SHOWN_CHARACTERS).collect()
}

/// The URL as it may be shown.
pub(super) fn without_password(url: &str) -> String {
    let Ok(mut parsed) = url.parse::<Url>() else { return "an address that is not a URL".to_owned() };
    if parsed.password().is_some() {
        // Both fail only for addresses that cannot have either.
        let _ = parsed.set_password(None);
        let _ = parsed.set_username("");
    }
    parsed.to_string()
}
