//! Runs over HTTP: list, show, follow, control, and their reports.

use super::view::{Action, ControlRequest, RecordsView, RunsView};
use super::{Body, Refusal};
use crate::desk::Desk;
use crate::moves::{self, storage};
use crate::reports;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use pilotlight_core::cause::chain;
use pilotlight_core::code;
use pilotlight_core::id::{RunId, StepId};
use pilotlight_core::run::{Event, RunView};
use pilotlight_engine::{Control, ControlError};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// A caller that wants to wait longer asks again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

pub(super) async fn list(State(desk): State<Arc<Desk>>) -> Result<Json<RunsView>, Refusal> {
    let runs = desk.engine.readable_runs().await.map_err(|e| storage(&e))?;
    Ok(Json(RunsView { runs }))
}

async fn find(desk: &Desk, run: &RunId) -> Result<RunView, Refusal> {
    desk.engine.view(run).await.map_err(|e| storage(&e))?.ok_or_else(|| no_such_run(run))
}

pub(super) async fn show(State(desk): State<Arc<Desk>>, Path(run): Path<RunId>) -> Result<Json<RunView>, Refusal> {
    find(&desk, &run).await.map(Json)
}

#[derive(Deserialize)]
pub(super) struct From {
    #[serde(default)]
    from: u64,
    #[serde(default)]
    wait_ms: u64,
}

/// The records from `from` on; when there is none yet, waits for it.
pub(super) async fn records(
    State(desk): State<Arc<Desk>>,
    Path(run): Path<RunId>,
    Query(From { from, wait_ms }): Query<From>,
) -> Result<Json<RecordsView>, Refusal> {
    let end = desk.clock.mono() + Duration::from_millis(wait_ms).min(LONGEST_WAIT);
    // Before the first read, so that nothing between the two is missed.
    let mut news = desk.engine.subscribe();
    loop {
        let mut records = desk.engine.records(&run).await.map_err(|e| storage(&e))?;
        if records.is_empty() {
            return Err(no_such_run(&run));
        }
        let ended = records.iter().any(|r| matches!(r.event, Event::RunEnded { .. }));
        records.retain(|r| r.seq >= from);
        let left = end.since(desk.clock.mono());
        if !records.is_empty() || ended || left.is_zero() || desk.shutdown.is_cancelled() {
            let (stalled, waits) = (desk.engine.stalled(&run), desk.engine.waits(&run));
            return Ok(Json(RecordsView { records, ended, stalled, waits }));
        }
        tokio::select! {
            _ = news.recv() => {}
            () = desk.clock.sleep(left) => {}
            () = desk.shutdown.cancelled() => {}
        }
    }
}

pub(super) async fn control(
    State(desk): State<Arc<Desk>>,
    Path(run): Path<RunId>,
    Body(request): Body<ControlRequest>,
) -> Result<Json<RunView>, Refusal> {
    // A run that never was has no page to look at.
    let view = find(&desk, &run).await?;
    let step = |step: Option<StepId>| {
        step.ok_or_else(|| {
            Refusal::new(StatusCode::BAD_REQUEST, code::NOT_NOW.as_str(), "no step was named", "name one with --step")
        })
    };
    if matches!(request.action, Action::Resume | Action::Skip | Action::Approve) {
        goes_on(&desk, &view, request.action).await?;
    }
    let why = request.why;
    let control = match request.action {
        Action::Pause => Control::Pause { why },
        Action::Resume => Control::Resume,
        Action::Skip => Control::Skip { step: step(request.step)?, why },
        Action::Abort => Control::Abort,
        Action::Approve => Control::Approve { step: step(request.step)? },
    };
    desk.engine.control(&run, control, &request.by).await.map_err(|e| {
        let hint = format!("see `pilotlight run show {run}` for what can be done now");
        match &e {
            ControlError::Stalled(e) => storage(e),
            ControlError::NotUnderWay(_) | ControlError::Illegal(_) | ControlError::NoAnswer(_) => {
                Refusal::new(StatusCode::CONFLICT, code::NOT_NOW.as_str(), chain(&e), hint)
            }
        }
    })?;
    find(&desk, &run).await.map(Json)
}

/// Nothing is in the way of what lets a run go on. Ending it, or keeping it where it is, is always allowed.
async fn goes_on(desk: &Desk, view: &RunView, action: Action) -> Result<(), Refusal> {
    if action == Action::Approve {
        has_its_reason(desk, view).await?;
    }
    moves::apart_of(desk, view).map_or(Ok(()), |apart| Err(Refusal::from(&apart)))
}

/// A failover that was prepared for a lost writer, and of which nothing has begun, is not approved once that writer works
/// again: it would lose what that one has acknowledged since.
async fn has_its_reason(desk: &Desk, view: &RunView) -> Result<(), Refusal> {
    let stance = desk.engine.stance(&view.run).await.map_err(|e| storage(&e))?;
    let prepared = stance.is_some_and(|stance| stance.prepared);
    let judgement = desk.judgement(&view.unit);
    let Some(judgement) = judgement.filter(|j| prepared && j.verdict.works()) else { return Ok(()) };
    let refusal = Refusal::new(
        StatusCode::CONFLICT,
        code::NOT_NOW.as_str(),
        format!("{} was prepared for a lost writer, and {} works again", view.run, view.from),
        format!(
            "it is withdrawn by itself after `policy.withdraw_after`, or `pilotlight run abort {}`; to move the writer all the same: pilotlight switchover",
            view.run
        ),
    );
    Err(refusal.evidence(judgement.evidence.iter().map(ToString::to_string)))
}

fn no_such_run(run: &RunId) -> Refusal {
    let hint = "see `pilotlight run list` for those there are";
    Refusal::new(StatusCode::NOT_FOUND, code::NO_SUCH_RUN.as_str(), format!("there is no run {run}"), hint)
}

pub(super) async fn report_json(State(desk): State<Arc<Desk>>, Path(run): Path<RunId>) -> Result<Response, Refusal> {
    report(&desk, &run, "report.json", "application/json").await
}

pub(super) async fn report_html(State(desk): State<Arc<Desk>>, Path(run): Path<RunId>) -> Result<Response, Refusal> {
    report(&desk, &run, "report.html", "text/html; charset=utf-8").await
}

async fn report(desk: &Desk, run: &RunId, file: &str, kind: &'static str) -> Result<Response, Refusal> {
    // Only names of runs that exist become paths.
    let view = find(desk, run).await?;
    let folder = desk.reports.as_ref().ok_or_else(|| no_report(run))?;
    reports::make_up_for(desk, folder, &view).await;
    let text = tokio::fs::read(folder.join(run.as_str()).join(file)).await.map_err(|_| no_report(run))?;
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

fn no_report(run: &RunId) -> Refusal {
    let hint = "it is written when the run has ended";
    Refusal::new(
        StatusCode::NOT_FOUND,
        code::NO_SUCH_RUN.as_str(),
        format!("there is no report of run {run} yet"),
        hint,
    )
}
