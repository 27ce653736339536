//! Rescue bundles over HTTP: the agents of all regions are asked; what they keep stays in their regions.

use super::view::{FoundBundle, RescueReply, RescueRequest, RescueView, Silent};
use super::{Body, Refusal};
use crate::desk::Desk;
use crate::moves::{already_moving, nothing_known};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use pilotlight_core::code;
use pilotlight_core::effect::{Capability, Effect};
use pilotlight_core::id::{BundleId, EffectKey, Region, RunId};
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use pilotlight_core::plan::ComponentPlan;
use pilotlight_core::rescue::{Answer, Question, Shown};
use pilotlight_core::time::stamp;
use pilotlight_driver::{Context, Driver};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Thousands of changes are compared in seconds; what takes longer than this is better looked at by hand.
const LONGEST: Duration = Duration::from_secs(600);

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
        FailureKind::OutcomeUnknown => (StatusCode::GATEWAY_TIMEOUT, code::NOT_NOW),
        FailureKind::Transient | FailureKind::Unreachable => {
            (StatusCode::SERVICE_UNAVAILABLE, code::CONTROLLER_UNREACHABLE)
        }
    };
    let named = failure.message.split_once(": ").and_then(|(code, rest)| Some((code::Code::find(code)?, rest)));
    let (code, message) = named.unwrap_or((fallback, failure.message.as_str()));
    Refusal::new(status, code.as_str(), message, failure.hint.clone().unwrap_or_default())
}

/// Compares a bundle with what the writer holds. Changes nothing there.
pub(super) async fn classify(
    State(desk): State<Arc<Desk>>,
    Path(bundle): Path<BundleId>,
    Body(request): Body<RescueRequest>,
) -> Result<Json<RescueReply>, Refusal> {
    against_writer(&desk, bundle, request, false).await.map(Json)
}

/// Applies what the writer lacks of a bundle.
pub(super) async fn apply(
    State(desk): State<Arc<Desk>>,
    Path(bundle): Path<BundleId>,
    Body(request): Body<RescueRequest>,
) -> Result<Json<RescueReply>, Refusal> {
    against_writer(&desk, bundle, request, true).await.map(Json)
}

async fn against_writer(
    desk: &Desk,
    bundle: BundleId,
    RescueRequest { by }: RescueRequest,
    apply: bool,
) -> Result<RescueReply, Refusal> {
    let target = find(desk, &bundle).await?;
    let unit = desk.plan.components.get(&target.component).map(|c| c.unit.clone());
    let record = unit.as_ref().and_then(|u| desk.engine.granter().unit(u));
    let Some((unit, record)) = unit.zip(record) else { return Err(Refusal::bad("the plan has no such component")) };
    if let Some(run) = &record.run {
        return Err(already_moving(&unit, run));
    }
    let writer = record.writer.clone().ok_or_else(|| nothing_known(&unit))?;
    let word = if apply { "apply" } else { "classify" };
    let run = RunId::new(format!("rescue-{}", stamp(desk.clock.wall())));
    let context = Context {
        unit,
        epoch: record.epoch,
        // Asked twice it is done twice: the second time finds everything done.
        key: EffectKey::new(&run, &format!("{word}-{bundle}-{}", desk.clock.mono().0.as_millis()).as_str().into(), 1),
        deadline: LONGEST,
        cancel: desk.shutdown.child_token(),
    };
    tracing::info!(%bundle, by, %writer, "{word} of a rescue bundle was asked for");
    let effect = effect(&target, &writer, &bundle, by, apply);
    let outcome = desk.engine.driver().apply(&effect, &context).await.map_err(|f| refused(&f))?;
    let (changed, text) = match outcome {
        Outcome::Done { output } | Outcome::Warned { output, .. } => (apply, output.text),
        Outcome::Skipped { why } => (false, why),
        Outcome::Accepted { .. } => (apply, "it goes on by itself".to_owned()),
    };
    let found = all(desk).await.bundles.into_iter().find(|b| b.bundle.about.bundle == bundle);
    let found = found.ok_or_else(|| Refusal::bad("the bundle was removed meanwhile"))?;
    Ok(RescueReply { writer, changed, text, bundle: found.bundle })
}

fn effect(target: &Target, writer: &Region, bundle: &BundleId, by: String, apply: bool) -> Effect {
    let (component, upstream, bundle) = (target.component.clone(), writer.clone(), bundle.clone());
    let region = target.region.clone().unwrap_or_else(|| writer.clone());
    match apply {
        true => Effect::ApplyRescue { component, region, upstream, bundle, by },
        false => Effect::ClassifyRescue { component, region, upstream, bundle },
    }
}
