//! One process of ours: a runtime that only runs when the world lets it, and that a kill -9 leaves nothing of.
//!
//! The runtime has no timer and no sockets: all that can wake a task of it is virtual time or an answer of the world, so
//! the same seed runs the same tasks in the same order.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use tokio::runtime::{Builder, Runtime};

/// See the module. Dropping it is the kill.
pub(crate) struct Process {
    runtime: Runtime,
    idle: Arc<Idle>,
}

#[derive(Default)]
struct Idle {
    reached: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It belongs to the runtime, which would hold itself.
        self.idle.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Process {
    pub(crate) fn start() -> Self {
        let idle = Arc::new(Idle::default());
        let parks = idle.clone();
        let on_park = move || {
            parks.reached.store(true, Ordering::Relaxed);
            if let Some(waker) = &*parks.waker.lock().unwrap_or_else(PoisonError::into_inner) {
                waker.wake_by_ref();
            }
        };
        let runtime = Builder::new_current_thread().on_thread_park(on_park).build();
        Self { runtime: runtime.expect("a runtime without drivers needs nothing of the system"), idle }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(task));
    }

    /// Runs every task that can run, until none can.
    pub(crate) fn run(&self) {
        let idle = &self.idle;
        idle.reached.store(false, Ordering::Relaxed);
        self.runtime.block_on(poll_fn(|context| {
            if idle.reached.swap(false, Ordering::Relaxed) {
                return Poll::Ready(());
            }
            let mut waker = idle.waker.lock().unwrap_or_else(PoisonError::into_inner);
            if !waker.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
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
