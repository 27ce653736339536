//! Opening a folder whose journal holds 100,000 events, up to the moment where its unfinished run goes on.

use super::EVENTS;
use super::walk::{Sleeper, open, runbook, step, unit};
use anyhow::{Context, ensure};
use pilotlight_core::id::{Epoch, RunId};
use pilotlight_core::outcome::Failure;
use pilotlight_core::run::{Cause, Event, RunResult};
use pilotlight_core::time::Wall;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_engine::journal::Journal;
use pilotlight_engine::sqlite;
use pilotlight_engine::store::Units;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// What it took.
pub(super) struct Recovery {
    pub(super) one_long_run: Duration,
    pub(super) many_runs: Duration,
}

pub(super) async fn measure() -> anyhow::Result<Recovery> {
    let (one, many) = (TempDir::new()?, TempDir::new()?);
    write(one.path(), 1, EVENTS).await?;
    write(many.path(), 1_000, EVENTS / 1_000).await?;
    Ok(Recovery { one_long_run: recover(one.path()).await?, many_runs: recover(many.path()).await? })
}

async fn recover(folder: &Path) -> anyhow::Result<Duration> {
    let began = SystemClock.mono();
    let engine = open(folder, Arc::new(Sleeper::default())).await?;
    let runs = engine.recover().await?;
    let took = SystemClock.mono().since(began);
    ensure!(runs.len() == 1, "one run was to be continued, not {}", runs.len());
    engine.shutdown().await;
    Ok(took)
}

/// So many runs of so many events each; all but the last have ended, and the last one holds the unit.
async fn write(folder: &Path, runs: usize, events: usize) -> anyhow::Result<()> {
    let (journal, store) = sqlite::open(folder)?;
    let units = Units::new(Arc::new(store), pilotlight_core::leader::Term::default());
    units.enter(&unit(), &"east".into()).await?;
    let name = |n: usize| RunId::new(format!("switchover-20261121-004512-{n:04}"));
    for n in 0..runs {
        let last = n + 1 == runs;
        let mut batch = history(&name(n), events);
        if !last {
            batch.push((Wall(0), Event::AbortAsked { by: "ada".into() }));
            batch.push((Wall(0), Event::RunEnded { result: RunResult::Undone }));
        }
        journal.append(&name(n), 1, batch).await.context("writing a journal to recover")?;
    }
    let hold = |record: &mut pilotlight_engine::store::UnitRecord| {
        (record.run, record.epoch) = (Some(name(runs - 1)), Epoch(2));
        Ok(())
    };
    units.change(&unit(), hold).await?;
    Ok(())
}

/// A run that goes on badly: fifty attempts of each step fail, nothing is ever done.
fn history(run: &RunId, events: usize) -> Vec<(Wall, Event)> {
    let attempts = 50;
    let steps = events / (2 * attempts as usize) + 1;
    let names: Vec<String> = (0..steps).map(|n| format!("step-{n}")).collect();
    let all = names.iter().map(|name| step(name.clone(), Vec::new(), u32::MAX)).collect();
    let (unit, runbook, cause) = (unit(), Box::new(runbook(all)), Cause::default());
    let mut history = vec![(Wall(0), Event::RunStarted { run: run.clone(), unit, epoch: Epoch(2), runbook, cause })];
    for name in &names {
        for attempt in 1..=attempts {
            let step = pilotlight_core::id::StepId::new(name.clone());
            history.push((Wall(0), Event::StepStarted { step: step.clone(), attempt }));
            let result = Err(Failure::transient("the agent of west does not answer at 10.0.0.7:7400"));
            history.push((Wall(0), Event::StepReturned { step, attempt, result }));
        }
    }
    history.truncate(events.next_multiple_of(2) + 1);
    history
}
