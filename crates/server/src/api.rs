//! The HTTP interface: JSON, a bearer token on every request, errors with a code and a hint.
//!
//! | method and path | request | answer |
//! |---|---|---|
//! | `POST /v1/agent/heartbeat`, `/work`, `/result` | [`pilotlight_core::protocol`] | the same |
//! | `POST /v1/observe` | [`pilotlight_core::protocol::ObserverReport`] | 204 |
//! | `GET /v1/controller` | | [`view::ControllerView`]; answered by controllers that stand by, too |
//! | `GET /v1/status` | | [`view::StatusView`] |
//! | `GET /v1/runs` | | [`view::RunsView`] |
//! | `GET /v1/runs/{run}` | | [`pilotlight_core::run::RunView`] |
//! | `GET /v1/runs/{run}/records?from=&wait_ms=` | | [`view::RecordsView`]; waits for the first new record |
//! | `POST /v1/runs/{run}/control` | [`view::ControlRequest`] | `RunView` |
//! | `GET /v1/runs/{run}/report.json`, `/report.html` | | the report, once written |
//! | `POST /v1/moves` | [`view::MoveRequest`] | [`view::MoveReply`] |
//! | `GET /v1/runbook?verb=&target=&unit=&mode=` | | [`pilotlight_core::runbook::Runbook`], derived now |
//! | `GET /v1/rescue` | | [`view::RescueView`] |
//! | `GET /v1/rescue/{bundle}?from=&most=` | | [`pilotlight_core::rescue::Shown`] |
//! | `POST /v1/rescue/{bundle}/classify`, `/apply` | [`view::RescueRequest`] | [`view::RescueReply`] |
//! | `POST /v1/hold` | [`view::HoldRequest`] | [`view::HoldReply`] |
//! | `POST /v1/units/{unit}/acknowledge` | [`view::AcknowledgeRequest`] | [`view::AcknowledgeReply`] |
//!
//! Border: translates; decides nothing. Every error is a [`view::ErrorBody`].

mod agents;
mod refusal;
mod rescue;
mod runs;
pub(crate) mod status;
pub mod view;

pub use refusal::Refusal;

use crate::desk::Desk;
use crate::{behind, moves};
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use pilotlight_core::cause;
use pilotlight_core::code;
use pilotlight_core::id::{Region, Unit};
use pilotlight_core::leader::HeldBy;
use pilotlight_core::placement::{Mode, Verb};
use pilotlight_core::protocol::RESULT_MOST;
use pilotlight_core::runbook::Runbook;
use pilotlight_driver::clock::within;
use pilotlight_engine::store::UnitsError;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use view::{AcknowledgeReply, AcknowledgeRequest, HoldReply, HoldRequest, MoveReply, MoveRequest, StatusView};

/// A person waits for it.
const HOLD_WITHIN: Duration = Duration::from_secs(5);
const HOLD_HINT: &str =
    "see `pilotlight status` for what holds, and ask again; the file of `pilotlight hold on` works by itself";

/// The whole interface of a term; the token was looked at before (`front`).
pub(crate) fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/v1/agent/heartbeat", post(agents::heartbeat))
        .route("/v1/agent/work", post(agents::work))
        .route("/v1/agent/result", post(agents::result).layer(DefaultBodyLimit::max(RESULT_MOST)))
        .route("/v1/observe", post(agents::observe))
        .route("/v1/status", get(status))
        .route("/v1/runs", get(runs::list))
        .route("/v1/runs/{run}", get(runs::show))
        .route("/v1/runs/{run}/records", get(runs::records))
        .route("/v1/runs/{run}/control", post(runs::control))
        .route("/v1/runs/{run}/report.json", get(runs::report_json))
        .route("/v1/runs/{run}/report.html", get(runs::report_html))
        .route("/v1/moves", post(start_move))
        .route("/v1/runbook", get(runbook))
        .route("/v1/rescue", get(rescue::list))
        .route("/v1/rescue/{bundle}", get(rescue::show))
        .route("/v1/rescue/{bundle}/classify", post(rescue::classify))
        .route("/v1/rescue/{bundle}/apply", post(rescue::apply))
        .route("/v1/hold", post(hold))
        .route("/v1/units/{unit}/acknowledge", post(acknowledge))
        .fallback(nothing_here)
        .method_not_allowed_fallback(nothing_here)
        .with_state(desk)
}

