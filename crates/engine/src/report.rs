//! The report: what a run took and what it cost, as one JSON document and one HTML page.
//!
//! Border: the types here are the report's own and are written to disk; nothing reads the engine's state through them,
//! and a change of meaning raises [`SCHEMA`]. Times are whole milliseconds after [`Report::origin`], as the outside
//! client's clock counted them; the origin itself is wall time, for people.
//!
//! Invariants: nothing is invented: what was not measured is absent and shown as "not measured". The page loads
//! nothing from anywhere, runs no script, and every text in it is escaped. The same report gives the same bytes.

mod figures;
mod lanes;
mod moves;
mod page;
mod picture;
mod session;
mod write;

pub use page::page;
pub use session::{Fault, Origin, Session};
pub use write::{Paths, WriteError};

use pilotlight_core::placement::Verb;
use pilotlight_core::time::Wall;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Raised when a field changes its meaning.
pub const SCHEMA: u32 = 2;

/// So many ids are listed; of the rest only the number is told.
pub const IDS_LISTED: usize = 50;

/// Everything that is told about one or more moves of an application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The application.
    pub application: String,
    /// One line: what happened.
    pub title: String,
    /// The wall time of millisecond 0.
    pub origin: Wall,
    /// The regions in the order of the plan; their place is their colour.
    pub regions: Vec<String>,
    /// Recovery time: promised and measured.
    pub rto: Objective,
    /// Recovery point: promised and measured.
    pub rpo: Objective,
    /// The moves, in order.
    pub moves: Vec<Move>,
    /// What each region's writer copy was, over time.
    #[serde(default)]
    pub lanes: Vec<Lane>,
    /// What the outside client saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Throughput>,
    /// What one writer rested on.
    pub guarantee: Guarantee,
    /// Names and versions: `pilotlight`, `postgres`, `system`.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Further sentences for the reader.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A promise and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objective {
    /// What the plan promises.
    pub objective_ms: u64,
    /// What was counted from outside, if anything was.
    pub measured_ms: Option<u64>,
    /// More than that may have become of what nobody counted, but no more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most_ms: Option<u64>,
}

impl Objective {
    /// Whether the promise was kept; `None` when nothing is known, or no more than a bound above the promise.
    pub fn met(&self) -> Option<bool> {
        if self.measured_ms.is_some_and(|ms| ms > self.objective_ms) {
            return Some(false);
        }
        let kept = self.at_most_ms.or(self.measured_ms)? <= self.objective_ms;
        (kept || self.at_most_ms.is_none()).then_some(kept)
    }
}

/// All promises together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objectives {
    /// Measured, and kept.
    Met,
    /// At least one was broken.
    Missed,
    /// None was broken, and not all were measured.
    NotMeasured,
}

/// One run and its effect on users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// The run's id.
    pub run: String,
    /// `failover`, `switchover`, `failback`, `rejoin`.
    pub verb: String,
    /// Where the writer was.
    pub from: String,
    /// Where it is afterwards, or which region rejoined.
    pub to: String,
    /// Why it was started, and by whom.
    pub cause: String,
    /// The word of the verdict, when one started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// What the verdict rested on.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// How the run ended: `done`, `done with warnings`, `failed`, `undone`, `aborted`, or `unfinished`.
    pub result: String,
    /// When the run started.
    pub started_ms: u64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// Its steps in the order of the runbook.
    pub steps: Vec<Step>,
    /// What else happened, in order of time.
    #[serde(default)]
    pub events: Vec<Event>,
    /// What users felt, if a client was there to feel it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<Impact>,
    /// Rescue bundles of what a lost writer had acknowledged and never sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rescued: Vec<Rescued>,
}

/// A rescue bundle, as far as a report tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescued {
    /// Its name.
    pub bundle: String,
    /// The region that keeps it.
    pub region: String,
    /// Lost transactions in it.
    pub transactions: u64,
    /// Their changes of rows; absent when rows are not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<u64>,
    /// From the first to the last of them, on the old writer's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_ms: Option<u64>,
    /// When the first of them was committed, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// Nothing of it was gone before it could be kept.
    pub complete: bool,
}

/// Who said what before the run started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who.
    pub by: String,
    /// What, one line.
    pub says: String,
}

/// A step of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its id.
    pub id: String,
    /// One line: what it does.
    pub title: String,
    /// The part of the RTO it counts to: `fence`, `promote`, `route`.
    pub phase: String,
    /// What became of it.
    pub end: StepEnd,
    /// When its first attempt started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<u64>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// How often it was tried.
    pub attempts: u32,
    /// What it said: output, warning, failure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepEnd {
    /// It never started.
    NotStarted,
    /// It had started when the report was written.
    Unfinished,
    /// Done.
    Done,
    /// It was so already, or a person passed over it.
    Skipped,
    /// Done, with a warning.
    Warned,
    /// Failed.
    Failed,
    /// It may or may not have happened.
    Unknown,
    /// Done and taken back.
    Undone,
}

impl StepEnd {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            StepEnd::NotStarted => "not started",
            StepEnd::Unfinished => "unfinished",
            StepEnd::Done => "done",
            StepEnd::Skipped => "skipped",
            StepEnd::Warned => "warned",
            StepEnd::Failed => "failed",
            StepEnd::Unknown => "unknown",
            StepEnd::Undone => "undone",
        }
    }
}

