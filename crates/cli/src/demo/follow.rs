//! Follows a run record by record and tells of it.

use super::narrator::Narrator;
use crate::operator::Operator;
use pilotlight_core::id::RunId;
use pilotlight_core::outcome::Outcome;
use pilotlight_core::placement::Verb;
use pilotlight_core::run::{Event, Record, RunState};
use pilotlight_core::time::{Mono, Wall};
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_server::api::view::RecordsView;
use std::time::Duration;

/// A run being followed.
pub(crate) struct Follower {
    run: RunId,
    state: Option<RunState>,
    /// Every record so far.
    pub(crate) records: Vec<Record>,
}

impl Follower {
    /// Follows from the first record on.
    pub(crate) fn new(run: RunId) -> Self {
        Self { run, state: None, records: Vec::new() }
    }

    /// The run.
    pub(crate) fn run(&self) -> &RunId {
        &self.run
    }

    /// The run as far as its records have come.
    pub(crate) fn state(&self) -> Option<&RunState> {
        self.state.as_ref()
    }

    /// The last record was there.
    pub(crate) fn has_ended(&self) -> bool {
        self.state.as_ref().is_some_and(|s| s.ended().is_some())
    }

    /// Fetches what is new, waiting up to `wait` for it. A controller that does not answer gives nothing new.
    pub(crate) async fn fetch(&mut self, operator: &Operator, wait: Duration) -> Vec<Record> {
        let from = self.records.last().map_or(1, |r| r.seq + 1);
        let path = format!("/v1/runs/{}/records?from={from}&wait_ms={}", self.run, wait.as_millis());
        let answer: Result<RecordsView, _> = operator.get(&path).await;
        let new = answer.map(|view| view.records).unwrap_or_default();
        for record in &new {
            match &mut self.state {
                None => self.state = RunState::begin(record).ok(),
                // A record that does not fit would be a defect of the engine, whose own tests look for that.
                Some(state) => drop(state.apply(record)),
            }
        }
        self.records.extend(new.iter().cloned());
        new
    }

    /// Tells of a record, if it is worth a line.
    pub(crate) fn tell(&self, record: &Record, narrator: &mut Narrator) {
        if let Some(text) = self.line(record) {
            narrator.event_at(mono_of(record.at), &text);
        }
    }

    fn line(&self, record: &Record) -> Option<String> {
        let title = |step| {
            let runbook = self.state.as_ref().map(RunState::runbook);
            runbook.and_then(|r| r.step(step)).map_or_else(|| step.to_string(), |s| s.title.clone())
        };
        Some(match &record.event {
            Event::RunStarted { epoch, runbook, cause, .. } => {
                let intent = &runbook.intent;
                let to = &intent.target.writer;
                match intent.verb {
                    Verb::Rejoin => format!("rejoin begins, the writer stays in {to}, epoch {epoch}: {}", cause.why),
                    verb => format!("{verb} to {to} begins, epoch {epoch}: {}", cause.why),
                }
            }
            Event::Recovered { by } => format!("a controller goes on with the run ({by})"),
            Event::StepReturned { step, result: Ok(Outcome::Skipped { why }), .. } => {
                format!("{}: so already ({why})", title(step))
            }
            Event::StepReturned { step, result: Ok(Outcome::Warned { warning, .. }), .. } => {
                format!("{}: {warning}", title(step))
            }
            Event::StepReturned { step, result: Err(failure), .. } => format!("{}: {failure}", title(step)),
            Event::StepHolds { step } => format!("{}: done", title(step)),
            Event::StepFailed { step, why } => format!("{}: failed, {why}", title(step)),
            Event::Stuck { step, why } => format!("{}: stuck, {why}", title(step)),
            Event::Paused { why, .. } => format!("the run waits for a person: {why}"),
            Event::RunEnded { result } => format!("the run has ended: {result}"),
            _ => return None,
        })
    }
}

/// A wall time of this machine as monotonic time, for the story only.
pub(crate) fn mono_of(at: Wall) -> Mono {
    let (now, wall) = (SystemClock.mono(), SystemClock.wall());
    Mono(now.0.saturating_sub(wall.since(at)))
}
