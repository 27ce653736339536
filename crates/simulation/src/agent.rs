//! A region's agent: the real one, on a simulated machine.

use crate::bug::Bug;
use crate::drivers::{PlaceDriver, descriptors, of_place};
use crate::exchange::{Exchange, Heard, Letter, Order, Reply};
use crate::gate::SimGate;
use crate::mistaken::{BesideGuard, Mistaken};
use crate::place::{MEMBERS, Place};
use crate::process::Process;
use crate::timeline::ProcessClock;
use async_trait::async_trait;
use pilotlight_agent::{AgentParts, GuardRuns, Heard as AgentHeard, Notes, Way, WayError};
use pilotlight_core::candidate::Wish;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::{Component, Unit};
use pilotlight_core::leader::Term;
use pilotlight_core::plan::Plan;
use pilotlight_core::protocol::{
    Answer, Heartbeat, HeartbeatReply, Job, Task, TaskResult, UnitView, WorkReply, WorkRequest,
};
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::Clock;
use pilotlight_driver::gate::Gate;
use pilotlight_driver::guard::{Guarded, Ledger, MemoryLog};
use pilotlight_driver::level::Level;
use pilotlight_driver::{Context, Driver};
use pilotlight_engine::router::Router;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// What outlives an agent's process.
#[derive(Clone, Default)]
pub(crate) struct Folder {
    pub(crate) guard: MemoryLog,
    notes: Arc<Mutex<BTreeMap<Unit, Mono>>>,
    heard: Arc<Mutex<AgentHeard>>,
}

impl Folder {
    /// The region has held the lease, long ago.
    pub(crate) fn once_held(&self, unit: Unit) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).insert(unit, Mono::default());
    }

    /// Somebody moves the note of leases away.
    pub(crate) fn forgets_leases(&self) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// There is a note of a lease.
    pub(crate) fn notes_a_lease(&self) -> bool {
        !self.notes.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The machine has booted: its clock has begun anew, so what was noted is only known to have been.
    pub(crate) fn rebooted(&self) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.values_mut().for_each(|end| *end = Mono::default());
    }
}

#[async_trait]
impl Notes for Folder {
    fn load(&self) -> BTreeMap<Unit, Mono> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn store(&self, ends: BTreeMap<Unit, Mono>) -> std::io::Result<()> {
        *self.notes.lock().unwrap_or_else(PoisonError::into_inner) = ends;
        Ok(())
    }

    fn heard(&self) -> AgentHeard {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn hears(&self, heard: AgentHeard) -> std::io::Result<()> {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
        Ok(())
    }
}

/// What an agent's process was told last of the only unit.
pub(crate) type LastHeard = Arc<Mutex<Option<UnitView>>>;

/// The way to whichever controller leads: as the real one, the last that answered is asked first, then all others.
struct Post {
    exchange: Exchange,
    place: Place,
    clock: ProcessClock,
    driver: Arc<PlaceDriver>,
    bug: Option<Bug>,
    members: &'static [Place],
    /// The one that answered last.
    leads: AtomicUsize,
    /// Grows when that is another one.
    moved: Level,
    /// The newest term that was heard.
    term: AtomicU64,
    /// What was heard last of the only unit.
    last: LastHeard,
}

impl Post {
    async fn send<T>(
        &self,
        within: Duration,
        letter: impl Fn(Reply<Heard<T>>) -> Letter + Send,
    ) -> Result<T, WayError> {
        let (first, moved) = (self.leads.load(Ordering::Relaxed), self.moved.get());
        let mut failed = None;
        for number in 0..self.members.len() {
            let at = (first + number) % self.members.len();
            let asked = tokio::select! {
                biased;
                answer = self.ask(at, within, &letter) => answer,
                () = self.moved.passes(moved) => Err(unreachable("another controller leads now")),
            };
            match asked {
                Ok(answer) => {
                    if self.leads.swap(at, Ordering::Relaxed) != at {
                        self.moved.step();
                    }
                    return Ok(answer);
                }
                Err(e @ WayError::Refused { .. }) => return Err(e),
                Err(e) => failed = Some(e),
            }
        }
        Err(failed.unwrap_or_else(|| unreachable("nobody to ask")))
    }

