//! The operator's side of the controller's API.

use crate::connect;
use crate::error::{CliError, Exit};
use pilotlight_core::plan::Plan;
use pilotlight_server::api::view::ErrorBody;
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Longer than any call holds a request open on purpose.
const PATIENCE: Duration = Duration::from_secs(40);

/// Longer than the controller gives what it passes on to an agent.
const LONG: Duration = Duration::from_secs(630);

/// A controller to talk to.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Operator {
    /// The controller of a plan, with the plan's token.
    pub(crate) fn of(plan: &Plan) -> Result<Self, CliError> {
        Self::with_token(plan, connect::secret(&plan.controller.token)?)
    }

    /// The controller of a plan, with a token at hand.
    pub(crate) fn with_token(plan: &Plan, token: String) -> Result<Self, CliError> {
        Ok(Self { http: connect::http_client(plan)?, url: plan.controller.url.trim_end_matches('/').to_owned(), token })
    }

    /// Asks.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.send(self.http.get(format!("{}{path}", self.url)).timeout(PATIENCE)).await
    }

    /// Asks for a document that is not JSON of ours.
    pub(crate) async fn get_text(&self, path: &str) -> Result<String, CliError> {
        let response = self.raw(self.http.get(format!("{}{path}", self.url)).timeout(PATIENCE)).await?;
        response.text().await.map_err(|e| self.unreachable(e))
    }

    /// Tells.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CliError> {
        self.send(self.http.post(format!("{}{path}", self.url)).json(body).timeout(PATIENCE)).await
    }

    /// Tells, and waits as long as it takes.
    pub(crate) async fn post_long<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.send(self.http.post(format!("{}{path}", self.url)).json(body).timeout(LONG)).await
    }

    async fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, CliError> {
        let response = self.raw(request).await?;
        let bytes = response.bytes().await.map_err(|e| self.unreachable(e))?;
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(text).map_err(|e| {
            CliError::new(Exit::Failed, anyhow::Error::new(e).context("the controller answered something unexpected"))
                .hint("is it of another version than this program?")
        })
    }

    async fn raw(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, CliError> {
        let response = request.bearer_auth(&self.token).send().await.map_err(|e| self.unreachable(e))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        Err(refusal(status, &body))
    }

    fn unreachable(&self, cause: reqwest::Error) -> CliError {
        CliError::new(
            Exit::Failed,
            anyhow::Error::new(cause.without_url())
                .context(format!("the controller at {} cannot be reached", self.url)),
        )
        .code("PL-0403")
        .hint("is `pilotlight serve` running there?")
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> CliError {
    let exit = match status {
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Exit::Refused,
        StatusCode::GATEWAY_TIMEOUT => Exit::Unknown,
        s if s.is_server_error() => Exit::Failed,
        _ => Exit::Usage,
    };
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(refused) => {
            let mut message = refused.message;
            for line in refused.evidence {
                message.push_str("\n  - ");
                message.push_str(&line);
            }
            let mut error = CliError::say(exit, message).code(refused.code);
            error.hint = Some(refused.hint).filter(|h| !h.is_empty());
            error
        }
        Err(_) => CliError::say(exit, format!("the controller answered {status}: {}", String::from_utf8_lossy(body))),
    }
}
