//! One process of ours: a runtime that only runs when the world lets it, and that a kill -9 leaves nothing of.
//!
//! The runtime has no timer and no sockets: all that can wake a task of it is virtual time or an answer of the world, so
//! the same seed runs the same tasks in the same order.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};
use tokio::runtime::{Builder, Runtime};

/// See the module. Dropping it is the kill.
pub(crate) struct Process {
    runtime: Runtime,
}

thread_local! {
    /// The process that runs on this thread has nothing left to do.
    static IDLE: Cell<bool> = const { Cell::new(false) };
    /// Wakes whoever waits for that.
    static WAITS: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

fn on_park() {
    // While a thread ends there is nobody left to tell.
    let _ = IDLE.try_with(|idle| idle.set(true));
    let _ = WAITS.try_with(|waits| waits.take().map(Waker::wake));
}

impl Process {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_current_thread().on_thread_park(on_park).build();
        Self { runtime: runtime.expect("a runtime without drivers needs nothing of the system") }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(task));
    }

    /// Runs every task that can run, until none can.
    pub(crate) fn run(&self) {
        IDLE.set(false);
        self.runtime.block_on(poll_fn(|context| {
            if IDLE.replace(false) {
                return Poll::Ready(());
            }
            WAITS.set(Some(context.waker().clone()));
            Poll::Pending
        }));
    }
}

/// Processes that something has happened to and that have not run since: most often none or one.
#[derive(Debug, Default)]
pub(crate) struct Dirty(Vec<usize>);

impl Dirty {
    pub(crate) fn insert(&mut self, process: usize) {
        if !self.0.contains(&process) {
            self.0.push(process);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one with the lowest number, which then is not in it any more.
    pub(crate) fn first(&mut self) -> Option<usize> {
        let (at, _) = self.0.iter().enumerate().min_by_key(|(_, process)| **process)?;
        Some(self.0.swap_remove(at))
    }
}
