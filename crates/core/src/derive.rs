//! From what is observed and what is wanted to a runbook, or to a refusal with its reason.
//!
//! Border: reads descriptors and facets of the plan, never the kind of a component; a new technology adds nothing here.
//! The same input gives the same runbook.
//!
//! Invariants, each a property test over generated plans, observations and intents:
//! - before a copy becomes the writer, every other possible writer of the component has been fenced, stopped or its lease
//!   waited out, and the lease was granted to the new region: all of that is among the step's needs, near or far;
//! - in whatever order the graph allows, and wherever it stops, at most one copy of a component takes writes, but for what
//!   has to be told to follow (`told_to_follow`): its old side takes them until users have gone;
//! - traffic is led only where instances are ready and when the writer writes, and always to one region at least; where the
//!   writer is not, only as the plan says: by its shares at rest, or in a failback by shares;
//! - undone from anywhere before the point of no return, the old region is the one writer again.
//!
//! The shapes stand in [`moves`] (failover, switchover, failback) and [`rejoin`]; what surrounds every move (hooks,
//! instances, traffic, proofs, notes) in [`surround`].

mod draft;
mod limits;
mod moves;
mod refusal;
mod rejoin;
mod rescue;
mod shares;
mod surround;
mod survey;

pub use refusal::Refusal;
pub use rescue::{Rescue, apply_rescue};

use crate::effect::{Descriptor, FenceAssurance};
use crate::id::{Component, Region};
use crate::observation::{Role, State, Target};
use crate::placement::{Intent, Mode, Verb};
use crate::plan::Plan;
use crate::runbook::{Phase, Runbook};
use draft::Draft;
use std::collections::{BTreeMap, BTreeSet};
use survey::Survey;

/// Everything a runbook is derived from.
#[derive(Debug, Clone)]
pub struct Derivation<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What each component's driver says of itself.
    pub descriptors: &'a BTreeMap<Component, Descriptor>,
    /// Where to.
    pub intent: &'a Intent,
    /// Where the writer is as the store has it, or was last.
    pub writer: &'a Region,
    /// The newest look at each target. What is absent is unknown.
    pub seen: &'a BTreeMap<Target, State>,
    /// Regions whose agent is heard.
    pub reachable: &'a BTreeSet<Region>,
    /// The region that the store has as the unit's candidate.
    pub candidate: Option<&'a Region>,
    /// What a fence must be worth before anything is promoted without a person.
    pub least_fence: FenceAssurance,
    /// Who answers for it.
    pub consent: Consent,
    /// The person who says that the old writer is off. Counts only with [`Consent::Given`], and only where nothing better
    /// can be had.
    pub attested_by: Option<&'a str>,
}

/// Who answers for a move: decides whether a fence below the policy's least is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Nobody but the policy: a fence that is too weak is refused.
    Policy,
    /// A person will be asked before the first step that touches anything.
    AskFirst,
    /// A person started it and has confirmed.
    Given,
}

/// Derives.
pub fn derive(d: &Derivation<'_>) -> Result<Runbook, Refusal> {
    let survey = Survey::take(d)?;
    let mut draft = match (d.intent.verb, d.intent.mode) {
        (Verb::Rejoin, _) => rejoin::rejoin(&survey)?,
        // Made of a bundle, not of what is seen: see `apply_rescue`.
        (Verb::Rescue, _) => return Err(Refusal::NothingToMove { unit: d.intent.unit.clone() }),
        _ if survey.is_in_place() => moves::in_place(&survey),
        _ if survey.stays() => moves::lead_to_writer(&survey),
        (_, Mode::Ungraceful) => moves::ungraceful(&survey)?,
        (_, Mode::Graceful) => moves::graceful(&survey),
    };
    if d.consent == Consent::AskFirst {
        ask_first(&mut draft);
    }
    let runbook = Runbook {
        application: d.plan.application.clone(),
        intent: d.intent.clone(),
        from: d.writer.clone(),
        steps: draft.steps,
        basis: None,
    };
    if let Err(fault) = runbook.validate() {
        panic!("derived an unsound runbook, which is a bug: {fault}");
    }
    Ok(runbook)
}

/// The same as if every region answered and every copy were what the plan has it be. For what is refused of what is seen:
/// its steps are what drivers can still be asked about. Never to be run.
pub fn derive_as_planned(d: &Derivation<'_>) -> Result<Runbook, Refusal> {
    let mut seen = d.seen.clone();
    for (name, component) in d.plan.in_unit(&d.intent.unit) {
        for region in component.copies() {
            let role = match region == d.writer {
                true => Role::Writer,
                false => Role::Standby { upstream: Some(d.writer.clone()), streaming: true },
            };
            let target = Target { component: name.clone(), region: Some(region.clone()) };
            seen.insert(target, State { role: Some(role), ..State::default() });
        }
    }
    let reachable = d.plan.regions.iter().cloned().collect();
    derive(&Derivation { seen: &seen, reachable: &reachable, ..d.clone() })
}

/// One step asks, and everything else that touches anything comes after it. People are told before they are asked.
fn ask_first(draft: &mut Draft) {
    let Some(first) = draft.steps.iter_mut().find(|s| s.needs.is_empty() && s.phase != Phase::Notify) else { return };
    first.approval = true;
    let first = first.id.clone();
    for step in &mut draft.steps {
        if step.needs.is_empty() && step.phase != Phase::Notify && step.id != first {
            step.needs.push(first.clone());
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod tests;
