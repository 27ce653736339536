//! Health checks: what one observer makes of the answers it gets, and what several of them together say of a service.
//!
//! Border: no clock and no network; whoever asks brings the answers and their times. What follows for the unit is said by
//! [`verdict`](crate::verdict): an unhealthy service is no lost region.
//!
//! Invariants:
//! - one observer changes its mind only after as many answers in a row as the plan asks for;
//! - a service is unhealthy only while a quorum of observers that are heard says so, and "unknown" is a word of its own: too
//!   few fresh opinions are neither.

use crate::id::{HealthCheck, Region};
use crate::plan::{HealthPlan, Plan};
use crate::time::{Mono, as_ms, show_duration};
use crate::verdict::{Evidence, Sight, Witness};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A health check, in one region unless it asks the service as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Question {
    /// The check.
    pub check: HealthCheck,
    /// The region it is asked of.
    pub region: Option<Region>,
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.region {
            Some(region) => write!(f, "{} in {region}", self.check),
            None => write!(f, "{}", self.check),
        }
    }
}

/// What is said of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Too little was heard.
    #[default]
    Unknown,
    /// It works.
    Healthy,
    /// It does not.
    Unhealthy,
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Health::Unknown => "unknown",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        })
    }
}

/// What came of asking once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The probe's answer: what was seen, or what was wrong.
    pub result: Result<String, String>,
    /// How long it took.
    pub took: Duration,
}

/// What an alarm of a provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alarm {
    /// All is well, in its words.
    Quiet(String),
    /// It has gone off, and why.
    Raised(String),
    /// It has too little data to say.
    Untold(String),
}

/// What one observer thinks of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    /// What it thinks.
    pub health: Health,
    /// Since when, on the clock of whoever keeps the opinion.
    pub since: Mono,
    /// When it asked last.
    pub at: Mono,
    /// What the last answer was.
    pub says: String,
    /// How long that took.
    #[serde(with = "as_ms")]
    pub took_ms: Duration,
    /// The last answers in a row: whether good, and how many.
    #[serde(skip)]
    row: (bool, u32),
}

impl Opinion {
    /// An opinion as another observer reports it.
    pub fn reported(health: Health, since: Mono, at: Mono, says: String, took_ms: Duration) -> Self {
        Self { health, since, at, says, took_ms, row: (health != Health::Unhealthy, 0) }
    }

    /// Asked, and nothing was told: no opinion until something is.
    #[must_use]
    pub fn untold(before: Option<&Opinion>, says: String, took: Duration, at: Mono) -> Self {
        let since = before.filter(|b| b.health == Health::Unknown).map_or(at, |b| b.since);
        Self { health: Health::Unknown, since, at, says, took_ms: took, row: (true, 0) }
    }

    /// The opinion after one more answer. The first good answer is believed; from then on it takes a row.
    #[must_use]
    pub fn learn(before: Option<&Opinion>, check: &HealthPlan, answer: Answer, at: Mono) -> Self {
        let (good, says) = match answer.result {
            Ok(says) => match check.latency.filter(|most| answer.took > *most) {
                Some(most) => {
                    let (took, most) = (show_duration(answer.took), show_duration(most));
                    (false, format!("{says}, after {took}; {most} is allowed"))
                }
                None => (true, says),
            },
            Err(says) => (false, says),
        };
        let row = match before {
            Some(Opinion { row: (same, n), .. }) if *same == good => n.saturating_add(1),
            _ => 1,
        };
        let was = before.map_or(Health::Unknown, |b| b.health);
        let (needed, turns) = match (good, was) {
            (true, Health::Unhealthy) => (check.recoveries, Health::Healthy),
            (true, _) => (1, Health::Healthy),
            (false, _) => (check.failures, Health::Unhealthy),
        };
        let health = if row >= needed { turns } else { was };
        let since = before.filter(|b| b.health == health).map_or(at, |b| b.since);
        Self { health, since, at, says, took_ms: answer.took, row: (good, row) }
    }
}

/// Answers counted while a share of the traffic is watched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// All answers.
    pub asked: u32,
    /// The bad ones.
    pub bad: u32,
    /// What the last bad one was.
    pub last: String,
}

impl Tally {
    /// Counts one answer; `latency` makes a good one bad that took longer.
    pub fn count(&mut self, name: &str, answer: &Answer, latency: Option<Duration>) {
        self.asked += 1;
        let slow = latency.filter(|most| answer.took > *most);
        let bad = match (&answer.result, slow) {
            (Err(why), _) => why.clone(),
            (Ok(says), Some(_)) => format!("{says}, after {}", show_duration(answer.took)),
            (Ok(_), None) => return,
        };
        self.bad += 1;
        self.last = format!("{name}: {bad}");
    }

    /// More than `max_errors` per cent of `of` answers are bad.
    pub fn exceeds(&self, max_errors: u32, of: u32) -> bool {
        u64::from(self.bad) * 100 > u64::from(max_errors) * u64::from(of)
    }

