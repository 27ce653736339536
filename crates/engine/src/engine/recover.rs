//! Continuing what another life of the controller left.

use super::{Engine, Over, result_of};
use crate::journal::AppendError;
use crate::storage::StorageError;
use crate::store::UnitRecord;
use pilotlight_core::id::RunId;
use pilotlight_core::run::{Event, Record, RunState};
use std::path::PathBuf;

impl Engine {
    /// Continues every unfinished run that holds its unit, and puts right what a crash left between two writes. Returns
    /// the runs that go on.
    pub async fn recover(&self) -> Result<Vec<RunId>, StorageError> {
        let units = self.0.parts.units.all().await?;
        let (mut continued, mut damaged) = (Vec::new(), Vec::new());
        for (run, head) in self.0.parts.journal.heads().await? {
            match self.take_up(&run, head, &units).await {
                Ok(true) => continued.push(run),
                Ok(false) => {}
                // Whatever it was doing, nobody can tell any more: its unit stays held, all others go on.
                Err(error @ StorageError::Damaged { .. }) => {
                    tracing::error!(%run, "a run cannot be read and is not continued ({}): {error}", error.code());
                    damaged.push(run);
                }
                Err(error) => return Err(error),
            }
        }
        for record in units.iter().filter(|u| u.run.as_ref().is_none_or(|run| !damaged.contains(run))) {
            self.release_if_over(record).await?;
        }
        Ok(continued)
    }

    /// Goes on with a run if it is unfinished and holds its unit; says whether it does.
    async fn take_up(&self, run: &RunId, head: u64, units: &[UnitRecord]) -> Result<bool, StorageError> {
        if self.0.active().contains_key(run) || self.has_ended(run, head).await? {
            return Ok(false);
        }
        let state = replay(run, &self.records(run).await?)?;
        let holds = units.iter().any(|u| u.unit == *state.unit() && u.run.as_ref() == Some(run));
        if holds {
            self.drive(state, Some(Event::Recovered { by: self.0.name.clone() }));
        } else {
            self.close_orphan(state).await?;
        }
        Ok(holds)
    }

    async fn has_ended(&self, run: &RunId, head: u64) -> Result<bool, StorageError> {
        let last = self.0.parts.journal.read(run, head, 1).await?;
        Ok(last.first().and_then(result_of).is_some())
    }

    /// The crash came after the unit was taken and before the first record, or after the last record and before the unit
    /// was let go. In both cases nothing is under way.
    async fn release_if_over(&self, record: &UnitRecord) -> Result<(), StorageError> {
        let Some(run) = &record.run else { return Ok(()) };
        if self.0.active().contains_key(run) {
            return Ok(());
        }
        tracing::info!(%run, unit = %record.unit, "a unit was held by a run that is over or never began; letting it go");
        let began = !self.0.parts.journal.read(run, 1, 1).await?.is_empty();
        let over = if began { Over::Ended } else { Over::NeverBegan(None) };
        self.0.let_go(run, &record.unit, &over).await.map_err(|error| StorageError::Io {
            what: format!("letting go of unit {}", record.unit),
            why: error.to_string(),
        })
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

/// Records that do not add up are damage: they were legal when they were written.
pub(super) fn replay(run: &RunId, records: &[Record]) -> Result<RunState, StorageError> {
    RunState::replay(records).map_err(|illegal| StorageError::Damaged {
        file: PathBuf::from("journal"),
        place: format!("run {run}"),
        why: illegal.to_string(),
    })
}