    async fn ask<T>(
        &self,
        at: usize,
        within: Duration,
        letter: &(impl Fn(Reply<Heard<T>>) -> Letter + Send),
    ) -> Result<T, WayError> {
        let (reply, answer): (_, oneshot::Receiver<_>) = Reply::new(self.clock.process);
        let to = self.members[at];
        let letter = letter(reply);
        self.exchange.leave(Order::Post { from: self.place, to, letter });
        let (term, answer) = tokio::select! {
            biased;
            answer = answer => answer.unwrap_or_else(|_| Err(unreachable("the connection was closed")))?,
            () = self.clock.sleep(within) => return Err(unreachable("no answer in time")),
        };
        let newest = self.term.fetch_max(term.0, Ordering::Relaxed).max(term.0);
        if term.0 < newest && self.bug != Some(Bug::OldTermObeyed) {
            return Err(unreachable("it leads an older term"));
        }
        Ok(answer)
    }

    /// A planted bug: the order goes to the driver past everything that would stop it.
    fn carry_out(&self, task: Task) {
        let Job::Apply { effect, context } = task.job else { return };
        let (driver, exchange, clock, place) =
            (self.driver.clone(), self.exchange.clone(), self.clock.clone(), self.place);
        tokio::spawn(async move {
            let context = Context {
                unit: context.unit,
                epoch: context.epoch,
                key: context.key,
                deadline: context.deadline_ms,
                cancel: CancellationToken::new(),
            };
            let answer = match driver.apply(&effect, &context).await {
                Ok(outcome) => Answer::Returned { outcome },
                Err(failure) => Answer::Failed { failure },
            };
            let (reply, _answer) = Reply::new(clock.process);
            let (instance, at) = (String::new(), String::new());
            let result = Box::new(TaskResult { region: place.region(), instance, place: at, id: task.id, answer });
            exchange.leave(Order::Post { from: place, to: Place::Control, letter: Letter::Result(result, reply) });
        });
    }

    /// A planted bug: whoever is offered is wished for at once.
    fn hasty_wish(&self) -> Option<Wish> {
        if self.bug != Some(Bug::EarlyAdmission) {
            return None;
        }
        let view = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let candidate = view.offered.first().filter(|_| view.candidate.is_none())?.clone();
        Some(Wish { unit: view.unit, epoch: view.epoch, candidacy: view.candidacy, candidate: Some(candidate) })
    }

