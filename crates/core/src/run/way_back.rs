//! What is known beside a run's records bars its way back to the old writer, or its way on from it.

use super::{Phase, RunState};
use crate::effect::Effect;
use crate::observation::Target;
use crate::runbook::Step;

impl RunState {
    /// What is said to whoever ends a run that is being ended.
    pub(super) fn why_not_ended_again(&self) -> &'static str {
        match self.held().next() {
            Some(_) => {
                "the run is being ended already, and what could not be taken back waits for a person: look at it, then resume \
                 the run, or skip or approve the step"
            }
            None => "the run is being ended already",
        }
    }

    /// Copies that it is to promote and, as far as its records say, has not tried to, while it could still lead the old writer
    /// back. A planned move begins beside a standby only, so whoever sees one of these as a writer's copy knows better: the
    /// records lack the promotion, or somebody else made it.
    pub fn not_yet_promoted(&self) -> Vec<Target> {
        if self.ended().is_some() || self.is_past_return() {
            return Vec::new();
        }
        let leads_back = |of: &Effect| {
            let undos = self.runbook().steps.iter().filter_map(|step| step.undo.as_ref());
            undos
                .into_iter()
                .any(|undo| matches!(undo, Effect::ResumeWrites { .. }) && undo.component() == of.component())
        };
        let promotions = self.runbook().steps.iter().map(|step| &step.effect).filter(|effect| leads_back(effect));
        let target = |effect: &Effect| match effect {
            Effect::Promote { component, region } => {
                Some(Target { component: component.clone(), region: Some(region.clone()) })
            }
            _ => None,
        };
        promotions.filter_map(target).collect()
    }

    /// Copies whose writes it has stopped by its records, while it can still lead them back. None of them takes writes but by
    /// its own undo, so whoever sees that knows better: the records lack that the move was taken back.
    pub fn stopped_for_now(&self) -> Vec<Target> {
        if self.ended().is_some() || self.is_unwinding() || self.is_past_return() {
            return Vec::new();
        }
        let stopped = |step: &Step| match &step.effect {
            Effect::StopWrites { component, region } if self.phase(&step.id) == Some(&Phase::Done) => {
                Some(Target { component: component.clone(), region: Some(region.clone()) })
            }
            _ => None,
        };
        self.runbook().steps.iter().filter_map(stopped).collect()
    }
}
