//! Rescue bundles over HTTP: the agents of all regions are asked; what they keep stays in their regions. An apply is a run.

use super::view::{FoundBundle, RescueReply, RescueRequest, RescueView, Silent};
use super::{Body, Refusal};
use crate::desk::Desk;
use crate::moves::{self, already_moving, nothing_known};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use pilotlight_core::code;
use pilotlight_core::derive::{Rescue, apply_rescue};
use pilotlight_core::effect::{Capability, Effect};
use pilotlight_core::id::{BundleId, EffectKey, Epoch, Region, RunId, Unit};
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use pilotlight_core::plan::ComponentPlan;
use pilotlight_core::rescue::{Answer, Listed, Question, Shown};
use pilotlight_core::run::{Cause, Condition, StepStatus, StepView};
use pilotlight_core::time::stamp;
use pilotlight_driver::{Context, Driver};
use pilotlight_engine::engine::Published;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;

/// Thousands of changes are compared in seconds; what takes longer than this is better looked at by hand.
const LONGEST: Duration = Duration::from_secs(600);

/// Who follows a run hears of each record; one that was missed is seen so late.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Every bundle that an agent tells of, and the copies whose agent is silent.
pub(super) async fn list(State(desk): State<Arc<Desk>>) -> Json<RescueView> {
    Json(all(&desk).await)
}

pub(crate) async fn all(desk: &Desk) -> RescueView {
    let mut view = RescueView::default();
    for (component, plan) in &desk.plan.components {
        if !desk.descriptors.get(component).is_some_and(|d| d.can(Capability::Rescue)) {
            continue;
        }
        for region in ComponentPlan::copies(plan) {
            let target = Target { component: component.clone(), region: Some(region.clone()) };
            match desk.engine.driver().rescue(&target, &Question::List).await {
                Ok(Answer::Bundles { bundles, damaged }) => {
                    view.bundles.extend(bundles.into_iter().map(|bundle| FoundBundle { at: region.clone(), bundle }));
                    view.damaged.extend(damaged);
                }
                Ok(Answer::Bundle(_)) => {}
                Err(failure) => {
                    let (component, region, why) = (component.clone(), region.clone(), failure.to_string());
                    view.silent.push(Silent { component, region, why });
                }
            }
        }
    }
    view.bundles.sort_by_key(|b| std::cmp::Reverse(b.bundle.about.captured));
    view
}

#[derive(Deserialize)]
pub(super) struct Part {
    #[serde(default)]
    from: u64,
    #[serde(default = "a_page")]
    most: u32,
}

fn a_page() -> u32 {
    100
}

/// One bundle from inside.
pub(super) async fn show(
    State(desk): State<Arc<Desk>>,
    Path(bundle): Path<BundleId>,
    Query(Part { from, most }): Query<Part>,
) -> Result<Json<Shown>, Refusal> {
    let target = find(&desk, &bundle).await?;
    match desk.engine.driver().rescue(&target, &Question::Show { bundle: bundle.clone(), from, most }).await {
        Ok(Answer::Bundle(shown)) => Ok(Json(*shown)),
        Ok(Answer::Bundles { .. }) => Err(Refusal::bad("the agent answered another question")),
        Err(failure) => Err(refused(&failure)),
    }
}

/// The copy beside which the bundle lies.
pub(crate) async fn find(desk: &Desk, bundle: &BundleId) -> Result<Target, Refusal> {
    let view = all(desk).await;
    if let Some(found) = view.bundles.iter().find(|b| &b.bundle.about.bundle == bundle) {
        return Ok(Target { component: found.bundle.about.component.clone(), region: Some(found.at.clone()) });
    }
    let silent: Vec<String> =
        view.silent.iter().map(|s| format!("{} in {}: {}", s.component, s.region, s.why)).collect();
    let message = format!("there is no bundle {bundle} where an agent could be asked");
    let hint = "see `pilotlight rescue list`";
    Err(Refusal::new(StatusCode::NOT_FOUND, code::NO_SUCH_BUNDLE.as_str(), message, hint).evidence(silent))
}

/// A driver's failure as an answer to a person; the code stands at its beginning, if it has one.
pub(crate) fn refused(failure: &Failure) -> Refusal {
    let (status, fallback) = match failure.kind {
        FailureKind::Rejected | FailureKind::Unsupported => (StatusCode::CONFLICT, code::NOT_NOW),
        FailureKind::OutcomeUnknown => (StatusCode::GATEWAY_TIMEOUT, code::BUNDLE_UNANSWERED),
        FailureKind::Transient | FailureKind::Unreachable => (StatusCode::SERVICE_UNAVAILABLE, code::BUNDLE_UNANSWERED),
    };
    let named = failure.message.split_once(": ").and_then(|(code, rest)| Some((code::Code::find(code)?, rest)));
    let (code, message) = named.unwrap_or((fallback, failure.message.as_str()));
    Refusal::new(status, code.as_str(), message, failure.hint.clone().unwrap_or_default())
}

