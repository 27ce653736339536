//! When the next request is due: at a steady rate, whatever became of those before (an open loop).
//!
//! A client that waited for answers would send less while the service is slow, and so measure the outage shorter than
//! users felt it.

use pilotlight_core::time::Mono;
use std::time::Duration;

/// After a stall of the client itself (the machine slept) at most so much is caught up; the rest was never due.
const CATCH_UP: Duration = Duration::from_millis(200);

/// Counts out the due times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    every: Duration,
    due: Mono,
}

impl Pace {
    /// `rate` requests a second from `start` on.
    pub(crate) fn new(rate: u32, start: Mono) -> Self {
        Self { every: Duration::from_secs(1) / rate.max(1), due: start }
    }

    /// How long to wait for the next request, seen at `now`; and sets the one after it.
    pub(crate) fn next(&mut self, now: Mono) -> Duration {
        if now.since(self.due) > CATCH_UP {
            self.due = now;
        }
        let wait = self.due.since(now);
        self.due = self.due + self.every;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono(Duration::from_millis(ms))
    }

    #[test]
    fn the_rate_holds_however_long_each_sleep_was() {
        let mut pace = Pace::new(200, at(0));
        let mut now = Duration::ZERO;
        let mut sent = 0;
        while now < Duration::from_secs(10) {
            // Timers fire late by up to 2 ms.
            now += pace.next(Mono(now)) + Duration::from_micros(sent % 2_000);
            sent += 1;
        }
        assert!((1_999..=2_001).contains(&sent), "{sent}");
    }

    #[test]
    fn a_long_stall_is_not_caught_up() {
        let mut pace = Pace::new(100, at(0));
        assert_eq!(pace.next(at(0)), Duration::ZERO);
        assert_eq!(pace.next(at(3_600_000)), Duration::ZERO);
        assert_eq!(pace.next(at(3_600_000)), Duration::from_millis(10));
    }
}