async fn nothing_here(request: Request) -> Refusal {
    let what = format!("there is no {} {} here", request.method(), request.uri().path());
    Refusal::new(
        StatusCode::NOT_FOUND,
        code::OTHER_VERSION.as_str(),
        what,
        "is the caller of the same version as the controller?",
    )
}

/// A JSON body whose faults are told as every other error is.
struct Body<T>(T);

impl<S: Send + Sync, T> FromRequest<S> for Body<T>
where
    Json<T>: FromRequest<S, Rejection = JsonRejection>,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Body(body)),
            Err(e) => Err(Refusal::bad(format!("the request cannot be read: {}", e.body_text()))),
        }
    }
}

async fn status(State(desk): State<Arc<Desk>>) -> Result<Json<StatusView>, Refusal> {
    status::view(&desk).await.map(Json).map_err(|e| moves::storage(&e))
}

async fn hold(
    State(desk): State<Arc<Desk>>,
    Body(HoldRequest { by, why, on }): Body<HoldRequest>,
) -> Result<Json<HoldReply>, Refusal> {
    tracing::warn!(by, why, on, "a hold on everything automatic was asked for");
    let hold = on.then(|| HeldBy { by, at: desk.clock.wall(), why });
    let shared = desk.lead.is_contested();
    match within(&*desk.clock, HOLD_WITHIN, desk.holds.wish(hold)).await {
        Some(Ok(())) => Ok(Json(HoldReply { hold: desk.holds.read(), shared })),
        Some(Err(e)) => Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            code::HOLD_NOT_KEPT.as_str(),
            cause::chain(&e),
            HOLD_HINT,
        )),
        None => Err(Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            code::HOLD_NOT_KEPT.as_str(),
            "the store has not answered, so it is not known whether the hold was changed",
            HOLD_HINT,
        )),
    }
}

async fn start_move(
    State(desk): State<Arc<Desk>>,
    Body(request): Body<MoveRequest>,
) -> Result<Json<MoveReply>, Refusal> {
    moves::request(&desk, request).await.map(Json)
}

#[derive(Deserialize)]
struct RunbookQuery {
    verb: Verb,
    target: Option<Region>,
    unit: Option<Unit>,
    mode: Option<Mode>,
}

async fn runbook(
    State(desk): State<Arc<Desk>>,
    query: Result<Query<RunbookQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Runbook>, Refusal> {
    let Query(RunbookQuery { verb, target, unit, mode }) = query.map_err(|e| Refusal::bad(e.body_text()))?;
    let request = MoveRequest { unit, target, mode, dry_run: true, ..MoveRequest::new(verb, "") };
    moves::derive(&desk, &request).await.map(Json)
}

async fn acknowledge(
    State(desk): State<Arc<Desk>>,
    Path(unit): Path<Unit>,
    Body(request): Body<AcknowledgeRequest>,
) -> Result<Json<AcknowledgeReply>, Refusal> {
    let refused = |e: UnitsError| match &e {
        UnitsError::Busy { unit, run } => moves::already_moving(unit, run),
        _ => Refusal::new(
            StatusCode::CONFLICT,
            code::NOTHING_KNOWN.as_str(),
            cause::chain(&e),
            "see `pilotlight status`",
        ),
    };
    let noted = match request.raise_epoch {
        true => behind::raise(&desk, &unit, &request.by).await,
        false => behind::acknowledge(&desk, &unit, &request.by).await,
    };
    noted.map_err(refused).map(|was_open| Json(AcknowledgeReply { was_open }))
}
