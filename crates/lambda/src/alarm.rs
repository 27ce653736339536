//! What the store remembers of each alarm, and what an alarm comes to.
//!
//! Invariants:
//! - an alarm is a level, not a blow: while it is on, and not over for us, every invocation looks into it. A message that comes
//!   twice, late or out of order changes nothing that a newer one has said;
//! - it is young: what is older than its `look_for` is looked into no more, whoever was not there to look meanwhile, and what
//!   comes so late, or out of the future, is not taken in;
//! - it starts nothing: [`assess`] only reads what the controller has decided by its own looks.

use crate::event::{AlarmState, News};
use crate::problem::Problem;
use pilotlight_core::id::RunId;
use pilotlight_core::plan::{AlarmPlan, Plan};
use pilotlight_core::time::{Wall, show_duration, show_wall};
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::store::{PutError, Store, Versioned};
use pilotlight_server::api::view::{DecisionView, UnitStatus};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// How far CloudWatch's clock may be ahead of ours. A message from further on would make deaf for all that come before it.
const AHEAD: Duration = Duration::from_secs(300);

/// An alarm in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// CloudWatch says that something is wrong.
    pub(crate) on: bool,
    /// When it says that this began; see [`News`].
    pub(crate) changed: String,
    /// CloudWatch's own words.
    pub(crate) why: String,
    /// When it was heard here.
    pub(crate) heard: Wall,
    /// Nothing more is done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) over: Option<Over>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Over {
    /// For people.
    pub(crate) why: String,
    /// The run that it led to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<RunId>,
}

impl Record {
    /// It is looked into.
    pub(crate) fn is_open(&self) -> bool {
        self.on && self.over.is_none()
    }

    /// It was heard too long ago to say anything about now.
    fn is_old(&self, alarm: &AlarmPlan, now: Wall) -> bool {
        now.since(self.heard) >= alarm.look_for || self.heard.since(now) > AHEAD
    }
}

/// What a message came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is on, and this is the first that is heard of it.
    On,
    /// It is over, or CloudWatch does not know.
    Quiet(&'static str),
    /// The same message again.
    Again(Record),
    /// A newer one came before it.
    Overtaken,
    /// It is not of this time, and nothing is kept of it.
    Refused(String),
}

/// The alarms in the store.
#[derive(Clone)]
pub(crate) struct Alarms(pub(crate) Arc<dyn Store>);

impl Alarms {
    /// Keeps what a message says, unless a newer one is known or it is not of this time.
    pub(crate) async fn take_in(
        &self,
        name: &str,
        alarm: &AlarmPlan,
        news: &News,
        now: Wall,
    ) -> Result<Taken, Problem> {
        if let Some(why) = out_of_time(alarm, news, now) {
            return Ok(Taken::Refused(why));
        }
        loop {
            let found = self.0.get(&key(name)).await.map_err(|e| unusable(&e))?;
            let known = found.as_ref().map(|found| read(name, found)).transpose()?;
            let (taken, record) = weigh(known.as_ref(), news, now);
            let Some(record) = record else { return Ok(taken) };
            match self.0.put(&key(name), write(&record), found.map(|f| f.version)).await {
                Ok(_) => return Ok(taken),
                Err(PutError::Changed { .. }) => {}
                Err(PutError::Storage(e)) => return Err(unusable(&e)),
            }
        }
    }

    /// Those of the plan that are to be looked into. One that is too old is closed: no order stands by it.
    pub(crate) async fn open(&self, plan: &Plan, now: Wall) -> Result<Vec<(String, Record)>, Problem> {
        let mut open = Vec::new();
        for (name, alarm) in &plan.alarms {
            let Some(found) = self.0.get(&key(name)).await.map_err(|e| unusable(&e))? else { continue };
            let record = read(name, &found)?;
            if record.is_open() && record.is_old(alarm, now) {
                let why = format!(
                    "it was heard {} ago, and is looked into for {}",
                    show_duration(now.since(record.heard)),
                    show_duration(alarm.look_for)
                );
                tracing::warn!(alarm = name, "nothing more is done about it: {why}");
                self.close(name, &record, &Over { why, run: None }).await?;
            } else if record.is_open() {
                open.push((name.clone(), record));
            }
        }
        Ok(open)
    }

    /// Nothing more is to be done about it; a newer message stays what it is.
    pub(crate) async fn close(&self, name: &str, of: &Record, over: &Over) -> Result<(), Problem> {
        loop {
            let Some(found) = self.0.get(&key(name)).await.map_err(|e| unusable(&e))? else { return Ok(()) };
            let mut record = read(name, &found)?;
            if record.changed != of.changed || !record.is_open() {
                return Ok(());
            }
            record.over = Some(over.clone());
            match self.0.put(&key(name), write(&record), Some(found.version)).await {
                Ok(_) => return Ok(()),
                Err(PutError::Changed { .. }) => {}
                Err(PutError::Storage(e)) => return Err(unusable(&e)),
            }
        }
    }
}

