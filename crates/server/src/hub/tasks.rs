//! The tasks of one agent: waiting, delivered, answered.

use pilotlight_core::outcome::{Failure, FailureKind};
use pilotlight_core::protocol::{Answer, Job, Task};
use pilotlight_core::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::oneshot;

/// A delivered task without a result is delivered again after this: the answer that carried it may have been lost. Agents
/// know its id, so doing it early costs only the bytes.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Default)]
pub(super) struct Tasks {
    last: u64,
    /// By number, so the oldest comes first.
    open: BTreeMap<u64, Open>,
}

struct Open {
    id: String,
    job: Job,
    delivered: Option<(String, Mono)>,
    /// An earlier process of the agent was given it, and may have begun it.
    taken_before: bool,
    answer: oneshot::Sender<Answer>,
}

/// What became of a task that is waited for no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// No agent has it, and none will.
    Withdrawn,
    /// An agent may have it.
    Delivered,
}

impl Open {
    /// A process that failed says what it changed itself: nothing of what one before it began, which died with its answer.
    fn read(&self, answer: Answer) -> Answer {
        let changes = matches!(self.job, Job::Apply { .. } | Job::Resume { .. });
        match answer {
            Answer::Failed { failure } if self.taken_before && changes => {
                let message = format!("{}; an earlier process of the agent had taken the task too", failure.message);
                Answer::Failed { failure: Failure { kind: FailureKind::OutcomeUnknown, message, ..failure } }
            }
            answer => answer,
        }
    }
}

impl Tasks {
    pub(super) fn add(&mut self, life: &str, job: Job) -> (String, oneshot::Receiver<Answer>) {
        self.last += 1;
        let id = format!("{life}-{}", self.last);
        let (answer, receiver) = oneshot::channel();
        self.open.insert(self.last, Open { id: id.clone(), job, delivered: None, taken_before: false, answer });
        (id, receiver)
    }

    /// The tasks this agent process must get now; from here on they count as delivered.
    pub(super) fn due(&mut self, instance: &str, now: Mono) -> Vec<Task> {
        let mut due = Vec::new();
        for open in self.open.values_mut() {
            let again = match &open.delivered {
                None => true,
                Some((to, at)) => to != instance || now.since(*at) >= AGAIN,
            };
            if again {
                open.taken_before |= open.delivered.as_ref().is_some_and(|(to, _)| to != instance);
                open.delivered = Some((instance.to_owned(), now));
                due.push(Task { id: open.id.clone(), job: open.job.clone() });
            }
        }
        due
    }

    /// When the next delivered task must be delivered again.
    pub(super) fn next_due(&self) -> Option<Mono> {
        self.open.values().filter_map(|o| o.delivered.as_ref()).map(|(_, at)| *at + AGAIN).min()
    }

    pub(super) fn end(&mut self, id: &str, answer: Answer) {
        if let Some(open) = self.number(id).and_then(|n| self.open.remove(&n)) {
            let answer = open.read(answer);
            // Whoever asked may have gone in this very moment.
            let _ = open.answer.send(answer);
        }
    }

    pub(super) fn is_open(&self, id: &str) -> bool {
        self.number(id).is_some()
    }

    pub(super) fn withdraw(&mut self, id: &str) -> Delivery {
        match self.number(id).and_then(|n| self.open.remove(&n)) {
            Some(Open { delivered: None, .. }) => Delivery::Withdrawn,
            _ => Delivery::Delivered,
        }
    }

    fn number(&self, id: &str) -> Option<u64> {
        self.open.iter().find(|(_, o)| o.id == id).map(|(n, _)| *n)
    }
}
