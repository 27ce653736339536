//! Leads users to the writer where nobody has ever led them anywhere: the first publication of a name.
//!
//! Every later change of traffic is a step of a run. What is published already is left alone, whatever it says: a person
//! may have had reasons.

use crate::desk::Desk;
use pilotlight_core::effect::{Capability, Effect};
use pilotlight_core::id::{EffectKey, RunId, StepId};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::placement::Placement;
use pilotlight_driver::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether a name was never told. An installation needs it once.
const EVERY: Duration = Duration::from_millis(500);

/// One publication may take so long.
const DEADLINE: Duration = Duration::from_secs(5);

/// Publishes what was never published until shutdown.
pub(crate) async fn run(desk: Arc<Desk>) {
    while !desk.shutdown.is_cancelled() {
        for (target, state) in desk.shared_now() {
            // A person who holds what is automatic may be at the name by hand.
            if was_never_told(&state) && desk.holds.read().is_none() {
                publish(&desk, &target).await;
            }
        }
        tokio::select! {
            biased;
            () = desk.clock.sleep(EVERY) => {}
            () = desk.shutdown.cancelled() => {}
        }
    }
}

/// A guard that has seen no epoch has never been told anything.
fn was_never_told(state: &State) -> bool {
    state.shares.is_none() && state.epoch.is_none()
}

async fn publish(desk: &Desk, target: &Target) {
    let component = &target.component;
    let leads = desk.descriptors.get(component).is_some_and(|d| d.can(Capability::Traffic));
    let Some(plan) = desk.plan.components.get(component).filter(|_| leads) else { return };
    let Some(record) = desk.engine.granter().unit(&plan.unit) else { return };
    let (None, Some(writer)) = (&record.run, &record.writer) else { return };
    let effect = Effect::Route { component: component.clone(), shares: Placement::in_region(writer).traffic };
    let key = EffectKey::new(&RunId::new(format!("first-{}", record.epoch)), &StepId::new(component.as_str()), 1);
    let context = Context {
        unit: plan.unit.clone(),
        epoch: record.epoch,
        key,
        deadline: DEADLINE,
        cancel: CancellationToken::new(),
    };
    match desk.engine.driver().apply(&effect, &context).await {
        Ok(_) => tracing::info!(%component, region = %writer, "published for the first time"),
        Err(e) => tracing::warn!(%component, "cannot publish for the first time, trying again: {e}"),
    }
}
