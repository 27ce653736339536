//! What this leader goes on from, and what it keeps for the next one: how far cool-downs are, what is or was exposed.
//!
//! A task of its own, so that no decision waits for the store. What is lost with a leader is little ([`Remembered::is_due`]),
//! and makes the next one hold still for longer.
//!
//! Invariant: only a controller that leads puts anything here, and no earlier than it has read what was there.

use crate::desk::Desk;
use pilotlight_core::id::Unit;
use pilotlight_core::remembered::Remembered;
use pilotlight_driver::clock::within;
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::store::UnitsError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two looks at whether something is due.
const EVERY: Duration = Duration::from_secs(1);

/// At an orderly end the last figures are put, if the store is quick: less time is lost then.
const LAST: Duration = Duration::from_millis(500);

/// What is remembered of each unit in this term.
#[derive(Default)]
pub(crate) struct Memories(Mutex<BTreeMap<Unit, Memory>>);

#[derive(Default)]
struct Memory {
    /// What leaders before this one kept; `None` until it was read.
    before: Option<Arc<Remembered>>,
    /// As the decisions have it now.
    newest: Option<Remembered>,
    /// As the store has it.
    kept: Remembered,
}

impl Memories {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Unit, Memory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What leaders before this one kept; `None` until it was read.
    pub(crate) fn before(&self, unit: &Unit) -> Option<Arc<Remembered>> {
        self.all().get(unit).and_then(|memory| memory.before.clone())
    }

    /// As it is now.
    pub(crate) fn note(&self, unit: &Unit, newest: Remembered) {
        self.all().entry(unit.clone()).or_default().newest = Some(newest);
    }

    fn read(&self, unit: &Unit, found: Remembered) {
        let memory = Memory { before: Some(Arc::new(found.clone())), newest: None, kept: found };
        self.all().insert(unit.clone(), memory);
    }

    /// What is to be put now. At the end what would not be due yet is, too.
    fn due(&self, unit: &Unit, cool_down: Duration, at_the_end: bool) -> Option<Remembered> {
        let all = self.all();
        let memory = all.get(unit).filter(|memory| memory.before.is_some())?;
        let newest = memory.newest.as_ref()?;
        let cools = newest.cool_down.as_ref().is_some_and(|c| c.ended.is_none());
        let due = newest.is_due(&memory.kept, cool_down) || at_the_end && cools;
        due.then(|| newest.clone())
    }

    fn kept(&self, unit: &Unit, kept: Remembered) {
        if let Some(memory) = self.all().get_mut(unit) {
            memory.kept = kept;
        }
    }
}

/// Runs until shutdown.
pub(crate) async fn run(desk: Arc<Desk>) {
    while !desk.shutdown.is_cancelled() {
        let turn = async {
            for unit in desk.plan.units() {
                read_and_keep(&desk, unit).await;
            }
            desk.clock.sleep(EVERY).await;
        };
        tokio::select! {
            biased;
            () = turn => {}
            () = desk.shutdown.cancelled() => {}
        }
    }
    let last = async {
        for unit in desk.plan.units() {
            keep(&desk, unit, true).await;
        }
    };
    // What does not come through is counted again.
    let _ = within(&*desk.clock, LAST, last).await;
}

async fn read_and_keep(desk: &Desk, unit: &Unit) {
    if desk.memories.before(unit).is_some() {
        return keep(desk, unit, false).await;
    }
    match desk.engine.remembered(unit).await {
        Ok(found) => desk.memories.read(unit, found),
        Err(error @ StorageError::Damaged { .. }) => {
            tracing::error!(%unit, "{}: {error}; a cool-down begins anew", error.code());
            desk.memories.read(unit, Remembered::default());
        }
        Err(error) => trouble(desk, unit, &error),
    }
}

async fn keep(desk: &Desk, unit: &Unit, at_the_end: bool) {
    let due = desk.memories.due(unit, desk.plan.policy.cool_down, at_the_end);
    let Some(newest) = due.filter(|_| desk.lead.is_valid()) else { return };
    match desk.engine.remember(unit, &newest).await {
        Ok(kept) => desk.memories.kept(unit, kept),
        Err(UnitsError::Storage(error)) => trouble(desk, unit, &error),
        // Another leads, and goes on from what was kept before.
        Err(_) => {}
    }
}

/// It is tried again: until then a controller that took over would hold still for longer.
fn trouble(desk: &Desk, unit: &Unit, error: &StorageError) {
    if desk.rarely.may_say(&format!("remembered {unit}"), desk.clock.mono()) {
        tracing::warn!(%unit, "{}: what leaders remember cannot be read or kept, trying again: {error}", error.code());
    }
}
