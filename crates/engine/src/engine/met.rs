//! What was seen of the store, held against what it says: one that is behind was lost, or is an old copy.
//!
//! Invariants: no run starts then. Behind in the epoch, its orders would be refused, and what the store says of the writer may
//! be as old; a person who has looked raises the epoch, nothing else does. Behind in the candidacy alone, its candidate may be
//! one that the writer does not wait for; it is taken away at once. What that rests on stands in [`pilotlight_core::behind`].
//!
//! A copy of the store from the middle of a run may say the same numbers and lack what the run did since. What the copies are
//! tells then: one that the run is to promote and that is a writer's already.

use super::steer::ControlError;
use super::{Engine, Inner, SeenAsWriter};
use crate::executor::Live;
use crate::storage::StorageError;
use crate::store::{UnitRecord, UnitsError};
use pilotlight_core::behind::{self, Lack};
use pilotlight_core::code;
use pilotlight_core::id::{Epoch, RunId, Unit};
use pilotlight_core::observation::{Role, Target};
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::run::{Event, RunState};
use pilotlight_core::runbook::Basis;
use pilotlight_core::time::Mono;
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

/// The store is behind what was seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.words())]
pub struct Behind {
    /// The unit.
    pub unit: Unit,
    /// In the store; zero where it has no such unit.
    pub stored: Basis,
    /// The highest that was seen.
    pub met: Basis,
    /// In what it is behind.
    pub lack: Lack,
}

impl Behind {
    fn words(&self) -> String {
        let Self { unit, stored, met, lack } = self;
        let (it_has, until) = match lack {
            Lack::Epoch => (
                format!("epoch {} of unit {unit}, and epoch {} was seen", stored.epoch, met.epoch),
                "until a person has looked",
            ),
            Lack::Candidacy if stored.names_another(*met) => (
                format!("another candidate of unit {unit} under candidacy {} than was heard", stored.candidacy),
                "until its candidate is taken away",
            ),
            Lack::Candidacy => (
                format!("candidacy {} of unit {unit}, and candidacy {} was heard", stored.candidacy, met.candidacy),
                "until its candidate is taken away",
            ),
        };
        format!("the store has {it_has}: it was lost, or an old copy of it was put back; no move starts {until}")
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self.lack {
            Lack::Epoch => {
                format!("put the right store back, or `pilotlight acknowledge --unit {} --raise-epoch`", self.unit)
            }
            Lack::Candidacy => {
                "it mends itself at once, and the writer's agent names its candidate anew; if this stays, the store takes no \
                 write"
                    .to_owned()
            }
        }
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
        self.heard(unit, Basis { epoch, ..Basis::default() });
    }

    /// An agent has heard of a store with these numbers.
    pub fn heard(&self, unit: &Unit, basis: Basis) {
        let mut met = self.0.met();
        let known = met.entry(unit.clone()).or_default();
        *known = known.and(basis);
        drop(met);
        self.bar_the_way_back(unit);
    }

    /// A copy was looked at, by the agent beside it at that time; a provider's API says no time, and may be late. Where it is
    /// not known what it is, what was seen before counts on.
    pub fn saw(&self, target: &Target, role: &Role, looked: Option<Mono>) {
        let Some(is_a_writers) = role.is_a_writers() else { return };
        let mut writers = self.0.writers();
        if !is_a_writers {
            writers.remove(target);
            return;
        }
        let wrote = looked.filter(|_| *role == Role::Writer);
        writers.insert(target.clone(), SeenAsWriter { says: role.says(), wrote });
        drop(writers);
        for (_, live) in self.walked(|_| true).into_iter().filter(|(_, live)| self.arrived(live).is_some()) {
            live.bars_the_way_back();
        }
    }

    /// The copy that a run is to promote is a writer's already, and its records do not say so: in which words to tell it.
    fn arrived(&self, live: &Live) -> Option<String> {
        let not_yet = live.state().not_yet_promoted();
        let writers = self.0.writers();
        not_yet.iter().find_map(|target| {
            let (says, region) = (&writers.get(target)?.says, target.region.as_ref()?);
            let component = &target.component;
            Some(format!("{component} in {region} {says}, and by its records this run has not promoted it"))
        })
    }

    /// A copy that the run had stopped, by the records this controller took it up with, takes writes: in which words to tell
    /// it. What was seen before that may be older than the stop, as may be what is seen of a stop of this controller's own.
    fn was_led_back(&self, live: &Live) -> Option<String> {
        let ((since, found), stopped) = (&live.found, live.state().stopped_for_now());
        let writers = self.0.writers();
        stopped.iter().filter(|target| found.contains(target)).find_map(|target| {
            writers.get(target)?.wrote.filter(|at| at > since)?;
            let (component, region) = (&target.component, target.region.as_ref()?);
            Some(format!("{component} in {region} takes writes, and by its records this run has stopped it"))
        })
    }

    /// Ends a run whose move was taken back, or whose old writer somebody started, before it promotes another beside it: what
    /// that one acknowledged since, the target does not hold.
    pub async fn end_what_was_taken_back(&self, unit: &Unit) -> Result<(), UnitsError> {
        let walked = self.walked(|state| state.unit() == unit).into_iter();
        let led_back = walked.filter_map(|(run, live)| Some((run, self.was_led_back(&live)?))).next();
        let Some((run, why)) = led_back else { return Ok(()) };
        self.mark(&run, Event::AbortAsked { by: self.0.name.clone() }).await?;
        tracing::warn!(%run, "{}: {why}; it is ended, and the writer stays where it is", code::STORE_BEHIND);
        Ok(())
    }

