//! What was acknowledged and is not there, and what was acknowledged twice over.

use super::Sample;
use crate::id::Region;
use crate::time::{Mono, as_ms};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// Acknowledged payments compared with what the writer holds now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Loss {
    /// Payments the client got an acknowledgement for.
    pub acked: u64,
    /// Numbers of those the writer does not hold, ascending.
    pub lost: Vec<u64>,
    /// From the oldest lost payment's request to the newest lost one's acknowledgement: the measured RPO.
    #[serde(with = "as_ms")]
    pub span_ms: Duration,
    /// Payments the writer holds that the client saw fail: allowed, a failure says nothing about the outcome.
    pub unacked_held: u64,
}

/// Payments that two regions acknowledged at the same time, so that two histories may exist.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Dual {
    /// Numbers acknowledged by both regions, or by the old one although they were sent after the new one had
    /// acknowledged something: two writers at once. Must be empty.
    pub certain: Vec<u64>,
    /// Numbers sent to the old region before the new one's first acknowledgement and answered after it. The old region
    /// may have decided in time and the answer may have been slow; a log at the client cannot tell.
    pub late: Vec<u64>,
}

/// Compares. `held` are the numbers of all payments that the writer holds.
pub fn loss(samples: &[Sample], held: &BTreeSet<u64>) -> Loss {
    let acked: BTreeSet<u64> = samples.iter().filter(|s| s.ok).map(|s| s.id).collect();
    let lost: Vec<u64> = acked.difference(held).copied().collect();
    let gone = || samples.iter().filter(|s| s.ok && lost.binary_search(&s.id).is_ok());
    let span = match (gone().map(|s| s.start).min(), gone().map(|s| s.end).max()) {
        (Some(oldest), Some(newest)) => newest.since(oldest),
        _ => Duration::ZERO,
    };
    let failed: BTreeSet<u64> = samples.iter().filter(|s| !s.ok).map(|s| s.id).collect();
    let unacked_held = failed.iter().filter(|id| held.contains(id) && !acked.contains(id)).count();
    Loss { acked: acked.len() as u64, lost, span_ms: span, unacked_held: unacked_held as u64 }
}

/// Looks at one move from `old` to `new`. The samples must be of that move alone: after a way back the old region
/// acknowledges again, rightly.
///
/// What counts is when a region *decided* to acknowledge, not when the answer arrived. A request that was sent after the
/// new region's first acknowledgement had arrived was decided after it for certain; one sent before may have been decided
/// before.
pub fn dual_acked(samples: &[Sample], old: &Region, new: &Region) -> Dual {
    let acked_by = |region: &Region| -> Vec<&Sample> {
        samples.iter().filter(|s| s.ok && s.region.as_ref() == Some(region)).collect()
    };
    let by_new = acked_by(new);
    let Some(first_new) = by_new.iter().map(|s| s.end).min() else { return Dual::default() };
    let new_ids: BTreeSet<u64> = by_new.iter().map(|s| s.id).collect();
    let mut dual = Dual::default();
    for sample in acked_by(old) {
        let Sample { id, start, end, .. } = sample;
        if new_ids.contains(id) || start_after(*start, first_new) {
            dual.certain.push(*id);
        } else if *end > first_new {
            dual.late.push(*id);
        }
    }
    dual
}

fn start_after(start: Mono, first_new: Mono) -> bool {
    start >= first_new
}
