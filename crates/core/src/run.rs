//! The run state machine: what has happened in a run, as records, and what is to be done next, as commands.
//!
//! Border: no clock, no journal, no driver. The executor appends [`Event`]s and performs [`Command`]s; recovery is
//! replay of the same records. Whether an event is legal is said by one `match` ([`phase::next`]); everything else is
//! [`Illegal`].
//!
//! Invariants:
//! - the state follows from the records alone: replay of any prefix gives the state the writer had there;
//! - no step starts before every step it needs is done, skipped or passed over with a warning;
//! - an outcome that is unknown leads to a look, never to another attempt;
//! - once a step with no return has started and may have changed something, nothing is undone any more; nor is it once the
//!   store was found to be an old copy, whose records may end before such a step, or the copy that is to be promoted was seen
//!   as a writer's already;
//! - what makes the old writer silent (fence, lapse, stop) is never skipped by hand.

mod commands;
mod phase;
mod stance;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod way_back;

pub use commands::Command;
pub use phase::Phase;
pub use stance::Stance;
pub use state::RunState;
pub use status::{Approval, Condition, RunView, StepStatus, StepView};

use crate::id::{Epoch, RunId, StepId, Unit};
use crate::outcome::{Failure, Outcome};
use crate::runbook::Runbook;
use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Why a run was started, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cause {
    /// The person, or `pilotlight` when nobody asked.
    pub by: String,
    /// Started by a decision of Pilotlight's own.
    pub automatic: bool,
    /// One line for people.
    pub why: String,
    /// What was seen, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// When the first sign of the failure was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Wall>,
    /// By sentinels: how much of the newest acknowledged time the target's copy may lack: what it lacked when the writer was
    /// last heard, and for how long that one may have gone on unheard. More is lost only where a machine was paused as a
    /// whole, and up to the time between two sentinels.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::position::option_ms")]
    pub exposure_ms: Option<Duration>,
    /// It is a drill, and is taken back so long after it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::position::option_ms")]
    pub drill_ms: Option<Duration>,
}

impl Cause {
    /// What happens, in a few words, with what a reader of any list must not take for a real move.
    pub fn named(&self, told: &str) -> String {
        if self.drill_ms.is_some() { format!("drill: {told}") } else { told.to_owned() }
    }
}

/// What came back from a driver.
pub type Returned = Result<Outcome, Failure>;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunResult {
    /// Every step is done; the target is reached.
    Done,
    /// The target is reached, but a step was skipped by hand, warned or failed where that was allowed.
    DoneWithWarnings,
    /// A step failed, and not everything done before could be taken back.
    Failed,
    /// Everything that was done was taken back.
    Undone,
    /// A person ended it; what was done stays as it is.
    Aborted,
    /// It was prepared, and its reason is gone: nothing was done.
    Withdrawn,
}

impl RunResult {
    /// The target is reached.
    pub fn is_done(self) -> bool {
        matches!(self, RunResult::Done | RunResult::DoneWithWarnings)
    }
}

impl std::fmt::Display for RunResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            RunResult::Done => "done",
            RunResult::DoneWithWarnings => "done with warnings",
            RunResult::Failed => "failed",
            RunResult::Undone => "undone",
            RunResult::Aborted => "aborted",
            RunResult::Withdrawn => "withdrawn",
        })
    }
}

