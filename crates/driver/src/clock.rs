//! The only place that reads the machine's clocks.
//!
//! Leases are counted on a clock that goes on while the machine sleeps (`CLOCK_BOOTTIME` where there is one), because a
//! holder that slept must not believe that no time has passed. The clock of a paused virtual machine does not go on;
//! docs/failure-cases.md says what follows.

use async_trait::async_trait;
use nix::time::{ClockId, clock_gettime};
use pilotlight_core::time::{Mono, Wall};
use std::time::Duration;

/// Time as the engine, the agent and the measurements see it; tests and the simulator bring their own.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Time on this machine's monotonic clock since boot; the same for every process of the machine.
    fn mono(&self) -> Mono;
    /// Time for people.
    fn wall(&self) -> Wall;
    /// Returns after at least `d`.
    async fn sleep(&self, d: Duration);
}

/// What comes of `call`, or `None` when it took longer than that.
pub async fn within<T>(clock: &dyn Clock, longest: Duration, call: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        answer = call => Some(answer),
        () = clock.sleep(longest) => None,
    }
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[cfg(target_os = "linux")]
const MONOTONIC: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(target_os = "linux"))]
const MONOTONIC: ClockId = ClockId::CLOCK_MONOTONIC;

#[async_trait]
impl Clock for SystemClock {
    fn mono(&self) -> Mono {
        Mono(clock_gettime(MONOTONIC).expect("the monotonic clock can always be read").into())
    }

    fn wall(&self) -> Wall {
        let now: Duration = clock_gettime(ClockId::CLOCK_REALTIME).expect("the system clock can always be read").into();
        Wall(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }

    async fn sleep(&self, d: Duration) {
        tokio::time::sleep(d).await;
    }
}
