//! Everything a derivation borrows, owned, so that a test changes one thing; shared by tables and properties.

use super::{Consent, Derivation, Refusal, derive};
use crate::effect::Descriptor;
use crate::id::{Component, Region};
use crate::observation::{State, Target};
use crate::placement::Intent;
use crate::plan::Plan;
use crate::runbook::Runbook;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) plan: Plan,
    pub(super) descriptors: BTreeMap<Component, Descriptor>,
    pub(super) intent: Intent,
    pub(super) writer: Region,
    pub(super) seen: BTreeMap<Target, State>,
    pub(super) reachable: BTreeSet<Region>,
    pub(super) consent: Consent,
    pub(super) attested_by: Option<&'static str>,
}

impl Scene {
    pub(super) fn derive(&self) -> Result<Runbook, Refusal> {
        derive(&self.derivation())
    }

    pub(super) fn derivation(&self) -> Derivation<'_> {
        Derivation {
            plan: &self.plan,
            descriptors: &self.descriptors,
            intent: &self.intent,
            writer: &self.writer,
            seen: &self.seen,
            reachable: &self.reachable,
            candidate: None,
            least_fence: self.plan.policy.least_fence,
            consent: self.consent,
            attested_by: self.attested_by,
        }
    }
}