/// Why a message says nothing about now.
fn out_of_time(alarm: &AlarmPlan, news: &News, now: Wall) -> Option<String> {
    if is_ahead(&news.changed, now) {
        return Some(format!("it is dated {}, more than {} ahead", news.changed, show_duration(AHEAD)));
    }
    let look_for = u64::try_from(alarm.look_for.as_millis()).unwrap_or(u64::MAX);
    let old = news.state == AlarmState::On && news.changed < text(Wall(now.0.saturating_sub(look_for)));
    old.then(|| format!("it is dated {}, and is looked into for {}", news.changed, show_duration(alarm.look_for)))
}

fn is_ahead(changed: &str, now: Wall) -> bool {
    let most = Wall(now.0 + u64::try_from(AHEAD.as_millis()).expect("five minutes are few milliseconds"));
    changed > text(most).as_str()
}

/// As [`News::changed`]: texts of one width, which sort as the times do.
pub(crate) fn text(at: Wall) -> String {
    show_wall(at).trim_end_matches('Z').to_owned()
}

/// What a message means beside what is known, and what is to be kept of it.
fn weigh(known: Option<&Record>, news: &News, now: Wall) -> (Taken, Option<Record>) {
    let on = news.state == AlarmState::On;
    // One that is kept from further on than any message may be now would make deaf for all of them.
    if let Some(known) = known.filter(|k| !is_ahead(&k.changed, now)) {
        if known.changed > news.changed {
            return (Taken::Overtaken, None);
        }
        if known.changed == news.changed && known.on == on {
            return (Taken::Again(known.clone()), None);
        }
    }
    let record = || Record { on, changed: news.changed.clone(), why: news.why.clone(), heard: now, over: None };
    match news.state {
        AlarmState::On => (Taken::On, Some(record())),
        AlarmState::Off => (Taken::Quiet("it is over"), Some(record())),
        // The metrics of a region that is lost end, too: that is no reason to look away.
        AlarmState::NoData => (Taken::Quiet("CloudWatch has no data, and that says nothing"), None),
    }
}

/// What an alarm has come to, by what the controller sees and has decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Assessed {
    /// The controller is not through with its looks.
    Looking,
    /// A run moves the unit.
    Moving(RunId),
    /// The writer is not where the trouble is.
    Elsewhere(Over),
    /// The controller has looked for long enough, and holds still.
    Held { why: String, code: Option<String> },
}

/// `looked`: for how long the controller has looked; `enough`: how long it needs ([`crate::fit::look`]).
pub(crate) fn assess(alarm: &AlarmPlan, unit: &UnitStatus, looked: Duration, enough: Duration) -> Assessed {
    if let Some(run) = &unit.run {
        return Assessed::Moving(run.clone());
    }
    if let Some(writer) = unit.writer.as_ref().filter(|w| **w != alarm.region) {
        let why = format!("the writer of {} is in {writer}, and not in {}", unit.unit, alarm.region);
        return Assessed::Elsewhere(Over { why, run: None });
    }
    if looked < enough {
        return Assessed::Looking;
    }
    let word = unit.judgement.as_ref().map_or("not judged".to_owned(), |j| j.verdict.to_string());
    match &unit.decision {
        DecisionView::Start { refused: None, .. } => Assessed::Looking,
        DecisionView::Start { intent, refused: Some(e), .. } => {
            let why = format!("{word}; {}, refused: {}", intent.aim(), e.message);
            Assessed::Held { why, code: Some(e.code.clone()) }
        }
        DecisionView::Hold { why, code } => Assessed::Held { why: format!("{word}; {why}"), code: code.clone() },
    }
}

fn key(name: &str) -> String {
    format!("alarm/{name}")
}

fn read(name: &str, found: &Versioned) -> Result<Record, Problem> {
    serde_json::from_slice(&found.value).map_err(|e| {
        unusable(&StorageError::Damaged {
            file: "store".into(),
            place: format!("{}, version {}", key(name), found.version),
            why: e.to_string(),
        })
    })
}

fn write(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).expect("an alarm's record has only names and texts")
}

/// The store cannot be used.
pub(crate) fn unusable(e: &StorageError) -> Problem {
    Problem { code: e.code().to_owned(), message: pilotlight_core::cause::chain(e), hint: e.hint().to_owned() }
}

#[cfg(test)]
mod tests;
