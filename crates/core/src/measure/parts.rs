//! Where the time of an outage went.
//!
//! Steps run side by side, so their lengths do not add up to the outage. What counts is the chain that made users wait:
//! from the last step before the first good answer back over, at each step, the need that ended last. Each moment of the
//! outage belongs to exactly one link of that chain; a pause before a step belongs to that step, an approval to itself.

use crate::id::StepId;
use crate::runbook::Phase;
use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The parts of an RTO, in the order of their course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Until the verdict that led to the run.
    Detect,
    /// Until the run's first step towards the move; making ready counts here.
    Decide,
    /// Waiting for a person.
    Approve,
    /// Making sure the old writer is silent.
    Fence,
    /// Making the new writer.
    Promote,
    /// Making room for the traffic.
    Scale,
    /// Leading the traffic.
    Route,
    /// From the published answer until it reached the client.
    Propagate,
    /// Proving that it works, where nothing leads traffic.
    Verify,
}

impl Part {
    /// Every part, in order.
    pub const ALL: [Part; 9] = [
        Part::Detect,
        Part::Decide,
        Part::Approve,
        Part::Fence,
        Part::Promote,
        Part::Scale,
        Part::Route,
        Part::Propagate,
        Part::Verify,
    ];

    /// The part a step's phase counts to.
    pub fn of(phase: Phase) -> Part {
        match phase {
            Phase::Prepare => Part::Decide,
            Phase::Fence => Part::Fence,
            Phase::Promote => Part::Promote,
            Phase::Scale => Part::Scale,
            Phase::Route => Part::Route,
            Phase::Verify | Phase::Rejoin | Phase::Notify => Part::Verify,
        }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Part::Detect => "detect",
            Part::Decide => "decide",
            Part::Approve => "approve",
            Part::Fence => "fence",
            Part::Promote => "promote",
            Part::Scale => "scale",
            Part::Route => "route",
            Part::Propagate => "propagate",
            Part::Verify => "verify",
        })
    }
}

/// The times of a run, from its journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTimes {
    /// When the verdict was reached that led to it; for a run that a person asked for: when it was asked for.
    pub noticed: Wall,
    /// When it was started.
    pub started: Wall,
    /// Its steps that ended, in any order.
    pub steps: Vec<StepTimes>,
}

/// The times of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepTimes {
    /// The step.
    pub id: StepId,
    /// What it counts to.
    pub phase: Phase,
    /// What it waited for.
    pub needs: Vec<StepId>,
    /// When a person was asked and when they approved, if it needed that.
    pub approval: Option<(Wall, Wall)>,
    /// When its first attempt started.
    pub started: Wall,
    /// When its post-condition was seen.
    pub ended: Wall,
}

impl StepTimes {
    fn carries_the_move(&self) -> bool {
        matches!(self.phase, Phase::Prepare | Phase::Fence | Phase::Promote | Phase::Scale | Phase::Route)
    }
}

/// Splits an outage that started at `from` and took `total`. Without a run all of it was detection. The values are
/// microseconds; their sum is `total` without its fraction of a microsecond.
pub fn parts(from: Wall, total: Duration, run: Option<&RunTimes>) -> BTreeMap<Part, u64> {
    let mut cutter = Cutter::new(from, total);
    let Some(run) = run else {
        cutter.cut(from, Part::Detect);
        return cutter.parts;
    };
    let steps: BTreeMap<&StepId, &StepTimes> = run.steps.iter().map(|s| (&s.id, s)).collect();
    let before_good = |s: &&StepTimes| s.carries_the_move() && cutter.offset(s.started) < cutter.left;
    // Among steps that ended together the one of the later phase came last.
    let mut link = run.steps.iter().filter(before_good).max_by_key(|s| (s.ended, s.phase));
    if let Some(last) = link {
        cutter.cut(last.ended, if last.phase == Phase::Route { Part::Propagate } else { Part::Verify });
    }
    let mut walked = BTreeSet::new();
    while let Some(step) = link.filter(|s| walked.insert(&s.id)) {
        cutter.cut(step.started, Part::of(step.phase));
        if let Some((asked, given)) = step.approval {
            cutter.cut(given, Part::of(step.phase));
            cutter.cut(asked, Part::Approve);
        }
        let need = step.needs.iter().filter_map(|id| steps.get(id).copied()).max_by_key(|s| (s.ended, s.phase));
        // A pause between a need and its step belongs to the step; before the first step of all it was decision.
        cutter.cut(need.map_or(run.started, |n| n.ended), need.map_or(Part::Decide, |_| Part::of(step.phase)));
        link = need;
    }
    cutter.cut(run.noticed, Part::Decide);
    cutter.cut(from, Part::Detect);
    cutter.parts
}

/// Cuts the outage from its end towards its beginning: a cut never reaches over what was cut before nor over the edges,
/// so the pieces partition it whatever the clocks said.
struct Cutter {
    from: Wall,
    /// Microseconds from the beginning that belong to nobody yet.
    left: u64,
    parts: BTreeMap<Part, u64>,
}

impl Cutter {
    fn new(from: Wall, total: Duration) -> Self {
        Self { from, left: u64::try_from(total.as_micros()).unwrap_or(u64::MAX), parts: BTreeMap::new() }
    }

    fn offset(&self, at: Wall) -> u64 {
        at.0.saturating_sub(self.from.0).saturating_mul(1_000)
    }

    /// What is left after `at` goes to `part`.
    fn cut(&mut self, at: Wall, part: Part) {
        let piece = self.left.saturating_sub(self.offset(at));
        if piece > 0 {
            *self.parts.entry(part).or_default() += piece;
            self.left -= piece;
        }
    }
}
