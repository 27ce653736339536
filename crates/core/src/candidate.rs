//! Which standby may be promoted by itself, and what the writer waits for because of it.
//!
//! Under the guarantees `bounded` and `strict` a writer acknowledges what its *admitted* candidate has on disk, or, under
//! `bounded` and while the lease is valid, what its gate confirms. The store says which candidate is admitted; nobody else
//! is promoted without a person. Only the writer's agent changes that, in an order that keeps the invariant:
//!
//! > **Whoever is a candidate in the store is waited for by the writer, and holds everything that was acknowledged before.**
//!
//! To admit: make the writer wait (the driver answers only when every session does and the candidate has caught up), then
//! tell the store. To withdraw: tell the store, hear that it knows, then stop waiting. A wish to admit may still be on its
//! way when its candidate is gone: the store takes it only under the *candidacy* number it was made for, and before the
//! writer stops waiting, that number is raised.
//!
//! A unit without a candidate is *unopposed*: nobody can take its place, so its writer needs no lease and no gate.
//!
//! Border: pure. One decision from what the agent knows now; it comes back with the next look or answer.

use crate::id::{Component, Epoch, Region, Unit};
use crate::observation::State;
use crate::plan::{BeyondRpo, Guarantee, Policy};
use crate::protocol::UnitView;
use crate::runbook::Basis;
use crate::shared::Shared;
use crate::time::Mono;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A region's standbys under the names by which the writer waits for them. A name is never used twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    /// The region.
    pub region: Region,
    /// The name of each of the unit's copies there.
    pub names: BTreeMap<Component, String>,
}

/// Tells two candidates apart in a number: `None` is nobody. Names are never used twice, so no two are alike for long. Never
/// 0, which stands for a candidate that is not said.
pub fn mark(candidate: Option<&Admitted>) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    if let Some(Admitted { region, names }) = candidate {
        crc.update(region.as_str().as_bytes());
        for (component, name) in names {
            [component.as_str(), name].iter().for_each(|part| {
                crc.update(b"\0");
                crc.update(part.as_bytes());
            });
        }
    }
    crc.finalize().max(1)
}

/// What a writer waits for before it acknowledges: any one of these. Neither: it waits for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// The standby of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<String>,
    /// The gate beside it.
    #[serde(default)]
    pub gate: bool,
}

impl Waits {
    /// For nothing.
    pub fn for_nobody(&self) -> bool {
        self.candidate.is_none() && !self.gate
    }
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.candidate, self.gate) {
            (Some(name), true) => write!(f, "{name} or the gate"),
            (Some(name), false) => f.write_str(name),
            (None, true) => f.write_str("the gate"),
            (None, false) => f.write_str("nobody"),
        }
    }
}

/// What a writer was seen to wait for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// As far as it is Pilotlight's.
    pub waits: Waits,
    /// A setting that Pilotlight did not make, as it stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<String>,
    /// The standbys that stream now, by name; a name that several use is no name.
    pub followers: Vec<String>,
    /// Names that several use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubled: Vec<String>,
}

/// What the writer's agent asks of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The unit.
    pub unit: Unit,
    /// The epoch under which it writes.
    pub epoch: Epoch,
    /// The number it holds for: of a newer one nothing is known.
    pub candidacy: u64,
    /// From now on; `None`: nobody.
    pub candidate: Option<Admitted>,
}

/// What the agent remembers between two decisions.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Under this number a wish to admit was sent, for whom if that is known: until a higher one is heard, it may still
    /// be granted.
    admitting: Option<(u64, Option<Admitted>)>,
    /// The newest candidacy heard. An older answer may be on its way for long.
    heard: Basis,
    /// What the driver has proven, by copy.
    proven: BTreeMap<Component, Waits>,
    /// Whom it was offered last while it had nobody, and when; or when it was proven to wait for them since.
    lately: Option<(Admitted, Mono)>,
    /// Since when the admitted candidate does not stream.
    gone_since: Option<Mono>,
    /// An agent that starts beside a writer that waits knows nothing of wishes of the agent before it.
    met: bool,
    /// Under this number it found a candidate that the writer did not wait for.
    doubts: Option<u64>,
}

