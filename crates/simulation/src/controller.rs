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
use pilotlight_core::id::{EffectKey, RunId, StepId};
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
use pilotlight_engine::store::Store;
use pilotlight_engine::{Engine, EngineParts};
use pilotlight_server::hub::{Hub, RemoteAgent};
use pilotlight_server::{Assemble, Offstage, Orders, ServeError, ServerParts, Standing};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A controller's process and what the world says to it.
pub(crate) struct Controller {
    pub(crate) process: Process,
    pub(crate) front: Offstage,
}

/// What a controller is started with.
pub(crate) struct Start<'a> {
    pub(crate) plan: Arc<Plan>,
    pub(crate) place: Place,
    pub(crate) exchange: &'a Exchange,
    pub(crate) clock: ProcessClock,
    pub(crate) disk: &'a Disk,
    pub(crate) guard: &'a MemoryLog,
    pub(crate) cut: Arc<AtomicU32>,
    pub(crate) bug: Option<Bug>,
}

/// Starts a controller's process.
pub(crate) fn start(start: &Start<'_>) -> Controller {
    let process = Process::start();
    let parts = Arc::new(Parts::of(start));
    let shared: Arc<dyn Clock> = Arc::new(start.clock.clone());
    let front = Offstage::new(start.plan.clone(), shared, &parts.standing());
    let works = front.clone();
    process.spawn(async move {
        let shutdown = CancellationToken::new();
        let assemble = parts.clone().assemble();
        // As a supervisor would: it ended because its disk failed, and is started again.
        while works.run(parts.standing(), &assemble, &shutdown).await.is_err() {
            parts.clock.sleep(Duration::from_millis(200)).await;
        }
    });
    Controller { process, front }
}

struct Parts {
    plan: Arc<Plan>,
    place: Place,
    exchange: Exchange,
    clock: ProcessClock,
    disk: Disk,
    cut: Arc<AtomicU32>,
    /// Its own effects, past the guard of its own folder.
    own: Arc<dyn Driver>,
    bug: Option<Bug>,
}

impl Parts {
    fn of(start: &Start<'_>) -> Self {
        let Start { plan, place, exchange, clock, disk, guard, cut, bug } = start;
        let driver = place_driver(exchange, *place, clock);
        let ledger = Arc::new(Ledger::on_memory(guard, Arc::new(clock.clone())));
        Self {
            plan: plan.clone(),
            place: *place,
            exchange: (*exchange).clone(),
            clock: clock.clone(),
            disk: (*disk).clone(),
            cut: cut.clone(),
            own: Arc::new(Guarded::with(driver, ledger)),
            bug: *bug,
        }
    }

    fn access(&self) -> Arc<Access> {
        Arc::new(Access { disk: self.disk.clone(), clock: self.clock.clone(), cut: self.cut.clone() })
    }

    fn standing(&self) -> Standing {
        let several = self.plan.controller.store.is_shared();
        Standing {
            name: self.place.name().to_owned(),
            url: format!("http://{}", self.place.name()),
            store: several.then(|| self.access() as Arc<dyn Store>),
            lease: self.plan.leader_lease(),
            // Nobody makes such a file in a simulated world.
            hold: std::path::PathBuf::new(),
        }
    }

    fn assemble(self: Arc<Self>) -> Assemble {
        Box::new(move |lead| {
            let parts = self.clone();
            Box::pin(async move { parts.term(lead).await })
        })
    }

    fn router(&self, hub: &Arc<Hub>) -> Router {
        let mut router = Router::new().here(self.own.clone());
        for region in &self.plan.regions {
            router = router.region(region, Arc::new(RemoteAgent::new(hub.clone(), region.clone(), of_place())));
        }
        for (name, described) in descriptors(&self.plan) {
            if !described.needs_agent {
                router = router.component(&name, None, self.own.clone());
                continue;
            }
            for region in &self.plan.regions {
                let agent = RemoteAgent::new(hub.clone(), region.clone(), described.clone());
                router = router.component(&name, Some(region), Arc::new(agent));
            }
        }
        router
    }

    async fn term(&self, lead: Lead) -> Result<ServerParts, ServeError> {
        let (plan, policy) = (&self.plan, &self.plan.policy);
        let shared: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let life = format!("life{}-{}", self.clock.process, lead.term());
        let hub = Hub::of_life(life, shared.clone(), &plan.regions, policy.renew, policy.lease);
        let router = self.router(&hub);
        let driver: Arc<dyn Driver> = match self.bug {
            Some(bug @ (Bug::BlindRetry | Bug::LostIsDone)) => Arc::new(Doctored(router, bug)),
            _ => Arc::new(router),
        };
        let granters: Arc<dyn Clock> = match self.bug {
            Some(bug @ (Bug::EarlyLapse | Bug::NoWaitAtStart)) => {
                Arc::new(Hasty { clock: self.clock.clone(), began: self.clock.mono(), bug })
            }
            _ => shared.clone(),
        };
        let engine = Engine::open(EngineParts {
            store: self.access(),
            journal: self.access(),
            driver,
            clock: shared,
            granter: Arc::new(Granter::new(granters, policy.lease)),
            name: self.place.name().to_owned(),
            lead: lead.clone(),
        });
        Ok(ServerParts {
            engine: engine.await?,
            descriptors: descriptors(plan),
            hub,
            port_look: Arc::new(place_driver(&self.exchange, self.place, &self.clock)),
            reports: None,
            recording: None,
            orders: Orders::default(),
            lead,
        })
    }
}

fn place_driver(exchange: &Exchange, place: Place, clock: &ProcessClock) -> PlaceDriver {
    PlaceDriver { exchange: exchange.clone(), place, clock: clock.clone(), descriptor: of_place(), gate: None }
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

/// The key of an attempt that nobody has counted.
fn another(key: &EffectKey) -> EffectKey {
    let mut parts = key.as_str().splitn(3, '/');
    let (run, step) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    EffectKey::new(&RunId::from(run), &StepId::from(step), 50)
}

/// A planted bug of whoever reads an answer.
struct Doctored(Router, Bug);

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
        let answer = self.0.apply(effect, context).await;
        if let Err(failure) = &answer
            && failure.kind == FailureKind::OutcomeUnknown
        {
            if self.1 == Bug::LostIsDone {
                return Ok(Outcome::done());
            }
            return self.0.apply(effect, &Context { key: another(&context.key), ..context.clone() }).await;
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
