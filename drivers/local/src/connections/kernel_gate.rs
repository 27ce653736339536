//! The kernel's lease as a gate of the agent: a thread that keeps the set of the kernel at what was allowed last.

use super::{FenceError, KernelLease, note};
use pilotlight_core::code;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::Clock;
use pilotlight_driver::gate::Gate;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is taken off each lease: `nft` is a program, and the kernel counts from when it has run. A renewal that took
/// longer is made again, with more taken off. Measured 5 to 20 ms.
const RUN_ALLOWANCE: Duration = Duration::from_millis(50);

/// The longest lease the kernel is told of: a writer without a candidate needs none, and is renewed all the same.
const LONGEST: Duration = Duration::from_secs(3_600);

/// A closed fence is set up again so often: nobody orders it twice, and the machine's rules may have been flushed since.
const CLOSE_AGAIN: Duration = Duration::from_secs(1);

/// Before another try when the kernel took nothing.
const RETRY: Duration = Duration::from_millis(200);

/// An order that is under way for longer is told: the lease that the kernel was told last runs out meanwhile.
const SLOW: Duration = Duration::from_secs(2);

/// See the module.
pub struct KernelGate {
    name: String,
    bypasses: Vec<String>,
    desk: Arc<Desk>,
    clock: Arc<dyn Clock>,
}

struct Desk {
    wanted: Mutex<Order>,
    changed: Condvar,
    /// Why the newest order is not carried out.
    trouble: Mutex<Option<String>>,
    /// Since when an order is being carried out: a program that hangs says nothing itself.
    began: Mutex<Option<Mono>>,
}

/// What the kernel's set is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Nothing,
    Until(Mono),
    Closed,
    Lifted,
}

struct Order {
    wanted: Wanted,
    /// Grows with each order, so that the thread sees that it has a newer one.
    number: u64,
    end: bool,
}

impl KernelGate {
    /// Starts the thread; touches no rule before the first order.
    pub fn start(lease: KernelLease, name: &str, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let order = Order { wanted: Wanted::Nothing, number: 0, end: false };
        let (trouble, began) = (Mutex::default(), Mutex::default());
        let desk = Arc::new(Desk { wanted: Mutex::new(order), changed: Condvar::new(), trouble, began });
        let (name, bypasses) = (format!("connections of {name}"), lease.bypasses());
        let keeper = Keeper { desk: desk.clone(), lease, clock: clock.clone(), name: name.clone() };
        std::thread::Builder::new().name("kernel-gate".to_owned()).spawn(move || keeper.run())?;
        Ok(Self { name, bypasses, desk, clock })
    }

    fn order(&self, change: impl FnOnce(Wanted) -> Wanted) {
        let mut order = self.desk.lock();
        let wanted = change(order.wanted);
        // A renewal is carried out even if it says the same: the kernel may have lost what it was told.
        if wanted == order.wanted && !matches!(wanted, Wanted::Until(_)) {
            return;
        }
        order.wanted = wanted;
        order.number += 1;
        self.desk.changed.notify_all();
    }
}

impl Gate for KernelGate {
    fn name(&self) -> &str {
        &self.name
    }

    fn allow(&self, until: Mono) {
        self.order(|wanted| match wanted {
            Wanted::Until(longer) => Wanted::Until(longer.max(until)),
            _ => Wanted::Until(until),
        });
    }

    fn close(&self) {
        self.order(|_| Wanted::Closed);
    }

    fn rest(&self) {
        self.order(|_| Wanted::Lifted);
    }

    fn trouble(&self) -> Option<Finding> {
        let hangs = || self.desk.began().is_some_and(|began| self.clock.mono().since(began) > SLOW);
        let said = self.desk.trouble().clone();
        let said = said.or_else(|| hangs().then(|| format!("`nft` has not ended for {} seconds", SLOW.as_secs())))?;
        Some(Finding {
            code: code::NO_KERNEL_FENCE.to_string(),
            severity: Severity::Warning,
            message: format!("the fence of the {} cannot be kept: {said}", self.name),
            hint: "mend what it says; nothing has to be restarted, it is tried again until it works".to_owned(),
        })
    }

    fn bypasses(&self) -> Vec<String> {
        self.bypasses.clone()
    }
}

