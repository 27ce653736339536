//! A runbook while it is being written: steps in order, ids that are unique by construction.

use super::limits::Limit;
use crate::effect::Effect;
use crate::id::StepId;
use crate::observation::Condition;
use crate::runbook::{OnFailure, Phase, Step};

/// Steps so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) steps: Vec<Step>,
}

impl Draft {
    /// Appends a step and returns the id it got: two names with dashes can make the same id, then it is counted on.
    pub(super) fn add(&mut self, mut step: Step) -> StepId {
        let wanted = step.id.clone();
        let mut count = 1;
        while self.steps.iter().any(|s| s.id == step.id) {
            count += 1;
            step.id = StepId::new(format!("{wanted}-{count}"));
        }
        let id = step.id.clone();
        self.steps.push(step);
        id
    }
}

/// A step with its effect; what is not said is: no needs, no conditions, no way back, a failure waits for a person.
pub(super) fn step(id: impl Into<String>, phase: Phase, effect: Effect, limit: Limit) -> Step {
    Step {
        id: StepId::new(id),
        title: String::new(),
        why: String::new(),
        phase,
        needs: Vec::new(),
        effect,
        before: None,
        after: None,
        deadline_ms: limit.deadline,
        settle_ms: None,
        retries: limit.retries,
        undo: None,
        on_failure: OnFailure::Pause,
        approval: false,
    }
}

/// Says the rest, one thing at a time.
pub(super) trait Say: Sized {
    fn say(self, title: impl Into<String>, why: impl Into<String>) -> Self;
    fn once(self, needs: impl IntoIterator<Item = StepId>) -> Self;
    fn only_if(self, before: Condition) -> Self;
    fn until(self, after: Condition) -> Self;
    fn undone_by(self, undo: Effect) -> Self;
    fn else_do(self, on_failure: OnFailure) -> Self;
}

impl Say for Step {
    fn say(mut self, title: impl Into<String>, why: impl Into<String>) -> Self {
        (self.title, self.why) = (title.into(), why.into());
        self
    }

    fn once(mut self, needs: impl IntoIterator<Item = StepId>) -> Self {
        for need in needs {
            if !self.needs.contains(&need) {
                self.needs.push(need);
            }
        }
        self
    }

    fn only_if(mut self, before: Condition) -> Self {
        self.before = Some(before);
        self
    }

    fn until(mut self, after: Condition) -> Self {
        self.after = Some(after);
        self
    }

    fn undone_by(mut self, undo: Effect) -> Self {
        self.undo = Some(undo);
        self
    }

    fn else_do(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }
}
