//! Whether a run makes way for a failover. It is asked with every decision while a run has the unit, so it is told from the
//! run itself as well as from what people are shown of it.

use super::RunState;
use super::status::{Condition, RunView, StepStatus};
use crate::effect::Effect;
use crate::id::Region;
use crate::placement::Verb;
use crate::runbook;

/// How a run stands to a failover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stance {
    /// A failover may have it ended: it was not to replace a lost writer, it goes on or waits, and all that it began keeps
    /// the writer where it is, or will be taken back with it; or the writer has arrived, and all that is left keeps it there.
    pub gives_way: bool,
    /// A failover that nobody asked for, of which nothing has begun: it waits for a person's approval.
    pub prepared: bool,
}

/// What of a run that is told from, and of its steps.
struct Outline<'a, I> {
    verb: Verb,
    automatic: bool,
    from: &'a Region,
    to: &'a Region,
    /// It goes on or waits.
    open: bool,
    past_return: bool,
    steps: I,
}

/// What of a step.
type Step<'a> = (runbook::Phase, StepStatus, &'a Effect);

impl<'a, I: Iterator<Item = Step<'a>> + Clone> Outline<'a, I> {
    fn stance(&self) -> Stance {
        Stance { gives_way: self.gives_way(), prepared: self.is_prepared() }
    }

    fn steps(&self) -> I {
        self.steps.clone()
    }

    fn is_prepared(&self) -> bool {
        let may_be = self.verb == Verb::Failover && self.automatic;
        let asks = || self.steps().any(|(_, status, _)| status == StepStatus::AwaitingApproval);
        let begun = || self.steps().any(|(phase, status, _)| phase != runbook::Phase::Notify && status.has_begun());
        may_be && asks() && !begun()
    }

    fn gives_way(&self) -> bool {
        // A drain moves no writer, and it stands as it is if it is ended.
        let keeps_writer = self.verb == Verb::Drain;
        let mut began = self.steps().filter(|(_, status, _)| status.has_begun());
        let mut untouched = || began.all(|(_, _, effect)| effect.keeps_writer(self.from));
        self.open && self.verb != Verb::Failover && (keeps_writer || untouched() || self.has_arrived())
    }

    /// The writer was moved and is where it was to go: what is left is the way of users, such as shares that wait, and copies.
    fn has_arrived(&self) -> bool {
        let over = |status| matches!(status, StepStatus::Done | StepStatus::Warned | StepStatus::Skipped);
        self.past_return && self.steps().all(|(_, status, effect)| over(status) || effect.keeps_writer(self.to))
    }
}

fn is_open(condition: &Condition) -> bool {
    matches!(condition, Condition::Running | Condition::Waiting { .. })
}

impl RunView {
    fn stance(&self) -> Stance {
        let outline = Outline {
            verb: self.intent.verb,
            automatic: self.cause.automatic,
            from: &self.from,
            to: &self.intent.target.writer,
            open: is_open(&self.condition),
            past_return: self.past_return,
            steps: self.steps.iter().map(|s| (s.phase, s.status, &s.effect)),
        };
        outline.stance()
    }

    /// See [`Stance::prepared`].
    pub fn is_prepared(&self) -> bool {
        self.stance().prepared
    }

    /// See [`Stance::gives_way`].
    pub fn gives_way(&self) -> bool {
        self.stance().gives_way
    }
}

impl RunState {
    /// The same as of its [`RunState::view`].
    pub fn stance(&self) -> Stance {
        let runbook = self.runbook();
        let outline = Outline {
            verb: runbook.intent.verb,
            automatic: self.cause.automatic,
            from: &runbook.from,
            to: &runbook.intent.target.writer,
            open: is_open(&self.condition()),
            past_return: self.is_past_return(),
            steps: (0..self.steps.len()).map(|i| (self.step(i).phase, self.status(i), &self.step(i).effect)),
        };
        outline.stance()
    }
}
