//! The state of a run as people and the API see it.

use super::{Cause, Phase, RunResult, RunState};
use crate::code;
use crate::effect::Effect;
use crate::id::{Application, Epoch, Region, RunId, StepId, Unit};
use crate::outcome::{Failure, Output};
use crate::placement::Intent;
use crate::runbook;
use crate::time::Wall;
use serde::{Deserialize, Serialize};

/// Where a step stands, in one word each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// Something it needs is missing, or the run is held.
    Waiting,
    /// A person must approve it.
    AwaitingApproval,
    /// Under way.
    Running,
    /// The driver is done; the post-condition is awaited.
    Observing,
    /// Nobody knows whether it happened; being looked at.
    Unknown,
    /// It will be tried again.
    Retrying,
    /// Done.
    Done,
    /// Done, and a person should read the warning.
    Warned,
    /// It was so already, or a person passed over it.
    Skipped,
    /// Failed, and the run goes on.
    PassedOver,
    /// Failed; a person must act.
    Failed,
    /// Only a person can find out.
    Stuck,
    /// Being taken back.
    Undoing,
    /// Taken back.
    Undone,
    /// Could not be taken back; a person left it so.
    Left,
}

impl StepStatus {
    /// It is under way or over: something of it may have been done.
    pub fn has_begun(&self) -> bool {
        !matches!(self, StepStatus::Waiting | StepStatus::AwaitingApproval)
    }
}

impl std::fmt::Display for StepStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            StepStatus::Waiting => "waiting",
            StepStatus::AwaitingApproval => "awaiting approval",
            StepStatus::Running => "running",
            StepStatus::Observing => "observing",
            StepStatus::Unknown => "outcome unknown",
            StepStatus::Retrying => "retrying",
            StepStatus::Done => "done",
            StepStatus::Warned => "done with a warning",
            StepStatus::Skipped => "skipped",
            StepStatus::PassedOver => "failed, passed over",
            StepStatus::Failed => "failed",
            StepStatus::Stuck => "stuck",
            StepStatus::Undoing => "being undone",
            StepStatus::Undone => "undone",
            StepStatus::Left => "left as it is",
        })
    }
}

/// A person's word that a step may start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who gave it.
    pub by: String,
    /// When it was recorded.
    pub at: Wall,
}

/// A step for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// The step.
    pub id: StepId,
    /// What it does.
    pub title: String,
    /// Why it is there.
    pub why: String,
    /// Its part of the RTO.
    pub phase: runbook::Phase,
    /// What it needs.
    pub needs: Vec<StepId>,
    /// What it does, as data.
    pub effect: Effect,
    /// Where it stands.
    pub status: StepStatus,
    /// Attempts made.
    pub attempts: u32,
    /// The newest approval, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Approval>,
    /// When its first intent was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Wall>,
    /// When it was done, skipped, failed or undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Wall>,
    /// What a person should know: a reason, a warning, a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The newest failure, with hint and program output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What it handed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
}

/// Where the run as a whole stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Condition {
    /// Steps are under way.
    Running,
    /// Nothing new starts; once the steps that are under way have ended, a person must act.
    Pausing { steps: Vec<StepId>, why: Vec<String> },
    /// What was done is being taken back, or the last steps finish before the run ends.
    Unwinding { why: String },
    /// Its records cannot be written, so nothing new starts; it goes on by itself once they can.
    Stalled { why: String },
    /// A person must act; says what can be done, one line each.
    Waiting { why: Vec<String> },
    /// Over.
    Ended { result: RunResult },
}

/// A run for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    /// The run.
    pub run: RunId,
    /// What it moves.
    pub unit: Unit,
    /// What its effects carry.
    pub epoch: Epoch,
    /// What is recovered.
    pub application: Application,
    /// Where it leads.
    pub intent: Intent,
    /// Where the writer was.
    pub from: Region,
    /// Why and by whom.
    pub cause: Cause,
    /// When it was recorded.
    pub started: Wall,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Wall>,
    /// Where it stands.
    pub condition: Condition,
    /// It can only go forward.
    pub past_return: bool,
    /// Number of its newest record.
    pub seq: u64,
    /// Its steps, in the runbook's order.
    pub steps: Vec<StepView>,
}

impl RunView {
    /// What happens, in a few words.
    pub fn told(&self) -> String {
        let back = runbook::returning(self.steps.iter().map(|s| &s.effect));
        self.cause.named(&self.intent.verb.told(&self.from, &self.intent.target.writer, &back))
    }
}

impl RunState {
    /// The whole run for people.
    pub fn view(&self) -> RunView {
        RunView {
            run: self.run.clone(),
            unit: self.unit.clone(),
            epoch: self.epoch,
            application: self.runbook.application.clone(),
            intent: self.runbook.intent.clone(),
            from: self.runbook.from.clone(),
            cause: self.cause.clone(),
            started: self.started,
            ended: self.ended.map(|(_, at)| at),
            condition: self.condition(),
            past_return: self.is_past_return(),
            seq: self.seq(),
            steps: (0..self.steps.len()).map(|i| self.step_view(i)).collect(),
        }
    }

    /// Something was done, or tried, other than telling people.
    pub(super) fn has_begun(&self) -> bool {
        let begun = |s: &super::state::StepState| s.phase != Phase::Waiting || s.attempts > 0;
        self.steps.iter().enumerate().any(|(i, s)| self.step(i).phase != runbook::Phase::Notify && begun(s))
    }

