//! One run of 1,000 steps, each level needing all of the level before.

use super::{LEVELS, STEP, WIDE, fsync};
use anyhow::{Context as _, bail};
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, CommandLine, Descriptor, Effect};
use pilotlight_core::id::{EffectKey, RunId, StepId, Unit};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::placement::{Intent, Mode, Placement, Verb};
use pilotlight_core::run::{Cause, Event};
use pilotlight_core::runbook::{OnFailure, Phase, Runbook, Step};
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_driver::{Context, Driver};
use pilotlight_engine::engine::Engine;
use pilotlight_engine::granter::Granter;
use pilotlight_engine::{EngineParts, sqlite};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What one run took.
pub(super) struct Walk {
    pub(super) makespan: Duration,
    pub(super) critical_path: Duration,
    pub(super) fsync: Duration,
    pub(super) records: usize,
}

/// Sleeps, and keeps what each effect took.
#[derive(Default)]
pub(super) struct Sleeper {
    took: Mutex<HashMap<EffectKey, Duration>>,
}

#[async_trait]
impl Driver for Sleeper {
    fn describe(&self) -> Descriptor {
        Descriptor::caller_checked(Capability::Command)
    }

    async fn observe(&self, _: &Target) -> Result<State, Failure> {
        Ok(State::default())
    }

    async fn preflight(&self, _: &Effect) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }

    async fn apply(&self, _: &Effect, context: &Context) -> Result<Outcome, Failure> {
        let began = SystemClock.mono();
        SystemClock.sleep(STEP).await;
        let took = SystemClock.mono().since(began);
        self.took.lock().unwrap_or_else(PoisonError::into_inner).insert(context.key.clone(), took);
        Ok(Outcome::done())
    }
}

pub(super) fn unit() -> Unit {
    Unit::from("bench")
}

/// A step that runs a command, after these.
pub(super) fn step(id: String, needs: Vec<StepId>, retries: u32) -> Step {
    let command = CommandLine { argv: vec!["true".into()], env: BTreeMap::new(), idempotent: true };
    Step {
        title: id.clone(),
        id: StepId::new(id),
        why: "It is measured.".into(),
        phase: Phase::Prepare,
        needs,
        effect: Effect::Command { region: None, command },
        before: None,
        after: None,
        deadline_ms: Duration::from_secs(60),
        settle_ms: None,
        retries,
        undo: None,
        on_failure: OnFailure::Pause,
        approval: false,
    }
}

pub(super) fn runbook(steps: Vec<Step>) -> Runbook {
    let target = Placement::in_region(&"west".into());
    let intent = Intent { unit: unit(), verb: Verb::Switchover, mode: Mode::Graceful, target };
    Runbook { application: "bench".into(), intent, from: "east".into(), steps, basis: None }
}

fn levels() -> Vec<Step> {
    let name = |level: usize, place: usize| format!("step-{level}-{place}");
    let needs = |level: usize| match level {
        0 => Vec::new(),
        _ => (0..WIDE).map(|place| StepId::new(name(level - 1, place))).collect(),
    };
    (0..LEVELS)
        .flat_map(|level| (0..WIDE).map(move |place| (level, place)))
        .map(|(l, p)| step(name(l, p), needs(l), 0))
        .collect()
}

/// An engine on the folder.
pub(super) async fn open(folder: &Path, driver: Arc<dyn Driver>) -> anyhow::Result<Engine> {
    let (journal, store) = sqlite::open(folder)?;
    let clock = Arc::new(SystemClock);
    let parts = EngineParts {
        store: Arc::new(store),
        journal: Arc::new(journal),
        driver,
        granter: Arc::new(Granter::new(clock.clone(), Duration::from_secs(3))),
        clock,
        name: "bench".into(),
        lead: pilotlight_engine::lead::Lead::alone(),
    };
    Ok(Engine::open(parts).await?)
}

pub(super) async fn measure() -> anyhow::Result<Walk> {
    let folder = tempfile::TempDir::new().context("making a folder")?;
    let sleeper = Arc::new(Sleeper::default());
    let engine = open(&folder.path().join("state"), sleeper.clone()).await?;
    engine.enter(&unit(), &"east".into()).await?;
    let runbook = runbook(levels());
    let (walked, fsync) = fsync::beside(folder.path(), walk(&engine, runbook.clone())).await?;
    let (run, makespan) = walked?;
    let records = engine.records(&run).await?.len();
    engine.shutdown().await;
    let took = sleeper.took.lock().unwrap_or_else(PoisonError::into_inner);
    let of = |step: &Step| took.get(&EffectKey::new(&run, &step.id, 1)).copied().unwrap_or_default();
    let (_, critical_path) = runbook.critical_path(of);
    Ok(Walk { makespan, critical_path, fsync, records })
}

/// From the wish to the last durable record.
async fn walk(engine: &Engine, runbook: Runbook) -> anyhow::Result<(RunId, Duration)> {
    let mut records = engine.subscribe();
    let began = SystemClock.mono();
    let run = engine.start(runbook, Cause::default()).await?;
    loop {
        match records.recv().await {
            Ok((_, record)) if matches!(record.event, Event::RunEnded { .. }) => break,
            Ok(_) => {}
            Err(error) => bail!("the records could not be followed: {error}"),
        }
    }
    Ok((run, SystemClock.mono().since(began)))
}
