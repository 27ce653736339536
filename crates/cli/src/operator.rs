//! The operator's side of the controllers' API: finds the leader, asks it, and follows the lead when it moves.
//!
//! Invariant: what may have been done is not asked for twice. A request that changes something is sent again only when it
//! was refused by a controller that does not lead, or when no connection came about.

mod refused;

use crate::connect;
use crate::error::{CliError, Exit};
use pilotlight_core::code;
use pilotlight_core::plan::Plan;
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_server::api::view::{ControllerView, StatusView};
use refused::{leads_not, refusal};
use reqwest::RequestBuilder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// Longer than any call holds a request open on purpose.
const PATIENCE: Duration = Duration::from_secs(40);
/// A controller says what it is at once, or it is of no use now.
const WHO_ARE_YOU: Duration = Duration::from_secs(1);
/// A lead changes hands in a few seconds; nobody at a terminal waits longer without a word.
const FIND: Duration = Duration::from_secs(8);
/// Whoever led is believed to lead for so long: one that was frozen since would be waited for in vain.
const LEADS_FOR: Duration = Duration::from_millis(500);
/// Between two rounds of asking who leads.
const ROUND: Duration = Duration::from_millis(150);

/// Longer than the controller gives what it passes on to an agent.
const LONG: Duration = Duration::from_secs(630);

/// The controllers to talk to. Clones share who leads.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    http: reqwest::Client,
    urls: Vec<String>,
    token: String,
    /// Who led when it was asked last.
    leader: Arc<Mutex<Option<(String, Mono)>>>,
}

/// A controller and what it says of itself, or why it says nothing.
pub(crate) struct Found {
    /// Its address.
    pub(crate) url: String,
    /// What it is.
    pub(crate) view: Result<ControllerView, String>,
}

impl Operator {
    /// The controllers of a plan, with the plan's token.
    pub(crate) fn of(plan: &Plan) -> Result<Self, CliError> {
        Self::with_token(plan, connect::secret(&plan.controller.token)?)
    }

    /// The controllers of a plan, with a token at hand.
    pub(crate) fn with_token(plan: &Plan, token: String) -> Result<Self, CliError> {
        let urls = plan.controller.urls().iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        Ok(Self { http: connect::http_client(plan)?, urls, token, leader: Arc::default() })
    }

