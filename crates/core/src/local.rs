//! What an agent does by itself with its own copy of replicated data, between two words of the controller.
//!
//! Border: pure. The agent brings what it saw and heard; the answer is one action. Runs are not its business: it only
//! keeps a writer that may write, silences one that may not, and starts a standby that lies still.
//!
//! Invariants, each a property test below:
//! - nothing starts a writer without a valid lease but an unopposed one that died, where the plan says to restart it: it
//!   needs no lease to write either; and nothing starts a fenced copy;
//! - no action makes a standby a writer: only a run's promotion does that;
//! - a writer that another region has replaced is always fenced, and so is one whose lease is over, unless gates close with
//!   the lease: then it acknowledges what its candidate has, and nothing else.

use crate::id::Region;
use crate::observation::Role;
use crate::plan::OnWriterDeath;
use crate::protocol::UnitView;
use crate::time::{Mono, show_duration};
use std::time::Duration;

/// Restarts in place are counted over this time (the plan's `on_postmaster_death: {restart: N}` says so to users).
pub const RESTART_WINDOW: Duration = Duration::from_secs(600);

/// A standby that does not start is tried again after this time: a rewind may be under way on its upstream.
pub const STANDBY_RETRY: Duration = Duration::from_secs(1);

/// What the agent knows of one copy.
#[derive(Debug, Clone)]
pub struct Local<'a> {
    /// The agent's own region.
    pub region: &'a Region,
    /// The unit as the store had it in the newest answer; `None` before the first one.
    pub unit: Option<&'a UnitView>,
    /// A heartbeat was answered, or has failed, since the agent started: there is no better knowledge to wait for.
    pub asked: bool,
    /// This region's lease on the unit is valid now.
    pub lease_valid: bool,
    /// This region has held the lease, now or before the agent's start. A database that never did was never ours.
    pub once_granted: bool,
    /// What the newest look showed.
    pub role: &'a Role,
    /// The newest look that showed a definite role showed a writer. Decides what to think of a copy that hangs.
    pub was_writer: bool,
    /// The copy may be acknowledging writes, as far as this agent knows: also before its first look at a definite role.
    pub may_write: bool,
    /// The copy hangs because its main process is dead, and parts of it are left that may go on acknowledging.
    pub remains: bool,
    /// The copy hangs, and its own files say that it took writes when it began to.
    pub in_production: bool,
    /// This agent process has seen the copy write. If not, a copy that lies still has not died: it was never started.
    pub seen_alive: bool,
    /// Writes end with the lease by themselves: a gate closes. Else the copy must be fenced then.
    pub gated: bool,
    /// A standby that follows under no name its writer could wait for, although the guarantee asks for one.
    pub unnamed: bool,
    /// `policy.on_postmaster_death`.
    pub on_writer_death: OnWriterDeath,
    /// When this agent restarted the copy.
    pub restarts: &'a [Mono],
    /// When this agent last tried to start the copy as a standby.
    pub standby_start: Option<Mono>,
    /// Now.
    pub now: Mono,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalAction {
    /// Nothing.
    None,
    /// Start the writer again in place (`resume-writes`).
    RestartWriter,
    /// Silence the copy: it may not write any more.
    Fence {
        /// For the log.
        why: String,
    },
    /// Silence the copy for good, so that the controller has proof that the writer is dead.
    GiveUp {
        /// For the log.
        why: String,
    },
    /// Start the copy as a standby of that region (`rejoin`).
    StartStandby {
        /// The writer's region.
        upstream: Region,
    },
}

/// Who the store says may write, as seen from one region.
enum Writer<'a> {
    /// This region.
    Me,
    /// Another one.
    Other(&'a Region),
    /// Nobody, while a run moves it.
    Nobody,
    /// Not heard yet.
    NotHeard,
}

/// The agent's decision on one copy.
pub fn decide(local: &Local) -> LocalAction {
    match local.role {
        Role::Standby { upstream: Some(upstream), streaming: true } if local.unnamed => name_standby(local, upstream),
        Role::Fenced { .. } | Role::Standby { .. } | Role::Unknown => LocalAction::None,
        Role::Writer => running(local),
        Role::Unresponsive if local.was_writer && local.remains && local.may_restart() => restart_or_give_up(local),
        Role::Unresponsive if local.was_writer || local.may_be_left_of_a_writer() => running(local),
        Role::Unresponsive => LocalAction::None,
        Role::Down { was_writer: true, .. } => dead_writer(local),
        Role::Down { was_writer: false, clean } => still_standby(local, *clean),
    }
}

