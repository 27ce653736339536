//! The API of the controller that lives in this process, as everybody else would use it.

use crate::problem::Problem;
use pilotlight_core::code;
use pilotlight_server::api::view::ErrorBody;
use reqwest::{Client, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::time::Duration;

/// The controller is a thread of this process: one that takes so long does not answer at all. A dry run asks AWS.
const LONGEST: Duration = Duration::from_secs(40);

pub(crate) struct Door {
    http: Client,
    url: String,
    token: String,
}

impl Door {
    pub(crate) fn new(address: SocketAddr, token: &str) -> Result<Self, Problem> {
        let client = Client::builder().no_proxy().tls_certs_only([]).timeout(LONGEST).build();
        let http = client.map_err(|e| unanswered(&e))?;
        Ok(Self { http, url: format!("http://{address}"), token: token.to_owned() })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.ask(self.http.get(format!("{}{path}", self.url))).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Problem> {
        self.ask(self.http.post(format!("{}{path}", self.url)).json(body)).await
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Problem> {
        let response = request.bearer_auth(&self.token).send().await.map_err(|e| unanswered(&e))?;
        let good = response.status().is_success();
        let bytes = response.bytes().await.map_err(|e| unanswered(&e))?;
        if !good {
            let refused: ErrorBody = read(&bytes)?;
            return Err(refused.into());
        }
        read(if bytes.is_empty() { b"null" } else { &bytes })
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|e| {
        let what = format!("the controller's own answer cannot be read: {e}");
        Problem::new(code::DEFECT, what, "please report this")
    })
}

fn unanswered(e: &reqwest::Error) -> Problem {
    let what = format!("the controller inside this function does not answer: {}", pilotlight_core::cause::chain(e));
    Problem::new(code::MACHINE, what, "its log says why; the next invocation goes on")
}