    fn walked(&self, which: impl Fn(&RunState) -> bool) -> Vec<(RunId, Arc<Live>)> {
        let active = self.0.active();
        let walked = active.iter().filter(|(_, active)| which(&active.live.state()));
        walked.map(|(run, active)| (run.clone(), active.live.clone())).collect()
    }

    /// A run that the store's copy holds in the middle may have got further than its records say: whom it moved the writer to
    /// may write already. From the moment in which that is heard, nothing that was not sent yet leads the old writer back.
    pub(super) fn bar_the_way_back(&self, unit: &Unit) {
        let behind = self.behind(unit).is_some();
        for (_, live) in self.walked(|state| state.unit() == unit) {
            if behind || self.arrived(&live).is_some() {
                live.bars_the_way_back();
            }
        }
    }

    /// Records that the run which holds the unit only goes forward, where the store is behind or whom the run is to promote is
    /// a writer already; and ends it where a newer run was met, which cannot have begun before this one was over: what is done
    /// already is done, and nothing more of it may be. Comes before everything that mends the store, after which nobody could
    /// tell.
    pub async fn overtake(&self, unit: &Unit) -> Result<(), UnitsError> {
        let arrived = self.walked(|state| state.unit() == unit).into_iter();
        let arrived = arrived.filter_map(|(run, live)| Some((run, self.arrived(&live)?))).next();
        let lags = self.lags(unit).await?;
        let newest = lags.as_ref().map(|_| self.met_of(unit).epoch);
        let Some((run, why)) = lags.or(arrived) else { return Ok(()) };
        let Some(live) = self.0.active().get(&run).map(|active| active.live.clone()) else { return Ok(()) };
        let stands = || {
            let state = live.state();
            let outlived = newest.is_some_and(|newest| state.epoch() < newest);
            let goes_on = state.ended().is_none();
            (goes_on && !state.is_overtaken(), goes_on && outlived && !state.is_aborting())
        };
        if stands().0 {
            let why = format!("{}: {why}", code::STORE_BEHIND);
            self.mark(&run, Event::Overtaken { why: why.clone() }).await?;
            tracing::warn!(%run, "{why}; its records may lack what was done, so nothing of it is taken back");
        }
        if stands().1 {
            self.mark(&run, Event::AbortAsked { by: self.0.name.clone() }).await?;
            tracing::warn!(%run, "a newer run was met, so this one was over: it is ended, and everything stays as it is");
        }
        Ok(())
    }

    async fn mark(&self, run: &RunId, event: Event) -> Result<(), UnitsError> {
        match self.ask(run, event).await {
            Ok(()) | Err(ControlError::Illegal(_) | ControlError::NotUnderWay(_)) => Ok(()),
            Err(error) => Err(StorageError::Io { what: format!("marking run {run}"), why: error.to_string() }.into()),
        }
    }

    /// The run that holds the unit in a store that is behind, and in what.
    async fn lags(&self, unit: &Unit) -> Result<Option<(RunId, String)>, UnitsError> {
        let met = self.met_of(unit);
        if self.behind(unit).is_none() {
            return Ok(None);
        }
        let Some(record) = self.0.parts.units.get(unit).await? else { return Ok(None) };
        let (stored, Some(run)) = (record.basis(), record.run) else { return Ok(None) };
        let behind = |lack| Behind { unit: unit.clone(), stored, met, lack }.to_string();
        Ok(behind::lack(stored, met).map(|lack| (run, behind(lack))))
    }

    fn met_of(&self, unit: &Unit) -> Basis {
        self.0.met().get(unit).copied().unwrap_or_default()
    }

    /// Whether the store is behind what was met.
    pub fn behind(&self, unit: &Unit) -> Option<Behind> {
        let met = self.met_of(unit);
        let stored = self.granter().read(unit, UnitRecord::basis).unwrap_or_default();
        let lack = behind::lack(stored, met)?;
        Some(Behind { unit: unit.clone(), stored, met, lack })
    }

    /// Takes away a candidate that may be an old one; returns whether there was something to mend. That is safe whatever else
    /// is true of the store, also while a run has the unit: fewer may be promoted by themselves.
    pub async fn mend_candidacy(&self, unit: &Unit) -> Result<bool, UnitsError> {
        let met = self.met_of(unit);
        // Only a unit that is there can be mended, and what this controller knows of it may be older than the store.
        let is_old = |stored: Basis| stored.is_old_in_candidacy(met);
        if !self.granter().read(unit, UnitRecord::basis).is_some_and(is_old) {
            return Ok(false);
        }
        let mend = |record: &mut UnitRecord| {
            if is_old(record.basis()) {
                record.candidacy = behind::past(record.basis(), met);
                record.candidate = None;
            }
            Ok(())
        };
        let record = self.0.parts.units.change(unit, mend).await?;
        self.0.parts.granter.knows(&record);
        Ok(true)
    }

    /// A person says that this is the store to go on with: its next run has an epoch that nobody has seen, and whom it calls
    /// the candidate may be nobody's.
    pub async fn raise_epoch(&self, unit: &Unit) -> Result<UnitRecord, UnitsError> {
        let met = self.met_of(unit);
        let raise = |record: &mut UnitRecord| {
            if let Some(run) = record.run.clone() {
                return Err(UnitsError::Busy { unit: unit.clone(), run });
            }
            if behind::lack(record.basis(), met).is_some() {
                record.candidacy = behind::past(record.basis(), met);
                record.candidate = None;
                record.epoch = record.epoch.max(met.epoch);
            }
            Ok(())
        };
        let record = self.0.parts.units.change(unit, raise).await?;
        self.0.parts.granter.knows(&record);
        Ok(record)
    }
}

impl Inner {
    fn writers(&self) -> MutexGuard<'_, BTreeMap<Target, SeenAsWriter>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn met(&self) -> MutexGuard<'_, BTreeMap<Unit, Basis>> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
