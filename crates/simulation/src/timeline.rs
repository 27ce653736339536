//! Virtual time: the true time of the world, each machine's own clocks, and the sleeps that wait for it.
//!
//! Nothing here runs by itself. The world says how late it is; [`Timeline::due`] hands out the sleeps that are over.
//!
//! A machine's monotonic clock runs a little fast or slow, and stands still while the machine as a whole is paused, as the
//! clock of a paused virtual machine does. Its wall clock may be stepped at any time.

use async_trait::async_trait;
use pilotlight_core::time::{Mono, Wall};
use pilotlight_driver::clock::Clock;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// True time since the world began, in nanoseconds.
pub(crate) type Nanos = u64;

/// Wall time at which every world begins.
const BEGAN: u64 = 1_795_221_912_345;

/// Every sleep is a little late, as every kernel's is; never early.
const LATE: Nanos = 2_000;
/// How late a sleep on a paused machine may end.
const PAUSED: Nanos = 5_000_000;

pub(crate) fn nanos(d: Duration) -> Nanos {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX / 4)
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Timeline(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    now: Nanos,
    count: u64,
    machines: Vec<Machine>,
    heap: BinaryHeap<Reverse<(Nanos, u64, usize)>>,
    slots: Vec<Slot>,
    free: Vec<usize>,
}

/// One machine's clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    /// How much its monotonic clock is off, in millionths.
    pub(crate) drift_ppm: i64,
    /// What its monotonic clock shows more than the true time since the world began.
    pub(crate) ahead: Duration,
    /// True time that its clocks have not seen.
    pub(crate) unseen: Nanos,
    /// Since when it is paused as a whole.
    pub(crate) stopped_at: Option<Nanos>,
    /// By how much its wall clock was stepped, in milliseconds.
    pub(crate) step_ms: i64,
    /// A planted bug: steps of the wall clock move the monotonic clock too.
    pub(crate) steps_count: bool,
}

#[derive(Debug)]
struct Slot {
    number: u64,
    machine: usize,
    process: usize,
    due: Mono,
    waker: Option<Waker>,
}

impl Machine {
    fn mono(&self, now: Nanos) -> Mono {
        let now = self.stopped_at.map_or(now, |at| at.min(now));
        let shown = scaled(now.saturating_sub(self.unseen), self.rate(), 1_000_000);
        let step = if self.steps_count { self.step_ms * 1_000_000 } else { 0 };
        Mono(self.ahead + Duration::from_nanos(shown.saturating_add_signed(step)))
    }

    /// What it shows in a million units of true time.
    fn rate(&self) -> u64 {
        1_000_000_u64.saturating_add_signed(self.drift_ppm)
    }

    /// True time that passes while the clock shows `d`.
    fn takes(&self, d: Duration) -> Nanos {
        scaled(nanos(d), 1_000_000, self.rate())
    }
}

/// `n * times / by`, in 64 bits where that is enough: it is done with every look at a clock.
fn scaled(n: u64, times: u64, by: u64) -> u64 {
    match n.checked_mul(times) {
        Some(product) => product / by,
        None => u64::try_from(u128::from(n) * u128::from(times) / u128::from(by)).unwrap_or(u64::MAX / 4),
    }
}

impl Timeline {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_machine(&self, machine: Machine) -> usize {
        let mut inner = self.lock();
        inner.machines.push(machine);
        inner.machines.len() - 1
    }

    pub(crate) fn change_machine(&self, machine: usize, change: impl FnOnce(&mut Machine)) {
        change(&mut self.lock().machines[machine]);
    }

    pub(crate) fn now(&self) -> Nanos {
        self.lock().now
    }

    pub(crate) fn set(&self, now: Nanos) {
        self.lock().now = now;
    }

    /// A number that orders what happens at one time.
    pub(crate) fn count(&self) -> u64 {
        let mut inner = self.lock();
        inner.count += 1;
        inner.count
    }

    pub(crate) fn mono(&self, machine: usize) -> Mono {
        let inner = self.lock();
        inner.machines[machine].mono(inner.now)
    }

