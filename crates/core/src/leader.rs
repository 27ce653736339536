//! Who leads, where several controllers share a store: only about who bothers to try and who grants leases.
//!
//! The store holds one record that the leader renews by compare-and-swap. The leader counts its lead from before it sent a
//! renewal. Every other controller counts from after it had first read the version that is there, on its own clock, with
//! the stretch of [`granters_lease`]; when that is over and the version is still the same, it may try to put itself there.
//! No timestamp of one machine is ever compared with another's.
//!
//! Invariant: while clocks drift apart by at most [`crate::lease::DRIFT_PER_CENT`], a leader's lead is over before another
//! may try. Why: the renewal was stored after it was sent and before it was read.
//!
//! What does not rest on this arithmetic: that a run has one driver (the journal), that a unit is changed by one controller
//! (the store refuses older terms), and that an agent obeys one (it refuses older terms too). So a leader that was frozen
//! between looking at its lead and acting does no harm there either.

pub mod loss;

use crate::id::Application;
use crate::lease::granters_lease;
use crate::time::{Mono, Wall, as_ms};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Counts the leaders an installation has had. Grows with every change of the lead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(pub u64);

impl Term {
    /// The one after it.
    pub fn next(self) -> Term {
        Term(self.0 + 1)
    }
}

impl std::fmt::Display for Term {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What the store says of the lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderRecord {
    /// Grows with every change of the lead.
    pub term: Term,
    /// The member that leads.
    pub name: String,
    /// Where agents and operators reach it.
    pub url: String,
    /// Whose store it is. Records from before this was kept have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<Application>,
    /// How long it counts its lead; the others wait that long even if their plan says less.
    #[serde(rename = "lease_ms", with = "as_ms")]
    pub lease: Duration,
    /// It has stopped and says so: nobody need wait.
    #[serde(default)]
    pub resigned: bool,
    /// A person wants that nothing starts by itself, whoever leads. Every leader takes it over from the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HeldBy>,
}

/// A person's hold on all controllers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBy {
    /// Who.
    pub by: String,
    /// Since when, for people.
    pub at: Wall,
    /// Why.
    pub why: String,
}

impl LeaderRecord {
    /// The application whose store it is, where that is another.
    pub fn of_another(&self, application: &Application) -> Option<&Application> {
        self.application.as_ref().filter(|other| *other != application)
    }

    /// It is about the same lead: a term is won once.
    pub fn is_of(&self, other: &LeaderRecord) -> bool {
        (self.term, &self.name, self.resigned) == (other.term, &other.name, other.resigned)
    }
}

/// How often a leader renews: three renewals may fail.
pub fn renew_every(lease: Duration) -> Duration {
    lease / 4
}

/// How often the others read: late reading is added to the time without a leader.
pub fn look_every(lease: Duration) -> Duration {
    (lease / 15).clamp(Duration::from_millis(50), Duration::from_secs(1))
}

/// A controller that does not lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenger {
    lease: Duration,
    seen: Option<Seen>,
    /// Nothing was there at the last look; when it may try.
    empty: Option<Mono>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    version: u64,
    record: LeaderRecord,
    tries_at: Mono,
}

impl Challenger {
    /// One that has just begun to look.
    pub fn new(lease: Duration) -> Self {
        Self { lease, seen: None, empty: None }
    }

    /// The record was read in this version; `after` was read on the own clock after the answer had come.
    pub fn saw(&mut self, version: u64, record: &LeaderRecord, after: Mono) {
        self.empty = None;
        if self.seen.as_ref().is_some_and(|seen| seen.version == version) {
            return;
        }
        let wait = if record.resigned { Duration::ZERO } else { granters_lease(self.lease.max(record.lease)) };
        self.seen = Some(Seen { version, record: record.clone(), tries_at: after + wait });
    }

    /// There is no record; `after` was read on the own clock after the answer had come. Nobody has ever led from here, or the
    /// store was emptied, and whoever led may count its lead: it is waited out as if a renewal had just been read. Returns
    /// whether that begins here.
    pub fn saw_none(&mut self, after: Mono) -> bool {
        let lease = self.seen.as_ref().map_or(self.lease, |seen| self.lease.max(seen.record.lease));
        let begins = self.empty.is_none();
        self.empty.get_or_insert(after + granters_lease(lease));
        begins
    }

    /// Who leads, as far as was read.
    pub fn leader(&self) -> Option<&LeaderRecord> {
        self.seen.as_ref().filter(|_| self.empty.is_none()).map(|seen| &seen.record).filter(|record| !record.resigned)
    }

    /// When it may try to put itself there, if what is there stays; `None` while nothing was read.
    pub fn tries_at(&self) -> Option<Mono> {
        self.empty.or(self.seen.as_ref().map(|seen| seen.tries_at))
    }

    /// The version it may replace now; `None` inside where there is none.
    pub fn may_replace(&self, now: Mono) -> Option<Option<u64>> {
        self.tries_at().filter(|at| now >= *at)?;
        Some(self.seen.as_ref().filter(|_| self.empty.is_none()).map(|seen| seen.version))
    }

    /// The hold that it would take over.
    pub fn hold(&self) -> Option<&HeldBy> {
        self.seen.as_ref().and_then(|seen| seen.record.hold.as_ref())
    }

    /// The term it would lead.
    pub fn next_term(&self) -> Term {
        self.seen.as_ref().map_or(Term::default(), |seen| seen.record.term).next()
    }
}

#[cfg(test)]
mod tests;