impl Memory {
    /// Of an agent that starts where one before it had heard that.
    pub fn having_heard(heard: Basis) -> Self {
        Self { heard, ..Self::default() }
    }

    /// The driver has proven that the copy waits so.
    pub fn proven(&mut self, component: &Component, waits: &Waits, now: Mono) {
        self.proven.insert(component.clone(), waits.clone());
        let lately = self.lately.as_mut().filter(|(whom, _)| whom.names.get(component) == waits.candidate.as_ref());
        if let Some((_, at)) = lately {
            *at = now;
        }
    }

    /// What was proven of the copy may no longer hold.
    pub fn forget(&mut self, component: &Component) {
        self.proven.remove(component);
    }
}

/// What the agent knows.
#[derive(Debug)]
pub struct Ledger<'a> {
    /// Its region.
    pub region: &'a Region,
    /// The plan's.
    pub policy: &'a Policy,
    /// `objectives.rpo`.
    pub rpo: Duration,
    /// The newest answer of the controller.
    pub view: &'a UnitView,
    /// The region's lease is valid.
    pub lease_valid: bool,
    /// The newest look at each of the unit's copies here.
    pub looks: &'a BTreeMap<Component, Shared<State>>,
    /// Now.
    pub now: Mono,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    None,
    /// Make the copy wait so.
    Wait {
        /// The copy.
        component: Component,
        /// For whom.
        waits: Waits,
        /// For the log.
        why: String,
    },
    /// Ask the store; again with each heartbeat until its answer shows it.
    Wish(Wish),
}

/// The agent's decision on one unit.
pub fn decide(ledger: &Ledger, memory: &mut Memory) -> Step {
    let view = ledger.view;
    let says = view.basis();
    if view.writer.as_ref() != Some(ledger.region) || says.is_old_in_candidacy(memory.heard) || ledger.unseen() {
        return Step::None;
    }
    memory.heard = memory.heard.and(says);
    if memory.admitting.as_ref().is_some_and(|(at, _)| *at < view.candidacy) {
        memory.admitting = None;
    }
    if !memory.met {
        memory.met = true;
        match &view.candidate {
            None if ledger.waits_for_somebody() => memory.admitting = Some((view.candidacy, None)),
            // The store may be an old copy, and the agent that had heard the newer one is gone.
            Some(candidate) if !ledger.may_wait_for(candidate) => memory.doubts = Some(view.candidacy),
            _ => {}
        }
    }
    match &view.candidate {
        Some(_) if memory.doubts == Some(view.candidacy) => ledger.wish(None),
        Some(candidate) => keep(ledger, memory, candidate),
        None => unopposed(ledger, memory),
    }
}

/// Somebody may be promoted: the writer waits for them, or they are withdrawn.
fn keep(ledger: &Ledger, memory: &mut Memory, candidate: &Admitted) -> Step {
    if ledger.streams(candidate) {
        memory.gone_since = None;
    } else {
        memory.gone_since.get_or_insert(ledger.now);
    }
    let policy = ledger.policy;
    let patience = policy.lease.max(ledger.rpo);
    let gone = memory.gone_since.is_some_and(|at| ledger.now.since(at) >= patience);
    let exposes = policy.guarantee == Guarantee::Bounded && policy.beyond_rpo == BeyondRpo::Expose;
    let renamed = ledger.offered().any(|o| o.region == candidate.region && o.names != candidate.names);
    if policy.guarantee == Guarantee::BestEffort || renamed || ledger.doubled(candidate) || (gone && exposes) {
        memory.lately = None;
        return ledger.wish(None);
    }
    let why = format!("{} is the candidate", candidate.region);
    ledger.wait(memory, Some(candidate), &why).unwrap_or(Step::None)
}