    fn is_past(&self, job: &Job) -> bool {
        let Job::Apply { effect, .. } = job else { return false };
        match self.bug {
            Some(Bug::NoLeaseCheck) => matches!(effect, Effect::Promote { .. }),
            bug => bug == Some(Bug::StaleEpoch),
        }
    }
}

pub(crate) fn unreachable(why: &str) -> WayError {
    WayError::Unreachable { url: "http://controller".to_owned(), why: why.to_owned() }
}

#[async_trait]
impl Way for Post {
    async fn heartbeat(&self, heartbeat: &Heartbeat, within: Duration) -> Result<HeartbeatReply, WayError> {
        let sent = self.clock.mono();
        let hasty = self.hasty_wish();
        let letter = |reply| {
            let mut heartbeat = Box::new(heartbeat.clone());
            heartbeat.wishes.extend(hasty.clone());
            Letter::Heartbeat(heartbeat, reply)
        };
        let mut reply = self.send(within, letter).await?;
        if self.bug == Some(Bug::LongLease) {
            reply.units.iter_mut().for_each(|view| view.lease_ms = view.lease_ms.map(|lease| lease * 2));
        }
        if let Some(lease) = reply.units.iter().find_map(|v| v.lease_ms) {
            self.exchange.leave(Order::Believes { place: self.place, until: sent + lease });
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = reply.units.first().cloned();
        Ok(reply)
    }

    async fn work(&self, request: &WorkRequest, within: Duration) -> Result<WorkReply, WayError> {
        let mut reply = self.send(within, |reply| Letter::Work(request.clone(), reply)).await?;
        let (past, rest) = reply.tasks.into_iter().partition(|task| self.is_past(&task.job));
        reply.tasks = rest;
        let past: Vec<Task> = past;
        past.into_iter().for_each(|task| self.carry_out(task));
        for Task { id, job } in &reply.tasks {
            let Job::Apply { effect, context } = job else { continue };
            let (place, key) = (self.place, context.key.clone());
            match effect {
                Effect::Fence { .. } => self.exchange.leave(Order::Fence { place, task: id.clone(), key }),
                Effect::Promote { .. } => self.exchange.leave(Order::Promote { place, key }),
                _ => {}
            }
        }
        Ok(reply)
    }

    fn term(&self) -> Term {
        Term(self.term.load(Ordering::Relaxed))
    }

    fn has_heard(&self, term: Term) {
        self.term.fetch_max(term.0, Ordering::Relaxed);
    }

    async fn result(&self, result: &TaskResult, within: Duration) -> Result<(), WayError> {
        self.send(within, |reply| Letter::Result(Box::new(result.clone()), reply)).await
    }
}

/// What an agent is started with.
pub(crate) struct Start<'a> {
    pub(crate) plan: Arc<Plan>,
    pub(crate) exchange: &'a Exchange,
    pub(crate) clock: ProcessClock,
    pub(crate) place: Place,
    pub(crate) folder: &'a Folder,
    pub(crate) bug: Option<Bug>,
    pub(crate) life: u32,
    /// Of this process: filled with each answer.
    pub(crate) last: LastHeard,
}

/// Starts an agent's process.
pub(crate) fn start(start: Start<'_>) -> Process {
    let Start { plan, exchange, clock, place, folder, bug, life, last } = start;
    let process = Process::start();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let gate = SimGate::of(&plan, exchange, place, bug);
    let driver = Arc::new(PlaceDriver {
        exchange: exchange.clone(),
        place,
        clock: clock.clone(),
        descriptor: of_place(),
        gate: gate.clone(),
    });
    let ledger = Arc::new(Ledger::on_memory(&folder.guard, shared.clone()));
    let guarded: Arc<dyn Driver> = Arc::new(Guarded::with(driver.clone(), ledger.clone()));
    let guarded = match bug.and_then(BesideGuard::of) {
        Some(bug) => Arc::new(Mistaken::new(guarded, driver.clone(), bug)),
        None => guarded,
    };
    let region = place.region();
    let mut router = Router::new().region(&region, guarded.clone());
    let mut described = descriptors(&plan);
    described.retain(|name, d| d.needs_agent && plan.components.contains_key(name));
    for name in described.keys() {
        router = router.component(name, Some(&region), guarded.clone());
    }
    let members = if plan.controller.store.is_shared() { &MEMBERS[..] } else { &MEMBERS[..1] };
    let way = Post {
        exchange: exchange.clone(),
        place,
        clock,
        driver: driver.clone(),
        bug,
        members,
        leads: AtomicUsize::new(0),
        moved: Level::default(),
        term: AtomicU64::new(0),
        last,
    };
    let gates = gate.map(|gate| (Component::from("database"), vec![gate as Arc<dyn Gate>]));
    let parts = AgentParts {
        region,
        plan,
        driver: Arc::new(router),
        ledger,
        descriptors: described,
        gates: gates.into_iter().collect(),
        clock: shared,
        port_look: driver,
        way: Arc::new(way),
        notes: Arc::new(folder.clone()),
        instance: format!("{}-{life}", place.name()),
        place: place.name().to_owned(),
        guard: GuardRuns::AsTask,
        shutdown: CancellationToken::new(),
    };
    process.spawn(async move {
        let ended = pilotlight_agent::run(parts).await;
        panic!("an agent ended by itself: {ended:?}");
    });
    process
}
