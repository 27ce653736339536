//! What tests ask of a status.

use crate::api::view::StatusView;
use pilotlight_core::lease::LeaseSight;
use std::time::Duration;

impl StatusView {
    /// One healthy unit, its writer there, nothing under way.
    pub(super) fn is_well(&self, writer: &str) -> bool {
        let [unit] = self.units.as_slice() else { return false };
        let leased = matches!(unit.lease, LeaseSight::Held { .. });
        unit.writer == Some(writer.into()) && unit.run.is_none() && self.is("healthy") && leased
    }

    /// It is known what a failover would lose, and it is well within the RPO of a second: the writer's agent wrote a sentinel
    /// and the candidate shows a new one.
    pub(super) fn knows_exposure(&self) -> bool {
        let candidates = self.units[0].judgement.iter().flat_map(|j| &j.candidates);
        candidates.into_iter().any(|c| c.exposure.is_some_and(|exposure| exposure < Duration::from_millis(500)))
    }

    /// The verdict of the one unit.
    pub(super) fn is(&self, verdict: &str) -> bool {
        self.units[0].judgement.as_ref().is_some_and(|j| j.verdict.to_string() == verdict)
    }
}