    /// Asks.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        let response = self.ask(|url| self.http.get(format!("{url}{path}")).timeout(PATIENCE), true).await?;
        self.read(response).await
    }

    /// Asks for a document that is not JSON of ours.
    pub(crate) async fn get_text(&self, path: &str) -> Result<String, CliError> {
        let response = self.ask(|url| self.http.get(format!("{url}{path}")).timeout(PATIENCE), true).await?;
        response.text().await.map_err(|e| self.unreachable(e))
    }

    /// Tells.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CliError> {
        let response =
            self.ask(|url| self.http.post(format!("{url}{path}")).json(body).timeout(PATIENCE), false).await?;
        self.read(response).await
    }

    /// Tells, and waits as long as it takes.
    pub(crate) async fn post_long<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        let make = |url: &str| self.http.post(format!("{url}{path}")).json(body).timeout(LONG);
        let response = self.ask(make, false).await?;
        self.read(response).await
    }

    /// The status of the leader, or of any controller that answers when none leads.
    pub(crate) async fn status(&self) -> Result<StatusView, CliError> {
        if self.urls.len() == 1 {
            return self.get("/v1/status").await;
        }
        let found = self.controllers().await;
        let answers = |f: &&Found| f.view.is_ok();
        let leads = |f: &&Found| f.view.as_ref().is_ok_and(|view| view.leads);
        let Some(best) = found.iter().find(leads).or_else(|| found.iter().find(answers)) else {
            return Err(self.nobody(found));
        };
        let request = self.http.get(format!("{}/v1/status", best.url)).timeout(PATIENCE);
        let response = self.send(request).await.map_err(|e| self.unreachable(e))?;
        self.read(refusal(response).await?).await
    }

    /// The same without one of them.
    pub(crate) fn without(mut self, url: &str) -> Self {
        self.urls.retain(|known| known != url);
        self.leader = Arc::default();
        self
    }

    /// Every controller of the plan, in its order.
    pub(crate) async fn controllers(&self) -> Vec<Found> {
        let mut found = self.ask_each().join_all().await;
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(_, found)| found).collect()
    }

    fn ask_each(&self) -> JoinSet<(usize, Found)> {
        let mut asked = JoinSet::new();
        for (at, url) in self.urls.iter().cloned().enumerate() {
            let request = self.http.get(format!("{url}/v1/controller")).bearer_auth(&self.token);
            asked.spawn(async move {
                let view = async {
                    let response =
                        request.timeout(WHO_ARE_YOU).send().await.map_err(|e| e.without_url().to_string())?;
                    let response = refusal(response).await.map_err(|e| format!("{:#}", e.cause))?;
                    response.json().await.map_err(|e| e.without_url().to_string())
                };
                (at, Found { view: view.await, url })
            });
        }
        asked
    }

    /// The leader's address.
    async fn leader(&self) -> Result<String, CliError> {
        if let [only] = self.urls.as_slice() {
            return Ok(only.clone());
        }
        if let Some((known, at)) = self.known().clone()
            && SystemClock.mono().since(at) < LEADS_FOR
        {
            return Ok(known);
        }
        let until = SystemClock.mono() + FIND;
        loop {
            let mut asked = self.ask_each();
            let mut others = Vec::new();
            while let Some(Ok((_, found))) = asked.join_next().await {
                // Whoever says so leads: it looks at its own clock before it answers.
                if found.view.as_ref().is_ok_and(|view| view.leads) {
                    *self.known() = Some((found.url.clone(), SystemClock.mono()));
                    return Ok(found.url);
                }
                others.push(found);
            }
            if SystemClock.mono() >= until || others.iter().all(|f| f.view.is_err()) {
                return Err(self.nobody(others));
            }
            tokio::time::sleep(ROUND).await;
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<(String, Mono)>> {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nobody(&self, found: Vec<Found>) -> CliError {
        let mut text = "no controller leads".to_owned();
        let mut answers = false;
        for Found { url, view } in found {
            answers |= view.is_ok();
            let says = match view {
                Ok(ControllerView { trouble: Some(why), .. }) => why,
                Ok(_) => "stands by".to_owned(),
                Err(why) => format!("cannot be reached: {why}"),
            };
            text.push_str(&format!("\n  - {url}: {says}"));
        }
        let code = if answers { "PL-0409" } else { "PL-0403" };
        let hint = if answers { "ask again in a few seconds" } else { "is `pilotlight serve` running there?" };
        CliError::say(Exit::Failed, text).code(code).hint(hint)
    }

    /// The answer of the leader. `repeatable`: asking twice changes nothing.
    async fn ask(
        &self,
        make: impl Fn(&str) -> RequestBuilder,
        repeatable: bool,
    ) -> Result<reqwest::Response, CliError> {
        let until = SystemClock.mono() + FIND;
        loop {
            let url = self.leader().await?;
            let failed = match self.send(make(&url)).await {
                Ok(response) if self.urls.len() > 1 && leads_not(response.status()) => refusal(response).await.err(),
                Ok(response) => return refusal(response).await,
                Err(e) if self.urls.len() > 1 && (repeatable || e.is_connect()) => Some(self.unreachable(e)),
                Err(e) => return Err(self.unreachable(e)),
            };
            *self.known() = None;
            if SystemClock.mono() >= until
                && let Some(failed) = failed
            {
                return Err(failed);
            }
            tokio::time::sleep(ROUND).await;
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<reqwest::Response, reqwest::Error> {
        request.bearer_auth(&self.token).send().await
    }

    async fn read<T: DeserializeOwned>(&self, response: reqwest::Response) -> Result<T, CliError> {
        let bytes = response.bytes().await.map_err(|e| self.unreachable(e))?;
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(text).map_err(|e| {
            CliError::new(Exit::Failed, anyhow::Error::new(e).context("the controller answered something unexpected"))
                .code(code::OTHER_VERSION.as_str())
                .hint("is it of another version than this program?")
        })
    }

    fn unreachable(&self, cause: reqwest::Error) -> CliError {
        let at = self.known().clone().map_or_else(|| self.urls.join(", "), |(url, _)| url);
        CliError::new(
            Exit::Failed,
            anyhow::Error::new(cause.without_url()).context(format!("the controller at {at} cannot be reached")),
        )
        .code("PL-0403")
        .hint("is `pilotlight serve` running there?")
    }
}