/// Something that happened at a point in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at_ms: u64,
    /// One line.
    pub text: String,
    /// Its role in the picture, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
}

/// The turning points that the picture marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Something was broken, or writes were stopped on purpose.
    Fault,
    /// The first request of the client that failed.
    FirstFailed,
    /// From here on the controller saw that something was wrong.
    FirstSign,
    /// It was decided.
    Verdict,
    /// The old writer is silent.
    Fenced,
    /// The new writer writes.
    Promoted,
    /// The name answers the new region.
    Routed,
    /// The first good request of the client.
    FirstGood,
}

/// What users felt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    /// First failed to first good request; absent when no request failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<Span>,
    /// No request was good again: the outage ends where the log does, and was longer than that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outage_goes_on: bool,
    /// The outage, split; in order of time, without holes.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// Longest time without any good request.
    pub longest_gap_ms: u64,
    /// The time whose acknowledged changes were lost: from the oldest lost request to the newest lost acknowledgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_time_ms: Option<u64>,
    /// Acknowledged requests in the time of the move.
    pub acked: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Acknowledged, and not there afterwards; absent when nobody could look what is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Ids>,
    /// Acknowledged by the old region after the new one had begun to: for certain.
    pub dual_acked: Ids,
    /// Acknowledged by the old region with an answer that arrived after the new one had begun; decided before or after,
    /// nobody can tell.
    #[serde(default)]
    pub late_acked: u64,
}

/// From a point in time to a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Start.
    pub from_ms: u64,
    /// End, not included.
    pub until_ms: u64,
}

impl Span {
    /// Its length, 0 when it ends before it starts.
    pub fn length_ms(&self) -> u64 {
        self.until_ms.saturating_sub(self.from_ms)
    }
}

/// A part of the outage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// `detect`, `decide`, `approve`, `fence`, `promote`, `scale`, `route`, `propagate`, `verify`.
    pub name: String,
    /// How long.
    pub ms: u64,
}

/// How many, and the first of them by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ids {
    /// How many there are.
    pub count: u64,
    /// The first [`IDS_LISTED`].
    pub first: Vec<String>,
}

impl Ids {
    /// Counts all, keeps the first [`IDS_LISTED`].
    pub fn of(all: impl IntoIterator<Item = String>) -> Self {
        let (mut count, mut first) = (0, Vec::new());
        for id in all {
            count += 1;
            if first.len() < IDS_LISTED {
                first.push(id);
            }
        }
        Self { count, first }
    }
}

/// One region over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// The region.
    pub region: String,
    /// What its copy was; gaps mean that nobody saw it.
    pub spans: Vec<Stay>,
}

/// A copy stayed something for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// When.
    #[serde(flatten)]
    pub span: Span,
    /// What it was.
    pub state: LaneState,
}

/// What a region's copy was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneState {
    /// It accepted writes.
    Writer,
    /// It followed.
    Standby,
    /// It ran without following anything, or was being made a copy again.
    Rejoining,
    /// It was fenced.
    Fenced,
    /// Nothing of it ran or could be reached.
    Lost,
}

impl LaneState {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            LaneState::Writer => "writer",
            LaneState::Standby => "standby",
            LaneState::Rejoining => "rejoining",
            LaneState::Fenced => "fenced",
            LaneState::Lost => "lost",
        }
    }
}

/// The client's requests, counted per bucket of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throughput {
    /// Length of a bucket; 100 by custom.
    pub bucket_ms: u64,
    /// When the first bucket starts.
    pub from_ms: u64,
    /// One bucket after the other, without gaps.
    pub buckets: Vec<Bucket>,
}

/// Requests that ended in one bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bucket {
    /// Good ones, by the region that answered; regions without any are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub acked: BTreeMap<String, u64>,
    /// Failed ones.
    #[serde(default)]
    pub failed: u64,
}

/// What one writer rested on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guarantee {
    /// Its name in the plan: `best-effort`.
    pub name: String,
    /// One sentence: why there was one writer.
    pub rests_on: String,
    /// What it leaves unproven, a sentence each.
    pub unproven: Vec<String>,
}

impl Move {
    /// It moved the writer or led users; a rejoin and a rescue do neither, and no promise is about them.
    pub(crate) fn moves(&self) -> bool {
        ![Verb::Rejoin, Verb::Rescue].iter().any(|still| still.to_string() == self.verb)
    }
}

impl Report {
    /// When the last thing ended that it tells of: a run, or the client.
    pub(crate) fn end_ms(&self) -> Option<u64> {
        let client = self.client.as_ref().map(|c| c.from_ms + c.bucket_ms * c.buckets.len() as u64);
        self.moves.iter().filter_map(|m| m.ended_ms).chain(client).max()
    }

    /// What became of the promises: kept only when RTO and RPO were measured and met, every run is done and nothing was
    /// acknowledged twice. A move that no client watched breaks no promise and keeps none.
    pub fn objectives(&self) -> Objectives {
        let promises = [self.rto.met(), self.rpo.met()];
        let done = self.moves.iter().all(|m| m.result.starts_with("done"));
        let single = self.moves.iter().filter_map(|m| m.impact.as_ref()).all(|i| i.dual_acked.count == 0);
        if promises.contains(&Some(false)) || !done || !single {
            Objectives::Missed
        } else if promises.contains(&None) {
            Objectives::NotMeasured
        } else {
            Objectives::Met
        }
    }
}

#[cfg(test)]
mod tests;
