//! Continuing what another life of the controller left.

use super::{Engine, Over, result_of};
use crate::journal::AppendError;
use crate::storage::StorageError;
use crate::store::{UnitRecord, UnitsError};
use pilotlight_core::id::RunId;
use pilotlight_core::run::{Event, Record, RunState};
use std::path::PathBuf;
use std::sync::PoisonError;

impl Engine {
    /// Claims every unit, continues every unfinished run that holds one, and puts right what a crash left between two
    /// writes. Returns the runs that go on.
    pub async fn recover(&self) -> Result<Vec<RunId>, StorageError> {
        let continued = self.continue_held().await?;
        self.close_orphans().await?;
        Ok(continued)
    }

    /// The part of [`Engine::recover`] that users wait for. May be called at any time: what others have changed in the
    /// store, the granter knows afterwards.
    pub async fn continue_held(&self) -> Result<Vec<RunId>, StorageError> {
        let _beginning = self.0.beginning.lock().await;
        let mut continued = Vec::new();
        for record in self.0.parts.units.all().await? {
            let record = self.0.parts.units.claim(&record.unit).await.map_err(|e| not_done("claiming", &record, &e))?;
            self.0.parts.granter.knows(&record);
            let Some(run) = record.run.clone() else { continue };
            // One that never began is let go of by whoever failed to start it.
            if self.0.active().contains_key(&run) || self.0.never_began().contains(&run) {
                continue;
            }
            match self.take_up(&record, &run).await {
                Ok(true) => continued.push(run),
                Ok(false) => {}
                // Whatever it was doing, nobody can tell any more: its unit stays held, all others go on.
                Err(error @ StorageError::Damaged { .. }) => self.leave(&run, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(continued)
    }

    /// Goes on with the run that holds a unit, if it is unfinished; says whether it does.
    async fn take_up(&self, record: &UnitRecord, run: &RunId) -> Result<bool, StorageError> {
        let records = self.records(run).await?;
        if records.last().is_none_or(|last| result_of(last).is_some()) {
            self.release(record, run).await?;
            return Ok(false);
        }
        self.drive(replay(run, &records)?, Some(Event::Recovered { by: self.0.name.clone() }));
        Ok(true)
    }

    /// Says once that a run cannot be read.
    fn leave(&self, run: &RunId, error: &StorageError) {
        let mut left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.insert(run.clone()) {
            tracing::error!(%run, "a run cannot be read and is not continued ({}): {error}", error.code());
        }
    }

    /// The rest of it: runs that have no end and hold no unit.
    pub async fn close_orphans(&self) -> Result<(), StorageError> {
        let mut open = Vec::new();
        for (run, head) in self.0.parts.journal.heads().await? {
            if self.0.active().contains_key(&run) {
                continue;
            }
            match self.has_ended(&run, head).await {
                Ok(true) => {}
                Ok(false) => open.push(run),
                Err(error @ StorageError::Damaged { .. }) => self.leave(&run, &error),
                Err(error) => return Err(error),
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        // A run that is being started, or was since, is no orphan.
        let _beginning = self.0.beginning.lock().await;
        let held: Vec<Option<RunId>> = self.0.parts.units.all().await?.into_iter().map(|u| u.run).collect();
        for run in open {
            let known = self.0.active().contains_key(&run) || self.0.ended().contains_key(&run);
            if known || held.contains(&Some(run.clone())) {
                continue;
            }
            let closed = async { self.close_orphan(replay(&run, &self.records(&run).await?)?).await };
            match closed.await {
                Err(error @ StorageError::Damaged { .. }) => self.leave(&run, &error),
                other => other?,
            }
        }
        Ok(())
    }

    async fn has_ended(&self, run: &RunId, head: u64) -> Result<bool, StorageError> {
        let last = self.0.parts.journal.read(run, head, 1).await?;
        Ok(last.first().and_then(result_of).is_some())
    }

    /// The crash came after the unit was taken and before the first record, or after the last record and before the unit
    /// was let go. In both cases nothing is under way.
    async fn release(&self, record: &UnitRecord, run: &RunId) -> Result<(), StorageError> {
        tracing::info!(%run, unit = %record.unit, "a unit was held by a run that is over or never began; letting it go");
        let began = !self.0.parts.journal.read(run, 1, 1).await?.is_empty();
        let over = if began { Over::Ended } else { Over::NeverBegan };
        self.0.let_go(run, &record.unit, over).await.map_err(|error| not_done("letting go of", record, &error))
    }

    /// The first record was kept although its writer was told otherwise, and the unit was let go since. Nothing was done,
    /// so the run can be ended; if it cannot, it is left alone, and never driven.
    async fn close_orphan(&self, mut state: RunState) -> Result<(), StorageError> {
        let (run, at) = (state.run().clone(), self.0.parts.clock.wall());
        let first = state.seq() + 1;
        let mut events = Vec::new();
        let mut push = |state: &mut RunState, event: Event| {
            let record = Record { seq: state.seq() + 1, at, event };
            let legal = state.apply(&record).is_ok();
            if legal {
                events.push((at, record.event));
            }
            legal
        };
        push(&mut state, Event::AbortAsked { by: self.0.name.clone() });
        for command in state.commands() {
            if let pilotlight_core::run::Command::End { result } = command {
                push(&mut state, Event::RunEnded { result });
            }
        }
        if state.ended().is_none() {
            tracing::error!(%run, "the run's unit is held by another run; it is not continued");
            return Ok(());
        }
        match self.0.parts.journal.append(&run, first, events).await {
            Ok(()) | Err(AppendError::Taken { .. }) => Ok(()),
            Err(AppendError::Storage(error)) => Err(error),
        }
    }
}

fn not_done(what: &str, record: &UnitRecord, error: &UnitsError) -> StorageError {
    match error {
        UnitsError::Storage(error) => error.clone(),
        error => StorageError::Io { what: format!("{what} unit {}", record.unit), why: error.to_string() },
    }
}

/// Records that do not add up are damage: they were legal when they were written.
pub(super) fn replay(run: &RunId, records: &[Record]) -> Result<RunState, StorageError> {
    RunState::replay(records).map_err(|illegal| StorageError::Damaged {
        file: PathBuf::from("journal"),
        place: format!("run {run}"),
        why: illegal.to_string(),
    })
}
