//! Epochs that were met, held against the store: one that has an older epoch than a guard remembers was lost, or is an old
//! copy.
//!
//! Invariant: no run starts then. Its orders would be refused, and what the store says of the writer may be as old. A person
//! who has looked raises the epoch of the store; nothing else does.

use super::{Engine, Inner};
use crate::store::{UnitRecord, UnitsError};
use pilotlight_core::code;
use pilotlight_core::id::{Epoch, Unit};
use pilotlight_core::outcome::{Finding, Severity};
use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

/// The store is behind what was seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the store has epoch {stored} of unit {unit}, and epoch {met} was seen: it was lost, or an old copy of it was put back; no \
     move starts until a person has looked"
)]
pub struct Behind {
    /// The unit.
    pub unit: Unit,
    /// In the store; zero where it has no such unit.
    pub stored: Epoch,
    /// The newest that was seen.
    pub met: Epoch,
}

impl Behind {
    /// What to do about it.
    pub fn hint(&self) -> String {
        format!("put the right store back, or `pilotlight acknowledge --unit {} --raise-epoch`", self.unit)
    }
}

impl From<Behind> for Finding {
    fn from(behind: Behind) -> Self {
        let (code, severity) = (code::STORE_BEHIND.to_string(), Severity::Blocker);
        Self { code, severity, message: behind.to_string(), hint: behind.hint() }
    }
}

impl Engine {
    /// A guard, or an answer from outside, knows that epoch.
    pub fn met(&self, unit: &Unit, epoch: Epoch) {
        let mut met = self.0.met();
        let known = met.entry(unit.clone()).or_default();
        *known = epoch.max(*known);
    }

    /// Whether the store is behind what was met.
    pub fn behind(&self, unit: &Unit) -> Option<Behind> {
        let met = self.0.met().get(unit).copied().unwrap_or_default();
        let stored = self.granter().unit(unit).map(|record| record.epoch).unwrap_or_default();
        (stored < met).then(|| Behind { unit: unit.clone(), stored, met })
    }

    /// A person says that this is the store to go on with: its next run has an epoch that nobody has seen.
    pub async fn raise_epoch(&self, unit: &Unit) -> Result<UnitRecord, UnitsError> {
        let met = self.0.met().get(unit).copied().unwrap_or_default();
        let raise = |record: &mut UnitRecord| {
            if let Some(run) = record.run.clone() {
                return Err(UnitsError::Busy { unit: unit.clone(), run });
            }
            record.epoch = record.epoch.max(met);
            Ok(())
        };
        let record = self.0.parts.units.change(unit, raise).await?;
        self.0.parts.granter.knows(&record);
        Ok(record)
    }
}

impl Inner {
    fn met(&self) -> MutexGuard<'_, BTreeMap<Unit, Epoch>> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
