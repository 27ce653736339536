//! Whether a run makes way for a failover.

use super::RunState;
use super::status::{Condition, StepStatus};
use crate::effect::Effect;
use crate::placement::Verb;
use crate::runbook::Phase;

/// How a run stands to a failover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stance {
    /// A failover may have it ended: it was not to replace a lost writer, it goes on or waits, and all that it began keeps
    /// the writer where it is, or will be taken back with it; or the writer has arrived, and all that is left keeps it there.
    pub gives_way: bool,
    /// A failover that nobody asked for, of which nothing has begun: it waits for a person's approval.
    pub prepared: bool,
}

impl RunState {
    /// How it stands.
    pub fn stance(&self) -> Stance {
        Stance { gives_way: self.gives_way(), prepared: self.is_prepared() }
    }

    fn told(&self) -> impl Iterator<Item = (Phase, StepStatus, &Effect)> {
        (0..self.steps.len()).map(|i| (self.step(i).phase, self.status(i), &self.step(i).effect))
    }

    fn is_prepared(&self) -> bool {
        let may_be = self.runbook().intent.verb == Verb::Failover && self.cause.automatic;
        let asks = || self.told().any(|(_, status, _)| status == StepStatus::AwaitingApproval);
        let begun = || self.told().any(|(phase, status, _)| phase != Phase::Notify && status.has_begun());
        may_be && asks() && !begun()
    }

    fn gives_way(&self) -> bool {
        let (verb, from) = (self.runbook().intent.verb, &self.runbook().from);
        // A drain moves no writer, and it stands as it is if it is ended.
        let keeps_writer = verb == Verb::Drain;
        let open = matches!(self.condition(), Condition::Running | Condition::Waiting { .. });
        let mut began = self.told().filter(|(_, status, _)| status.has_begun());
        let mut untouched = || began.all(|(_, _, effect)| effect.keeps_writer(from));
        open && verb != Verb::Failover && (keeps_writer || untouched() || self.has_arrived())
    }

    /// The writer was moved and is where it was to go: what is left is the way of users, such as shares that wait, and copies.
    fn has_arrived(&self) -> bool {
        let to = &self.runbook().intent.target.writer;
        let over = |status| matches!(status, StepStatus::Done | StepStatus::Warned | StepStatus::Skipped);
        self.is_past_return() && self.told().all(|(_, status, effect)| over(status) || effect.keeps_writer(to))
    }
}
