//! Tells people of a run that waits for one of them, or that did not reach its target, and of a unit that is exposed.
//!
//! That a run starts and that users are served again are steps of the runbook. A run that stands still, or whose last step
//! failed, has no step left that could say so.
//!
//! Invariant: each such state is told at most once, whichever controller notices it: the key names the state, and the guard
//! before the messenger remembers keys. A note that cannot be delivered holds nothing up and is logged.

use crate::desk::Desk;
use pilotlight_core::effect::{Capability, Effect};
use pilotlight_core::id::{Component, EffectKey, Epoch, RunId, StepId, Unit};
use pilotlight_core::run::{Condition, Event, Record, RunResult, RunView, StepStatus};
use pilotlight_driver::Context;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// One attempt to deliver may take so long.
const DEADLINE: Duration = Duration::from_secs(5);

/// Between two attempts.
const AGAIN: Duration = Duration::from_secs(2);

/// A messenger that refuses so often is down; the log has the note.
const ATTEMPTS: u32 = 3;

/// A run that failed longer ago than this, while no controller was there to tell, is no news any more.
const NEWS: Duration = Duration::from_secs(3_600);

/// States this process has told; it only spares the guard being asked with every record.
type Told = BTreeSet<(RunId, String)>;

/// Tells until shutdown.
pub(crate) async fn run(desk: Arc<Desk>) {
    if desk.plan.units().into_iter().all(|unit| messengers(&desk, unit).next().is_none()) {
        // The plan names nobody to tell.
        return desk.shutdown.cancelled().await;
    }
    let mut records = desk.engine.subscribe();
    let mut told = Told::new();
    let Some(mut notes) = desk.take_notes() else { return desk.shutdown.cancelled().await };
    catch_up(&desk, &mut told).await;
    loop {
        let published = tokio::select! {
            biased;
            () = desk.shutdown.cancelled() => return,
            published = records.recv() => published,
            Some(note) = notes.recv() => {
                tell(&desk, &note).await;
                continue;
            }
        };
        match published {
            Ok((run, _)) => consider(&desk, &run, &mut told).await,
            Err(RecvError::Lagged(_)) => catch_up(&desk, &mut told).await,
            Err(RecvError::Closed) => return desk.shutdown.cancelled().await,
        }
    }
}

/// Everything that may have to be told and was perhaps not: open runs, and each unit's newest one.
async fn catch_up(desk: &Desk, told: &mut Told) {
    let runs = match desk.engine.readable_runs().await {
        Ok(runs) => runs,
        Err(e) => return tracing::warn!("cannot see which runs people should hear of: {e}"),
    };
    let now = desk.clock.wall();
    let mut newest: BTreeSet<&Unit> = BTreeSet::new();
    for run in &runs {
        let is_newest = newest.insert(&run.unit);
        if run.ended.is_none_or(|at| is_newest && now.since(at) < NEWS) {
            consider(desk, &run.run, told).await;
        }
    }
}

async fn consider(desk: &Desk, run: &RunId, told: &mut Told) {
    let Ok(Some(view)) = desk.engine.view(run).await else { return };
    if !matches!(view.condition, Condition::Waiting { .. } | Condition::Ended { .. }) {
        return;
    }
    let Ok(records) = desk.engine.records(run).await else { return };
    let Some((state, message)) = note(&view, &records) else { return };
    if told.insert((run.clone(), state.clone())) {
        for messenger in messengers(desk, &view.unit) {
            let key = EffectKey::new(run, &StepId::new(format!("{state}-{messenger}")), 1);
            send(desk, (&view.unit, view.epoch), messenger, key, &message).await;
        }
    }
}

/// What people should know of a unit without any run of it.
#[derive(Debug)]
pub(crate) struct UnitNote {
    pub(crate) unit: Unit,
    pub(crate) epoch: Epoch,
    /// The kind of thing, in a word.
    pub(crate) about: &'static str,
    /// Which one, and what of it.
    pub(crate) state: String,
    pub(crate) message: String,
}

async fn tell(desk: &Desk, note: &UnitNote) {
    let run = RunId::new(format!("{}-{}", note.about, note.unit));
    for messenger in messengers(desk, &note.unit) {
        let key = EffectKey::new(&run, &StepId::new(format!("{}-{messenger}", note.state)), 1);
        send(desk, (&note.unit, note.epoch), messenger, key, &note.message).await;
    }
}

