//! Grants leases to the agents of writers, and knows when nobody can hold one any more.
//!
//! The arithmetic is [`pilotlight_core::lease::Granter`]; here are the clock, the units and the waiting.
//!
//! Invariant: after [`Granter::knows`] was told that a unit has no writer, no lease of it is granted, so the end that
//! [`Granter::lapsed`] waits for cannot move.

use crate::store::UnitRecord;
use pilotlight_core::id::{Region, Unit};
use pilotlight_core::lease::{self, LeaseSight};
use pilotlight_core::protocol::UnitView;
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::Clock;
use pilotlight_driver::level::Level;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// The granter of every unit of this controller.
pub struct Granter {
    clock: Arc<dyn Clock>,
    lease: Duration,
    /// The longest that an earlier controller may have granted.
    longest: OnceLock<Duration>,
    units: Mutex<BTreeMap<Unit, Entry>>,
    changes: Level,
}

struct Entry {
    record: UnitRecord,
    lease: lease::Granter,
    /// Who was granted it last.
    holder: Option<Region>,
    changed: Option<Mono>,
}

impl Granter {
    /// A granter that has just started: it waits one whole lease before it calls anything lapsed.
    pub fn new(clock: Arc<dyn Clock>, lease: Duration) -> Self {
        Self { clock, lease, longest: OnceLock::new(), units: Mutex::default(), changes: Level::default() }
    }

    /// What it grants.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// A lease of this length may be out: before it is told of the first unit.
    pub(crate) fn waits_out(&self, longest: Duration) {
        let _ = self.longest.set(longest);
    }

    fn longest(&self) -> Duration {
        self.longest.get().map_or(self.lease, |longest| self.lease.max(*longest))
    }

    /// Grows whenever another record of a unit is known.
    pub fn changes(&self) -> &Level {
        &self.changes
    }

    /// The store has this now. Older news than what is known are ignored.
    pub fn knows(&self, record: &UnitRecord) {
        let mut units = self.units();
        let mut news = false;
        let entry = units.entry(record.unit.clone()).or_insert_with(|| {
            news = true;
            let lease = lease::Granter::started(self.clock.mono(), self.lease, self.longest());
            Entry { record: record.clone(), lease, holder: None, changed: None }
        });
        if record.version < entry.record.version {
            return;
        }
        if record.version > entry.record.version {
            news = true;
            entry.changed = Some(self.clock.mono());
        }
        entry.record = record.clone();
        match record.writer {
            Some(_) => entry.lease.allow(),
            None => entry.lease.revoke(),
        }
        drop(units);
        if news {
            self.changes.step();
        }
    }

    /// An agent is heard: grants it the lease of each unit whose writer is in its region, and tells it of every unit.
    pub fn heartbeat(&self, region: &Region) -> Vec<UnitView> {
        self.heartbeat_unless(region, |_| false)
    }

    /// The same, but a run leads no unit to an agent that `stands_apart`: what such a one held before is renewed, so that no
    /// writer falls silent for it, and it is granted nothing new while a run has the unit.
    pub fn heartbeat_unless(&self, region: &Region, stands_apart: impl Fn(&Unit) -> bool) -> Vec<UnitView> {
        let mut units = self.units();
        let view = |entry: &mut Entry| {
            let new = entry.record.run.is_some() && entry.holder.as_ref() != Some(region);
            let withheld = || new && stands_apart(&entry.record.unit);
            let named = entry.record.writer.as_ref() == Some(region) && !withheld();
            let granted = named && entry.lease.granted(self.clock.mono());
            if granted && entry.holder.as_ref() != Some(region) {
                entry.holder = Some(region.clone());
            }
            UnitView {
                unit: entry.record.unit.clone(),
                epoch: entry.record.epoch,
                writer: entry.record.writer.clone(),
                lease_ms: granted.then_some(self.lease),
                candidate: entry.record.candidate.clone(),
                candidacy: entry.record.candidacy,
                offered: Vec::new(),
            }
        };
        units.values_mut().map(view).collect()
    }

    /// What is known of a unit's lease.
    pub fn sight(&self, unit: &Unit) -> LeaseSight {
        let now = self.clock.mono();
        match self.units().get(unit) {
            Some(entry) => entry.lease.sight(now),
            None => LeaseSight::WaitingOutStart { left: lease::granters_lease(self.longest()) },
        }
    }

    /// What the store has of a unit, as far as this controller knows.
    pub fn unit(&self, unit: &Unit) -> Option<UnitRecord> {
        self.units().get(unit).map(|entry| entry.record.clone())
    }

    /// Something of the same.
    pub fn read<T>(&self, unit: &Unit, read: impl FnOnce(&UnitRecord) -> T) -> Option<T> {
        self.units().get(unit).map(|entry| read(&entry.record))
    }

    /// When the store's record of a unit last changed, as far as this controller knows; `None` when it has not since its
    /// start.
    pub fn changed(&self, unit: &Unit) -> Option<Mono> {
        self.units().get(unit).and_then(|entry| entry.changed)
    }

    /// Waits until nobody can hold the lease of the unit. Without an end while somebody is granted it.
    pub async fn lapsed(&self, unit: &Unit) {
        loop {
            let now = self.clock.mono();
            match self.lapses_at(unit) {
                Some(at) if at <= now => return,
                Some(at) => self.clock.sleep(at.since(now)).await,
                // A unit nobody has entered has no lease that could end; the deadline of the caller ends this.
                None => self.clock.sleep(self.lease).await,
            }
        }
    }

    fn lapses_at(&self, unit: &Unit) -> Option<Mono> {
        self.units().get(unit).map(|entry| entry.lease.lapses_at())
    }

    fn units(&self) -> MutexGuard<'_, BTreeMap<Unit, Entry>> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) mod outstanding;
#[cfg(test)]
mod tests;
