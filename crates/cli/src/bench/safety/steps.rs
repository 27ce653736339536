//! The controller dies at a step of the failover: as the step begins, or when it is done. One on SQLite dies and is
//! started again; of three on a shared store the leader dies, and another has to go on.
//!
//! Each round has a place of its own; consecutive rounds are far apart, so that a few of them meet the whole runbook, and
//! [`PLACES`] of them meet each place once. A death takes some milliseconds: the round says at which record it came.

use super::blow::{self, ENOUGH, Struck};
use super::ground::Writers;
use super::lane::Lane;
use crate::bench::leader::leading;
use crate::demo::DemoError;
use crate::follow::Follower;
use pilotlight_core::id::RunId;
use pilotlight_core::run::{Event, Record};
use pilotlight_core::runbook::{Runbook, Step};
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_server::api::view::RecordsView;

/// As many rounds meet each step of the failover of a cut-off region twice.
pub(crate) const PLACES: u32 = 2 * STEPS;
const STEPS: u32 = 6;
/// From one round to the next; it has no factor in common with [`PLACES`].
const STRIDE: u32 = 5;

/// Where the controller dies.
struct Place<'a> {
    step: &'a Step,
    begun: bool,
}

impl<'a> Place<'a> {
    /// That of a round.
    fn of(runbook: &'a Runbook, n: u32, several: bool) -> Result<Self, String> {
        let place = number(n, several);
        let steps = &runbook.steps;
        let step = steps.get((place / 2) as usize).filter(|_| steps.len() == STEPS as usize);
        let names = || steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>().join(", ");
        let step = step.ok_or_else(|| format!("the failover has not {STEPS} steps: {}", names()))?;
        Ok(Self { step, begun: place.is_multiple_of(2) })
    }

    fn is_met(&self, event: &Event) -> bool {
        let done = match event {
            Event::StepHolds { .. } | Event::StepFailed { .. } => true,
            Event::StepReturned { .. } => self.step.after.is_none(),
            _ => false,
        };
        let begun = matches!(event, Event::StepStarted { .. });
        event.step() == Some(&self.step.id) && if self.begun { begun } else { done }
    }

    fn words(&self) -> String {
        format!("killed {} {}", if self.begun { "at the beginning of" } else { "at the end of" }, self.step.id)
    }
}

/// The number of a round's place. Of three controllers another one than of one, so that a few rounds of both meet more.
fn number(n: u32, several: bool) -> u32 {
    (n.wrapping_mul(STRIDE) + if several { PLACES / 2 } else { 0 }) % PLACES
}

/// The only controller, or the leader of three, dies at the place of the round.
pub(super) async fn lose_controller(lane: &mut Lane, n: u32, writers: &Writers) -> Result<Struck, DemoError> {
    let (old, _) = lane.places();
    let several = lane.pair().stage().settings.controllers.are_several();
    let leads = if several { Some(leader(lane).await?) } else { None };
    lane.net().cut_off(old)?;
    let (id, mut run) = blow::failover(lane).await?;
    let place = until_place(lane, &mut run, |runbook| Place::of(runbook, n, several)).await?;
    let stage = lane.pair().stage();
    match leads.as_deref().and_then(|name| stage.controller(name)) {
        Some(leader) => leader.kill(),
        None => {
            stage.kill_controllers();
            stage.restart_controllers()?;
        }
    }
    lane.until_new(writers, ENOUGH).await?;
    lane.pair().finish(id.clone()).await?;
    if let Some(leader) = leads.as_deref().and_then(|name| lane.pair().stage().controller(name)) {
        leader.restart().map_err(|e| DemoError::at("the leader", e))?;
    }
    let last = last_record(lane, &id).await?;
    Ok(Struck::with(format!("{place} (last record: {last})")))
}

/// Which of three leads: the pair has settled, so one of them does. On a busy machine it may not say so in time.
async fn leader(lane: &mut Lane) -> Result<String, DemoError> {
    let operator = lane.pair().scene().operator.clone();
    let end = SystemClock.mono() + blow::PATIENCE;
    loop {
        let found = operator.controllers().await;
        if let Some(leader) = leading(&found) {
            return Ok(leader);
        }
        if SystemClock.mono() > end {
            let silent: Vec<&String> = found.iter().filter_map(|f| f.view.as_ref().err()).collect();
            return Err(DemoError::Ended(format!("no controller leads: {silent:?}")));
        }
        tokio::time::sleep(blow::LOOK).await;
    }
}

/// Waits for the place and says which it is.
async fn until_place(
    lane: &mut Lane,
    run: &mut Follower,
    of: impl FnOnce(&Runbook) -> Result<Place<'_>, String>,
) -> Result<String, DemoError> {
    lane.pair().until_record(run, |event| matches!(event, Event::RunStarted { .. })).await?;
    let runbook = run.state().map(|state| state.runbook().clone());
    let runbook = runbook.ok_or_else(|| DemoError::Ended("the first record of the run has no runbook".to_owned()))?;
    let place = of(&runbook).map_err(DemoError::Ended)?;
    let is_met = |event: &Event| place.is_met(event) || matches!(event, Event::RunEnded { .. });
    if !run.records.iter().any(|record| is_met(&record.event)) {
        lane.pair().until_record(run, is_met).await?;
    }
    if run.records.iter().any(|record| place.is_met(&record.event)) {
        return Ok(place.words());
    }
    Err(DemoError::Ended(format!("the run ended and nobody was {}", place.words())))
}

/// The last record before another life of the controller went on.
async fn last_record(lane: &mut Lane, run: &RunId) -> Result<String, DemoError> {
    let operator = lane.pair().scene().operator.clone();
    let records: Result<RecordsView, _> = operator.get(&format!("/v1/runs/{run}/records?from=1")).await;
    let records = records.map_err(|e| DemoError::Refused(format!("{:#}", e.cause)))?.records;
    Ok(before_recovery(&records))
}

fn before_recovery(records: &[Record]) -> String {
    let went_on = records.iter().position(|r| matches!(r.event, Event::Recovered { .. })).unwrap_or(records.len());
    let told = |event: &Event| match event.step() {
        Some(step) => format!("{} {step}", event.name()),
        None => event.name().to_owned(),
    };
    records[..went_on].last().map_or_else(|| "none".to_owned(), |record| told(&record.event))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_series_meets_each_place_and_a_few_rounds_are_spread() {
        for several in [false, true] {
            let all: BTreeSet<u32> = (0..PLACES).map(|n| number(n, several)).collect();
            assert_eq!(all.len(), PLACES as usize);
        }
        let few = [0, 1, 2].map(|n| [false, true].map(|several| number(n, several)));
        assert_eq!(few.as_flattened().iter().collect::<BTreeSet<_>>().len(), 6, "{few:?}");
    }
}
