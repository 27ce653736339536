//! The controller: the real one without its doors, on a simulated machine.

use crate::bug::Bug;
use crate::drivers::{PlaceDriver, descriptors, of_place};
use crate::exchange::Exchange;
use crate::place::Place;
use crate::process::Process;
use crate::storage::{Access, Disk};
use crate::timeline::ProcessClock;
use async_trait::async_trait;
use pilotlight_core::effect::{Descriptor, Effect};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, FailureKind, Finding, Outcome};
use pilotlight_core::plan::Plan;
use pilotlight_core::position::{Order, Position};
use pilotlight_core::time::{Mono, Wall};
use pilotlight_driver::clock::Clock;
use pilotlight_driver::guard::{Guarded, Ledger, MemoryLog};
use pilotlight_driver::{Context, Driver};
use pilotlight_engine::granter::Granter;
use pilotlight_engine::lead::Lead;
use pilotlight_engine::router::Router;
use pilotlight_engine::{Engine, EngineParts};
use pilotlight_server::hub::{Hub, RemoteAgent};
use pilotlight_server::{Offstage, ServerParts};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A controller's process; its front is there once it has read its disk.
pub(crate) struct Controller {
    pub(crate) process: Process,
    pub(crate) front: Arc<OnceLock<Offstage>>,
}

/// What a controller is started with.
pub(crate) struct Start<'a> {
    pub(crate) plan: Arc<Plan>,
    pub(crate) exchange: &'a Exchange,
    pub(crate) clock: ProcessClock,
    pub(crate) disk: &'a Disk,
    pub(crate) guard: &'a MemoryLog,
    pub(crate) deposed: Arc<AtomicBool>,
    pub(crate) bug: Option<Bug>,
    pub(crate) life: u32,
}

/// Starts a controller's process.
pub(crate) fn start(start: &Start<'_>) -> Controller {
    let process = Process::start();
    let front = Arc::new(OnceLock::new());
    let (parts, sets) = (Parts::of(start), front.clone());
    process.spawn(async move {
        let offstage = loop {
            match parts.open().await {
                Ok(offstage) => break offstage,
                // As a supervisor would: it ended because its disk failed, and is started again.
                Err(_) => parts.clock.sleep(Duration::from_millis(200)).await,
            }
        };
        let _ = sets.set(offstage.clone());
        while offstage.run().await.is_err() {
            parts.clock.sleep(Duration::from_millis(200)).await;
        }
    });
    Controller { process, front }
}

struct Parts {
    plan: Arc<Plan>,
    clock: ProcessClock,
    disk: Disk,
    driver: Arc<dyn Driver>,
    port_look: Arc<PlaceDriver>,
    hub: Arc<Hub>,
    bug: Option<Bug>,
    life: u32,
    deposed: Arc<AtomicBool>,
}

impl Parts {
    fn of(start: &Start<'_>) -> Self {
        let Start { plan, exchange, clock, disk, guard, deposed, bug, life } = start;
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let policy = &plan.policy;
        let hub = Hub::of_life(format!("life{life}"), shared.clone(), &plan.regions, policy.renew, policy.lease);
        let place = || PlaceDriver {
            exchange: (*exchange).clone(),
            place: Place::Control,
            process: clock.process,
            descriptor: of_place(),
        };
        let ledger = Arc::new(Ledger::on_memory(guard, shared));
        let own: Arc<dyn Driver> = Arc::new(Guarded::with(place(), ledger));
        let mut router = Router::new().here(own.clone());
        for region in &plan.regions {
            router = router.region(region, Arc::new(RemoteAgent::new(hub.clone(), region.clone(), of_place())));
        }
        for (name, described) in descriptors(plan) {
            if !described.needs_agent {
                router = router.component(&name, None, own.clone());
                continue;
            }
            for region in &plan.regions {
                let agent = RemoteAgent::new(hub.clone(), region.clone(), described.clone());
                router = router.component(&name, Some(region), Arc::new(agent));
            }
        }
        let driver: Arc<dyn Driver> = match bug {
            Some(Bug::BlindRetry) => Arc::new(Doctored(router)),
            _ => Arc::new(router),
        };
        Self {
            plan: plan.clone(),
            clock: clock.clone(),
            disk: (*disk).clone(),
            driver,
            port_look: Arc::new(place()),
            hub,
            bug: *bug,
            life: *life,
            deposed: deposed.clone(),
        }
    }

    async fn open(&self) -> Result<Offstage, pilotlight_engine::storage::StorageError> {
        let shared: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let granters: Arc<dyn Clock> = match self.bug {
            Some(bug @ (Bug::EarlyLapse | Bug::NoWaitAtStart)) => {
                Arc::new(Hasty { clock: self.clock.clone(), began: self.clock.mono(), bug })
            }
            _ => shared.clone(),
        };
        let access = || Access { disk: self.disk.clone(), clock: self.clock.clone(), deposed: self.deposed.clone() };
        let engine = Engine::open(EngineParts {
            store: Arc::new(access()),
            journal: Arc::new(access()),
            driver: self.driver.clone(),
            clock: shared.clone(),
            granter: Arc::new(Granter::new(granters, self.plan.policy.lease)),
            name: format!("controller {}", self.life),
            lead: Lead::alone(),
        });
        let parts = ServerParts {
            engine: engine.await?,
            descriptors: descriptors(&self.plan),
            hub: self.hub.clone(),
            port_look: self.port_look.clone(),
            reports: None,
            recording: None,
            lead: Lead::alone(),
        };
        Ok(Offstage::new(self.plan.clone(), shared, parts, CancellationToken::new()))
    }
}

/// Planted bugs of the granter: a clock that runs away, or one that has run for long when it starts.
struct Hasty {
    clock: ProcessClock,
    began: Mono,
    bug: Bug,
}

#[async_trait]
impl Clock for Hasty {
    fn mono(&self) -> Mono {
        let now = self.clock.mono();
        match self.bug {
            Bug::EarlyLapse => now + now.since(self.began) * 2,
            // Read for the first time when the granter's first unit is made known to it.
            _ if now.since(self.began) < Duration::from_millis(20) => self.began,
            _ => now + Duration::from_secs(10),
        }
    }

    fn wall(&self) -> Wall {
        self.clock.wall()
    }

    async fn sleep(&self, d: Duration) {
        self.clock.sleep(d).await;
    }
}

/// A planted bug of whoever reads an answer.
struct Doctored(Router);

#[async_trait]
impl Driver for Doctored {
    fn describe(&self) -> Descriptor {
        self.0.describe()
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        self.0.observe(target).await
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        self.0.preflight(effect).await
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        let mut answer = self.0.apply(effect, context).await;
        if let Err(failure) = &mut answer
            && failure.kind == FailureKind::OutcomeUnknown
        {
            failure.kind = FailureKind::Transient;
        }
        answer
    }

    async fn watch(&self, target: &Target) {
        self.0.watch(target).await;
    }

    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        self.0.resume(handle, context).await
    }

    async fn compare(&self, target: &Target, first: &Position, second: &Position) -> Result<Order, Failure> {
        self.0.compare(target, first, second).await
    }
}
