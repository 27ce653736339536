//! Virtual time: the true time of the world, each machine's own clocks, and the sleeps that wait for it.
//!
//! Nothing here runs by itself. The world says how late it is; [`Timeline::due`] hands out the sleeps that are over.
//!
//! A machine's monotonic clock runs a little fast or slow, and stands still while the machine as a whole is paused, as the
//! clock of a paused virtual machine does. Its wall clock may be stepped at any time.

use crate::queue::Queue;
use pilotlight_core::time::{Mono, Wall};
use pilotlight_driver::clock::Clock;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
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

/// See the module. All of a world happens on one thread, and nearly everything in it asks what time it is: so the time is
/// the thread's, and is had without a lock. A new one takes the place of the thread's last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeline;

thread_local! {
    static TIMELINE: RefCell<Inner> = const { RefCell::new(Inner::EMPTY) };
}

#[derive(Debug)]
struct Inner {
    now: Nanos,
    count: u64,
    machines: Vec<Machine>,
    /// What each machine's clock showed when it was last looked at, and when that was.
    shown: Vec<(Nanos, Mono)>,
    queue: Queue,
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
    /// When it is looked at next.
    at: Nanos,
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

    /// It stands still from now on, or goes on as if no time had passed.
    pub(crate) fn stand_still(&mut self, still: bool, now: Nanos) {
        match (still, self.stopped_at) {
            (true, None) => self.stopped_at = Some(now),
            (false, Some(at)) => {
                self.unseen += now - at;
                self.stopped_at = None;
            }
            _ => {}
        }
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

impl Inner {
    const EMPTY: Inner = Inner {
        now: 0,
        count: 0,
        machines: Vec::new(),
        shown: Vec::new(),
        queue: Queue::EMPTY,
        slots: Vec::new(),
        free: Vec::new(),
    };
}

fn with<T>(what: impl FnOnce(&mut Inner) -> T) -> T {
    TIMELINE.with_borrow_mut(what)
}

impl Timeline {
    /// Time begins anew on this thread.
    pub(crate) fn begin_anew() -> Self {
        drop(TIMELINE.replace(Inner::EMPTY));
        Self
    }

    pub(crate) fn add_machine(&self, machine: Machine) -> usize {
        with(|inner| {
            inner.machines.push(machine);
            inner.shown.push((Nanos::MAX, Mono::default()));
            inner.machines.len() - 1
        })
    }

    pub(crate) fn change_machine(&self, machine: usize, change: impl FnOnce(&mut Machine)) {
        with(|inner| {
            inner.shown[machine].0 = Nanos::MAX;
            change(&mut inner.machines[machine]);
        });
    }

    pub(crate) fn now(&self) -> Nanos {
        with(|inner| inner.now)
    }

    pub(crate) fn set(&self, now: Nanos) {
        with(|inner| inner.now = now);
    }

    /// A number that orders what happens at one time.
    pub(crate) fn count(&self) -> u64 {
        with(|inner| {
            inner.count += 1;
            inner.count
        })
    }

    pub(crate) fn mono(&self, machine: usize) -> Mono {
        with(|inner| inner.mono(machine))
    }

    fn wall(&self, machine: usize) -> Wall {
        let (now, step_ms) = with(|inner| (inner.now, inner.machines[machine].step_ms));
        let ms = i64::try_from(now / 1_000_000).unwrap_or(i64::MAX) + step_ms;
        Wall(BEGAN.saturating_add_signed(ms))
    }

    /// True time until the machine's clock shows `at`.
    pub(crate) fn until(&self, machine: usize, at: Mono) -> Nanos {
        let (machine, now) = with(|inner| (inner.machines[machine], inner.now));
        machine.takes(at.since(machine.mono(now)))
    }

    /// When the next sleep ends, and its place among what happens then.
    pub(crate) fn next(&self) -> Option<(Nanos, u64)> {
        with(|inner| inner.queue.next()).map(|(at, number, _)| (at, number))
    }

    /// Ends the sleep that [`Timeline::next`] spoke of. Returns the process to run.
    pub(crate) fn wake(&self) -> Option<usize> {
        let (waker, process) = with(Inner::end_next)?;
        waker.wake();
        Some(process)
    }
}

impl Inner {
    fn mono(&mut self, machine: usize) -> Mono {
        let shown = &mut self.shown[machine];
        if shown.0 != self.now {
            *shown = (self.now, self.machines[machine].mono(self.now));
        }
        shown.1
    }

    fn end_next(&mut self) -> Option<(Waker, usize)> {
        let (_, number, slot) = self.queue.take()?;
        let Slot { machine, due, .. } = self.slots[slot];
        let early = due.since(self.mono(machine));
        let machine = &self.machines[machine];
        let left = if early.is_zero() { 0 } else { machine.takes(early) };
        // The machine's clock stood still meanwhile, or still does; then it is looked at again soon.
        if left > LATE / 2 {
            let again = if machine.stopped_at.is_some() { left.max(PAUSED) } else { left };
            let at = self.now + again + LATE;
            self.slots[slot].at = at;
            self.queue.add(at, number, slot);
            return None;
        }
        self.slots[slot].due = Mono::default();
        Some((self.slots[slot].waker.take()?, self.slots[slot].process))
    }

    fn begin(&mut self, machine: usize, process: usize, d: Duration, waker: Waker) -> (usize, u64) {
        self.count += 1;
        let number = self.count;
        let at = self.now.saturating_add(self.machines[machine].takes(d)).saturating_add(LATE);
        let due = self.mono(machine) + d;
        let slot = Slot { number, at, machine, process, due, waker: Some(waker) };
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.queue.add(at, number, index);
        (index, number)
    }

    /// Hands back what would have been woken: it may be the last to hold something that sleeps, too.
    fn end(&mut self, (index, number): (usize, u64)) -> Option<Waker> {
        let slot = self.slots.get_mut(index).filter(|slot| slot.number == number)?;
        slot.number = 0;
        let waker = slot.waker.take();
        if waker.is_some() {
            self.queue.remove(slot.at, number);
        }
        self.free.push(index);
        waker
    }
}

/// The clock of one process, which is its machine's.
#[derive(Clone)]
pub(crate) struct ProcessClock {
    pub(crate) timeline: Timeline,
    pub(crate) machine: usize,
    pub(crate) process: usize,
}

/// Written out, because there is no call that is made more often.
impl Clock for ProcessClock {
    fn mono(&self) -> Mono {
        self.timeline.mono(self.machine)
    }

    fn wall(&self) -> Wall {
        self.timeline.wall(self.machine)
    }

    fn sleep<'life0, 'async_trait>(&'life0 self, d: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(Sleep { clock: self, d, slot: None })
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
            let (d, waker) = (self.d, context.waker().clone());
            self.slot = Some(with(|inner| inner.begin(clock.machine, clock.process, d, waker)));
            return Poll::Pending;
        };
        with(|inner| {
            let slot = &mut inner.slots[index];
            debug_assert_eq!(slot.number, number, "a slot belongs to its sleep until it is dropped");
            match &mut slot.waker {
                None => Poll::Ready(()),
                Some(waker) => {
                    waker.clone_from(context.waker());
                    Poll::Pending
                }
            }
        })
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            drop(with(|inner| inner.end(slot)));
        }
    }
}
