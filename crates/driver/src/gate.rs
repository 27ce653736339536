//! A gate: something beside a writer that lets its writes be acknowledged until a moment it was told, and not after.
//!
//! There may be several for one copy, each closing what the others leave open: one that confirms commits, one that fences
//! connections. The agent opens all of them with each renewal of its lease ([`Gate::allow`]); none needs to be closed,
//! because each closes by itself.
//!
//! Invariants of every implementation:
//! - after the moment it was told last, on this machine's monotonic clock, nothing it covers is acknowledged: also when
//!   the agent is dead or frozen, also when the gate itself was frozen and goes on (`gate` may use time *before* the
//!   moment for that: what it takes is its own to subtract);
//! - an earlier moment never shortens what a later one gave, unless the gate was closed between them;
//! - no call waits for the network, a disk or another process: the agent calls from the thread that keeps its lease.

use pilotlight_core::outcome::Finding;
use pilotlight_core::time::Mono;

/// See the module.
pub trait Gate: Send + Sync {
    /// For logs and people, for example `commits of database`.
    fn name(&self) -> &str;

    /// Writes may be acknowledged until then, as far as this gate is concerned.
    fn allow(&self, until: Mono);

    /// Nothing may be acknowledged any more; to be allowed again later.
    fn close(&self);

    /// The copy was seen to be a standby and its region holds no lease: it acknowledges nothing and will not in the next
    /// moment, so nothing needs to be closed. Said again and again.
    fn rest(&self) {}

    /// Why it cannot do what it was told last, and what to do about it; it tries on meanwhile.
    fn trouble(&self) -> Option<Finding> {
        None
    }

    /// What it does not cover, one line each, for people who decide whether that is enough.
    fn bypasses(&self) -> Vec<String>;
}