/// Nobody may be promoted: admit somebody, or wait for nobody.
fn unopposed(ledger: &Ledger, memory: &mut Memory) -> Step {
    memory.gone_since = None;
    if let Some(candidate) = ledger.offered().next() {
        memory.lately = Some((candidate.clone(), ledger.now));
    }
    let offered = memory.lately.as_ref().filter(|(whom, at)| ledger.lease_valid && ledger.is_offered(whom, *at));
    let offered = offered.map(|(whom, _)| whom);
    // Whoever is on the way to be admitted must not arrive when the writer waits for somebody else, or for nobody.
    if let Some((_, on_the_way)) = &memory.admitting
        && (on_the_way.is_none() || on_the_way.as_ref() != offered)
    {
        return ledger.wish(None);
    }
    if let Some(candidate) = offered {
        let why = format!("{} is to be the candidate", candidate.region);
        return ledger.wait(memory, Some(candidate), &why).unwrap_or_else(|| {
            memory.admitting = Some((ledger.view.candidacy, Some(candidate.clone())));
            ledger.wish(Some(candidate.clone()))
        });
    }
    ledger.wait(memory, None, "nobody can be promoted").unwrap_or(Step::None)
}

impl Ledger<'_> {
    /// A copy that was not seen as a writer, or no copy at all.
    fn unseen(&self) -> bool {
        self.looks.is_empty() || self.looks.values().any(|s| s.waiting.is_none())
    }

    fn waits_for_somebody(&self) -> bool {
        self.looks.values().filter_map(|s| s.waiting.as_ref()).any(|w| !w.waits.for_nobody())
    }

    /// No copy waits for nobody, or for somebody else who could be had: whoever the store calls the candidate is waited for.
    fn may_wait_for(&self, candidate: &Admitted) -> bool {
        let others = |name: &String| self.view.offered.iter().any(|o| o.names.values().any(|n| n == name));
        self.looks.iter().all(|(component, state)| {
            let Some(waiting) = &state.waiting else { return true };
            let wanted = candidate.names.get(component);
            let another = waiting.waits.candidate.as_ref().is_some_and(|n| Some(n) != wanted && others(n));
            !another && (!waiting.waits.for_nobody() || waiting.foreign.is_some())
        })
    }

    /// Standbys of whole regions that the controller hears and that stream from here.
    fn offered(&self) -> impl Iterator<Item = &Admitted> {
        let wanted = self.policy.guarantee != Guarantee::BestEffort;
        self.view.offered.iter().filter(move |o| wanted && self.streams(o))
    }

    /// The same, or it was one a moment ago. To make the writer wait ends its standby's stream, so the controller sees a
    /// standby that does not stream, and says so, when the writer sees it stream again.
    fn is_offered(&self, candidate: &Admitted, last: Mono) -> bool {
        let anew = self.view.offered.iter().any(|o| o.region == candidate.region && o.names != candidate.names);
        !anew && self.now.since(last) < self.policy.lease && self.streams(candidate)
    }

    fn streams(&self, candidate: &Admitted) -> bool {
        self.looks.iter().all(|(component, state)| {
            let name = candidate.names.get(component);
            name.is_some_and(|n| state.waiting.as_ref().is_some_and(|w| w.followers.contains(n)))
        })
    }

    /// Somebody else uses one of its names, and would count in its place.
    fn doubled(&self, candidate: &Admitted) -> bool {
        let doubled = |(c, n): (&Component, &String)| {
            self.looks.get(c).and_then(|s| s.waiting.as_ref()).is_some_and(|w| w.doubled.contains(n))
        };
        candidate.names.iter().any(doubled)
    }

    fn wish(&self, candidate: Option<Admitted>) -> Step {
        let UnitView { unit, epoch, candidacy, .. } = self.view;
        Step::Wish(Wish { unit: unit.clone(), epoch: *epoch, candidacy: *candidacy, candidate })
    }

    /// The first copy that does not provably wait as it should.
    fn wait(&self, memory: &Memory, candidate: Option<&Admitted>, why: &str) -> Option<Step> {
        self.looks.iter().find_map(|(component, state)| {
            let gate = candidate.is_some() && self.policy.guarantee == Guarantee::Bounded;
            let waits = Waits { candidate: candidate.and_then(|c| c.names.get(component)).cloned(), gate };
            let seen = state.waiting.as_ref()?;
            let as_seen = seen.waits == waits && (seen.foreign.is_none() || waits.for_nobody());
            // To wait for nobody needs no proof: it can only be late.
            let proven = waits.for_nobody() || memory.proven.get(component) == Some(&waits);
            let step = Step::Wait { component: component.clone(), waits, why: why.to_owned() };
            (!(as_seen && proven)).then_some(step)
        })
    }
}

#[cfg(test)]
mod tests;
