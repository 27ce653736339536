//! The phases of a step and the one table of legal transitions between them.

use super::{Event, Returned};
use crate::effect::Effect;
use crate::outcome::{FailureKind, Outcome};
use crate::runbook::{OnFailure, Step};

/// Where a step stands. Settled phases ([`Phase::is_settled`]) only change when the step is undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Not started, or waiting for its next attempt.
    Waiting,
    /// The intent is recorded; the driver has it.
    Started,
    /// It goes on by itself at the driver.
    Accepted { handle: String },
    /// The driver says it is done; the post-condition is not seen yet.
    Returned,
    /// It may or may not have happened.
    Unknown,
    /// It failed for good.
    Failed { why: String },
    /// Only a person can find out; `handle` if the driver may still be at it.
    Stuck { why: String, handle: Option<String> },
    /// Done.
    Done,
    /// It was so already, or a person (`by`) passed over it.
    Skipped { by: Option<String>, why: String },
    /// Failed for good, and the run goes on.
    PassedOver { why: String },
    /// Being taken back.
    Undoing { attempt: u32 },
    /// Taking it back may or may not have happened.
    UndoUnknown { attempt: u32 },
    /// To be taken back once more.
    UndoAgain { attempt: u32 },
    /// Taking it back failed; only a person can find out.
    UndoStuck { attempt: u32, why: String, unknown: bool },
    /// Taken back.
    Undone,
    /// A person left it as it is.
    Left { why: String },
}

impl Phase {
    /// Steps that need it may start.
    pub fn is_settled(&self) -> bool {
        matches!(self, Phase::Done | Phase::Skipped { .. } | Phase::PassedOver { .. })
    }

    /// The world may be changing under it.
    pub fn is_in_flight(&self) -> bool {
        matches!(self, Phase::Started | Phase::Accepted { .. } | Phase::Unknown)
    }

    /// It is being taken back, or was.
    pub(super) fn is_of_an_undo(&self) -> bool {
        matches!(
            self,
            Phase::Undoing { .. }
                | Phase::UndoUnknown { .. }
                | Phase::UndoAgain { .. }
                | Phase::UndoStuck { .. }
                | Phase::Undone
                | Phase::Left { .. }
        )
    }

    /// Only a person can bring it further, unless the run is being taken back.
    pub fn is_held(&self) -> bool {
        matches!(self, Phase::Failed { .. } | Phase::Stuck { .. } | Phase::UndoStuck { .. })
    }
}

/// What [`next`] must know besides the phase.
pub(super) struct Place<'a> {
    pub step: &'a Step,
    pub phase: &'a Phase,
    /// Attempts made so far, and how many of them count against the retries.
    pub attempts: u32,
    pub attempts_counted: u32,
    /// The driver answered that it was so already.
    pub already: Option<&'a str>,
    /// It may start now: its needs are met, it is approved, nothing holds the run.
    pub may_start: bool,
    /// The run is being taken back: no step goes forward by hand.
    pub unwinding: bool,
    /// It is the next to be taken back, and nothing holds the run.
    pub may_undo: bool,
}

/// The table of legal transitions. `None` is illegal.
pub(super) fn next(at: &Place<'_>, event: &Event) -> Option<Phase> {
    use Phase as P;
    Some(match (at.phase, event) {
        (P::Waiting, Event::StepStarted { attempt, .. }) if at.may_start && *attempt == at.attempts + 1 => P::Started,
        (P::Started | P::Accepted { .. } | P::Unknown, Event::StepReturned { attempt, result, .. })
            if *attempt == at.attempts =>
        {
            returned(at, result)
        }
        (P::Returned | P::Unknown, Event::StepHolds { .. }) => match at.already {
            Some(why) => P::Skipped { by: None, why: why.to_owned() },
            None => P::Done,
        },
        (P::Waiting | P::Returned | P::Unknown | P::Started, Event::StepFailed { why, .. }) => failed(at.step, why),
        (P::Started | P::Returned | P::Unknown, Event::Stuck { why, .. }) => {
            P::Stuck { why: why.clone(), handle: None }
        }
        (P::Accepted { handle }, Event::Stuck { why, .. }) => {
            P::Stuck { why: why.clone(), handle: Some(handle.clone()) }
        }
        (P::Waiting | P::Returned | P::Failed { .. } | P::Stuck { .. }, Event::StepSkipped { by, why, .. })
            if !at.unwinding && may_skip(at.phase, &at.step.effect) =>
        {
            P::Skipped { by: Some(by.clone()), why: why.clone() }
        }
        (P::Waiting, Event::Approved { .. }) if at.step.approval => P::Waiting,
        (P::Stuck { .. }, Event::Approved { .. }) if !at.unwinding => P::Waiting,
        (P::Failed { .. }, Event::Resumed { .. }) => P::Waiting,
        (P::Stuck { handle: Some(handle), .. }, Event::Resumed { .. }) => P::Accepted { handle: handle.clone() },
        (P::Stuck { handle: None, .. }, Event::Resumed { .. }) => P::Unknown,
        (P::Started, Event::Recovered { .. }) => P::Unknown,
        (P::Undoing { attempt }, Event::Recovered { .. }) => P::UndoUnknown { attempt: *attempt },
        (P::UndoAgain { attempt }, Event::UndoStarted { attempt: now, .. }) if at.may_undo && *now == attempt + 1 => {
            P::Undoing { attempt: *now }
        }
        (
            P::Done
            | P::Skipped { .. }
            | P::PassedOver { .. }
            | P::Returned
            | P::Failed { .. }
            | P::Stuck { .. }
            | P::Waiting,
            Event::UndoStarted { attempt: 1, .. },
        ) if at.may_undo => P::Undoing { attempt: 1 },
        (P::Undoing { attempt } | P::UndoUnknown { attempt }, Event::UndoReturned { attempt: now, result, .. })
            if attempt == now =>
        {
            undo_returned(at, *attempt, result)?
        }
        (P::Undoing { attempt } | P::UndoUnknown { attempt }, Event::Stuck { why, .. }) => {
            P::UndoStuck { attempt: *attempt, why: why.clone(), unknown: true }
        }
        (P::UndoStuck { .. }, Event::StepSkipped { why, .. }) => P::Left { why: why.clone() },
        (P::UndoStuck { attempt, .. }, Event::Approved { .. })
        | (P::UndoStuck { attempt, unknown: false, .. }, Event::Resumed { .. }) => P::UndoAgain { attempt: *attempt },
        (P::UndoStuck { attempt, unknown: true, .. }, Event::Resumed { .. }) => P::UndoUnknown { attempt: *attempt },
        _ => return None,
    })
}

