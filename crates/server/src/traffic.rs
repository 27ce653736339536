//! Leads users to the writer where a name leads nobody anywhere: the first publication of a name.
//!
//! Every later change of traffic is a step of a run. What is published already is left alone, whatever it says: a person
//! may have had reasons. A name that its authority has forgotten, as one on a new state folder has, is published again.
//!
//! Each try is a new one to the guard, which answers a key it knows from memory: what stood in the way may have been mended
//! by hand, and what was published may have been lost. To try twice does no harm: a route to where the name leads already
//! changes nothing, and the guard refuses one of an older epoch.

use crate::desk::Desk;
use pilotlight_core::effect::{Capability, Effect};
use pilotlight_core::id::{Component, EffectKey, Region, RunId, StepId};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::placement::Placement;
use pilotlight_core::time::{Mono, stamp};
use pilotlight_driver::Context;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether a name leads nobody anywhere. An installation needs it once.
const EVERY: Duration = Duration::from_millis(500);

/// Between two tries at one name: whoever mends by hand what refuses it waits no longer, and a provider is not asked all
/// the time. Each try is a line in the guard's record.
const AGAIN: Duration = Duration::from_secs(5);

/// One publication may take so long.
const DEADLINE: Duration = Duration::from_secs(5);

/// Publishes what leads nobody anywhere until shutdown.
pub(crate) async fn run(desk: Arc<Desk>) {
    let mut tried: BTreeMap<Target, Mono> = BTreeMap::new();
    while !desk.shutdown.is_cancelled() {
        for (target, (state, looked)) in desk.shared_since_changed() {
            // Whatever came of the last try, a later look has to show that it is still needed.
            let is_due = tried.get(&target).is_none_or(|at| looked >= *at + AGAIN);
            // A person who holds what is automatic may be at the name by hand.
            if !is_due || !was_never_told(&state) || desk.holds.read().is_some() {
                continue;
            }
            if let Some(publication) = Publication::of(&desk, &target) {
                publication.attempt(&desk).await;
                tried.insert(target, desk.clock.mono());
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

/// One try at a name.
struct Publication {
    component: Component,
    to: Region,
    context: Context,
}

impl Publication {
    /// To the unit's writer, unless a run has the unit: where users go is that one's business.
    fn of(desk: &Desk, target: &Target) -> Option<Self> {
        let component = target.component.clone();
        let leads = desk.descriptors.get(&component).is_some_and(|d| d.can(Capability::Traffic));
        let plan = desk.plan.components.get(&component).filter(|_| leads)?;
        let record = desk.engine.granter().unit(&plan.unit)?;
        let (None, Some(to)) = (record.run, record.writer) else { return None };
        // The time only tells this try from those before it, in earlier lives of the controller too.
        let stem = RunId::new(format!("first-{}-{}", record.epoch, stamp(desk.clock.wall())));
        let context = Context {
            unit: plan.unit.clone(),
            epoch: record.epoch,
            key: EffectKey::new(&stem, &StepId::new(component.as_str()), 1),
            deadline: DEADLINE,
            cancel: CancellationToken::new(),
        };
        Some(Self { component, to, context })
    }

    /// It is tried for as long as the name is empty, and the log is told rarely.
    async fn attempt(&self, desk: &Desk) {
        let Self { component, to, context } = self;
        let effect = Effect::Route { component: component.clone(), shares: Placement::in_region(to).traffic };
        let done = desk.engine.driver().apply(&effect, context).await;
        let kind = if done.is_ok() { "published" } else { "not published" };
        if !desk.rarely.may_say(&format!("{kind} {component}"), desk.clock.mono()) {
            return;
        }
        match done {
            Ok(_) => tracing::info!(%component, region = %to, "published where nothing was"),
            Err(e) => tracing::warn!(%component, "cannot publish where nothing is, trying again: {e}"),
        }
    }
}
