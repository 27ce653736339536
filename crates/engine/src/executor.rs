//! Walks one run: performs the commands of its state, appends its events, waits for what comes back.
//!
//! One loop per run. Each turn takes in everything that has come back, asks the state what to do, starts it, and writes
//! all events of the turn in one append. Attempts are started before that append has returned, but none of them sends its
//! effect before the append is durable (see [`attempt`]); looking first costs nothing and saves the time of the fsync.
//!
//! Invariants:
//! - an attempt's effect is sent only after its intent is durable;
//! - while the journal cannot be written nothing new starts, and it goes on by itself when it can;
//! - when another controller has written to the run, this one drops everything and never writes to it again.

mod attempt;
mod commit;
mod lease;
mod look;
mod shift;

use crate::granter::Granter;
use crate::journal::Journal;
use crate::storage::StorageError;
use crate::store::Units;
use attempt::{Attempt, Entry};
use pilotlight_core::id::{RunId, StepId};
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::run::{Command, Event, Illegal, Phase, Record, RunState};
use pilotlight_core::time::{Mono, Wall};
use pilotlight_driver::Driver;
use pilotlight_driver::clock::Clock;
use pilotlight_driver::level::Level;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A record that is durable, as subscribers get it.
pub type Published = (RunId, Arc<Record>);

/// What every run of a controller shares.
pub(crate) struct Parts {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) units: Units,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) granter: Arc<Granter>,
    pub(crate) records: broadcast::Sender<Published>,
}

/// A run as others may look at it while it is walked.
pub(crate) struct Live {
    state: Mutex<RunState>,
    stalled: Mutex<Option<StorageError>>,
    waits: Mutex<BTreeMap<StepId, Waits>>,
    /// Ends every attempt at taking something back.
    back: CancellationToken,
    /// When this controller began to walk it, and whom its records had stopped by then.
    pub(crate) found: (Mono, Vec<Target>),
}

/// What a step that waits to see something saw instead.
#[derive(Debug, Clone)]
pub(crate) struct Waits {
    pub(crate) since: Mono,
    pub(crate) saw: String,
}

impl Live {
    pub(crate) fn new(state: RunState, stop: &CancellationToken, since: Mono) -> Self {
        let found = (since, state.stopped_for_now());
        let (state, back) = (Mutex::new(state), stop.child_token());
        Self { state, stalled: Mutex::default(), waits: Mutex::default(), back, found }
    }

    /// The store may be an old copy: nothing that was not sent yet leads back. That it is so is recorded afterwards.
    pub(crate) fn bars_the_way_back(&self) {
        self.back.cancel();
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, RunState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the journal cannot be written right now.
    pub(crate) fn stalled(&self) -> Option<StorageError> {
        self.stalled.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Steps that wait to see something, with what they saw instead.
    pub(crate) fn waits(&self) -> MutexGuard<'_, BTreeMap<StepId, Waits>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_stalled(&self, why: Option<StorageError>) {
        *self.stalled.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}

/// A person's wish with the way back to the person.
pub(crate) struct Asked {
    pub(crate) event: Event,
    pub(crate) reply: oneshot::Sender<Result<(), Refused>>,
}

/// Why a wish was not granted.
#[derive(Debug)]
pub(crate) enum Refused {
    Illegal(Illegal),
    Stalled(StorageError),
}

/// Why the executor let go of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LetGo {
    /// The run has ended and its end is durable.
    Ended,
    /// Another controller drives it.
    Deposed,
    /// This process is ending; the run is unfinished.
    Stopped,
}

/// First pause before another attempt; doubles up to [`BACKOFF_MOST`]. Short, because users wait during a failover.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// A probe that is asked ten times should still find a service that comes up within half a minute.
const BACKOFF_MOST: Duration = Duration::from_secs(5);

pub(crate) struct Executor {
    parts: Arc<Parts>,
    live: Arc<Live>,
    run: RunId,
    stop: CancellationToken,
    asked: mpsc::Receiver<Asked>,
    said: mpsc::Receiver<Event>,
    say: mpsc::Sender<Event>,
    attempts: JoinSet<()>,
    /// Steps with an attempt under way: what the state commands for them is being done already.
    busy: BTreeMap<StepId, Busy>,
    step_of: HashMap<tokio::task::Id, StepId>,
    /// No further attempt before this time.
    not_before: BTreeMap<StepId, Mono>,
    /// Events that the state has taken in and the journal has not.
    queue: Vec<(Wall, Event)>,
    replies: Vec<oneshot::Sender<Result<(), Refused>>>,
    durable: Arc<Level>,
}

struct Busy {
    cancel: CancellationToken,
    /// An abort ends it early.
    may_be_cut: bool,
}

impl Executor {
    pub(crate) fn new(
        parts: Arc<Parts>,
        live: Arc<Live>,
        asked: mpsc::Receiver<Asked>,
        stop: CancellationToken,
    ) -> Self {
        // Attempts say at most a handful of things each; a full channel only makes them wait for the next turn.
        let (say, said) = mpsc::channel(256);
        let (run, seq) = {
            let state = live.state();
            (state.run().clone(), state.seq())
        };
        Self {
            parts,
            live,
            run,
            stop,
            asked,
            said,
            say,
            attempts: JoinSet::new(),
            busy: BTreeMap::new(),
            step_of: HashMap::new(),
            not_before: BTreeMap::new(),
            queue: Vec::new(),
            replies: Vec::new(),
            durable: Arc::new(Level::new(seq)),
        }
    }