fn messengers<'a>(desk: &'a Desk, unit: &'a Unit) -> impl Iterator<Item = &'a Component> {
    let can = |name: &Component| desk.descriptors.get(name).is_some_and(|d| d.can(Capability::Message));
    desk.plan.in_unit(unit).map(|(name, _)| name).filter(move |name| can(name))
}

async fn send(desk: &Desk, (unit, epoch): (&Unit, Epoch), messenger: &Component, key: EffectKey, message: &str) {
    let effect = Effect::Notify { component: messenger.clone(), message: message.to_owned() };
    let context = Context { unit: unit.clone(), epoch, key, deadline: DEADLINE, cancel: desk.shutdown.child_token() };
    for attempt in 1..=ATTEMPTS {
        match desk.engine.driver().apply(&effect, &context).await {
            Ok(_) => return,
            Err(e) => {
                tracing::warn!(%unit, %messenger, attempt, note = message, "a note was not delivered: {e}");
            }
        }
        tokio::select! {
            biased;
            () = desk.shutdown.cancelled() => return,
            () = desk.clock.sleep(AGAIN) => {}
        }
    }
}

/// A name for the state the run is in, and what people should know of it; `None` where there is nothing to be told.
fn note(view: &RunView, records: &[Record]) -> Option<(String, String)> {
    let (application, unit, verb) = (&view.application, &view.unit, view.intent.verb);
    let (from, to) = (&view.from, &view.intent.target.writer);
    let moves = if from == to { String::new() } else { format!(" from {from} to {to}") };
    let what = format!("{application}: {verb} of {unit}{moves}");
    let look = format!("see `pilotlight run show {}`", view.run);
    match &view.condition {
        Condition::Waiting { why } => {
            let state = format!("waits-{}", since(view, records));
            Some((state, format!("{what} waits for a person: {}; {look}", why.join("; "))))
        }
        Condition::Ended { result } => {
            let end = match (result, ended_by(records)) {
                (RunResult::Done | RunResult::DoneWithWarnings, _) => return None,
                (RunResult::Failed, _) => "has failed, and not everything could be taken back".to_owned(),
                (RunResult::Undone, None) => "has failed, and everything it did was taken back".to_owned(),
                (RunResult::Undone, Some(by)) => format!("was ended by {by}, and everything it did was taken back"),
                (RunResult::Aborted, by) => {
                    format!("was ended by {}; what it did stays as it is", by.unwrap_or("a person"))
                }
                (RunResult::Withdrawn, _) => "was withdrawn: the writer works again, nothing was done".to_owned(),
            };
            Some(("ended".to_owned(), format!("{what} {end}; {look}")))
        }
        Condition::Running | Condition::Pausing { .. } | Condition::Unwinding { .. } | Condition::Stalled { .. } => {
            None
        }
    }
}

/// Who asked for the end of the run: a person, or the controller itself, as for a failover that another run stands in the way of.
fn ended_by(records: &[Record]) -> Option<&str> {
    records.iter().rev().find_map(|record| match &record.event {
        Event::AbortAsked { by } => Some(by.as_str()),
        _ => None,
    })
}

/// The record that made the run wait: the newest that a person wrote, or by which a step came to need one. What else is
/// recorded meanwhile, such as that another controller took over, makes no new state.
fn since(view: &RunView, records: &[Record]) -> u64 {
    let needs_one = |step: &StepId| {
        let status = view.steps.iter().find(|s| s.id == *step).map(|s| s.status);
        matches!(status, Some(StepStatus::Failed | StepStatus::Stuck))
    };
    let made = |record: &&Record| match &record.event {
        Event::RunStarted { .. }
        | Event::Paused { .. }
        | Event::Resumed { .. }
        | Event::Approved { .. }
        | Event::StepSkipped { .. }
        | Event::AbortAsked { .. } => true,
        Event::StepFailed { step, .. } | Event::Stuck { step, .. } => needs_one(step),
        _ => false,
    };
    records.iter().rev().find(made).map_or(1, |r| r.seq)
}