    /// The end in words: whether no more were bad than are borne.
    pub fn end(&self, max_errors: u32) -> Result<String, String> {
        let Self { asked, bad, last } = self;
        match self.exceeds(max_errors, *asked) {
            false => Ok(format!("{bad} of {asked} answers were bad, {max_errors} % are borne")),
            true => Err(format!("{bad} of {asked} answers were bad, {max_errors} % are borne; the last: {last}")),
        }
    }
}

/// One observer's part in [`ServiceHealth`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voice {
    /// Who.
    pub by: Witness,
    /// What it thinks; unknown too when it is not heard, or has not asked lately.
    pub health: Health,
    /// What the last answer was.
    pub says: String,
    /// How long that took.
    #[serde(with = "as_ms")]
    pub took_ms: Duration,
    /// How old it is.
    #[serde(with = "as_ms")]
    pub age_ms: Duration,
}

/// What all observers together say of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceHealth {
    /// Which service, where.
    #[serde(flatten)]
    pub question: Question,
    /// The word.
    pub health: Health,
    /// For how long a quorum has said so; zero while it is unknown.
    #[serde(with = "as_ms")]
    pub for_ms: Duration,
    /// So many must say "unhealthy".
    pub quorum: usize,
    /// Each observer that asks.
    pub voices: Vec<Voice>,
}

impl ServiceHealth {
    /// How many say that.
    pub fn count(&self, health: Health) -> usize {
        self.voices.iter().filter(|v| v.health == health).count()
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let (all, bad, good) = (self.voices.len(), self.count(Health::Unhealthy), self.count(Health::Healthy));
        match self.health {
            Health::Unknown => {
                format!("{} is unknown: {good} of {all} say healthy, {bad} unhealthy", self.question)
            }
            Health::Healthy => format!("{} is healthy, {good} of {all} say so", self.question),
            Health::Unhealthy => {
                let voice = self.voices.iter().find(|v| v.health == Health::Unhealthy);
                let says = voice.map(|v| format!("; {}: {}", v.by, v.says)).unwrap_or_default();
                let long = show_duration(self.for_ms);
                format!("{} is unhealthy for {long}, {bad} of {all} say so{says}", self.question)
            }
        }
    }

    /// The same as evidence.
    pub fn evidence(&self) -> Evidence {
        let age = self.voices.iter().map(|v| v.age_ms).min().unwrap_or_default();
        Evidence { by: Witness::Controller, says: self.line(), age_ms: age }
    }
}

/// An opinion counts while at most two questions were missed, and the answer to the third may be on its way.
fn counts_for(check: &HealthPlan, timeout: Duration) -> Duration {
    check.every * 3 + timeout + Duration::from_secs(1)
}

/// Every health check of the plan, in order.
pub fn judge(plan: &Plan, sight: &Sight) -> Vec<ServiceHealth> {
    let of = |(name, check)| {
        let check: &HealthPlan = check;
        check.questions(name).into_iter().map(|(question, probe)| {
            let longest = counts_for(check, probe.timeout());
            service(plan, check, question, longest, sight)
        })
    };
    plan.health.iter().flat_map(of).collect()
}

fn service(plan: &Plan, check: &HealthPlan, question: Question, longest: Duration, sight: &Sight) -> ServiceHealth {
    let askers = plan.askers(&question);
    let quorum = check.quorum_of(&question, askers.len());
    let mut bad: Vec<Mono> = Vec::new();
    let mut good: Vec<Mono> = Vec::new();
    let mut voices = Vec::new();
    for by in askers {
        let found = sight.opinion(&by, &question);
        let fresh = found.filter(|o| sight.hears_observer(plan, &by) && sight.now.since(o.at) <= longest);
        match fresh.map(|o| (o.health, o.since)) {
            Some((Health::Unhealthy, since)) => bad.push(since),
            Some((Health::Healthy, since)) => good.push(since),
            _ => {}
        }
        voices.push(Voice {
            health: fresh.map_or(Health::Unknown, |o| o.health),
            says: found.map_or_else(|| "has not asked yet".to_owned(), |o| o.says.clone()),
            took_ms: found.map_or(Duration::ZERO, |o| o.took_ms),
            age_ms: found.map_or(Duration::ZERO, |o| sight.now.since(o.at)),
            by,
        });
    }
    // So many good ones that the others are no quorum.
    let enough = (voices.len() + 1).saturating_sub(quorum).max(1);
    let (health, since) = match (reached(&mut bad, quorum), reached(&mut good, enough)) {
        (Some(since), _) => (Health::Unhealthy, since),
        (None, Some(since)) => (Health::Healthy, since),
        (None, None) => (Health::Unknown, sight.now),
    };
    ServiceHealth { question, health, for_ms: sight.now.since(since), quorum, voices }
}

/// When so many had come to think so, if so many do.
fn reached(since: &mut [Mono], needed: usize) -> Option<Mono> {
    since.sort_unstable();
    since.get(needed.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests;