    /// Where the run stands.
    pub fn condition(&self) -> Condition {
        if let Some((result, _)) = self.ended {
            return Condition::Ended { result };
        }
        let why = self.waits_for();
        if !why.is_empty() && !self.in_flight() {
            return Condition::Waiting { why };
        }
        if let Some(why) = &self.withdrawn {
            return Condition::Unwinding { why: format!("it is withdrawn: {why}") };
        }
        match (&self.abort, self.is_unwinding()) {
            (Some(by), _) => Condition::Unwinding { why: format!("{by} asked for its end") },
            (None, true) => Condition::Unwinding { why: "a step failed".to_owned() },
            (None, false) if !why.is_empty() => Condition::Pausing { steps: self.under_way(), why },
            (None, false) => Condition::Running,
        }
    }

    fn under_way(&self) -> Vec<StepId> {
        self.open().filter(|i| self.steps[*i].phase.is_in_flight()).map(|i| self.step(i).id.clone()).collect()
    }

    /// What only a person can bring forward, one line each; empty when the run goes on by itself.
    pub fn waits_for(&self) -> Vec<String> {
        let mut why = Vec::new();
        if let Some((by, reason)) = &self.paused {
            let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            why.push(format!("paused by {by}{reason}; resume it or abort it"));
        }
        if self.stands_half_undone() {
            let why_not = "the store may be an old copy, so nothing more is taken back";
            why.push(format!("{}: {why_not}; look which copy is the newest, then end the run", code::STORE_BEHIND));
        }
        for i in self.held() {
            let id = &self.step(i).id;
            why.push(match &self.steps[i].phase {
                Phase::Failed { why } => format!("step {id} failed: {why}; resume to try again, skip it, or abort"),
                Phase::Stuck { why, .. } => {
                    format!("step {id} is stuck: {why}; look, then skip it if it is done or approve another attempt")
                }
                Phase::UndoStuck { why, .. } => {
                    format!("undo of step {id} is stuck: {why}; look, then skip it or approve another attempt")
                }
                _ => continue,
            });
        }
        if !self.is_paused() && !self.is_unwinding() {
            let asks = |i: &usize| {
                self.steps[*i].phase == Phase::Waiting && self.step(*i).approval && self.steps[*i].approved.is_none()
            };
            // Only when nothing else goes on: an approval that is asked early delays nobody.
            if self.open().all(|i| asks(&i)) {
                why.extend(self.open().map(|i| format!("step {} waits for approval", self.step(i).id)));
            }
        }
        why
    }

    /// A step in words, for refusals.
    pub(super) fn describe(&self, i: usize) -> String {
        let status = self.status(i);
        match status {
            StepStatus::Waiting if self.is_unwinding() => "waiting, and the run is being ended".to_owned(),
            StepStatus::Waiting if self.is_paused() => "waiting, and the run is paused".to_owned(),
            _ => status.to_string(),
        }
    }

    pub(super) fn status(&self, i: usize) -> StepStatus {
        let state = &self.steps[i];
        match &state.phase {
            Phase::Waiting if state.attempts > 0 => StepStatus::Retrying,
            Phase::Waiting if self.step(i).approval && state.approved.is_none() && self.is_open(i) => {
                StepStatus::AwaitingApproval
            }
            Phase::Waiting => StepStatus::Waiting,
            Phase::Started | Phase::Accepted { .. } => StepStatus::Running,
            Phase::Returned => StepStatus::Observing,
            Phase::Unknown => StepStatus::Unknown,
            Phase::Failed { .. } => StepStatus::Failed,
            Phase::Stuck { .. } | Phase::UndoStuck { .. } => StepStatus::Stuck,
            Phase::Done if state.warning.is_some() => StepStatus::Warned,
            Phase::Done => StepStatus::Done,
            Phase::Skipped { .. } => StepStatus::Skipped,
            Phase::PassedOver { .. } => StepStatus::PassedOver,
            Phase::Undoing { .. } | Phase::UndoUnknown { .. } | Phase::UndoAgain { .. } => StepStatus::Undoing,
            Phase::Undone => StepStatus::Undone,
            Phase::Left { .. } => StepStatus::Left,
        }
    }

    fn step_view(&self, i: usize) -> StepView {
        let (step, state) = (self.step(i), &self.steps[i]);
        let note = match &state.phase {
            Phase::Failed { why } | Phase::PassedOver { why } | Phase::Left { why } => Some(why.clone()),
            Phase::Stuck { why, .. } | Phase::UndoStuck { why, .. } => Some(why.clone()),
            Phase::Skipped { by: Some(by), why } => Some(format!("skipped by {by}: {why}")),
            Phase::Skipped { by: None, why } => Some(why.clone()),
            _ => state.warning.clone().or_else(|| state.failure.as_ref().map(|f| f.message.clone())),
        };
        StepView {
            id: step.id.clone(),
            title: step.title.clone(),
            why: step.why.clone(),
            phase: step.phase,
            needs: step.needs.clone(),
            effect: step.effect.clone(),
            status: self.status(i),
            attempts: state.attempts,
            approved: state.approved.clone(),
            started: state.started,
            ended: state.ended,
            note,
            failure: state.failure.clone(),
            output: state.output.clone(),
        }
    }
}