/// One thing that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The first record: everything that is needed to continue the run elsewhere.
    RunStarted { run: RunId, unit: Unit, epoch: Epoch, runbook: Box<Runbook>, cause: Cause },
    /// A controller took the run over; whatever was under way has an unknown outcome.
    Recovered { by: String },
    /// The intent: from here on the observed state is unknown.
    StepStarted { step: StepId, attempt: u32 },
    /// The driver answered.
    StepReturned { step: StepId, attempt: u32, result: Returned },
    /// The post-condition was seen.
    StepHolds { step: StepId },
    /// It failed for good.
    StepFailed { step: StepId, why: String },
    /// A person passed over it.
    StepSkipped { step: StepId, by: String, why: String },
    /// A person allows it to start; for a stuck step: to be tried again after a look.
    Approved { step: StepId, by: String },
    /// Nothing new starts.
    Paused { by: String, why: String },
    /// Goes on; failed steps are tried again, stuck ones are looked at again.
    Resumed { by: String },
    /// A person ends the run.
    AbortAsked { by: String },
    /// It was prepared for a lost writer, which works again; nothing of it has begun but messages.
    Withdrawn { why: String, evidence: Vec<String> },
    /// The store lacks something that was heard of it: the run may have got further than its records say. It only goes
    /// forward from here.
    Overtaken { why: String },
    /// The intent to take a step back.
    UndoStarted { step: StepId, attempt: u32 },
    /// The driver answered.
    UndoReturned { step: StepId, attempt: u32, result: Returned },
    /// Nothing more can be found out by machine; a person must look.
    Stuck { step: StepId, why: String },
    /// The last record.
    RunEnded { result: RunResult },
}

impl Event {
    /// Its name as written in the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Event::RunStarted { .. } => "run-started",
            Event::Recovered { .. } => "recovered",
            Event::StepStarted { .. } => "step-started",
            Event::StepReturned { .. } => "step-returned",
            Event::StepHolds { .. } => "step-holds",
            Event::StepFailed { .. } => "step-failed",
            Event::StepSkipped { .. } => "step-skipped",
            Event::Approved { .. } => "approved",
            Event::Paused { .. } => "paused",
            Event::Resumed { .. } => "resumed",
            Event::AbortAsked { .. } => "abort-asked",
            Event::Withdrawn { .. } => "withdrawn",
            Event::Overtaken { .. } => "overtaken",
            Event::UndoStarted { .. } => "undo-started",
            Event::UndoReturned { .. } => "undo-returned",
            Event::Stuck { .. } => "stuck",
            Event::RunEnded { .. } => "run-ended",
        }
    }

    /// The step it is about, if it is about one.
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Event::StepStarted { step, .. }
            | Event::StepReturned { step, .. }
            | Event::StepHolds { step }
            | Event::StepFailed { step, .. }
            | Event::StepSkipped { step, .. }
            | Event::Approved { step, .. }
            | Event::UndoStarted { step, .. }
            | Event::UndoReturned { step, .. }
            | Event::Stuck { step, .. } => Some(step),
            Event::RunStarted { .. }
            | Event::Recovered { .. }
            | Event::Paused { .. }
            | Event::Resumed { .. }
            | Event::AbortAsked { .. }
            | Event::Withdrawn { .. }
            | Event::Overtaken { .. }
            | Event::RunEnded { .. } => None,
        }
    }
}

/// An event with its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Counts from 1 within the run, without gaps.
    pub seq: u64,
    /// When it was recorded, for people.
    pub at: Wall,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// The one error of the state machine: this event cannot happen here. The state is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", self.what())]
pub struct Illegal {
    /// The event's name.
    pub event: &'static str,
    /// The step it names.
    pub step: Option<StepId>,
    /// Why not.
    pub why: String,
}

impl Illegal {
    /// What cannot be, in the words of whoever asked for it.
    fn what(&self) -> String {
        let step = self.step.as_ref().map_or("the step".to_owned(), |s| format!("step {s}"));
        match self.event {
            "step-skipped" => format!("{step} cannot be skipped now"),
            "approved" => format!("{step} cannot be approved now"),
            "paused" => "the run cannot be paused now".to_owned(),
            "resumed" => "the run cannot be resumed now".to_owned(),
            "abort-asked" => "the run cannot be ended now".to_owned(),
            event => {
                let of = self.step.as_ref().map(|s| format!(" of step {s}")).unwrap_or_default();
                format!("{event}{of} cannot be recorded now")
            }
        }
    }
}
