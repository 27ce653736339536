//! Rescue bundles over HTTP: the agents of all regions are asked; what they keep stays in their regions.

use super::Refusal;
use super::view::{FoundBundle, RescueView, Silent};
use crate::desk::Desk;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use pilotlight_core::code;
use pilotlight_core::effect::Capability;
use pilotlight_core::id::BundleId;
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::{Failure, FailureKind};
use pilotlight_core::plan::ComponentPlan;
use pilotlight_core::rescue::{Answer, Question, Shown};
use pilotlight_driver::Driver;
use serde::Deserialize;
use std::sync::Arc;

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
            match desk.driver.rescue(&target, &Question::List).await {
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
    match desk.driver.rescue(&target, &Question::Show { bundle: bundle.clone(), from, most }).await {
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
