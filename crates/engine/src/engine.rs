//! The engine's front: starts runs, continues them after a crash, lets people steer and look.
//!
//! A run begins in two writes: first the unit is taken for it and the epoch raised, by compare-and-swap in the store; then
//! its first record is journaled. It ends in two: the last record, then the unit is let go. Whatever a crash leaves
//! between the two, [`Engine::recover`] puts right: a unit held by a run without records or with an end is let go.
//!
//! Invariants: two runs on one unit exclude each other; a run whose unit is held by another run is never driven.

mod met;
mod recover;
mod steer;
mod summary;
#[cfg(test)]
pub(crate) mod tests;

pub use met::Behind;
pub use steer::{Control, ControlError};
pub use summary::{Archive, RunSummary};

pub use crate::executor::Published;
use crate::executor::{Asked, Executor, LetGo, Live, Parts};
use crate::granter::Granter;
use crate::granter::outstanding::{self, Outstanding};
use crate::journal::{AppendError, Journal};
use crate::lead::{Lead, LedDriver, LedJournal};
use crate::storage::StorageError;
use crate::store::{FailedOver, Store, UnitRecord, Units, UnitsError};
use pilotlight_core::candidate::Wish;
use pilotlight_core::id::{Region, RunId, Unit};
use pilotlight_core::lease::granters_lease;
use pilotlight_core::observation::Target;
use pilotlight_core::placement::Verb;
use pilotlight_core::remembered::Remembered;
use pilotlight_core::run::{Cause, Condition, Event, Illegal, Record, RunResult, RunState};
use pilotlight_core::runbook::{Basis, Runbook, Unsound};
use pilotlight_core::time::{Mono, stamp};
use pilotlight_driver::Driver;
use pilotlight_driver::clock::Clock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What an engine is made of.
pub struct EngineParts {
    /// Units, epochs, writers.
    pub store: Arc<dyn Store>,
    /// Records of runs.
    pub journal: Arc<dyn Journal>,
    /// The world; usually a [`crate::router::Router`].
    pub driver: Arc<dyn Driver>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Leases; the engine tells it of every change of a unit.
    pub granter: Arc<Granter>,
    /// Who this controller is, for the records of recoveries.
    pub name: String,
    /// What it may do only while it leads.
    pub lead: Lead,
}