impl Local<'_> {
    /// The store names this region, and its lease is valid or not needed.
    fn may_restart(&self) -> bool {
        matches!(self.writer(), Writer::Me) && (self.lease_valid || self.is_restarted_without())
    }

    /// Nobody can take its place, so a dead one is not waited for by anybody. Should the newest answer be old and a candidate
    /// admitted since, then by this agent, which had made the writer wait for it before: it still does when it is back.
    fn is_restarted_without(&self) -> bool {
        let restarts = matches!(self.on_writer_death, OnWriterDeath::Restart { .. });
        self.gated && restarts && self.unit.is_some_and(|u| u.candidate.is_none())
    }

    /// This agent process has not seen the copy write, but its region has held the lease. Parts of a server without its main
    /// process are left, whose sessions may go on acknowledging, or a writer hangs, which acknowledges once it goes on.
    fn may_be_left_of_a_writer(&self) -> bool {
        (self.remains || self.in_production) && self.may_write && self.once_granted && !self.lease_valid
    }

    fn writer(&self) -> Writer<'_> {
        match self.unit {
            None => Writer::NotHeard,
            Some(UnitView { writer: None, .. }) => Writer::Nobody,
            Some(UnitView { writer: Some(w), .. }) if w == self.region => Writer::Me,
            Some(UnitView { writer: Some(w), .. }) => Writer::Other(w),
        }
    }
}

/// The copy writes, or hangs and may write.
fn running(local: &Local) -> LocalAction {
    match local.writer() {
        Writer::Other(other) => {
            LocalAction::Fence { why: format!("region {other} is the writer now, but the copy here still writes") }
        }
        _ if local.lease_valid || (local.gated && !local.remains) => LocalAction::None,
        Writer::NotHeard if !local.asked || !local.once_granted => LocalAction::None,
        Writer::NotHeard => LocalAction::Fence {
            why: "the lease ran out before this agent started and the controller does not answer".to_owned(),
        },
        Writer::Me => LocalAction::Fence { why: "the lease has run out".to_owned() },
        Writer::Nobody => LocalAction::Fence { why: "the lease has run out while a run moves the writer".to_owned() },
    }
}

/// The copy was the writer and lies still.
fn dead_writer(local: &Local) -> LocalAction {
    match local.writer() {
        Writer::Other(other) => {
            LocalAction::Fence { why: format!("region {other} is the writer now, the copy here must not come back") }
        }
        Writer::Me if local.may_restart() => restart_or_give_up(local),
        Writer::Me | Writer::Nobody | Writer::NotHeard => LocalAction::None,
    }
}

fn restart_or_give_up(local: &Local) -> LocalAction {
    let tried = local.restarts.iter().filter(|at| local.now.since(**at) < RESTART_WINDOW).count();
    let allowed = match local.on_writer_death {
        OnWriterDeath::Restart { attempts } => usize::try_from(attempts).unwrap_or(usize::MAX),
        OnWriterDeath::Failover => 0,
    };
    // What was never seen alive has not died under this agent: the machine or the whole lab has just come up.
    let allowed = if local.seen_alive { allowed } else { allowed.max(1) };
    if tried < allowed {
        return LocalAction::RestartWriter;
    }
    let why = match local.on_writer_death {
        OnWriterDeath::Failover => "the writer has died and the plan says to fail over at once".to_owned(),
        OnWriterDeath::Restart { .. } => {
            format!("the writer has died and {tried} restarts within {} did not help", show_duration(RESTART_WINDOW))
        }
    };
    LocalAction::GiveUp { why }
}

/// The copy follows, but its writer could not wait for it: it is made to follow again, under a name.
fn name_standby(local: &Local, upstream: &Region) -> LocalAction {
    let waited = local.standby_start.is_none_or(|at| local.now.since(at) >= STANDBY_RETRY);
    match local.writer() {
        Writer::Other(writer) if writer == upstream && waited => {
            LocalAction::StartStandby { upstream: upstream.clone() }
        }
        _ => LocalAction::None,
    }
}

/// The copy is a standby's data and lies still.
fn still_standby(local: &Local, clean: bool) -> LocalAction {
    let waited = local.standby_start.is_none_or(|at| local.now.since(at) >= STANDBY_RETRY);
    match local.writer() {
        Writer::Other(upstream) if clean && waited => LocalAction::StartStandby { upstream: upstream.clone() },
        _ => LocalAction::None,
    }
}

#[cfg(test)]
mod tests;
