//! The authority's control interface, and what its answers mean to a run.

use pilotlight_core::cause;
use pilotlight_core::outcome::{Failure, FailureKind};
use pilotlight_core::plan::DnsPlan;
use pilotlight_core::protocol::dns::{NamePut, NameView, PutReply, Refusal};
use reqwest::StatusCode;
use std::time::Duration;

/// Talks about one name.
pub(super) struct Control {
    url: String,
    name: String,
    base: String,
    token: String,
    http: reqwest::Client,
}

impl Control {
    pub(super) fn new(plan: &DnsPlan, token: String, http: reqwest::Client) -> Self {
        let base = plan.control_url.trim_end_matches('/').to_owned();
        Self { url: format!("{base}/v1/names/{}", plan.name), name: plan.name.clone(), base, token, http }
    }

    /// What is published; `None` when the authority was never told the name. Nothing changes, so nothing is unknown.
    pub(super) async fn get(&self, within: Duration) -> Result<Option<NameView>, Failure> {
        let sent = self.http.get(&self.url).bearer_auth(&self.token).timeout(within).send().await;
        let response = sent.map_err(|e| self.unreachable(&e))?;
        match response.status() {
            StatusCode::OK => Ok(Some(response.json().await.map_err(|e| self.unreachable(&e))?)),
            StatusCode::NOT_FOUND => Ok(None),
            status => {
                let kind = if status.is_server_error() { FailureKind::Transient } else { FailureKind::Rejected };
                Err(refused(kind, status, response.json().await.ok()))
            }
        }
    }

    /// Publishes.
    pub(super) async fn put(&self, put: &NamePut, within: Duration) -> Result<PutReply, Failure> {
        let sent = self.http.put(&self.url).bearer_auth(&self.token).timeout(within).json(put).send().await;
        let response = sent.map_err(|e| self.lost(&e))?;
        let kind = match response.status() {
            StatusCode::OK => return response.json().await.map_err(|e| self.lost(&e)),
            // Somebody else published since we looked, or the disk is full: nothing changed, and it may work later.
            StatusCode::PRECONDITION_FAILED | StatusCode::INSUFFICIENT_STORAGE | StatusCode::REQUEST_TIMEOUT => {
                FailureKind::Transient
            }
            status if status.is_client_error() => FailureKind::Rejected,
            // It may have been stored before it went wrong.
            _ => FailureKind::OutcomeUnknown,
        };
        let status = response.status();
        let said = response.json::<Refusal>().await.ok();
        match said.as_ref().and_then(|said| said.newest_epoch) {
            Some(newest) => Err(Failure::stale(&put.unit, put.epoch, newest)),
            None => Err(refused(kind, status, said)),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::unreachable(format!("the DNS authority at {} does not answer: {}", self.base, why(error)))
    }

    /// The request may have arrived, unless there was no connection.
    fn lost(&self, error: &reqwest::Error) -> Failure {
        if error.is_connect() || error.is_builder() {
            return self.unreachable(error);
        }
        Failure::unknown(format!("the DNS authority did not say whether it published {}: {}", self.name, why(error)))
    }
}

fn refused(kind: FailureKind, status: StatusCode, said: Option<Refusal>) -> Failure {
    let said = said.map_or_else(|| format!("status {status}"), |refusal| refusal.error);
    let failure = Failure::new(kind, format!("the DNS authority refused: {said}"));
    match status {
        StatusCode::UNAUTHORIZED => failure.hint("give the authority and the controller the same token"),
        StatusCode::INSUFFICIENT_STORAGE => failure.hint("make room on the disk of the authority"),
        _ => failure,
    }
}

/// The innermost cause; the outer ones repeat the URL.
fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    cause::root(error)
}