/// Why a run did not start. Nothing was touched.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The graph cannot be walked.
    #[error("the runbook cannot be run")]
    Unsound(#[from] Unsound),
    /// The state machine refuses it.
    #[error("the runbook cannot be run")]
    Illegal(#[from] Illegal),
    /// The unit is unknown, or another run moves it.
    #[error(transparent)]
    Unit(#[from] UnitsError),
    /// Its orders would be refused.
    #[error(transparent)]
    Behind(#[from] Behind),
    /// The journal could not take the first record.
    #[error("the start of the run could not be journaled")]
    Journal(#[from] AppendError),
}

/// Executes runs. Clones share everything.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    parts: Arc<Parts>,
    name: String,
    active: Mutex<BTreeMap<RunId, Active>>,
    /// Every run id ever given out here, so that none is given twice.
    ids: Mutex<BTreeSet<RunId>>,
    ended: Mutex<BTreeMap<RunId, RunSummary>>,
    /// The highest numbers met of each unit.
    met: Mutex<BTreeMap<Unit, Basis>>,
    /// Copies that were last seen as a writer's, with what was seen.
    writers: Mutex<BTreeMap<Target, SeenAsWriter>>,
    /// Held from the first write of a run until it is walked, so that no recovery takes it for one that never began.
    beginning: tokio::sync::Mutex<()>,
    /// Runs whose start was reported as failed: they are never walked here, whatever was kept of them.
    never_began: Mutex<BTreeSet<RunId>>,
    /// Runs that cannot be read, so that each is told of once: by recoveries, and by lists.
    left: Mutex<BTreeSet<RunId>>,
    left_out: Mutex<BTreeSet<RunId>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A copy that was seen as a writer's.
struct SeenAsWriter {
    /// In words.
    says: String,
    /// When an agent beside it looked and it took writes.
    wrote: Option<Mono>,
}

/// A run that is being walked.
struct Active {
    live: Arc<Live>,
    ask: mpsc::Sender<Asked>,
}

/// A unit taken for a run, or an attempt at it.
struct Taken {
    run: RunId,
    record: Result<UnitRecord, UnitsError>,
}

/// Why a unit is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// The run has ended.
    Ended,
    /// It never began; the failover before it is the newest again.
    NeverBegan,
}

/// Records that a slow subscriber may be behind before it loses some and has to read the journal.
const SUBSCRIBER_BEHIND: usize = 1_024;
/// Wishes of people that may wait for the next turn of a run.
const WISHES_WAITING: usize = 16;
/// How often a store that failed is asked again for what nobody waits for.
const ASK_AGAIN: Duration = Duration::from_millis(500);

impl Engine {
    /// Reads the units and their run ids. Continues nothing yet: see [`Engine::recover`].
    pub async fn open(parts: EngineParts) -> Result<Self, StorageError> {
        let EngineParts { store, journal, driver, clock, granter, name, lead } = parts;
        let longest = outstanding::at_start(store.as_ref(), granter.lease(), lead.is_contested()).await?;
        granter.waits_out(longest.longest);
        let units = Units::new(store.clone(), lead.term());
        let driver: Arc<dyn Driver> = Arc::new(LedDriver { inner: driver, lead: lead.clone() });
        let journal: Arc<dyn Journal> = Arc::new(LedJournal { inner: journal, lead: lead.clone() });
        let mut ids: BTreeSet<RunId> = journal.heads().await?.into_iter().map(|(run, _)| run).collect();
        for record in units.all().await? {
            granter.knows(&record);
            ids.extend(record.run);
        }
        let (records, _) = broadcast::channel(SUBSCRIBER_BEHIND);
        let engine = Self(Arc::new(Inner {
            parts: Arc::new(Parts { journal, units, driver, clock, granter, records }),
            name,
            active: Mutex::default(),
            ids: Mutex::new(ids),
            ended: Mutex::default(),
            met: Mutex::default(),
            writers: Mutex::default(),
            beginning: tokio::sync::Mutex::default(),
            never_began: Mutex::default(),
            left_out: Mutex::default(),
            left: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }));
        engine.shorten_later(store, longest, lead);
        Ok(engine)
    }

    /// An earlier plan had a longer lease: the store is told when that is over, by nobody but who leads then.
    fn shorten_later(&self, store: Arc<dyn Store>, longest: Outstanding, lead: Lead) {
        let (inner, planned) = (self.0.clone(), self.0.parts.granter.lease());
        if longest.longest <= planned {
            return;
        }
        self.0.tasks.spawn(async move {
            let shorten = async {
                inner.parts.clock.sleep(granters_lease(longest.longest)).await;
                while lead.is_valid()
                    && let Err(error) = outstanding::shorten(store.as_ref(), longest, planned).await
                {
                    tracing::warn!(%error, "the store could not be told that the longer lease is over");
                    inner.parts.clock.sleep(ASK_AGAIN).await;
                }
            };
            tokio::select! {
                biased;
                () = inner.stop.cancelled() => {}
                () = shorten => {}
            }
        });
    }

    /// Enters a unit with its first writer; a unit that is known stays as it is.
    pub async fn enter(&self, unit: &Unit, writer: &Region) -> Result<UnitRecord, UnitsError> {
        let record = self.0.parts.units.enter(unit, writer).await?;
        self.0.parts.granter.knows(&record);
        Ok(record)
    }

    /// The agent of a region wishes another candidate for a unit.
    pub async fn wish(&self, from: &Region, wish: &Wish) -> Result<UnitRecord, UnitsError> {
        let changed = self.0.parts.units.wish(from, wish).await;
        // A change that was reported as failed may have been kept: agents are told what the store has, or they would wish
        // for ever under a number that is over.
        let newest = match &changed {
            Err(UnitsError::Overtaken { .. }) => self.unit(&wish.unit).await?,
            changed => changed.as_ref().ok().cloned(),
        };
        if let Some(record) = newest {
            self.0.parts.granter.knows(&record);
        }
        changed
    }

    /// What the store has of a unit.
    pub async fn unit(&self, unit: &Unit) -> Result<Option<UnitRecord>, StorageError> {
        self.0.parts.units.get(unit).await
    }

    /// What the store has of every unit.
    pub async fn units(&self) -> Result<Vec<UnitRecord>, StorageError> {
        self.0.parts.units.all().await
    }

    /// What leaders before this one have kept of a unit.
    pub async fn remembered(&self, unit: &Unit) -> Result<Remembered, StorageError> {
        self.0.parts.units.remembered(unit).await
    }

    /// Keeps it for the leaders after this one; returns what the store has now.
    pub async fn remember(&self, unit: &Unit, newest: &Remembered) -> Result<Remembered, UnitsError> {
        self.0.parts.units.remember(unit, newest).await
    }

    /// A person has taken note of the newest failover: the next automatic one need not wait for the cool-down. Not before
    /// it is over: nobody can have seen how it ends, and it may have begun while the person meant the one before.
    pub async fn acknowledge(&self, unit: &Unit, by: &str) -> Result<UnitRecord, UnitsError> {
        let held_by = self.unit(unit).await?.and_then(|record| record.run);
        // The unit is let go of a moment after its run has ended.
        let over = match held_by {
            Some(run) => matches!(self.condition(&run).await, Ok(Some(Condition::Ended { .. }))).then_some(run),
            None => None,
        };
        let acknowledge = |record: &mut UnitRecord| {
            let Some(failed_over) = &mut record.failed_over else { return Ok(()) };
            if let Some(run) = record.run.clone().filter(|run| *run == failed_over.run && over.as_ref() != Some(run)) {
                return Err(UnitsError::Busy { unit: unit.clone(), run });
            }
            failed_over.acknowledged_by = Some(by.to_owned());
            Ok(())
        };
        let record = self.0.parts.units.change(unit, acknowledge).await?;
        self.0.parts.granter.knows(&record);
        Ok(record)
    }

    /// What everything that touches the world goes through: it does nothing once the lead is over.
    pub fn driver(&self) -> &Arc<dyn Driver> {
        &self.0.parts.driver
    }

    /// The granter of leases.
    pub fn granter(&self) -> &Arc<Granter> {
        &self.0.parts.granter
    }

    /// Takes the unit, raises its epoch, journals the start and lets the run go. Returns when the start is durable.
    pub async fn start(&self, runbook: Runbook, cause: Cause) -> Result<RunId, StartError> {
        runbook.validate()?;
        let unit = runbook.intent.unit.clone();
        let _beginning = self.0.beginning.lock().await;
        if let Some(behind) = self.behind(&unit) {
            return Err(behind.into());
        }
        let Taken { run, record } = self.take(&runbook, &unit, &cause).await?;
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                // A write that was reported as failed may have been kept: then nobody else would ever let the unit go.
                if let UnitsError::Storage(_) = &error {
                    self.let_go_later(&run, &unit);
                }
                return Err(error.into());
            }
        };
        let at = self.0.parts.clock.wall();
        let event =
            Event::RunStarted { run: run.clone(), unit, epoch: record.epoch, runbook: Box::new(runbook), cause };
        let first = Record { seq: 1, at, event };
        let begun = match self.begin(&run, &first).await {
            Ok(state) => state,
            Err(error) => {
                self.let_go_later(&run, &record.unit);
                return Err(error);
            }
        };
        let _ = self.0.parts.records.send((run.clone(), Arc::new(first)));
        self.drive(begun, None);
        Ok(run)
    }

    /// The run never began, as far as its starter knows; whatever is kept of it must not hold its unit. That it is none to
    /// go on with is known before the start is over, so that no recovery comes first.
    fn let_go_later(&self, run: &RunId, unit: &Unit) {
        self.0.never_began().insert(run.clone());
        let (engine, run, unit) = (self.clone(), run.clone(), unit.clone());
        self.0.tasks.spawn(async move {
            engine.0.let_go_until_done(&run, &unit, Over::NeverBegan).await;
            // Its first record may have been kept: then it would be open until the next start of a controller, which closes it
            // if this fails.
            if !engine.0.stop.is_cancelled()
                && let Err(error) = engine.close_orphans().await
            {
                tracing::warn!(%run, %error, "a run that never began could not be closed yet");
            }
        });
    }

    /// The second of the two writes.
    async fn begin(&self, run: &RunId, first: &Record) -> Result<RunState, StartError> {
        let state = RunState::begin(first)?;
        self.0.parts.journal.append(run, 1, vec![(first.at, first.event.clone())]).await?;
        Ok(state)
    }

    /// The first of the two writes. The epoch only grows, so one that is raised for nothing does no harm.
    async fn take(&self, runbook: &Runbook, unit: &Unit, cause: &Cause) -> Result<Taken, UnitsError> {
        let at = self.0.parts.clock.wall();
        let verb = runbook.intent.verb;
        let current = self.0.parts.units.get(unit).await?.ok_or_else(|| UnitsError::Unknown(unit.clone()))?;
        let run = self.0.new_id(&format!("{verb}-{}", stamp(at)), current.epoch.next().0);
        let take = |record: &mut UnitRecord| {
            if let Some(run) = record.run.clone() {
                return Err(UnitsError::Busy { unit: unit.clone(), run });
            }
            if runbook.basis.is_some_and(|derived| derived != record.basis()) {
                return Err(UnitsError::Changed(unit.clone()));
            }
            record.epoch = record.epoch.next();
            record.run = Some(run.clone());
            record.settled = runbook.stays();
            // One that nobody asked for bars the next, whatever it is called.
            if verb == Verb::Failover || (verb == Verb::Switchover && cause.automatic) {
                let (run, automatic) = (run.clone(), cause.automatic);
                let newest = FailedOver { run, at, automatic, acknowledged_by: None };
                record.failed_over_before = record.failed_over.replace(newest);
            }
            Ok(())
        };
        let taken = self.0.parts.units.change(unit, take).await;
        if let Ok(record) = &taken {
            self.0.parts.granter.knows(record);
        }
        Ok(Taken { run, record: taken })
    }

    /// Lets the run go in a task of its own; the one place where runs are spawned. The task ends with the run, when the
    /// run is lost to another controller, or when the engine is shut down.
    fn drive(&self, state: RunState, first: Option<Event>) {
        let (run, unit) = (state.run().clone(), state.unit().clone());
        let stop = self.0.stop.child_token();
        let live = Arc::new(Live::new(state, &stop, self.0.parts.clock.mono()));
        let (ask, asked) = mpsc::channel(WISHES_WAITING);
        let executor = Executor::new(Arc::clone(&self.0.parts), Arc::clone(&live), asked, stop);
        self.0.active().insert(run.clone(), Active { live, ask });
        // What agents said before it was taken up counts as well.
        self.bar_the_way_back(&unit);
        let inner = Arc::clone(&self.0);
        self.0.tasks.spawn(async move {
            let let_go = executor.drive(first).await;
            if let_go == LetGo::Ended {
                inner.let_go_until_done(&run, &unit, Over::Ended).await;
            }
            inner.forget(&run);
        });
    }

    /// Every record of a run, from the journal.
    pub async fn records(&self, run: &RunId) -> Result<Vec<Record>, StorageError> {
        self.0.parts.journal.read(run, 1, usize::MAX).await
    }

    /// Records from now on, as they become durable. Who falls behind is told so and reads the journal.
    pub fn subscribe(&self) -> broadcast::Receiver<Published> {
        self.0.parts.records.subscribe()
    }

    /// What each step would do, and why; touches nothing.
    pub async fn dry_run(&self, runbook: &Runbook) -> Vec<crate::dry_run::DryStep> {
        crate::dry_run::dry_run(self.0.parts.driver.as_ref(), self.0.parts.granter.as_ref(), runbook).await
    }

    /// Stops walking. Unfinished runs stay unfinished and are continued by the next controller.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl Inner {
    fn active(&self) -> MutexGuard<'_, BTreeMap<RunId, Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> MutexGuard<'_, BTreeMap<RunId, RunSummary>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn never_began(&self) -> MutexGuard<'_, BTreeSet<RunId>> {
        self.never_began.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left_out(&self) -> MutexGuard<'_, BTreeSet<RunId>> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `failover-20261121-004512-7`: what, when, and the epoch, counted on where two units would get the same.
    fn new_id(&self, stem: &str, epoch: u64) -> RunId {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let mut number = epoch;
        loop {
            let id = RunId::new(format!("{stem}-{number}"));
            if ids.insert(id.clone()) {
                return id;
            }
            number += 1;
        }
    }

    /// The last of the two writes at the end of a run.
    async fn let_go(&self, run: &RunId, unit: &Unit, over: Over) -> Result<(), UnitsError> {
        let let_go = |record: &mut UnitRecord| {
            if record.run.as_ref() != Some(run) {
                return Ok(());
            }
            record.run = None;
            let before = record.failed_over_before.take();
            // A failover that nothing was done for must not bar the next one, nor end what bars it.
            if over == Over::NeverBegan && record.failed_over.as_ref().is_some_and(|f| f.run == *run) {
                record.failed_over = before;
            }
            Ok(())
        };
        let record = self.parts.units.change(unit, let_go).await?;
        self.parts.granter.knows(&record);
        Ok(())
    }

    /// Ends with the process at the latest: the next controller does what is left.
    async fn let_go_until_done(&self, run: &RunId, unit: &Unit, over: Over) {
        let let_go = async {
            while let Err(error) = self.let_go(run, unit, over).await {
                tracing::error!(%run, %error, "the unit of a run that is over could not be let go yet");
                self.parts.clock.sleep(ASK_AGAIN).await;
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = let_go => {}
        }
    }

    fn forget(&self, run: &RunId) {
        let Some(active) = self.active().remove(run) else { return };
        let state = active.live.state();
        if let Some(summary) = RunSummary::of_ended(&state) {
            self.ended().insert(run.clone(), summary);
        }
    }
}

/// How a run that is over ended; `None` while it goes on.
pub(crate) fn result_of(record: &Record) -> Option<RunResult> {
    match record.event {
        Event::RunEnded { result } => Some(result),
        _ => None,
    }
}