/// Passing over these by hand could leave two writers: they are done, or the run is aborted.
fn makes_silent(effect: &Effect) -> bool {
    matches!(effect, Effect::Fence { .. } | Effect::AwaitLapse { .. } | Effect::StopWrites { .. })
}

/// What makes silent is never passed over. What carries the move only after it was tried: before that, traffic would go
/// to a copy that takes no writes.
fn may_skip(phase: &Phase, effect: &Effect) -> bool {
    let carries =
        effect.is_point_of_no_return() || matches!(effect, Effect::AwaitPosition { .. } | Effect::Grant { .. });
    !makes_silent(effect) && (*phase != Phase::Waiting || !carries)
}

fn returned(at: &Place<'_>, result: &Returned) -> Phase {
    match result {
        Ok(Outcome::Accepted { handle }) => Phase::Accepted { handle: handle.clone() },
        Ok(_) if at.step.after.is_some() => Phase::Returned,
        Ok(Outcome::Skipped { why }) => Phase::Skipped { by: None, why: why.clone() },
        Ok(Outcome::Done { .. } | Outcome::Warned { .. }) => Phase::Done,
        Err(failure) => match (failure.kind, at.phase) {
            (FailureKind::OutcomeUnknown, _) => Phase::Unknown,
            (FailureKind::Rejected | FailureKind::Unsupported, _) => failed(at.step, &failure.message),
            // The call that failed changed nothing; an earlier one still may have, or still goes on.
            (FailureKind::Transient | FailureKind::Unreachable, Phase::Unknown | Phase::Accepted { .. }) => {
                at.phase.clone()
            }
            (FailureKind::Transient | FailureKind::Unreachable, _) if at.attempts_counted <= at.step.retries => {
                Phase::Waiting
            }
            (FailureKind::Transient | FailureKind::Unreachable, _) => failed(at.step, &failure.message),
        },
    }
}

fn failed(step: &Step, why: &str) -> Phase {
    match step.on_failure {
        OnFailure::GoOn => Phase::PassedOver { why: why.to_owned() },
        OnFailure::Pause | OnFailure::Undo => Phase::Failed { why: why.to_owned() },
    }
}

fn undo_returned(at: &Place<'_>, attempt: u32, result: &Returned) -> Option<Phase> {
    let unknown = matches!(at.phase, Phase::UndoUnknown { .. });
    Some(match result {
        Ok(Outcome::Accepted { .. }) => return None,
        Ok(_) => Phase::Undone,
        Err(failure) => match failure.kind {
            FailureKind::OutcomeUnknown => Phase::UndoUnknown { attempt },
            FailureKind::Rejected | FailureKind::Unsupported => {
                Phase::UndoStuck { attempt, why: failure.message.clone(), unknown: false }
            }
            FailureKind::Transient | FailureKind::Unreachable if unknown => Phase::UndoUnknown { attempt },
            FailureKind::Transient | FailureKind::Unreachable if attempt <= at.step.retries => {
                Phase::UndoAgain { attempt }
            }
            FailureKind::Transient | FailureKind::Unreachable => {
                Phase::UndoStuck { attempt, why: failure.message.clone(), unknown: false }
            }
        },
    })
}

#[cfg(test)]
mod tests;
