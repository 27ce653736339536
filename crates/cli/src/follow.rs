//! Follows a run record by record and tells of it, with a deadline where its end is promised.
//!
//! A controller that is away is waited for: it, or the next one, goes on with the run. One that answers that it knows no
//! such run, or that does not know us, is believed.

use crate::error::{CliError, Exit};
use crate::narrator::Narrator;
use crate::operator::Operator;
use pilotlight_core::id::RunId;
use pilotlight_core::outcome::Outcome;
use pilotlight_core::run::{Event, Record, RunResult, RunState};
use pilotlight_core::time::{Mono, Wall};
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_server::api::view::RecordsView;
use std::time::Duration;

/// How long one request waits for the next record: soon enough for a live story.
const NEXT_RECORD: Duration = Duration::from_millis(200);

/// Why a run is no longer followed.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// It had longer than it may take.
    TooLong {
        /// How long.
        seconds: u64,
        /// Where it stood.
        seen: String,
    },
    /// The controller will not show it.
    Refused(CliError),
}

/// A run being followed.
pub(crate) struct Follower {
    run: RunId,
    patience: Option<(Duration, Mono)>,
    state: Option<RunState>,
    /// Why it stands still, as last told.
    stalled: Option<String>,
    /// What its steps wait for, as last told.
    waits: Vec<String>,
    /// Every record so far.
    pub(crate) records: Vec<Record>,
}

impl Follower {
    /// Follows from the first record on.
    pub(crate) fn new(run: RunId) -> Self {
        Self { run, patience: None, state: None, stalled: None, waits: Vec::new(), records: Vec::new() }
    }

    /// It must be over within that time from now.
    pub(crate) fn within(mut self, patience: Duration) -> Self {
        self.patience = Some((patience, SystemClock.mono() + patience));
        self
    }

    /// The run as far as its records have come.
    pub(crate) fn state(&self) -> Option<&RunState> {
        self.state.as_ref()
    }

