//! One thing at a time is done to a server, except that a fence overtakes everything.
//!
//! Work that waits asks [`Work::pause`], which fails as soon as the time is over, the caller has gone, or a fence has
//! come. So work under way ends within milliseconds of a fence, and what it may have started in between is killed by
//! the fence's second pass, which begins after that work has ended.

use pilotlight_core::id::{Epoch, Unit};
use pilotlight_core::outcome::Failure;
use pilotlight_core::time::Mono;
use pilotlight_driver::Context;
use pilotlight_driver::clock::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

/// Where work waits for its turn.
pub(super) struct Desk {
    turn: Mutex<()>,
    /// Ended by a fence, then replaced.
    current: std::sync::Mutex<CancellationToken>,
    /// Counts fences: work that waited while one came is not done after it.
    fences: AtomicU64,
    clock: Arc<dyn Clock>,
}

/// Work that has its turn.
pub(super) struct Work<'a> {
    _turn: MutexGuard<'a, ()>,
    deadline: Mono,
    clock: &'a dyn Clock,
    /// Whose it is, and in which epoch.
    pub(super) unit: Unit,
    pub(super) epoch: Epoch,
    /// Ends what is being run: the caller has gone or a fence has come.
    pub(super) stop: CancellationToken,
}

fn called_off() -> Failure {
    Failure::transient("called off before it began")
}

impl Desk {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Desk {
        Desk {
            turn: Mutex::new(()),
            current: std::sync::Mutex::new(CancellationToken::new()),
            fences: AtomicU64::new(0),
            clock,
        }
    }

    /// Waits for the turn, at most until the deadline. Refused when a fence came meanwhile.
    pub(super) async fn take(&self, context: &Context) -> Result<Work<'_>, Failure> {
        let fences = self.fences.load(Ordering::SeqCst);
        let work = self.take_after_fence(context).await?;
        if self.fences.load(Ordering::SeqCst) != fences {
            return Err(Failure::transient("a fence came first"));
        }
        if context.cancel.is_cancelled() {
            return Err(called_off());
        }
        Ok(work)
    }

    /// Waits for the turn as the fence itself.
    pub(super) async fn take_after_fence(&self, context: &Context) -> Result<Work<'_>, Failure> {
        let deadline = self.clock.mono() + context.deadline;
        let turn = tokio::select! {
            turn = self.turn.lock() => turn,
            () = self.clock.sleep(context.deadline) => {
                return Err(Failure::transient("other work is still being done to this server"));
            }
            () = context.cancel.cancelled() => return Err(called_off()),
        };
        let stop = context.cancel.child_token();
        self.set_current(stop.clone());
        let (unit, epoch) = (context.unit.clone(), context.epoch);
        Ok(Work { _turn: turn, deadline, clock: &*self.clock, unit, epoch, stop })
    }

    /// Ends the work under way. Returns at once; the work still holds its turn until it has noticed.
    pub(super) fn interrupt(&self) {
        self.fences.fetch_add(1, Ordering::SeqCst);
        self.current.lock().expect("no holder of this lock panics").cancel();
    }

    fn set_current(&self, token: CancellationToken) {
        *self.current.lock().expect("no holder of this lock panics") = token;
    }
}

impl Work<'_> {
    /// Time left.
    pub(super) fn left(&self) -> Duration {
        self.deadline.since(self.clock.mono())
    }

    /// Time since some moment.
    pub(super) fn now(&self) -> Mono {
        self.clock.mono()
    }

    /// Waits a moment before the next look; `what` is waited for and `seen` was seen last.
    pub(super) async fn pause(
        &self,
        moment: Duration,
        what: &str,
        seen: &(dyn Fn() -> String + Sync),
    ) -> Result<(), Failure> {
        if self.stop.is_cancelled() {
            return Err(Failure::unknown(format!("called off while waiting until {what}; last seen: {}", seen())));
        }
        if self.left().is_zero() {
            return Err(Failure::unknown(format!("not in time: {what}; last seen: {}", seen())));
        }
        tokio::select! {
            () = self.clock.sleep(moment) => Ok(()),
            () = self.stop.cancelled() => Ok(()),
        }
    }
}