    fn wall(&self, machine: usize) -> Wall {
        let inner = self.lock();
        let ms = i64::try_from(inner.now / 1_000_000).unwrap_or(i64::MAX) + inner.machines[machine].step_ms;
        Wall(BEGAN.saturating_add_signed(ms))
    }

    /// True time until the machine's clock shows `at`.
    pub(crate) fn until(&self, machine: usize, at: Mono) -> Nanos {
        let inner = self.lock();
        let machine = inner.machines[machine];
        machine.takes(at.since(machine.mono(inner.now)))
    }

    /// When the next sleep ends, and its place among what happens then.
    pub(crate) fn next(&self) -> Option<(Nanos, u64)> {
        let mut inner = self.lock();
        while let Some(Reverse((at, number, slot))) = inner.heap.peek().copied() {
            if inner.slots[slot].number == number && inner.slots[slot].waker.is_some() {
                return Some((at, number));
            }
            inner.heap.pop();
        }
        None
    }

    /// Ends the sleep that [`Timeline::next`] spoke of. Returns the process to run.
    pub(crate) fn wake(&self) -> Option<usize> {
        let mut inner = self.lock();
        let Reverse((_, number, slot)) = inner.heap.pop()?;
        let (now, machine) = (inner.now, inner.machines[inner.slots[slot].machine]);
        let due = inner.slots[slot].due;
        let left = machine.takes(due.since(machine.mono(now)));
        // The machine's clock stood still meanwhile, or still does; then it is looked at again soon.
        if left > LATE / 2 {
            let again = if machine.stopped_at.is_some() { left.max(PAUSED) } else { left };
            inner.heap.push(Reverse((now + again + LATE, number, slot)));
            return None;
        }
        inner.slots[slot].due = Mono::default();
        let (waker, process) = (inner.slots[slot].waker.take(), inner.slots[slot].process);
        drop(inner);
        waker?.wake();
        Some(process)
    }

    fn begin(&self, machine: usize, process: usize, d: Duration, waker: Waker) -> (usize, u64) {
        let mut inner = self.lock();
        inner.count += 1;
        let number = inner.count;
        let clock = inner.machines[machine];
        let at = inner.now.saturating_add(clock.takes(d)).saturating_add(LATE);
        let due = clock.mono(inner.now) + d;
        let slot = Slot { number, machine, process, due, waker: Some(waker) };
        let index = match inner.free.pop() {
            Some(index) => {
                inner.slots[index] = slot;
                index
            }
            None => {
                inner.slots.push(slot);
                inner.slots.len() - 1
            }
        };
        inner.heap.push(Reverse((at, number, index)));
        (index, number)
    }

    fn end(&self, (index, number): (usize, u64)) {
        let mut inner = self.lock();
        if inner.slots[index].number == number {
            inner.slots[index].number = 0;
            inner.slots[index].waker = None;
            inner.free.push(index);
        }
    }
}

/// The clock of one process, which is its machine's.
#[derive(Clone)]
pub(crate) struct ProcessClock {
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) machine: usize,
    pub(crate) process: usize,
}

#[async_trait]
impl Clock for ProcessClock {
    fn mono(&self) -> Mono {
        self.timeline.mono(self.machine)
    }

    fn wall(&self) -> Wall {
        self.timeline.wall(self.machine)
    }

    async fn sleep(&self, d: Duration) {
        Sleep { clock: self, d, slot: None }.await;
    }
}

struct Sleep<'a> {
    clock: &'a ProcessClock,
    d: Duration,
    slot: Option<(usize, u64)>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock;
        let Some((index, number)) = self.slot else {
            if self.d.is_zero() {
                return Poll::Ready(());
            }
            let slot = clock.timeline.begin(clock.machine, clock.process, self.d, context.waker().clone());
            self.slot = Some(slot);
            return Poll::Pending;
        };
        let mut inner = clock.timeline.lock();
        let slot = &mut inner.slots[index];
        debug_assert_eq!(slot.number, number, "a slot belongs to its sleep until it is dropped");
        match &mut slot.waker {
            None => Poll::Ready(()),
            Some(waker) => {
                waker.clone_from(context.waker());
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.clock.timeline.end(slot);
        }
    }
}
