//! Lease arithmetic: why a silent writer has provably stopped before another may start.
//!
//! Two parties, two clocks, no timestamp ever crosses. The *holder* (the agent beside the writer) counts its lease from
//! before it sent the heartbeat; the *granter* (the controller) counts it from after it had decided to grant, stretched by
//! what two clocks may drift apart, plus the time the holder needs to carry out its fence.
//!
//! Invariant: while each clock is off true time so little that the two drift apart by at most [`DRIFT_PER_CENT`], the
//! holder's validity and the [`FENCE_ALLOWANCE`] after it both end before the granter says lapsed. Why: the holder's
//! count starts before the message leaves and the granter's after it arrived, so delays only widen the gap.
//! Not covered: a machine that is paused as a whole (docs/failure-cases.md).

use crate::time::{Mono, as_ms, show_duration};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How far two clocks may run apart, in per cent. Quartz is off by 0.01 %; a clock that is slewed by NTP by up to
/// 0.05 %; a bad virtual machine by 0.5 %. One per cent leaves room and costs 30 ms on a lease of 3 s.
pub const DRIFT_PER_CENT: u32 = 1;

/// Time the holder has, after its lease has ended, until its last process is gone: waking up, SIGKILL to every process
/// of the data folder, the kernel tearing them down. Measured 5 to 30 ms; 150 ms leaves room on a busy machine.
pub const FENCE_ALLOWANCE: Duration = Duration::from_millis(150);

/// How long the granter waits for a lease that its holder counts as `lease`: the holder's clock may be slow during the
/// allowance too.
pub fn granters_lease(lease: Duration) -> Duration {
    let holders = lease + FENCE_ALLOWANCE;
    holders + holders * DRIFT_PER_CENT / 100
}

/// The holder's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holder {
    valid_until: Option<Mono>,
}

impl Holder {
    /// A renewal came back. `sent` was read on the holder's clock before the heartbeat left. An answer that arrives late
    /// or twice can never shorten or stretch what a newer one gave. Returns until when the lease is valid.
    pub fn renewed(&mut self, sent: Mono, lease: Duration) -> Mono {
        let until = self.valid_until.map_or(sent + lease, |held| held.max(sent + lease));
        self.valid_until = Some(until);
        until
    }

    /// The controller said that somebody else holds it: nothing is left.
    pub fn ended(&mut self) {
        self.valid_until = None;
    }

    /// The copy may be written now. At the very moment of the end it may not.
    pub fn is_valid(&self, now: Mono) -> bool {
        self.valid_until.is_some_and(|until| now < until)
    }

    /// When the fence must be carried out; `None` when nothing was ever held.
    pub fn valid_until(&self) -> Option<Mono> {
        self.valid_until
    }
}

/// The granter's side, for one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granter {
    lease: Duration,
    /// Nothing granted by an earlier life of the controller is valid from here on.
    start_over: Mono,
    lapses_at: Option<Mono>,
    granting: bool,
}

impl Granter {
    /// A controller that has just started: somebody may hold a lease it knows nothing of, so one whole lease is waited out,
    /// `longest` if an earlier plan had a longer one.
    pub fn started(now: Mono, lease: Duration, longest: Duration) -> Self {
        let start_over = now + granters_lease(lease.max(longest));
        Self { lease, start_over, lapses_at: None, granting: true }
    }

    /// A lease is about to be granted. `stored` was read on the granter's clock after it was decided and before the answer
    /// left. Returns false, and nothing may be sent, when the lease was revoked.
    #[must_use]
    pub fn granted(&mut self, stored: Mono) -> bool {
        if self.granting {
            let end = stored + granters_lease(self.lease);
            self.lapses_at = Some(self.lapses_at.map_or(end, |held| held.max(end)));
        }
        self.granting
    }

    /// Nothing is granted any more; what is out there runs to its end.
    pub fn revoke(&mut self) {
        self.granting = false;
    }

    /// Somebody may be granted it again. What an earlier holder may still have goes on being counted.
    pub fn allow(&mut self) {
        self.granting = true;
    }

    /// The moment from which nobody holds a lease, if nothing more is granted.
    pub fn lapses_at(&self) -> Mono {
        self.lapses_at.map_or(self.start_over, |end| end.max(self.start_over))
    }

    /// Nobody can hold a lease any more, and every holder has had the time to fence itself.
    pub fn is_lapsed(&self, now: Mono) -> bool {
        now >= self.lapses_at()
    }

    /// The same with the time that is left, for decisions and for people.
    pub fn sight(&self, now: Mono) -> LeaseSight {
        let left = self.lapses_at().since(now);
        match self.lapses_at {
            _ if self.is_lapsed(now) => LeaseSight::Lapsed,
            None => LeaseSight::WaitingOutStart { left },
            Some(_) => LeaseSight::Held { left },
        }
    }
}

/// What the granter knows of a unit's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "lease", rename_all = "kebab-case")]
pub enum LeaseSight {
    /// Granted by this controller and not yet over.
    Held {
        /// Time until it is over unless it is renewed.
        #[serde(rename = "left_ms", with = "as_ms")]
        left: Duration,
    },
    /// Over: nobody can hold it.
    Lapsed,
    /// The controller has not run for long enough to know.
    WaitingOutStart {
        /// Time until it knows.
        #[serde(rename = "left_ms", with = "as_ms")]
        left: Duration,
    },
}

impl std::fmt::Display for LeaseSight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LeaseSight::Held { left } => write!(f, "the lease runs for {} more", show_duration(*left)),
            LeaseSight::Lapsed => f.write_str("the lease is over"),
            LeaseSight::WaitingOutStart { left } => {
                write!(f, "the controller has just started and knows of older leases in {}", show_duration(*left))
            }
        }
    }
}

#[cfg(test)]
mod tests;