    /// The last record was there.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended().is_some()
    }

    /// How it ended, once it has.
    pub(crate) fn ended(&self) -> Option<RunResult> {
        self.state.as_ref().and_then(|s| s.ended()).map(|(result, _)| result)
    }

    /// Waits a moment for what is new and tells of it.
    pub(crate) async fn next(&mut self, operator: &Operator, narrator: &mut Narrator) -> Result<&[Record], Stopped> {
        if let Some((patience, end)) = self.patience
            && SystemClock.mono() > end
        {
            let seen = self.state.as_ref().map_or_else(|| "no record".to_owned(), |s| format!("{:?}", s.condition()));
            return Err(Stopped::TooLong { seconds: patience.as_secs(), seen });
        }
        let known = self.records.len();
        match self.fetch(operator).await {
            Ok(new) => {
                new.records.into_iter().for_each(|record| self.take(record, narrator));
                if let Some(news) = self.news(new.stalled) {
                    narrator.event(&news);
                }
                self.new_waits(new.waits).iter().for_each(|wait| narrator.event(wait));
            }
            Err(e) if e.exit == Exit::Usage => return Err(Stopped::Refused(e)),
            Err(e) => {
                narrator.waiting(&format!("waiting for the controller: {:#}", e.cause));
                tokio::time::sleep(NEXT_RECORD).await;
            }
        }
        Ok(&self.records[known..])
    }

    /// What to tell of a run whose records cannot be written: once, and that it goes on.
    fn news(&mut self, stalled: Option<String>) -> Option<String> {
        if stalled == self.stalled {
            return None;
        }
        self.stalled = stalled;
        Some(match &self.stalled {
            Some(why) => format!("the run stands still and goes on by itself: {why}"),
            None => "the run goes on: its records are written again".to_owned(),
        })
    }

    /// Waits that were not told yet, or are for something else by now.
    fn new_waits(&mut self, waits: Vec<String>) -> Vec<String> {
        let new = waits.iter().filter(|wait| !self.waits.contains(wait)).cloned().collect();
        self.waits = waits;
        new
    }

    async fn fetch(&self, operator: &Operator) -> Result<RecordsView, CliError> {
        let from = self.records.last().map_or(1, |r| r.seq + 1);
        let path = format!("/v1/runs/{}/records?from={from}&wait_ms={}", self.run, NEXT_RECORD.as_millis());
        operator.get(&path).await
    }

    fn take(&mut self, record: Record, narrator: &mut Narrator) {
        match &mut self.state {
            None => self.state = RunState::begin(&record).ok(),
            // A record that does not fit would be a defect of the engine, whose own tests look for that.
            Some(state) => drop(state.apply(&record)),
        }
        if let Some(text) = self.line(&record) {
            narrator.event_at(mono_of(record.at), &text);
        }
        self.records.push(record);
    }

    fn line(&self, record: &Record) -> Option<String> {
        let known = |step| self.state.as_ref().and_then(|s| s.runbook().step(step));
        let title = |step| known(step).map_or_else(|| step.to_string(), |s| s.title.clone());
        Some(match &record.event {
            Event::RunStarted { epoch, runbook, cause, .. } => {
                format!("{} begins, epoch {epoch}: {}", cause.named(&runbook.told()), cause.why)
            }
            Event::Recovered { by } => format!("a controller goes on with the run ({by})"),
            Event::StepReturned { step, result: Ok(Outcome::Skipped { why }), .. } => {
                format!("{}: so already ({why})", title(step))
            }
            Event::StepReturned { step, result: Ok(Outcome::Warned { warning, .. }), .. } => {
                format!("{}: {warning}", title(step))
            }
            // Where a post-condition is waited for, its being seen is the end.
            Event::StepReturned { step, result: Ok(Outcome::Done { output }), .. }
                if known(step).is_some_and(|s| s.after.is_none()) =>
            {
                format!("{}: done{}", title(step), said(&output.text))
            }
            Event::StepReturned { step, result: Err(failure), .. } => format!("{}: {failure}", title(step)),
            Event::StepHolds { step } => format!("{}: done", title(step)),
            Event::StepFailed { step, why } => format!("{}: failed, {why}", title(step)),
            Event::Stuck { step, why } => format!("{}: stuck, {why}", title(step)),
            Event::Paused { by, why } if why.is_empty() => format!("the run was paused by {by}"),
            Event::Paused { by, why } => format!("the run was paused by {by}: {why}"),
            Event::Withdrawn { why, .. } => format!("the run is withdrawn: {why}"),
            Event::Overtaken { why } => format!("nothing is taken back any more: {why}"),
            Event::RunEnded { result } => format!("the run has ended: {result}"),
            _ => return None,
        })
    }
}

/// What a step has to say, as far as it fits beside its name: the first line that says anything.
fn said(text: &str) -> String {
    const ROOM: usize = 240;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    // A program prints what it likes; a terminal must not obey it.
    let mut told: String = line.chars().filter(|c| !c.is_control()).take(ROOM).collect();
    if line.chars().count() > ROOM {
        told.push_str("...");
    }
    if told.is_empty() { told } else { format!(" ({told})") }
}

