//! What the executor should do now, as it follows from the state.

use super::{Phase, RunResult, RunState};
use crate::effect::Effect;
use crate::id::StepId;
use crate::outcome::FailureKind;

/// One thing to do. The executor leaves out what it is doing already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Record the intent, apply the effect, record the outcome.
    Start { step: StepId, attempt: u32, effect: Effect },
    /// It cannot even be tried, or nobody looks what became of it: record that it failed.
    Fail { step: StepId, why: String },
    /// Observe until the post-condition holds.
    Observe { step: StepId },
    /// The outcome is unknown: look, and if it is safe send the same effect under the same key again.
    Look { step: StepId, attempt: u32, effect: Effect },
    /// Ask the driver what became of the accepted work.
    Reattach { step: StepId, attempt: u32, handle: String },
    /// Record the intent, then take the step back.
    Undo { step: StepId, attempt: u32, effect: Effect },
    /// Whether the step was taken back is unknown: find out, never under another key.
    LookUndo { step: StepId, attempt: u32, effect: Effect },
    /// A person must approve the step.
    AskApproval { step: StepId },
    /// Record the end.
    End { result: RunResult },
}

impl Command {
    /// The step it is about, if it is about one.
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Command::Start { step, .. }
            | Command::Fail { step, .. }
            | Command::Observe { step }
            | Command::Look { step, .. }
            | Command::Reattach { step, .. }
            | Command::Undo { step, .. }
            | Command::LookUndo { step, .. }
            | Command::AskApproval { step } => Some(step),
            Command::End { .. } => None,
        }
    }
}

impl RunState {
    /// What to do now. Empty when a person must act, or when everything is under way.
    pub fn commands(&self) -> Vec<Command> {
        if self.ended.is_some() {
            return Vec::new();
        }
        if let Some(result) = self.end() {
            return vec![Command::End { result }];
        }
        let mut commands: Vec<Command> = self.open().filter_map(|i| self.command(i)).collect();
        if self.is_unwinding() && !self.in_flight() && !self.is_past_return() {
            commands.extend(self.undo_command());
        }
        commands
    }

    /// The end the run has reached, if it has reached one.
    pub(super) fn end(&self) -> Option<RunResult> {
        if self.is_unwinding() {
            if self.in_flight() || self.stands_half_undone() {
                return None;
            }
            if self.is_past_return() {
                return Some(if self.all_settled() { self.result() } else { RunResult::Aborted });
            }
            return match self.next_to_undo() {
                Some(_) => None,
                None if self.withdrawn.is_some() => Some(RunResult::Withdrawn),
                None if !self.something_stays() => Some(RunResult::Undone),
                None if self.abort.is_some() => Some(RunResult::Aborted),
                None => Some(RunResult::Failed),
            };
        }
        (self.all_settled() && self.paused.is_none()).then(|| self.result())
    }

    /// Something that was done stays, although the run is taken back.
    fn something_stays(&self) -> bool {
        let stays = |i: &usize| match self.steps[*i].phase {
            Phase::Undone => false,
            Phase::Left { .. } => true,
            _ => self.steps[*i].touched && !self.step(*i).effect.leaves_nothing(),
        };
        self.order.iter().any(stays)
    }

    fn result(&self) -> RunResult {
        let warned = self.steps.iter().any(|s| {
            s.warning.is_some() || matches!(s.phase, Phase::PassedOver { .. } | Phase::Skipped { by: Some(_), .. })
        });
        if warned { RunResult::DoneWithWarnings } else { RunResult::Done }
    }

    fn command(&self, i: usize) -> Option<Command> {
        let (step, state) = (self.step(i), &self.steps[i]);
        let (id, attempt) = (step.id.clone(), state.attempts);
        let holds_back = self.is_unwinding() || self.is_paused();
        match &state.phase {
            Phase::Waiting if holds_back => None,
            Phase::Waiting if step.approval && state.approved.is_none() => Some(Command::AskApproval { step: id }),
            Phase::Waiting => Some(match self.resolved(&step.effect) {
                Ok(effect) => Command::Start { step: id, attempt: attempt + 1, effect },
                Err(why) => Command::Fail { step: id, why },
            }),
            Phase::Unknown => {
                // After a crash there was no answer at all: it is looked at, and a note is sent once more.
                if let (true, Some(failure)) = (step.may_stay_unknown(), &state.failure)
                    && failure.kind == FailureKind::OutcomeUnknown
                {
                    return Some(Command::Fail {
                        step: id,
                        why: format!("it may have been told: {}", failure.message),
                    });
                }
                let effect = self.resolved(&step.effect).unwrap_or_else(|_| step.effect.clone());
                Some(Command::Look { step: id, attempt, effect })
            }
            Phase::Accepted { handle } => Some(Command::Reattach { step: id, attempt, handle: handle.clone() }),
            Phase::Returned if !self.is_unwinding() => Some(Command::Observe { step: id }),
            _ => None,
        }
    }

    fn undo_command(&self) -> Option<Command> {
        let i = self.next_to_undo()?;
        let step = self.step(i).id.clone();
        let undo = self.step(i).undo.as_ref()?;
        let effect = self.resolved(undo).unwrap_or_else(|_| undo.clone());
        match &self.steps[i].phase {
            Phase::Undoing { .. } | Phase::UndoStuck { .. } => None,
            Phase::UndoUnknown { attempt } => Some(Command::LookUndo { step, attempt: *attempt, effect }),
            _ if self.paused.is_some() => None,
            Phase::UndoAgain { attempt } => Some(Command::Undo { step, attempt: attempt + 1, effect }),
            _ => Some(Command::Undo { step, attempt: 1, effect }),
        }
    }
}
