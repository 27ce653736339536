//! Until when the gate of a writer may confirm: the lease of its holder, less what a confirmation may be late, and no
//! longer than the RPO lets the candidate lag where the plan says so.
//!
//! Invariant: what the gate sends before [`confirm_until`] is believed before the lease ends, or never: a gate that is
//! stopped between its look at the clock and its send is silent for the server, which closes the connection of a silent
//! client after [`sender_timeout`].
//! Not covered: a machine that is paused as a whole, server and gate alike (docs/failure-cases.md); a wall clock that is stepped
//! back while the gate is stopped in that moment, since the server counts its silence on it (docs/what-can-still-go-wrong.md).

use crate::time::Mono;
use std::time::Duration;

/// Time for the server to notice that the limit of [`sender_timeout`] is over and for a confirmation on its way beside it.
pub const SEND_ALLOWANCE: Duration = Duration::from_millis(50);

/// After so long without a word the server closes the gate's connection. A quarter of the lease leaves the gate more
/// than half of each lease to be renewed in; below a quarter of a second a busy machine would cut off a healthy gate.
pub fn sender_timeout(lease: Duration) -> Duration {
    (lease / 4).clamp(Duration::from_millis(250), Duration::from_secs(1))
}

/// The moment from which the gate confirms nothing.
///
/// `fresh` is when the candidate is known to have had everything, with the RPO after which it counts as too old: set
/// where the plan says that writes stall rather than expose more than the RPO.
pub fn confirm_until(lease_end: Mono, lease: Duration, fresh: Option<(Mono, Duration)>) -> Mono {
    let by_lease = Mono(lease_end.0.saturating_sub(sender_timeout(lease) + SEND_ALLOWANCE));
    match fresh {
        Some((at, rpo)) => by_lease.min(at + rpo),
        None => by_lease,
    }
}

/// A gate beside its server connects within milliseconds, and tries again all the time. One that has not connected after so
/// long has a reason that a person has to see: each commit waits for the candidate meanwhile.
pub const CONNECTS_WITHIN: Duration = Duration::from_secs(3);

/// How long a gate that may confirm has not been connected to its server, looked at again and again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Apart {
    since: Option<Mono>,
    looked: Mono,
}

impl Apart {
    /// The gate was looked at. Returns whether it has been apart for too long. One that may not confirm hangs up, which says
    /// nothing; where nobody looked for a while, as beside a server that was down, it is counted anew.
    pub fn looked(&mut self, now: Mono, may_confirm: bool, connected: bool) -> bool {
        let unseen = now.since(self.looked) > CONNECTS_WITHIN;
        self.looked = now;
        if connected || !may_confirm {
            self.since = None;
            return false;
        }
        let since = self.since.filter(|_| !unseen).unwrap_or(now);
        self.since = Some(since);
        now.since(since) >= CONNECTS_WITHIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_gate_that_may_confirm_and_is_not_connected_is_told_after_a_while() {
        let at = |tenths: u64| Mono(Duration::from_millis(60_000 + tenths * 100));
        let mut apart = Apart::default();
        assert!((0..30).all(|t| !apart.looked(at(t), true, false)));
        assert!(apart.looked(at(30), true, false) && apart.looked(at(31), true, false));
        assert!(!apart.looked(at(32), true, true), "it is connected");
        assert!(!apart.looked(at(33), true, false), "counted anew");
        assert!((34..80).all(|t| !apart.looked(at(t), false, false)), "closed, it is to hang up");
        assert!(!apart.looked(at(80), true, false));
        assert!(!apart.looked(at(200), true, false), "nobody looked while the server was down");
        assert!((201..230).all(|t| !apart.looked(at(t), true, false)) && apart.looked(at(230), true, false));
    }

    proptest! {
        /// A confirmation may leave until the last moment and be believed as late as the server's limit allows.
        #[test]
        fn no_confirmation_is_believed_after_the_lease(
            end in 1_000_u64..100_000, lease in 1_000_u64..60_000, stopped in 0_u64..10_000,
        ) {
            let (end, lease) = (Mono(Duration::from_millis(end)), Duration::from_millis(lease));
            let looked = confirm_until(end, lease, None);
            let sent = looked + Duration::from_millis(stopped);
            let believed = sent < looked + sender_timeout(lease);
            prop_assert!(!believed || sent < end);
        }

        #[test]
        fn the_governor_only_shortens(end in 0_u64..100_000, fresh in 0_u64..100_000, rpo in 0_u64..10_000) {
            let (end, lease) = (Mono(Duration::from_millis(end)), Duration::from_secs(3));
            let governed = confirm_until(end, lease, Some((Mono(Duration::from_millis(fresh)), Duration::from_millis(rpo))));
            prop_assert!(governed <= confirm_until(end, lease, None));
            prop_assert!(governed.0 <= Duration::from_millis(fresh + rpo));
        }
    }

    #[test]
    fn a_renewed_lease_leaves_the_gate_most_of_it() {
        for lease in [1_000, 3_000, 10_000, 60_000].map(Duration::from_millis) {
            let end = Mono(Duration::from_secs(100)) + lease;
            // Renewed each sixth of the lease, so five sixths are always left.
            let left = confirm_until(end, lease, None).since(Mono(Duration::from_secs(100)) + lease / 6);
            assert!(left >= lease / 2, "{lease:?} leaves {left:?}");
        }
    }
}
