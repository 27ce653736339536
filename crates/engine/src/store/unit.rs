//! What the store knows of each unit: its epoch, its writer, the run that moves it.
//!
//! Invariants: the epoch never falls; at most one run holds a unit; only that run changes its writer; what a leader has
//! changed, or claimed, no leader of an older term changes any more.

mod remembered;

use super::{PutError, Store, Versioned};
use crate::storage::StorageError;
use pilotlight_core::candidate::{Admitted, Wish};
use pilotlight_core::id::{Epoch, Region, RunId, Unit};
use pilotlight_core::leader::Term;
use pilotlight_core::runbook::Basis;
use pilotlight_core::time::Wall;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A failover that bars the next automatic one until it has cooled down or a person has acknowledged it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedOver {
    /// The run.
    pub run: RunId,
    /// When it started.
    pub at: Wall,
    /// Nobody asked for it.
    pub automatic: bool,
    /// Who has acknowledged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
}

/// One unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// The unit.
    pub unit: Unit,
    /// Raised before any effect of a run.
    pub epoch: Epoch,
    /// The region whose agent may be granted the lease; `None` while a run moves it.
    pub writer: Option<Region>,
    /// The run that holds the unit.
    pub run: Option<RunId>,
    /// The newest failover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_over: Option<FailedOver>,
    /// The one before it, for as long as its run holds the unit: if that run turns out never to have begun, this is the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_over_before: Option<FailedOver>,
    /// Who may be promoted by itself: the writer waits for it. Only the writer's agent adds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Admitted>,
    /// Raised with each change of `candidate`, so that a wish that comes late finds another number.
    #[serde(default)]
    pub candidacy: u64,
    /// The run that holds the unit takes it from no writer any more: it has named whoever writes from now on, or never moves
    /// it. Until then its runbook rests on the candidate as it is.
    #[serde(default)]
    pub settled: bool,
    /// Of the leader that changed or claimed it last; zero where there is one controller.
    #[serde(default)]
    pub term: Term,
    /// The store's version of this record: of two, the one with the higher is newer.
    #[serde(skip)]
    pub version: u64,
}

impl UnitRecord {
    /// What a runbook that is derived from it rests on.
    pub fn basis(&self) -> Basis {
        Basis::of(self.epoch, self.candidacy, self.candidate.as_ref())
    }
}

/// Why a unit was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitsError {
    /// Nobody has entered it.
    #[error("the store knows no unit {0}")]
    Unknown(Unit),
    /// Another run has taken the unit over.
    #[error("unit {unit} is not held by run {run} with epoch {epoch}")]
    NotHeld { unit: Unit, run: RunId, epoch: Epoch },
    /// The wish of a writer's agent was overtaken.
    #[error("the wish of {region} for unit {unit} is out of date")]
    Overtaken { unit: Unit, region: Region },
    /// A move of it was derived from what the store says no longer.
    #[error("unit {0} has changed since this move was derived")]
    Changed(Unit),
    /// It is being moved.
    #[error("unit {unit} is being moved by run {run}")]
    Busy { unit: Unit, run: RunId },
    /// Another controller leads now.
    #[error("unit {unit} was claimed by the leader of term {term}; this controller leads no more")]
    Deposed { unit: Unit, term: Term },
    /// The medium failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The units in a store, as the leader of one term changes them.
#[derive(Clone)]
pub struct Units {
    store: Arc<dyn Store>,
    term: Term,
}

impl Units {
    /// The units in that store, for the leader of that term.
    pub fn new(store: Arc<dyn Store>, term: Term) -> Self {
        Self { store, term }
    }

    /// One unit, if it was entered.
    pub async fn get(&self, unit: &Unit) -> Result<Option<UnitRecord>, StorageError> {
        match self.store.get(&key(unit)).await? {
            Some(found) => read(&key(unit), &found).map(Some),
            None => Ok(None),
        }
    }

    /// Every unit.
    pub async fn all(&self) -> Result<Vec<UnitRecord>, StorageError> {
        self.store.list("unit/").await?.iter().map(|(key, found)| read(key, found)).collect()
    }