/// Compares a bundle with what the writer holds. Changes nothing there, so it is no run.
pub(super) async fn classify(
    State(desk): State<Arc<Desk>>,
    Path(bundle): Path<BundleId>,
    Body(RescueRequest { by }): Body<RescueRequest>,
) -> Result<Json<RescueReply>, Refusal> {
    let At { target, unit, epoch, writer, .. } = at(&desk, &bundle).await?;
    let run = RunId::new(format!("rescue-{}", stamp(desk.clock.wall())));
    let context = Context {
        unit,
        epoch,
        // Asked twice it is done twice.
        key: EffectKey::new(&run, &format!("classify-{bundle}-{}", desk.clock.mono().0.as_millis()).as_str().into(), 1),
        deadline: LONGEST,
        cancel: desk.shutdown.child_token(),
    };
    tracing::info!(%bundle, by, %writer, "a comparison of a rescue bundle was asked for");
    let Target { component, region } = target;
    let region = region.unwrap_or_else(|| writer.clone());
    let effect = Effect::ClassifyRescue { component, region, upstream: writer.clone(), bundle: bundle.clone() };
    let outcome = desk.engine.driver().apply(&effect, &context).await.map_err(|f| refused(&f))?;
    let text = match outcome {
        Outcome::Done { output } | Outcome::Warned { output, .. } => output.text,
        Outcome::Skipped { why } => why,
        Outcome::Accepted { .. } => "it goes on by itself".to_owned(),
    };
    let bundle = listed(&desk, &bundle).await?;
    Ok(Json(RescueReply { writer, run: None, changed: false, text, bundle }))
}

/// Applies what the writer lacks of a bundle, by a run: it stands in the journal, and another controller goes on with it.
pub(super) async fn apply(
    State(desk): State<Arc<Desk>>,
    Path(bundle): Path<BundleId>,
    Body(RescueRequest { by }): Body<RescueRequest>,
) -> Result<Json<RescueReply>, Refusal> {
    let At { target, unit, writer, .. } = at(&desk, &bundle).await?;
    let Target { component, region } = target;
    let rescue = Rescue {
        application: desk.plan.application.clone(),
        unit,
        component,
        region: region.unwrap_or_else(|| writer.clone()),
        bundle: bundle.clone(),
        writer: writer.clone(),
        by: by.clone(),
    };
    // It is bound to no state of the unit: a candidate that comes meanwhile is no reason to refuse it, and the driver looks
    // whether that is still the writer.
    let runbook = apply_rescue(rescue);
    let why = format!("what {bundle} holds is applied to the writer in {writer}");
    // Before the start, so that its end is not missed.
    let news = desk.engine.subscribe();
    let run = moves::start(&desk, runbook, Cause { by, why, ..Cause::default() }).await?;
    let step = ended(&desk, &run, news).await?;
    let (changed, text) = match (step.status, &step.failure) {
        (StepStatus::Done | StepStatus::Warned, _) => (true, step.output.map(|o| o.text).unwrap_or_default()),
        (StepStatus::Skipped, _) => (false, step.note.unwrap_or_default()),
        (_, Some(failure)) => return Err(refused(failure)),
        (status, None) => return Err(not_known(&run, &format!("its step is {status}"))),
    };
    let bundle = listed(&desk, &bundle).await?;
    Ok(Json(RescueReply { writer, run: Some(run), changed, text, bundle }))
}

/// A bundle, the copy beside which it lies, and the writer it is held against.
struct At {
    target: Target,
    unit: Unit,
    epoch: Epoch,
    writer: Region,
}

async fn at(desk: &Desk, bundle: &BundleId) -> Result<At, Refusal> {
    let target = find(desk, bundle).await?;
    let unit = desk.plan.components.get(&target.component).map(|c| c.unit.clone());
    let record = unit.as_ref().and_then(|u| desk.engine.granter().unit(u));
    let Some((unit, record)) = unit.zip(record) else { return Err(Refusal::bad("the plan has no such component")) };
    if let Some(run) = &record.run {
        return Err(already_moving(&unit, run));
    }
    let epoch = record.epoch;
    let writer = record.writer.ok_or_else(|| nothing_known(&unit))?;
    Ok(At { target, unit, epoch, writer })
}

/// The one step of an apply, once its run has ended or only a person can bring it forward.
async fn ended(desk: &Desk, run: &RunId, mut news: Receiver<Published>) -> Result<StepView, Refusal> {
    let end = desk.clock.mono() + LONGEST;
    loop {
        let view = desk.engine.view(run).await.map_err(|e| moves::storage(&e))?;
        let view = view.ok_or_else(|| not_known(run, "the run cannot be found"))?;
        match view.condition {
            Condition::Ended { .. } => return view.steps.into_iter().next().ok_or_else(|| not_known(run, "no step")),
            Condition::Waiting { why } => return Err(not_known(run, &why.join("; "))),
            _ => {}
        }
        let left = end.since(desk.clock.mono());
        if left.is_zero() || desk.shutdown.is_cancelled() {
            return Err(not_known(run, "it goes on"));
        }
        tokio::select! {
            _ = news.recv() => {}
            () = desk.clock.sleep(left.min(LOOK_AGAIN)) => {}
            () = desk.shutdown.cancelled() => {}
        }
    }
}

fn not_known(run: &RunId, why: &str) -> Refusal {
    let hint = format!("see `pilotlight run show {run}`; applied again, nothing is done twice");
    let message = format!("it is not known yet what was applied: {why}");
    Refusal::new(StatusCode::GATEWAY_TIMEOUT, code::APPLY_UNKNOWN.as_str(), message, hint)
}

async fn listed(desk: &Desk, bundle: &BundleId) -> Result<Listed, Refusal> {
    let found = all(desk).await.bundles.into_iter().find(|b| &b.bundle.about.bundle == bundle);
    found.map(|b| b.bundle).ok_or_else(|| Refusal::bad("the bundle was removed meanwhile"))
}
