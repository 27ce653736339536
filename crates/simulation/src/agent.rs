//! A region's agent: the real one, on a simulated machine.

use crate::bug::Bug;
use crate::drivers::{PlaceDriver, descriptors, of_place};
use crate::exchange::{Exchange, Letter, Order, Reply};
use crate::place::Place;
use crate::process::Process;
use crate::timeline::ProcessClock;
use async_trait::async_trait;
use pilotlight_agent::{AgentParts, GuardRuns, Notes, Way, WayError};
use pilotlight_core::effect::Effect;
use pilotlight_core::id::Unit;
use pilotlight_core::plan::Plan;
use pilotlight_core::protocol::{Answer, Heartbeat, HeartbeatReply, Job, Task, TaskResult, WorkReply, WorkRequest};
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::Clock;
use pilotlight_driver::guard::{Guarded, Ledger, MemoryLog};
use pilotlight_driver::{Context, Driver};
use pilotlight_engine::router::Router;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// What outlives an agent's process.
#[derive(Clone, Default)]
pub(crate) struct Folder {
    pub(crate) guard: MemoryLog,
    notes: Arc<Mutex<BTreeMap<Unit, Mono>>>,
}

impl Folder {
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
}

/// The way to whichever controller answers.
struct Post {
    exchange: Exchange,
    place: Place,
    clock: ProcessClock,
    driver: Arc<PlaceDriver>,
    bug: Option<Bug>,
}

impl Post {
    async fn send<T>(
        &self,
        within: Duration,
        letter: impl FnOnce(Reply<Result<T, WayError>>) -> Letter,
    ) -> Result<T, WayError> {
        let (reply, answer): (_, oneshot::Receiver<_>) = Reply::new(self.clock.process);
        self.exchange.leave(Order::Post { from: self.place, letter: letter(reply) });
        tokio::select! {
            biased;
            answer = answer => answer.unwrap_or_else(|_| Err(unreachable("the connection was closed"))),
            () = self.clock.sleep(within) => Err(unreachable("no answer in time")),
        }
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
            let result = Box::new(TaskResult { region: place.region(), id: task.id, answer });
            exchange.leave(Order::Post { from: place, letter: Letter::Result(result, reply) });
        });
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
        let heartbeat = Box::new(heartbeat.clone());
        let mut reply = self.send(within, |reply| Letter::Heartbeat(heartbeat, reply)).await?;
        if self.bug == Some(Bug::LongLease) {
            reply.units.iter_mut().for_each(|view| view.lease_ms = view.lease_ms.map(|lease| lease * 2));
        }
        if let Some(lease) = reply.units.iter().find_map(|v| v.lease_ms) {
            self.exchange.leave(Order::Believes { place: self.place, until: sent + lease });
        }
        Ok(reply)
    }

    async fn work(&self, request: &WorkRequest, within: Duration) -> Result<WorkReply, WayError> {
        let request = request.clone();
        let mut reply = self.send(within, |reply| Letter::Work(request, reply)).await?;
        let (past, rest) = reply.tasks.into_iter().partition(|task| self.is_past(&task.job));
        reply.tasks = rest;
        let past: Vec<Task> = past;
        past.into_iter().for_each(|task| self.carry_out(task));
        Ok(reply)
    }

    async fn result(&self, result: &TaskResult, within: Duration) -> Result<(), WayError> {
        let result = Box::new(result.clone());
        self.send(within, |reply| Letter::Result(result, reply)).await
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
}

/// Starts an agent's process.
pub(crate) fn start(start: Start<'_>) -> Process {
    let Start { plan, exchange, clock, place, folder, bug, life } = start;
    let process = Process::start();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let driver =
        Arc::new(PlaceDriver { exchange: exchange.clone(), place, process: clock.process, descriptor: of_place() });
    let ledger = Arc::new(Ledger::on_memory(&folder.guard, shared.clone()));
    let guarded: Arc<dyn Driver> = Arc::new(Guarded::with(driver.clone(), ledger.clone()));
    let region = place.region();
    let mut router = Router::new().region(&region, guarded.clone());
    let mut described = descriptors(&plan);
    described.retain(|name, d| d.needs_agent && plan.components.contains_key(name));
    for name in described.keys() {
        router = router.component(name, Some(&region), guarded.clone());
    }
    let way = Post { exchange: exchange.clone(), place, clock, driver: driver.clone(), bug };
    let parts = AgentParts {
        region,
        plan,
        driver: Arc::new(router),
        ledger,
        descriptors: described,

        gates: BTreeMap::new(),
        clock: shared,
        port_look: driver,
        way: Arc::new(way),
        notes: Arc::new(folder.clone()),
        instance: format!("{}-{life}", place.name()),
        guard: GuardRuns::AsTask,
        shutdown: CancellationToken::new(),
    };
    process.spawn(async move {
        let ended = pilotlight_agent::run(parts).await;
        panic!("an agent ended by itself: {ended:?}");
    });
    process
}