    /// Walks the run until it ends, is lost to another controller, or the process ends. `first` is recorded before
    /// anything else: the mark of a recovery.
    pub(crate) async fn drive(mut self, first: Option<Event>) -> LetGo {
        if let Some(event) = first {
            let _ = self.take_in(event);
        }
        loop {
            self.plan();
            if let Err(let_go) = self.commit().await {
                return let_go;
            }
            if self.live.state().ended().is_some() {
                return LetGo::Ended;
            }
            if !self.wait().await {
                return LetGo::Stopped;
            }
        }
    }

    /// Waits until something happens and takes in everything that has happened. False when the process is ending.
    async fn wait(&mut self) -> bool {
        let mut ended = Vec::new();
        let pause = self.not_before.values().min().map(|at| at.since(self.parts.clock.mono()));
        let clock = Arc::clone(&self.parts.clock);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return false,
            Some(event) = self.said.recv() => self.take_in_from_attempt(event),
            Some(end) = self.attempts.join_next_with_id() => ended.push(end),
            Some(asked) = self.asked.recv() => self.ask(asked),
            () = async { clock.sleep(pause.unwrap_or_default()).await }, if pause.is_some() => {}
        }
        // What becomes ready at the same moment is heard in the same turn: one append, one fsync.
        tokio::task::yield_now().await;
        // An attempt says everything before it ends, so ends are collected first and taken in last.
        while let Some(end) = self.attempts.try_join_next_with_id() {
            ended.push(end);
        }
        while let Ok(event) = self.said.try_recv() {
            self.take_in_from_attempt(event);
        }
        for end in ended {
            self.attempt_ended(&end);
        }
        while let Ok(asked) = self.asked.try_recv() {
            self.ask(asked);
        }
        true
    }

    fn attempt_ended(&mut self, end: &Result<(tokio::task::Id, ()), tokio::task::JoinError>) {
        let (id, panicked) = match end {
            Ok((id, ())) => (*id, false),
            Err(error) => (error.id(), error.is_panic()),
        };
        let Some(step) = self.step_of.remove(&id) else { return };
        self.busy.remove(&step);
        if panicked {
            let why = "the driver broke down in the middle; this is a bug".to_owned();
            self.take_in_from_attempt(Event::Stuck { step, why });
        }
    }

    /// What an attempt says can have been overtaken by what a person did; then it has no meaning any more.
    fn take_in_from_attempt(&mut self, event: Event) {
        let step = event.step().cloned();
        let failed = match &event {
            Event::StepReturned { result: Err(f), .. } | Event::UndoReturned { result: Err(f), .. } => Some(f.kind),
            _ => None,
        };
        match self.take_in(event) {
            Ok(()) => {
                if let (Some(step), Some(FailureKind::Transient | FailureKind::Unreachable)) = (step, failed) {
                    self.back_off(step);
                }
            }
            Err(illegal) => tracing::debug!(run = %self.run, %illegal, "an answer came too late"),
        }
    }

    fn back_off(&mut self, step: StepId) {
        let attempt = match self.live.state().view_attempts(&step) {
            Some((Phase::Waiting, attempts)) => attempts,
            Some((Phase::UndoAgain { attempt }, _)) => attempt,
            _ => return,
        };
        let doublings = attempt.saturating_sub(1).min(16);
        let pause = (BACKOFF_FIRST * (1 << doublings)).min(BACKOFF_MOST);
        self.not_before.insert(step, self.parts.clock.mono() + pause);
    }

