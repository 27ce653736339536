//! Lists of runs: one line each, read once and kept small.

use super::{Engine, result_of};
use crate::journal::Journal;
use crate::storage::StorageError;
use pilotlight_core::id::{Application, Epoch, Region, RunId, Unit};
use pilotlight_core::placement::Verb;
use pilotlight_core::run::{Condition, Event, Record, RunState, RunView};
use pilotlight_core::time::Wall;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One run in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// What is recovered.
    pub application: Application,
    /// What it moves.
    pub unit: Unit,
    /// The word for it.
    pub verb: Verb,
    /// What happens, in a few words.
    #[serde(default)]
    pub told: String,
    /// Where the writer was.
    pub from: Region,
    /// Where it leads.
    pub to: Region,
    /// What its effects carry.
    pub epoch: Epoch,
    /// Who asked.
    pub by: String,
    /// Nobody asked.
    pub automatic: bool,
    /// Why.
    pub why: String,
    /// It is a drill, and is taken back so long after its end.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "pilotlight_core::position::option_ms")]
    pub drill_ms: Option<Duration>,
    /// When it started.
    pub started: Wall,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Wall>,
    /// Where it stands.
    pub condition: Condition,
}

impl RunSummary {
    fn of_first(record: &Record) -> Option<Self> {
        let Event::RunStarted { run, unit, epoch, runbook, cause } = &record.event else { return None };
        Some(Self {
            told: cause.named(&runbook.told()),
            run: run.clone(),
            application: runbook.application.clone(),
            unit: unit.clone(),
            verb: runbook.intent.verb,
            from: runbook.from.clone(),
            to: runbook.intent.target.writer.clone(),
            epoch: *epoch,
            by: cause.by.clone(),
            automatic: cause.automatic,
            why: cause.why.clone(),
            drill_ms: cause.drill_ms,
            started: record.at,
            ended: None,
            condition: Condition::Running,
        })
    }

    fn of(view: RunView) -> Self {
        Self {
            told: view.told(),
            run: view.run,
            application: view.application,
            unit: view.unit,
            verb: view.intent.verb,
            from: view.from,
            to: view.intent.target.writer,
            epoch: view.epoch,
            by: view.cause.by,
            automatic: view.cause.automatic,
            why: view.cause.why,
            drill_ms: view.cause.drill_ms,
            started: view.started,
            ended: view.ended,
            condition: view.condition,
        }
    }

    /// By its first and its last record; as under way where the last is no end.
    async fn read(journal: &dyn Journal, run: &RunId, head: u64) -> Result<Option<Self>, StorageError> {
        let (first, last) = (journal.read(run, 1, 1).await?, journal.read(run, head, 1).await?);
        let Some(mut summary) = first.first().and_then(Self::of_first) else { return Ok(None) };
        if let Some((at, result)) = last.first().and_then(|r| result_of(r).map(|result| (r.at, result))) {
            summary.ended = Some(at);
            summary.condition = Condition::Ended { result };
        }
        Ok(Some(summary))
    }

    pub(super) fn of_ended(state: &RunState) -> Option<Self> {
        state.ended().map(|_| Self::of(state.view()))
    }
}

impl Engine {
    /// Every run, the newest first; fails when one of them cannot be read.
    pub async fn runs(&self) -> Result<Vec<RunSummary>, StorageError> {
        self.runs_but(|_, damaged| Err(damaged)).await
    }

    /// Every run whose first and last record can be read, the newest first: for people, who must see the others when one
    /// is damaged.
    pub async fn readable_runs(&self) -> Result<Vec<RunSummary>, StorageError> {
        self.runs_but(|run, damaged| {
            if self.0.left_out().insert(run.clone()) {
                tracing::warn!(%run, "left out of every list: {}: {damaged}", damaged.code());
            }
            Ok(())
        })
        .await
    }

    /// All but damaged ones that `leave` lets be left out.
    async fn runs_but(
        &self,
        leave: impl Fn(&RunId, StorageError) -> Result<(), StorageError>,
    ) -> Result<Vec<RunSummary>, StorageError> {
        let mut runs = Vec::new();
        for (run, head) in self.0.parts.journal.heads().await? {
            match self.summary(&run, head).await {
                Ok(summary) => runs.extend(summary),
                Err(error @ StorageError::Damaged { .. }) => leave(&run, error)?,
                Err(error) => return Err(error),
            }
        }
        runs.sort_by(|a, b| (b.started, &b.run).cmp(&(a.started, &a.run)));
        Ok(runs)
    }

    async fn summary(&self, run: &RunId, head: u64) -> Result<Option<RunSummary>, StorageError> {
        let live = self.0.active().get(run).map(|active| std::sync::Arc::clone(&active.live));
        if let Some(live) = live {
            return Ok(Some(RunSummary::of(live.view())));
        }
        if let Some(known) = self.0.ended().get(run) {
            return Ok(Some(known.clone()));
        }
        let Some(mut summary) = RunSummary::read(&*self.0.parts.journal, run, head).await? else { return Ok(None) };
        if summary.ended.is_some() {
            self.0.ended().insert(run.clone(), summary.clone());
            return Ok(Some(summary));
        }
        let why = match self.records(run).await {
            Err(error @ StorageError::Damaged { .. }) => format!("it cannot be continued: {error}"),
            _ => "no controller drives it; its unit is held by another run".to_owned(),
        };
        summary.condition = Condition::Waiting { why: vec![why] };
        Ok(Some(summary))
    }
}

/// The runs of a journal for those who drive none. What has ended is read once, what cannot be read is told once.
#[derive(Default)]
pub struct Archive {
    ended: Mutex<BTreeMap<RunId, RunSummary>>,
    left_out: Mutex<BTreeSet<RunId>>,
}

impl Archive {
    /// Every run that can be read; one without an end is under way.
    pub async fn runs(&self, journal: &dyn Journal) -> Result<Vec<RunSummary>, StorageError> {
        let mut runs = Vec::new();
        for (run, head) in journal.heads().await? {
            let known = self.ended.lock().unwrap_or_else(PoisonError::into_inner).get(&run).cloned();
            let read = match known {
                Some(known) => Ok(Some(known)),
                None => RunSummary::read(journal, &run, head).await,
            };
            match read {
                Ok(Some(summary)) => {
                    if summary.ended.is_some() {
                        self.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(run, summary.clone());
                    }
                    runs.push(summary);
                }
                Ok(None) => {}
                Err(error @ StorageError::Damaged { .. }) => {
                    if self.left_out.lock().unwrap_or_else(PoisonError::into_inner).insert(run.clone()) {
                        tracing::warn!(%run, "left out of every list: {}: {error}", error.code());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(runs)
    }
}
