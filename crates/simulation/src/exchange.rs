//! What processes ask of the world: orders go out here, answers come back by their [`Reply`].
//!
//! A process only leaves its orders; the world takes them up when the process has run, so that everything that happens in
//! the world happens in one order.

use crate::place::Place;
use pilotlight_agent::WayError;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::EffectKey;
use pilotlight_core::leader::Term;
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
/// What came of a look: with it, where a writer's candidate and the writer itself are. It goes through many hands.
pub(crate) type Seen = Box<Result<(State, Option<(usize, usize)>), Failure>>;
/// What came of a letter, with the term of whoever answered.
pub(crate) type Heard<T> = Result<(Term, T), WayError>;

/// A message of an agent to a controller.
#[derive(Debug)]
pub(crate) enum Letter {
    Heartbeat(Box<Heartbeat>, Reply<Heard<HeartbeatReply>>),
    Work(WorkRequest, Reply<Heard<WorkReply>>),
    Result(Box<TaskResult>, Reply<Heard<()>>),
}

/// An answer to a letter on its way back.
#[derive(Debug)]
pub(crate) enum Answer {
    Heartbeat(Heard<HeartbeatReply>, Reply<Heard<HeartbeatReply>>),
    Work(Heard<WorkReply>, Reply<Heard<WorkReply>>),
    Result(Heard<()>, Reply<Heard<()>>),
}

/// One thing that is asked of the world.
#[derive(Debug)]
pub(crate) enum Order {
    /// An agent sends a letter to the controller at a place.
    Post { from: Place, to: Place, letter: Letter },
    /// A controller answers a letter that it had to wait with.
    Answer { from: Place, to: Place, answer: Answer },
    /// An agent tells its gate until when it may confirm.
    Gate { place: Place, until: Mono },
    /// A driver looks.
    Observe { target: Target, reply: Reply<Seen> },
    /// A driver at `place` acts.
    Apply { place: Place, effect: Box<Effect>, context: Box<Context>, reply: Reply<Done> },
    /// Somebody dials the port of the database in a region.
    Dial { from: Place, region: Place, reply: Reply<PortAnswer> },
    /// An agent was told that it holds the lease, until its clock shows that.
    Believes { place: Place, until: Mono },
    /// An agent has read that it is to fence: the task, and its key.
    Fence { place: Place, task: String, key: EffectKey },
    /// An agent has read that it is to promote its copy.
    Promote { place: Place, key: EffectKey },
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

    /// Everything that was left, into an empty list. Returns whether that is anything.
    pub(crate) fn take(&self, orders: &mut Vec<Order>) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !left.is_empty() {
            std::mem::swap(orders, &mut *left);
        }
        !orders.is_empty()
    }
}
