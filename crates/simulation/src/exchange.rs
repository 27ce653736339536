//! What processes ask of the world: orders go out here, answers come back by their [`Reply`].
//!
//! A process only leaves its orders; the world takes them up when the process has run, so that everything that happens in
//! the world happens in one order.

use crate::place::Place;
use pilotlight_agent::WayError;
use pilotlight_core::effect::Effect;
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Outcome};
use pilotlight_core::protocol::{Heartbeat, HeartbeatReply, TaskResult, WorkReply, WorkRequest};
use pilotlight_core::time::Mono;
use pilotlight_core::verdict::PortAnswer;
use pilotlight_driver::Context;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// The way back to the process that asked.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    pub(crate) process: usize,
    sender: oneshot::Sender<T>,
}

impl<T> Reply<T> {
    /// A reply and what waits for it.
    pub(crate) fn new(process: usize) -> (Self, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (Self { process, sender }, receiver)
    }

    /// Answers; whoever asked may have gone.
    pub(crate) fn send(self, answer: T) {
        let _ = self.sender.send(answer);
    }
}

/// What came of an effect.
pub(crate) type Done = Result<Outcome, Failure>;
/// What came of a look.
pub(crate) type Seen = Result<State, Failure>;

/// A message of an agent to the controller.
#[derive(Debug)]
pub(crate) enum Letter {
    Heartbeat(Box<Heartbeat>, Reply<Result<HeartbeatReply, WayError>>),
    Work(WorkRequest, Reply<Result<WorkReply, WayError>>),
    Result(Box<TaskResult>, Reply<Result<(), WayError>>),
}

/// An answer to a letter on its way back.
#[derive(Debug)]
pub(crate) enum Answer {
    Heartbeat(Result<HeartbeatReply, WayError>, Reply<Result<HeartbeatReply, WayError>>),
    Work(Result<WorkReply, WayError>, Reply<Result<WorkReply, WayError>>),
    Result(Result<(), WayError>, Reply<Result<(), WayError>>),
}

/// One thing that is asked of the world.
#[derive(Debug)]
pub(crate) enum Order {
    /// An agent sends a letter.
    Post { from: Place, letter: Letter },
    /// The controller of that life answers a letter that it had to wait with.
    Answer { life: u32, to: Place, answer: Answer },
    /// A driver at `place` looks.
    Observe { place: Place, target: Target, reply: Reply<Seen> },
    /// A driver at `place` acts.
    Apply { place: Place, effect: Box<Effect>, context: Box<Context>, reply: Reply<Done> },
    /// Somebody dials the port of the database in a region.
    Dial { from: Place, region: Place, reply: Reply<PortAnswer> },
    /// An agent was told that it holds the lease, until its clock shows that.
    Believes { place: Place, until: Mono },
    /// What a person has heard of the controller.
    Heard(String),
}

/// See the module. Clones are one exchange.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exchange(Arc<Mutex<Vec<Order>>>);

impl Exchange {
    pub(crate) fn leave(&self, order: Order) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(order);
    }

    pub(crate) fn take(&self) -> Vec<Order> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
