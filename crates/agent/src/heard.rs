//! What the agent heard of the store and of whoever leads, and that it outlives the agent: an agent that was started anew
//! still tells a store that was put back what it lacks.
//!
//! Invariants:
//! - what raises one of the numbers is on disk before anything follows from it. The lease alone does not wait: it is no
//!   older store's to give or to take, and a heartbeat never waits for the disk;
//! - a disk that hangs holds back what a new number says, and with it no heartbeat, no look and no fence. One that refuses
//!   the note does not hold it back: then the agent is as one that forgets, and says so.

use crate::Agent;
use crate::lease::Notes;
use pilotlight_core::id::Unit;
use pilotlight_core::leader::Term;
use pilotlight_core::plan::Plan;
use pilotlight_core::protocol::UnitView;
use pilotlight_core::runbook::Basis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Pause after a note that could not be written.
const RETRY: Duration = Duration::from_secs(1);

/// The newest that was heard. Its numbers only rise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Of each unit.
    pub units: BTreeMap<Unit, Basis>,
    /// Of leaders; an agent obeys none of an older one.
    #[serde(default)]
    pub term: Term,
}

impl Heard {
    /// What of it still means something under the plan: one controller on a store of its own has no terms.
    fn under(self, plan: &Plan) -> Self {
        let term = if plan.controller.store.is_shared() { self.term } else { Term::default() };
        let has = |unit: &Unit| plan.in_unit(unit).next().is_some();
        Self { units: self.units.into_iter().filter(|(unit, _)| has(unit)).collect(), term }
    }

    fn learn(&mut self, views: &[UnitView], term: Term) {
        self.term = self.term.max(term);
        for view in views {
            let known = self.units.entry(view.unit.clone()).or_default();
            *known = known.and(view.basis());
        }
    }
}

/// What was heard, and the newest answer while it may not be obeyed yet.
pub(crate) struct Hearing {
    inner: Mutex<Inner>,
    news: Notify,
}

struct Inner {
    heard: Heard,
    /// On disk.
    noted: Heard,
    /// On disk, or could not be brought there.
    settled: Heard,
    kept: Option<Vec<UnitView>>,
}

impl Hearing {
    /// Starts with what an earlier agent of this region noted.
    pub(crate) fn new(noted: Heard, plan: &Plan) -> Self {
        let heard = noted.clone().under(plan);
        let inner = Inner { settled: heard.clone(), heard, noted, kept: None };
        Self { inner: Mutex::new(inner), news: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a store that was put back is told.
    pub(crate) fn heard(&self) -> Heard {
        self.lock().heard.clone()
    }

    /// The controller has answered, by the way that had heard of `term`. `obey` is called with the answer now, or as soon as
    /// what is new in it is noted; of two answers with the newer one only.
    pub(crate) fn answered(&self, views: Vec<UnitView>, term: Term, obey: impl FnOnce(Vec<UnitView>)) {
        let mut inner = self.lock();
        inner.heard.learn(&views, term);
        if inner.heard == inner.settled {
            inner.kept = None;
            // Under the lock: an older answer that was kept must not come after it.
            obey(views);
            return;
        }
        inner.kept = Some(views);
        drop(inner);
        self.news.notify_one();
    }

    /// What is to be noted.
    fn next(&self) -> Option<Heard> {
        let inner = self.lock();
        (inner.heard != inner.noted).then(|| inner.heard.clone())
    }

    /// It is on disk, or is not `kept` because that was refused.
    fn settled(&self, written: Heard, is_noted: bool, obey: impl FnOnce(Vec<UnitView>)) {
        let mut inner = self.lock();
        if is_noted {
            inner.noted = written.clone();
        }
        inner.settled = written;
        if inner.heard == inner.settled
            && let Some(views) = inner.kept.take()
        {
            obey(views);
        }
    }
}

/// Notes what is new until shutdown.
pub(crate) async fn keep(agent: &Agent, notes: &dyn Notes) {
    let hearing = &agent.hearing;
    let mut complained = false;
    while !agent.shutdown.is_cancelled() {
        let Some(heard) = hearing.next() else {
            tokio::select! {
                biased;
                () = hearing.news.notified() => {}
                () = agent.shutdown.cancelled() => return,
            }
            continue;
        };
        let error = tokio::select! {
            biased;
            done = notes.hears(heard.clone()) => done.err(),
            () = agent.shutdown.cancelled() => return,
        };
        if let Some(e) = &error
            && !complained
        {
            tracing::warn!(
                "cannot note what was heard of the store: {e}; an agent that is started anew would not know it"
            );
        }
        complained = error.is_some();
        hearing.settled(heard, !complained, |views| agent.picture.heard(views));
        if complained {
            tokio::select! {
                biased;
                () = agent.clock.sleep(RETRY) => {}
                () = hearing.news.notified() => {}
                () = agent.shutdown.cancelled() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