    fn ask(&mut self, asked: Asked) {
        let event = asked.event.clone();
        match self.take_in(asked.event) {
            Ok(()) => {
                self.replies.push(asked.reply);
                match event {
                    Event::AbortAsked { .. } => {
                        self.busy.values().filter(|b| b.may_be_cut).for_each(|b| b.cancel.cancel());
                    }
                    Event::StepSkipped { step, .. } => drop(self.busy.get(&step).map(|b| b.cancel.cancel())),
                    Event::Resumed { .. } => self.not_before.clear(),
                    _ => {}
                }
            }
            Err(illegal) => drop(asked.reply.send(Err(Refused::Illegal(illegal)))),
        }
    }

    /// Takes an event into the state and puts it in the queue for the journal.
    fn take_in(&mut self, event: Event) -> Result<(), Illegal> {
        let at = self.parts.clock.wall();
        let mut state = self.live.state();
        let record = Record { seq: state.seq() + 1, at, event };
        state.apply(&record)?;
        self.queue.push((at, record.event));
        Ok(())
    }

    /// Turns commands into intents and attempts, until nothing new follows.
    fn plan(&mut self) {
        let now = self.parts.clock.mono();
        self.not_before.retain(|_, at| *at > now);
        loop {
            let commands = self.live.state().commands();
            let mut changed = false;
            for command in commands {
                let idle = command.step().is_none_or(|s| !self.busy.contains_key(s));
                if idle && self.is_due(&command) {
                    changed |= self.carry_out(command);
                }
            }
            if !changed {
                return;
            }
        }
    }

    fn is_due(&self, command: &Command) -> bool {
        let (Command::Start { step, .. } | Command::Undo { step, .. }) = command else { return true };
        !self.not_before.contains_key(step)
    }

    /// Returns whether the state has changed.
    fn carry_out(&mut self, command: Command) -> bool {
        let (intent, entry) = match command {
            Command::AskApproval { .. } => return false,
            Command::Fail { step, why } => return self.take_in(Event::StepFailed { step, why }).is_ok(),
            Command::End { result } => return self.take_in(Event::RunEnded { result }).is_ok(),
            Command::Start { step, attempt, effect } => {
                (Some(Event::StepStarted { step: step.clone(), attempt }), (step, Entry::Start { attempt, effect }))
            }
            Command::Undo { step, attempt, effect } => {
                (Some(Event::UndoStarted { step: step.clone(), attempt }), (step, Entry::Undo { attempt, effect }))
            }
            Command::Observe { step } => (None, (step, Entry::Observe)),
            Command::Look { step, attempt, effect } => (None, (step, Entry::Look { attempt, effect })),
            Command::Reattach { step, attempt, handle } => (None, (step, Entry::Reattach { attempt, handle })),
            Command::LookUndo { step, attempt, effect } => (None, (step, Entry::LookUndo { attempt, effect })),
        };
        let changed = intent.is_some();
        if let Some(intent) = intent
            && let Err(illegal) = self.take_in(intent)
        {
            // The state commanded it a moment ago; an attempt before it in the same turn can have held the run since.
            tracing::debug!(run = %self.run, %illegal, "a command was overtaken");
            return false;
        }
        self.begin(entry.0, entry.1);
        changed
    }

    fn begin(&mut self, id: StepId, entry: Entry) {
        let cancel = match entry {
            Entry::Undo { .. } | Entry::LookUndo { .. } => self.live.back.child_token(),
            _ => self.stop.child_token(),
        };
        let state = self.live.state();
        let Some(step) = state.runbook().step(&id).cloned() else { return };
        let attempt = Attempt {
            parts: Arc::clone(&self.parts),
            live: Arc::clone(&self.live),
            run: self.run.clone(),
            unit: state.unit().clone(),
            epoch: state.epoch(),
            hands_over: state.hands_over(&id),
            intent: state.seq(),
            step,
            cancel: cancel.clone(),
            say: self.say.clone(),
            durable: self.durable.clone(),
        };
        drop(state);
        let final_look = matches!(entry, Entry::Look { .. }) && attempt.step.effect.is_point_of_no_return();
        let may_be_cut =
            !final_look && !matches!(entry, Entry::Reattach { .. } | Entry::Undo { .. } | Entry::LookUndo { .. });
        let task = self.attempts.spawn(attempt.make(entry));
        self.step_of.insert(task.id(), id.clone());
        self.busy.insert(id, Busy { cancel, may_be_cut });
    }
}