    /// Enters a unit with its first writer; leaves one that is there as it is. Returns what the store has.
    pub async fn enter(&self, unit: &Unit, writer: &Region) -> Result<UnitRecord, UnitsError> {
        let fresh = UnitRecord {
            unit: unit.clone(),
            epoch: Epoch(1),
            writer: Some(writer.clone()),
            run: None,
            failed_over: None,
            failed_over_before: None,
            candidate: None,
            candidacy: 0,
            settled: false,
            term: self.term,
            version: 0,
        };
        match self.store.put(&key(unit), write(&fresh), None).await {
            Ok(version) => Ok(UnitRecord { version, ..fresh }),
            Err(PutError::Changed { .. }) => self.get(unit).await?.ok_or_else(|| UnitsError::Unknown(unit.clone())),
            Err(PutError::Storage(e)) => Err(e.into()),
        }
    }

    /// Changes a unit; `change` sees the newest record, may refuse, and may be called several times.
    pub async fn change(
        &self,
        unit: &Unit,
        change: impl Fn(&mut UnitRecord) -> Result<(), UnitsError> + Send + Sync,
    ) -> Result<UnitRecord, UnitsError> {
        loop {
            let found = self.store.get(&key(unit)).await?.ok_or_else(|| UnitsError::Unknown(unit.clone()))?;
            let mut record = read(&key(unit), &found)?;
            if record.term > self.term {
                return Err(UnitsError::Deposed { unit: unit.clone(), term: record.term });
            }
            let before = record.clone();
            change(&mut record)?;
            assert!(record.epoch >= before.epoch, "the epoch of unit {unit} would fall");
            if record == before {
                return Ok(record);
            }
            record.term = self.term;
            match self.store.put(&key(unit), write(&record), Some(found.version)).await {
                Ok(version) => return Ok(UnitRecord { version, ..record }),
                Err(PutError::Changed { .. }) => {}
                Err(PutError::Storage(e)) => return Err(e.into()),
            }
        }
    }

    /// The agent of `from` wishes another candidate. Only the writer's agent may, under the epoch and the number it knows,
    /// while no run takes the unit from it; and it withdraws one before it asks for the next. A run goes on for long after it
    /// has named the new writer (shares that are led back, a step that waits for a person): that one may have a candidate.
    pub async fn wish(&self, from: &Region, wish: &Wish) -> Result<UnitRecord, UnitsError> {
        self.change(&wish.unit, |record| {
            let in_time = record.writer.as_ref() == Some(from)
                && (record.run.is_none() || record.settled)
                && record.epoch == wish.epoch
                && record.candidacy == wish.candidacy;
            let in_order = wish.candidate.as_ref().is_none_or(|c| record.candidate.is_none() && &c.region != from);
            if !(in_time && in_order) {
                return Err(UnitsError::Overtaken { unit: wish.unit.clone(), region: from.clone() });
            }
            record.candidate.clone_from(&wish.candidate);
            record.candidacy += 1;
            Ok(())
        })
        .await
    }

    /// From here on no leader of an older term changes the unit.
    pub async fn claim(&self, unit: &Unit) -> Result<UnitRecord, UnitsError> {
        let term = self.term;
        self.change(unit, |record| {
            record.term = term;
            Ok(())
        })
        .await
    }

    /// Changes a unit on behalf of the run that holds it; refused when another one does.
    pub async fn change_for(
        &self,
        unit: &Unit,
        run: &RunId,
        epoch: Epoch,
        change: impl Fn(&mut UnitRecord) + Send + Sync,
    ) -> Result<UnitRecord, UnitsError> {
        self.change(unit, |record| {
            if record.run.as_ref() != Some(run) || record.epoch != epoch {
                return Err(UnitsError::NotHeld { unit: unit.clone(), run: run.clone(), epoch });
            }
            change(record);
            Ok(())
        })
        .await
    }
}

fn key(unit: &Unit) -> String {
    format!("unit/{unit}")
}

fn read(key: &str, found: &Versioned) -> Result<UnitRecord, StorageError> {
    let version = found.version;
    let record = serde_json::from_slice(&found.value).map_err(|e| StorageError::Damaged {
        file: "store".into(),
        place: format!("{key}, version {version}"),
        why: e.to_string(),
    })?;
    Ok(UnitRecord { version, ..record })
}

fn write(record: &UnitRecord) -> Vec<u8> {
    serde_json::to_vec(record).expect("a unit record has only names and numbers")
}