/// A wall time of this machine as monotonic time, for the story only.
pub(crate) fn mono_of(at: Wall) -> Mono {
    let (now, wall) = (SystemClock.mono(), SystemClock.wall());
    Mono(now.0.saturating_sub(wall.since(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::narrator::Voice;
    use pilotlight_core::effect::Effect;
    use pilotlight_core::id::{Epoch, StepId};
    use pilotlight_core::observation::{Condition, Target};
    use pilotlight_core::outcome::Output;
    use pilotlight_core::placement::{Intent, Mode, Placement, Verb};
    use pilotlight_core::run::Cause;
    use pilotlight_core::runbook::{OnFailure, Phase, Runbook, Step};

    fn step(id: &str, after: Option<Condition>) -> Step {
        Step {
            id: StepId::new(id),
            title: format!("The step {id}"),
            why: String::new(),
            phase: Phase::Prepare,
            needs: Vec::new(),
            effect: Effect::Promote { component: "database".into(), region: "west".into() },
            before: None,
            after,
            deadline_ms: Duration::from_secs(1),
            settle_ms: None,
            retries: 0,
            undo: None,
            on_failure: OnFailure::Pause,
            approval: false,
        }
    }

    /// A run that has begun.
    fn begun(cause: Cause, steps: Vec<Step>) -> (Follower, Record) {
        let target = Placement::in_region(&"west".into());
        let intent = Intent { unit: "shop".into(), verb: Verb::Switchover, mode: Mode::Graceful, target };
        let runbook = Runbook { application: "shop".into(), intent, from: "east".into(), steps, basis: None };
        let (run, unit) = (RunId::new("switchover-1"), "shop".into());
        let event = Event::RunStarted { run: run.clone(), unit, epoch: Epoch(2), runbook: Box::new(runbook), cause };
        let first = Record { seq: 1, at: Wall(1), event };
        let mut follower = Follower::new(run);
        follower.take(first.clone(), &mut Narrator::new(Voice::Silent));
        (follower, first)
    }

    #[test]
    fn a_drill_is_told_as_one() {
        let real = Cause { why: "asked for by hand".to_owned(), ..Cause::default() };
        let told = |cause| {
            let (follower, first) = begun(cause, vec![]);
            follower.line(&first).expect("it begins")
        };
        assert_eq!(told(real.clone()), "switchover from east to west begins, epoch 2: asked for by hand");
        let drill = told(Cause { drill_ms: Some(Duration::from_secs(5)), ..real });
        assert!(drill.starts_with("drill: switchover from east to west begins"), "{drill}");
    }

    #[test]
    fn the_end_of_a_step_is_told_once_whether_or_not_something_is_waited_for_after_it() {
        let target = Target { component: "database".into(), region: Some("west".into()) };
        let after = Condition::IsWriter { target };
        let (follower, _) = begun(Cause::default(), vec![step("kept", None), step("promote", Some(after))]);
        let told = |id: &str, text: &str| {
            let output = Output { text: text.to_owned(), ..Output::default() };
            let event = Event::StepReturned { step: StepId::new(id), attempt: 1, result: Ok(Outcome::Done { output }) };
            follower.line(&Record { seq: 2, at: Wall(2), event })
        };
        assert_eq!(told("kept", "").as_deref(), Some("The step kept: done"));
        let many = told("kept", "\n kept 3 lost\u{1b}[31m transactions \nand more");
        assert_eq!(many.as_deref(), Some("The step kept: done (kept 3 lost[31m transactions)"));
        let long = told("kept", &"a".repeat(500)).expect("it is told");
        assert!(long.ends_with("a...)") && long.len() < 280, "{long}");
        assert_eq!(told("promote", "promoted"), None, "its post-condition is not seen yet");
        let holds = Record { seq: 3, at: Wall(3), event: Event::StepHolds { step: StepId::new("promote") } };
        assert_eq!(follower.line(&holds).as_deref(), Some("The step promote: done"));
    }

    #[test]
    fn a_run_that_stands_still_is_told_once_and_so_is_its_going_on() {
        let mut follower = Follower::new(RunId::new("switchover-1"));
        let full = || Some("PL-0501: the journal cannot be written: no space is left".to_owned());
        assert_eq!(follower.news(None), None);
        let told = follower.news(full()).expect("it is news");
        assert!(told.contains("PL-0501") && told.contains("by itself") && !told.contains("person"), "{told}");
        assert_eq!(follower.news(full()), None, "once");
        assert!(follower.news(None).is_some_and(|t| t.contains("goes on")));
        assert_eq!(follower.news(None), None);
    }

    #[test]
    fn what_a_step_waits_for_is_told_once_and_again_when_it_is_another_thing() {
        let mut follower = Follower::new(RunId::new("switchover-1"));
        let waits = |ready: u32| vec![format!("scale-payments-west waits: {ready} of 2 instances ready")];
        assert_eq!(follower.new_waits(waits(0)), waits(0));
        assert_eq!(follower.new_waits(waits(0)), [""; 0], "once");
        assert_eq!(follower.new_waits(waits(1)), waits(1));
        assert_eq!(follower.new_waits(vec![]), [""; 0]);
    }
}
