//! A runbook: a graph of steps that leads from what is observed to a target placement.

mod graph;
mod render;

pub use graph::Unsound;

use crate::effect::Effect;
use crate::id::{Application, Epoch, Region, StepId};
use crate::observation::Condition;
use crate::placement::Intent;
use crate::time::as_ms;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Which part of the measured RTO a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Making ready while users notice nothing.
    Prepare,
    /// Making sure the old writer is silent.
    Fence,
    /// Making the new writer.
    Promote,
    /// Making room for the traffic.
    Scale,
    /// Leading the traffic.
    Route,
    /// Proving that it works.
    Verify,
    /// Making the old side a copy again; users notice nothing.
    Rejoin,
    /// Telling people.
    Notify,
}

/// What happens when a step has failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The run waits for a person.
    Pause,
    /// The run goes on and ends with a warning.
    GoOn,
    /// Steps done so far are undone, newest first; only before the point of no return.
    Undo,
}

/// One effect with what surrounds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Unique within the runbook.
    pub id: StepId,
    /// One line for people: what it does.
    pub title: String,
    /// One line for people: why it is there.
    pub why: String,
    /// Which part of the RTO it counts to.
    pub phase: Phase,
    /// Steps that must be done, skipped or warned before.
    pub needs: Vec<StepId>,
    /// What to do.
    pub effect: Effect,
    /// Must be seen before the effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Condition>,
    /// Must be seen after the effect. Where it is seen already, an opaque command is left out; of everything else the driver
    /// says itself that it is so already, since its guard has to see the epoch in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Condition>,
    /// Time for one attempt, the wait for `after` included.
    #[serde(with = "as_ms")]
    pub deadline_ms: Duration,
    /// Time for `after` to be seen once the effect is over, where that is less than what is left of the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::position::option_ms")]
    pub settle_ms: Option<Duration>,
    /// Further attempts after a failure that changed nothing.
    pub retries: u32,
    /// How to take it back; `None` means no way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Effect>,
    /// What happens when it has failed for good.
    pub on_failure: OnFailure,
    /// A person must approve before it starts.
    #[serde(default)]
    pub approval: bool,
}

impl Step {
    /// What became of it is not looked for: a note that may have been told is not told twice, and holds nothing up.
    pub fn may_stay_unknown(&self) -> bool {
        matches!(self.effect, Effect::Notify { .. }) && self.on_failure == OnFailure::GoOn
    }

    /// Accepted work that does not end in time has failed: its undo takes back what it did, or there is nothing to take back. Of any
    /// other only a person can say what became.
    pub fn may_be_given_up(&self) -> bool {
        self.undo.is_some() || self.effect.leaves_nothing()
    }
}

/// The whole graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runbook {
    /// What is recovered.
    pub application: Application,
    /// Where it is to lead.
    pub intent: Intent,
    /// Where the writer was when it was derived.
    pub from: Region,
    /// Every step; needs point backwards or forwards, never in a circle.
    pub steps: Vec<Step>,
    /// What the store said of the unit when it was derived: with anything else there, it may promote beside a writer that
    /// it did not reckon with. `None` binds it to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
}

/// A state of a unit in the store, by the two numbers that rise with every run and every change of its candidate, and by
/// that candidate: a store that was put back gives a number out again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// Of the newest run.
    pub epoch: Epoch,
    /// Of the newest change of the candidate.
    pub candidacy: u64,
    /// [`mark`](crate::candidate::mark) of whom that made the candidate; 0 where it is not said.
    #[serde(default)]
    pub mark: u32,
}

/// The regions that effects make follow the writer again.
pub fn returning<'a>(effects: impl Iterator<Item = &'a Effect>) -> Vec<Region> {
    let mut back: Vec<Region> = Vec::new();
    for effect in effects {
        if let Effect::Rejoin { region, .. } = effect
            && !back.contains(region)
        {
            back.push(region.clone());
        }
    }
    back
}

/// Some of these effects rest on the word of a person that the old writer is off.
pub fn attested<'a>(mut effects: impl Iterator<Item = &'a Effect>) -> bool {
    effects.any(|effect| matches!(effect, Effect::AwaitLapse { attested_by: Some(_), .. }))
}

impl Runbook {
    /// The writer is where it is to be: copies rejoin it, or users are led to it.
    pub fn stays(&self) -> bool {
        self.from == self.intent.target.writer
    }

    /// What happens, in a few words.
    pub fn told(&self) -> String {
        let back = returning(self.steps.iter().map(|s| &s.effect));
        self.intent.verb.told(&self.from, &self.intent.target.writer, &back)
    }

    /// A person lets copies be rewound although what only they hold cannot be kept; returns whether any step asks for it.
    pub fn waive_rescue(&mut self, by: &str) -> bool {
        let mut any = false;
        for step in &mut self.steps {
            if let Effect::CaptureRescue { waived_by, .. } = &mut step.effect {
                *waived_by = Some(by.to_owned());
                any = true;
            }
        }
        any
    }

    /// Whoever asked for it answers for what it gives up because nothing is there to be kept.
    pub fn sign(&mut self, by: &str) {
        for step in &mut self.steps {
            if let Effect::CaptureRescue { waived_by: Some(waiver), .. } = &mut step.effect {
                by.clone_into(waiver);
            }
        }
    }

    /// Somebody answers for what it does not keep.
    pub fn gives_up(&self) -> bool {
        self.steps.iter().any(|s| matches!(s.effect, Effect::CaptureRescue { waived_by: Some(_), .. }))
    }

    /// It rests on the word of a person that the old writer is off.
    pub fn is_attested(&self) -> bool {
        attested(self.steps.iter().map(|s| &s.effect))
    }

    /// The step of that id.
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|s| &s.id == id)
    }
}
