//! What a move took and what it cost, from an outside client's request log and from the run's own times.
//!
//! Border: pure arithmetic. Whoever keeps the log and the journal maps them to [`Sample`] and [`RunTimes`].
//!
//! Invariants:
//! - RTO is what a user felt: from the start of the first failed request to the end of the first good one after it.
//! - The parts of an RTO never overlap and their sum is the RTO to the microsecond; see [`parts`].
//! - RPO is counted twice, from the client's acknowledged payments here and from sentinels in the verdict (what the
//!   candidate lacked when the move was decided); neither corrects the other.

mod loss;
mod median;
mod parts;

pub use loss::{Dual, Loss, dual_acked, loss};
pub use median::median;
pub use parts::{Part, RunTimes, StepTimes, parts};

use crate::id::Region;
use crate::position::option_ms;
use crate::time::{Mono, Wall, as_ms};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// One request of the outside client. Several may overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The payment's number.
    pub id: u64,
    /// When it was sent, on the client's clock.
    pub start: Mono,
    /// When its answer or its failure was there, on the client's clock.
    pub end: Mono,
    /// When it was sent, for lining up with the run.
    pub wall: Wall,
    /// It was acknowledged.
    pub ok: bool,
    /// The region that answered, if one did.
    pub region: Option<Region>,
}

/// A stretch of time in which users were not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When the first failed request was sent.
    pub from: Mono,
    /// The same for lining up with the run.
    pub from_wall: Wall,
    /// When the first good answer after it was there; `None` while it is not over.
    pub until: Option<Mono>,
}

/// How long users were not served, and where the time went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rto {
    /// From the first failed to the first good request.
    #[serde(with = "as_ms")]
    pub total_ms: Duration,
    /// When the first failed request was sent.
    pub first_failed: Wall,
    /// When the first good answer was there.
    pub first_good: Wall,
    /// The total, split; parts that took no time are absent. In microseconds, so that the sum stays exact.
    pub parts_us: BTreeMap<Part, u64>,
}

/// What the log says as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Requests sent.
    pub requests: u64,
    /// Requests acknowledged.
    pub acked: u64,
    /// Requests that failed.
    pub failed: u64,
    /// The longest time without any good answer, failed requests or not, from the first request to the last end; absent when
    /// nothing was asked.
    #[serde(default, with = "option_ms", skip_serializing_if = "Option::is_none")]
    pub longest_gap_ms: Option<Duration>,
}

/// The RTO of a move; `None` when no request failed or none was good again.
pub fn rto(samples: &[Sample], run: Option<&RunTimes>) -> Option<Rto> {
    let outage = outage(samples)?;
    let total = outage.until?.since(outage.from);
    let first_good = Wall(outage.from_wall.0 + u64::try_from(total.as_millis()).unwrap_or(u64::MAX));
    let parts_us = parts(outage.from_wall, total, run);
    Some(Rto { total_ms: total, first_failed: outage.from_wall, first_good, parts_us })
}

/// The longest outage of the log.
///
/// Requests overlap, so around a loss a good answer may come after a request that is to fail was sent. Therefore the
/// outage is looked for between two good answers that follow each other: the longest such gap in which a request failed.
pub fn outage(samples: &[Sample]) -> Option<Outage> {
    let mut good: Vec<&Sample> = samples.iter().filter(|s| s.ok).collect();
    good.sort_by_key(|s| s.end);
    let mut failed: Vec<&Sample> = samples.iter().filter(|s| !s.ok).collect();
    failed.sort_by_key(|s| s.end);
    let edges = std::iter::once(None).chain(good.iter().map(|g| Some(g.end)));
    let ends = good.iter().map(|g| Some(g.end)).chain(std::iter::once(None));
    let end_of_log = samples.iter().map(|s| s.end).max()?;
    let found = edges.zip(ends).filter_map(|(after, until)| {
        let first = failed.partition_point(|f| after.is_some_and(|a| f.end <= a));
        let last = until.map_or(failed.len(), |u| failed.partition_point(|f| f.end <= u));
        let from = failed.get(first..last)?.iter().min_by_key(|f| f.start)?;
        Some(Outage { from: from.start, from_wall: from.wall, until })
    });
    found.max_by_key(|o| o.until.unwrap_or(end_of_log).since(o.from))
}

/// Counts, and the longest time without a good answer.
pub fn traffic(samples: &[Sample]) -> Traffic {
    let good = || samples.iter().filter(|s| s.ok).map(|s| s.end);
    // The log's own ends count: users of an outage at its start or its end had no good answer either.
    let ends = samples.iter().map(|s| s.start).min().into_iter().chain(samples.iter().map(|s| s.end).max());
    let mut edges: Vec<Mono> = good().chain(ends).collect();
    edges.sort();
    let longest_gap_ms = edges.windows(2).map(|w| w[1].since(w[0])).max();
    let (requests, acked) = (samples.len() as u64, good().count() as u64);
    Traffic { requests, acked, failed: requests - acked, longest_gap_ms }
}

#[cfg(test)]
mod tests;
