//! What the leaders of a unit keep for each other: how much of a cool-down has passed, and when more than the RPO was exposed.
//!
//! Clocks of two machines are never compared, and a wall clock may be set. So of a cool-down each leader counts what passed
//! while it led, on its own steady clock, and the next goes on from what was kept. What nobody counted (between two leaders,
//! or after the last put of one that was killed) does not count: a cool-down may last longer, never shorter.
//!
//! Border: pure; where it is kept is the engine's business, when the controller's.

use crate::exposed::Exposed;
use crate::id::RunId;
use crate::leader::Term;
use crate::time::{Mono, as_ms};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A leader that is killed loses so much of what it counted at the most: little beside an hour, and four puts a minute.
const KEPT_EVERY: Duration = Duration::from_secs(15);

/// However short a cool-down is, it is not kept more often: each time is a put to a store that others wait for.
const NOT_OFTENER: Duration = Duration::from_secs(1);

/// What is kept of a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Of the leader that kept it; zero where there is one controller.
    #[serde(default)]
    pub term: Term,
    /// The last automatic failover's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cool_down: Option<CoolDown>,
    /// When more than the RPO was exposed, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposed: Vec<Exposed>,
}

/// How far a cool-down is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoolDown {
    /// The failover that bars the next one.
    pub run: RunId,
    /// How much of it leaders have seen pass.
    #[serde(rename = "counted_ms", with = "as_ms")]
    pub counted: Duration,
    /// Why it bars nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// Why a cool-down is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// `policy.cool_down` has passed.
    Passed,
    /// A person has seen the failover.
    Acknowledged,
}

/// Counts a cool-down within one term.
#[derive(Debug, Default)]
pub struct Counter(Option<(RunId, Mono)>);

impl Counter {
    /// How much of that run's has passed: what leaders before this one have kept of it, and the time since this one met it.
    pub fn counted(&mut self, run: &RunId, before: Option<&CoolDown>, now: Mono) -> Duration {
        let since = match &self.0 {
            Some((met, since)) if met == run => *since,
            _ => {
                self.0 = Some((run.clone(), now));
                now
            }
        };
        let before = before.filter(|kept| kept.run == *run).map_or(Duration::ZERO, |kept| kept.counted);
        before + now.since(since)
    }
}

impl CoolDown {
    /// As it is now.
    pub fn now(run: RunId, counted: Duration, acknowledged: bool, lasts: Duration) -> Self {
        let ended = match acknowledged {
            true => Some(Ended::Acknowledged),
            false => (counted >= lasts).then_some(Ended::Passed),
        };
        Self { run, counted, ended }
    }
}

impl Remembered {
    /// Whether it is worth a put over what was kept last: what began or ended at once, what goes on once in a while.
    pub fn is_due(&self, kept: &Remembered, cool_down: Duration) -> bool {
        self.cools_on(kept, cool_down) || self.exposes_on(kept)
    }

    fn cools_on(&self, kept: &Remembered, cool_down: Duration) -> bool {
        let Some(now) = &self.cool_down else { return false };
        let kept = kept.cool_down.as_ref().filter(|kept| kept.run == now.run);
        if now.ended.is_some() || kept.is_some_and(|kept| kept.ended.is_some()) {
            return kept.is_none_or(|kept| kept.ended != now.ended);
        }
        let counted = kept.map_or(Duration::ZERO, |kept| kept.counted);
        now.counted.saturating_sub(counted) >= (cool_down / 20).clamp(NOT_OFTENER, KEPT_EVERY)
    }

    fn exposes_on(&self, kept: &Remembered) -> bool {
        let shape = |all: &[Exposed]| all.iter().map(|e| (e.since, e.over)).collect::<Vec<_>>();
        if shape(&self.exposed) != shape(&kept.exposed) {
            return true;
        }
        let (now, kept) = (self.exposed.first(), kept.exposed.first());
        now.zip(kept).is_some_and(|(now, kept)| now.lasted_ms.saturating_sub(kept.lasted_ms) >= KEPT_EVERY)
    }

    /// What to keep where `found` is kept already, by this leader or by one before it. Both counted what had really passed,
    /// so of one cool-down the larger count is the truer one.
    pub fn over(self, found: &Remembered) -> Remembered {
        let cool_down = match (self.cool_down, &found.cool_down) {
            (Some(now), Some(kept)) if kept.run == now.run => {
                Some(CoolDown { counted: now.counted.max(kept.counted), ..now })
            }
            (Some(now), _) => Some(now),
            (None, kept) => kept.clone(),
        };
        Remembered { cool_down, ..self }
    }
}

#[cfg(test)]
mod tests;
