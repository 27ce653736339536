//! How long each kind of step may take and how often it is tried again, in one table with the reasons.
//!
//! A deadline is for one attempt and holds the wait for the post-condition. It is not an estimate: it is the time after
//! which going on waiting is worse than a person looking. Retries only follow failures that changed nothing.

use crate::effect::{Pace, Probe, Watch};
use crate::lease::granters_lease;
use std::time::Duration;

/// Time and patience of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) deadline: Duration,
    pub(super) retries: u32,
}

const fn limit(seconds: u64, retries: u32) -> Limit {
    Limit { deadline: Duration::from_secs(seconds), retries }
}

/// SIGKILL and a look at what is left take well under a second; the rest is for an agent that is slow to hear of it.
/// A provider closes what clients reach and reboots the server, so that sessions end.
pub(super) const fn fence(pace: Pace) -> Limit {
    match pace {
        Pace::Seconds => limit(10, 2),
        Pace::Minutes => limit(900, 2),
    }
}
/// Asks a copy that is known to be fenced once more. Nothing rests on the answer, and users wait for it.
pub(super) const FENCE_AGAIN: Limit = limit(2, 0);
/// One compare-and-swap in the store.
pub(super) const GRANT: Limit = limit(5, 5);
/// Writes out what the server holds in memory: some GB at 100 MB/s. Users notice nothing.
pub(super) const CHECKPOINT: Limit = limit(120, 0);
/// After a checkpoint the stop has little left to write. Users wait, so it is undone rather than waited for.
/// A provider reboots the server for it.
pub(super) const fn stop(pace: Pace) -> Limit {
    match pace {
        Pace::Seconds => limit(30, 0),
        Pace::Minutes => limit(900, 0),
    }
}
/// A standby that streams has the tail already; longer than this the stop is better undone.
/// A provider shows how far a copy is once a minute and some minutes late.
pub(super) const fn await_position(pace: Pace) -> Limit {
    match pace {
        Pace::Seconds => limit(30, 1),
        Pace::Minutes => limit(900, 1),
    }
}
/// Replays what was received, or what a writer that was killed had not written out: seconds, but minutes after a burst of writing,
/// and there is no better way than forward.
/// A provider restarts the copy for it and may first make a backup of it.
///
/// Nobody writes meanwhile, and a controller that has just started may not have heard the agent yet: many tries.
pub(super) const fn promote(pace: Pace) -> Limit {
    match pace {
        Pace::Seconds => limit(120, 10),
        Pace::Minutes => limit(1_800, 10),
    }
}
/// Providers take one to ten minutes for it, and before a planned one as long as the plan has them make ready.
pub(super) fn switch(before: Duration) -> Limit {
    Limit { deadline: Duration::from_secs(900) + before, retries: 0 }
}
/// As long as the plan says. Users notice nothing, and a region that has just come back answers slowly at first: two refused
/// connections must not leave it without a copy.
pub(super) fn rejoin(within: Duration) -> Limit {
    Limit { deadline: within, retries: 10 }
}
/// A copy that was started streams within seconds, or its upstream is gone: waiting on would only hold the unit.
pub(super) const FOLLOWS: Duration = Duration::from_secs(120);
/// Copies the tail of a log and, where rows are wanted, a whole data directory on one disk: a TB at 200 MB/s.
pub(super) const RESCUE: Limit = limit(2 * 3_600, 10);
/// Thousands of changes are applied in seconds; what takes longer is better looked at by hand. Whoever asked is told of a
/// failure, and asks again.
pub(super) const APPLY_RESCUE: Limit = limit(600, 0);
/// Processes start in seconds, machines in minutes; a provider that is short of machines takes some more.
pub(super) const fn scale(pace: Pace) -> Limit {
    match pace {
        Pace::Seconds => limit(300, 2),
        Pace::Minutes => limit(900, 2),
    }
}
/// Nobody waits for instances to go.
pub(super) const fn scale_down(pace: Pace) -> Limit {
    match pace {
        Pace::Seconds => limit(60, 1),
        Pace::Minutes => limit(600, 1),
    }
}
/// Writing a DNS answer takes milliseconds; an authority that is being restarted comes back within seconds. A provider
/// spreads it over all of its servers, most often within a minute.
pub(super) const fn route(pace: Pace) -> Limit {
    match pace {
        Pace::Seconds => limit(10, 5),
        Pace::Minutes => limit(300, 5),
    }
}
/// A share is published, watched, and led back if it must be: three times what a route takes, and the watch between.
pub(super) fn shift(pace: Pace, watch: Option<&Watch>) -> Limit {
    let route = route(pace);
    let longest = |w: &Watch| w.probes.iter().map(|p| p.probe.timeout()).max().unwrap_or_default();
    let watched = watch.map(|w| w.for_ms + longest(w) + Duration::from_secs(5)).unwrap_or_default();
    Limit { deadline: route.deadline * 3 + watched, ..route }
}
/// Twice the time, and some minutes for a copy that has to catch up first. Users notice nothing.
pub(super) fn soak(long: Duration) -> Limit {
    Limit { deadline: long * 2 + Duration::from_secs(600), retries: 0 }
}
/// A note must not hold anything up.
pub(super) const NOTIFY: Limit = limit(10, 2);

/// Two lives of the controller may have to wait out a lease each, then some for the store.
pub(super) fn await_lapse(lease: Duration) -> Limit {
    Limit { deadline: granters_lease(lease) * 2 + Duration::from_secs(5), retries: 1 }
}

/// A probe ends by its own timeout. Names take a TTL to change, so a no is asked again.
pub(super) fn verify(probe: &Probe) -> Limit {
    Limit { deadline: probe.timeout() + Duration::from_secs(1), retries: 10 }
}

/// A user's command takes what the plan allows. One that may not run twice is not run twice.
pub(super) fn command(deadline: Duration, idempotent: bool) -> Limit {
    Limit { deadline, retries: u32::from(idempotent) }
}