impl Drop for KernelGate {
    fn drop(&mut self) {
        self.desk.lock().end = true;
        self.desk.changed.notify_all();
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Order> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn began(&self) -> MutexGuard<'_, Option<Mono>> {
        self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Keeper {
    desk: Arc<Desk>,
    lease: KernelLease,
    clock: Arc<dyn Clock>,
    name: String,
}

impl Keeper {
    fn run(self) {
        let (mut done, mut failed) = (0, false);
        while let Some((wanted, number)) = self.next(done, failed) {
            *self.desk.began() = Some(self.clock.mono());
            let carried_out = self.carry_out(wanted);
            *self.desk.began() = None;
            failed = carried_out.is_err();
            if !failed {
                done = number;
            }
            note(&mut self.desk.trouble(), carried_out.err().map(|e| e.to_string()), |said| {
                let code = code::NO_KERNEL_FENCE;
                tracing::error!(gate = self.name, "{code}: the fence of the connections cannot be kept: {said}");
            });
        }
    }

    /// The newest order that is not carried out, or one that is to be carried out again; `None` at the end.
    fn next(&self, done: u64, again: bool) -> Option<(Wanted, u64)> {
        let mut order = self.desk.lock();
        if again && !order.end {
            let paused = self.desk.changed.wait_timeout(order, RETRY);
            order = paused.unwrap_or_else(PoisonError::into_inner).0;
        }
        while order.number == done && !order.end {
            if order.wanted == Wanted::Closed {
                let waited = self.desk.changed.wait_timeout(order, CLOSE_AGAIN);
                let (same, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                order = same;
                if waited.timed_out() {
                    break;
                }
            } else {
                order = self.desk.changed.wait(order).unwrap_or_else(PoisonError::into_inner);
            }
        }
        (!order.end).then_some((order.wanted, order.number))
    }

    fn carry_out(&self, wanted: Wanted) -> Result<(), FenceError> {
        match wanted {
            Wanted::Nothing => Ok(()),
            Wanted::Lifted => self.lease.lift(),
            Wanted::Closed => self.lease.close(),
            Wanted::Until(until) => renew(until, || self.clock.mono(), |left| self.lease.allow_for(left)),
        }
    }
}

/// Renews. Did the program take longer than was taken off, what the kernel counts is too long, so it is told again, with as
/// much taken off as that took and more: on a busy machine the same again would go on until the lease is over.
fn renew(
    until: Mono,
    now: impl Fn() -> Mono,
    mut tell: impl FnMut(Duration) -> Result<(), FenceError>,
) -> Result<(), FenceError> {
    let mut spare = RUN_ALLOWANCE;
    loop {
        let began = now();
        tell(until.since(began).saturating_sub(spare).min(LONGEST))?;
        let ended = now();
        // Held up beyond the end itself, as a frozen process is: nothing may be left open.
        if ended >= until {
            return tell(Duration::ZERO);
        }
        let took = ended.since(began);
        if took <= spare {
            return Ok(());
        }
        spare = took + RUN_ALLOWANCE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// What the kernel was told, and when it began to count, where the program takes so long each time.
    fn told(until: Duration, takes: &[u64]) -> Vec<(Duration, Duration)> {
        let (clock, told) = (Cell::new(ms(0)), RefCell::new(Vec::new()));
        let mut takes = takes.iter().copied();
        let run = |left: Duration| {
            clock.set(clock.get() + ms(takes.next().unwrap_or(1)));
            told.borrow_mut().push((clock.get(), left));
            Ok(())
        };
        renew(Mono(until), || Mono(clock.get()), run).unwrap();
        told.into_inner()
    }

    #[test]
    fn a_slow_program_is_run_twice_and_not_until_the_lease_is_over() {
        assert_eq!(told(ms(3_000), &[20]), [(ms(20), ms(2_950))]);
        assert_eq!(told(ms(3_000), &[60; 100]), [(ms(60), ms(2_950)), (ms(120), ms(2_830))]);
        assert_eq!(told(ms(3_000), &[60, 200, 230]).last(), Some(&(ms(490), ms(2_490))));
    }

    #[test]
    fn the_kernel_never_counts_beyond_the_lease() {
        for takes in [[1, 1, 1], [60, 70, 80], [400, 900, 100], [999, 1, 1], [1_000, 1, 1], [5_000, 1, 1], [51, 949, 1]]
        {
            let (at, left) = *told(ms(1_000), &takes).last().unwrap();
            assert!(left.is_zero() || at + left <= ms(1_000), "{takes:?}: {left:?} told at {at:?}");
        }
        assert_eq!(told(ms(1_000), &[5_000]).last().map(|(_, left)| *left), Some(ms(0)), "it was frozen");
    }
}
