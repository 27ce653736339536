//! The endpoints of agents; the messages stand in [`pilotlight_core::protocol`].

use super::Refusal;
use crate::desk::Desk;
use crate::hub::Unwelcome;
use crate::tokens::Bearer;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::protocol::{
    Heartbeat, HeartbeatReply, OLDEST, ObserverReport, TaskResult, VERSION, WorkReply, WorkRequest,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Presence and lease. Nothing in here waits: the lease runs on the agent's clock since before it was sent.
pub(super) async fn heartbeat(
    State(desk): State<Arc<Desk>>,
    Extension(bearer): Extension<Bearer>,
    body: Bytes,
) -> Result<Json<HeartbeatReply>, Refusal> {
    let heartbeat: Heartbeat = read_versioned(&body)?;
    speaks(&desk, &bearer, &heartbeat.region, &heartbeat.place)?;
    Ok(Json(desk.heard(heartbeat)?))
}

/// Tasks, oldest first.
pub(super) async fn work(
    State(desk): State<Arc<Desk>>,
    Extension(bearer): Extension<Bearer>,
    body: Bytes,
) -> Result<Json<WorkReply>, Refusal> {
    let request: WorkRequest = read_versioned(&body)?;
    speaks(&desk, &bearer, &request.region, &request.place)?;
    Ok(Json(desk.work(&request).await?))
}

/// What became of a task.
pub(super) async fn result(
    State(desk): State<Arc<Desk>>,
    Extension(bearer): Extension<Bearer>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let result: TaskResult = read(&body)?;
    speaks(&desk, &bearer, &result.region, &result.place)?;
    desk.hub.result(result)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whoever sent it may speak for the region. What is refused is logged rarely.
fn speaks(desk: &Desk, bearer: &Bearer, region: &Region, place: &str) -> Result<(), Refusal> {
    let Err(why) = bearer.speaks_for(region, place) else { return Ok(()) };
    let code = code::TOKEN_OF_ANOTHER;
    if desk.rarely.may_say("a token of another place", desk.clock.mono()) {
        tracing::warn!(place, "{code}: refused a message: {why}; told once a minute at most");
    }
    let hint = "compare `controller.region_tokens` of the plan with what the agent was started with";
    Err(Refusal::new(StatusCode::FORBIDDEN, code.as_str(), why, hint))
}

/// What an observer sees. Only those that the plan names count: a vote of a stranger is none.
pub(super) async fn observe(State(desk): State<Arc<Desk>>, body: Bytes) -> Result<StatusCode, Refusal> {
    let report: ObserverReport = read_versioned(&body)?;
    let named = &desk.plan.policy.observers;
    if !named.contains(&report.observer) {
        let known = named.iter().map(|o| o.as_str()).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        let what = format!("the plan has no observer {}; it has {known}", report.observer);
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            code::PLAN_OBSERVER.as_str(),
            what,
            "add it to `policy.observers` in the plan",
        ));
    }
    desk.hub.observed(report);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// The version first: a message of another one need not be readable.
fn read_versioned<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let Versioned { version } = read(body)?;
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            code::OTHER_VERSION.as_str(),
            format!("the agent writes version {version} of the protocol, this controller reads {OLDEST} to {VERSION}"),
            "run the same version of pilotlight everywhere; agents may be restarted at any time",
        ));
    }
    read(body)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|e| Refusal::bad(format!("the message cannot be read: {e}")))
}

impl From<Unwelcome> for Refusal {
    fn from(unwelcome: Unwelcome) -> Self {
        let (status, code, hint) = match unwelcome {
            Unwelcome::UnknownRegion { .. } => {
                (StatusCode::NOT_FOUND, code::PLAN_UNKNOWN_REGION, "give controller and agents the same plan")
            }
            Unwelcome::Replaced { .. } | Unwelcome::Elsewhere { .. } | Unwelcome::Stranger { .. } => {
                (StatusCode::CONFLICT, code::ANOTHER_AGENT, "run one agent per region; stop this one")
            }
        };
        Self::new(status, code.as_str(), unwelcome.to_string(), hint)
    }
}
