//! Scenes for the tests: a fake world in a known state, the runbook that is derived for it, and an engine that walks it.

use super::clock::TokioClock;
use super::witness::Witness;
use crate::engine::{Control, Engine, EngineParts};
use crate::granter::Granter;
use crate::journal::{Journal, MemoryJournal};
use crate::lead::Lead;
use crate::router::Router;
use crate::store::{MemoryStore, Store};
use pilotlight_core::derive::{Consent, Derivation, derive};
use pilotlight_core::effect::Descriptor;
use pilotlight_core::id::{Component, Region, RunId, Unit};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::placement::{Intent, Mode, Placement, Verb};
use pilotlight_core::plan::{FailbackPlan, Kind, Plan, SAMPLE, ShiftOrder};
use pilotlight_core::run::{Cause, RunView};
use pilotlight_core::runbook::Runbook;
use pilotlight_driver::Driver;
use pilotlight_driver::clock::Clock;
use pilotlight_driver::fake::{FakeDriver, World};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// What is to happen in a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    /// The region of the writer is lost: its lease is waited out.
    RegionLost,
    /// The writer died and its agent gave it up.
    WriterDead,
    /// A planned move.
    Switchover,
    /// A planned move of a database whose provider switches in one call.
    ProviderSwitch,
    /// The lost region is back.
    Rejoin,
    /// A failback by shares, the writer first.
    Home,
    /// The same, traffic first.
    HomeTrafficFirst,
}

/// Every scene, for loops.
pub(super) const SCENES: [Scene; 7] = [
    Scene::RegionLost,
    Scene::WriterDead,
    Scene::Switchover,
    Scene::ProviderSwitch,
    Scene::Rejoin,
    Scene::Home,
    Scene::HomeTrafficFirst,
];

const EAST: &str = "east";
const WEST: &str = "west";
const DATABASE: &str = "database";

/// The world of a scene with everything an engine needs, kept while engines come and go.
pub(super) struct Stage {
    pub(super) scene: Scene,
    pub(super) world: World,
    pub(super) driver: FakeDriver,
    pub(super) plan: Plan,
    pub(super) store: Arc<dyn Store>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) consent: Consent,
    witness: Witness,
    pub(super) clock: TokioClock,
}

/// An engine on a stage, with the agents' heartbeats; killed when dropped.
pub(super) struct Life {
    pub(super) engine: Engine,
    heartbeats: AbortHandle,
    clock: TokioClock,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.heartbeats.abort();
    }
}

impl Scene {
    /// The order of a failback by shares.
    pub(super) fn by_shares(self) -> Option<ShiftOrder> {
        match self {
            Scene::Home => Some(ShiftOrder::WriterFirst),
            Scene::HomeTrafficFirst => Some(ShiftOrder::TrafficFirst),
            _ => None,
        }
    }
}

impl Stage {
    pub(super) fn new(scene: Scene) -> Self {
        let world = World::new()
            .with_database(DATABASE, &[EAST, WEST])
            .with_process("payments", &[(EAST, 2), (WEST, 1)])
            .with_traffic("name", EAST);
        world.start_takes(Duration::from_millis(40));
        let mut driver = FakeDriver::everything(&world);
        if scene == Scene::ProviderSwitch {
            let descriptor = Descriptor { atomic_switch: true, needs_agent: false, ..driver.describe() };
            driver = FakeDriver::new(&world, descriptor);
        }
        for _ in 0..20 {
            world.write(DATABASE, EAST).unwrap();
        }
        let mut plan = Plan::read(SAMPLE, "sample.yaml").unwrap();
        if scene == Scene::ProviderSwitch {
            // Its payments and its name are moved by drivers that do not switch; one unit is enough for them.
            plan.components.retain(|name, _| name.as_str() != "warm-cache");
        }
        plan.failback = scene.by_shares().map(|order| FailbackPlan {
            order,
            shares: vec![50, 100],
            watch: Duration::from_secs(60),
            every: Duration::from_secs(1),
            max_errors: 1,
            approval: false,
            soak: Duration::from_secs(5),
            max_lag_bytes: 1_000_000,
        });
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
        let (store, consent, clock) = (Arc::new(MemoryStore::new()), Consent::Given, TokioClock::new());
        Self { scene, world, driver, plan, store, journal, consent, witness: Witness::default(), clock }
    }

    pub(super) fn unit(&self) -> Unit {
        self.plan.units().into_iter().next().unwrap().clone()
    }

    /// Lets happen what the scene is about.
    pub(super) fn break_it(&self) {
        match self.scene {
            Scene::RegionLost => self.world.lose(EAST),
            Scene::WriterDead => {
                self.world.kill(DATABASE, EAST);
                self.world.lapse(EAST);
                self.world.set_role(DATABASE, EAST, |_| pilotlight_core::observation::Role::Fenced {
                    assurance: pilotlight_core::effect::FenceAssurance::Proven,
                });
            }
            Scene::Rejoin => {
                self.world.set_role(DATABASE, WEST, |_| pilotlight_core::observation::Role::Down {
                    clean: false,
                    was_writer: true,
                });
            }
            Scene::Switchover | Scene::ProviderSwitch | Scene::Home | Scene::HomeTrafficFirst => {}
        }
    }

    /// The scene's runbook.
    pub(super) async fn runbook_when_broken(&self) -> Runbook {
        self.break_it();
        self.runbook().await
    }

    /// The runbook that is derived from what can be seen now.
    pub(super) async fn runbook(&self) -> Runbook {
        let router = self.router();
        let mut seen = BTreeMap::new();
        for (component, plan) in &self.plan.components {
            for region in plan.copies().into_iter().cloned().chain([EAST.into(), WEST.into()]) {
                let target = Target { component: component.clone(), region: Some(region) };
                if let Ok(state) = router.observe(&target).await {
                    seen.insert(target, state);
                }
            }
        }
        self.derive(&seen)
    }

    fn derive(&self, seen: &BTreeMap<Target, State>) -> Runbook {
        let (verb, mode, to) = match self.scene {
            Scene::RegionLost | Scene::WriterDead => (Verb::Failover, Mode::Ungraceful, WEST),
            Scene::Switchover | Scene::ProviderSwitch => (Verb::Switchover, Mode::Graceful, WEST),
            Scene::Rejoin => (Verb::Rejoin, Mode::Graceful, EAST),
            Scene::Home | Scene::HomeTrafficFirst => (Verb::Failback, Mode::Graceful, WEST),
        };
        let intent = Intent { unit: self.unit(), verb, mode, target: Placement::in_region(&to.into()) };
        let reachable: BTreeSet<Region> = match self.scene {
            Scene::RegionLost => [WEST.into()].into(),
            _ => [EAST.into(), WEST.into()].into(),
        };
        let descriptors = self.descriptors();
        let derived = derive(&Derivation {
            plan: &self.plan,
            descriptors: &descriptors,
            intent: &intent,
            writer: &EAST.into(),
            seen,
            reachable: &reachable,
            candidate: Some(&intent.target.writer),
            least_fence: self.plan.policy.least_fence,
            consent: self.consent,
            attested_by: None,
        });
        derived.unwrap_or_else(|refusal| panic!("{:?}: {refusal}", self.scene))
    }

    fn descriptors(&self) -> BTreeMap<Component, Descriptor> {
        let plain = FakeDriver::everything(&self.world).describe();
        let of = |name: &Component| match name.as_str() {
            DATABASE => self.driver.describe(),
            "payments" => plain.clone(),
            _ => Descriptor { needs_agent: false, ..plain.clone() },
        };
        self.plan.components.keys().map(|name| (name.clone(), of(name))).collect()
    }

    /// Every component in every region, as the controller has them.
    pub(super) fn router(&self) -> Router {
        let driver: Arc<dyn Driver> = Arc::new(self.driver.clone());
        let plain: Arc<dyn Driver> = Arc::new(FakeDriver::everything(&self.world));
        let mut router = Router::new().here(Arc::clone(&plain));
        for name in self.plan.components.keys() {
            let of_component = if name.as_str() == DATABASE { &driver } else { &plain };
            router = router.component(name, None, Arc::clone(of_component));
        }
        for region in &self.plan.regions {
            router = router.region(region, Arc::clone(&plain));
        }
        router
    }

    /// A controller starts on the stage: an engine, and agents that renew their leases while their region lives.
    pub(super) async fn life(&self) -> Life {
        self.life_on(Arc::clone(&self.journal), Arc::new(self.router())).await
    }

    pub(super) async fn life_on(&self, journal: Arc<dyn Journal>, driver: Arc<dyn Driver>) -> Life {
        self.life_led(journal, driver, Lead::alone()).await
    }

    /// One of several controllers, which leads.
    pub(super) async fn life_of(&self, lead: Lead) -> Life {
        self.life_led(Arc::clone(&self.journal), Arc::new(self.router()), lead).await
    }

    async fn life_led(&self, journal: Arc<dyn Journal>, driver: Arc<dyn Driver>, lead: Lead) -> Life {
        let clock = Arc::new(self.clock);
        let granter = Arc::new(Granter::new(clock.clone(), self.plan.policy.lease));
        let mut parts = EngineParts {
            store: Arc::clone(&self.store),
            journal,
            driver,
            clock,
            granter: Arc::clone(&granter),
            name: "controller".into(),
            lead,
        };
        parts.driver = Arc::new(self.witness.before(parts.driver, Arc::clone(&self.journal)));
        let engine = Engine::open(parts).await.unwrap();
        engine.enter(&self.unit(), &EAST.into()).await.unwrap();
        let (world, agents, ticks) = (self.world.clone(), self.driver.clone(), self.clock);
        let (lease, renew) = (self.plan.policy.lease, self.plan.policy.renew);
        let beats = tokio::spawn(async move {
            let mut held: BTreeMap<Region, tokio::time::Instant> = BTreeMap::new();
            loop {
                let sent = tokio::time::Instant::now();
                for region in [Region::from(EAST), Region::from(WEST)] {
                    let own = Target { component: DATABASE.into(), region: Some(region.clone()) };
                    if agents.observe(&own).await.is_err() {
                        continue;
                    }
                    let granted = granter.heartbeat(&region).iter().any(|u| u.lease_ms.is_some());
                    if granted {
                        held.insert(region, sent + lease);
                    } else if held.get(&region).is_some_and(|until| sent >= *until) {
                        held.remove(&region);
                        world.lapse(region.as_str());
                    }
                }
                ticks.sleep(renew).await;
            }
        });
        Life { engine, heartbeats: beats.abort_handle(), clock: self.clock }
    }

    /// Starts the scene's run in this life.
    pub(super) async fn start(&self, life: &Life) -> RunId {
        self.break_it();
        let runbook = self.runbook().await;
        life.engine.start(runbook, Cause { by: "ada".into(), ..Cause::default() }).await.unwrap()
    }

    /// The same scene where the user's command may not run twice.
    pub(super) fn with_opaque_command(scene: Scene) -> Self {
        let mut stage = Self::new(scene);
        for component in stage.plan.components.values_mut() {
            if let Kind::Exec(exec) = &mut component.kind {
                exec.command.idempotent = false;
            }
        }
        stage
    }

    /// No safety rule was broken, and the writer is where it may be.
    pub(super) fn check(&self, what: &str) {
        assert_eq!(self.witness.complaints(), [""; 0], "{:?}, {what}", self.scene);
        assert_eq!(self.world.violations(), [], "{:?}, {what}: {:#?}", self.scene, self.world.journal());
        assert!(self.world.writers(DATABASE).len() <= 1, "{:?}, {what}", self.scene);
        assert!(!self.world.shares("name").is_empty(), "{:?}, {what}: the name leads nowhere", self.scene);
    }

    /// The world is where the runbook leads.
    pub(super) fn check_target(&self, what: &str) {
        let to: Region = if self.scene == Scene::Rejoin { EAST.into() } else { WEST.into() };
        assert_eq!(self.world.writers(DATABASE).iter().collect::<Vec<_>>(), [&to], "{:?}, {what}", self.scene);
        if self.scene != Scene::Rejoin {
            assert_eq!(self.world.shares("name"), BTreeMap::from([(to, 100)]), "{:?}, {what}", self.scene);
        }
        if matches!(self.scene, Scene::Switchover | Scene::ProviderSwitch | Scene::Home | Scene::HomeTrafficFirst) {
            assert_eq!(self.world.missing(DATABASE, WEST), [], "{:?}, {what}: a planned move lost writes", self.scene);
        }
    }
}

impl Stage {
    /// What must be true of a run that is settled, however it was disturbed.
    pub(super) fn check_settled(&self, view: &RunView, what: &str) {
        use pilotlight_core::run::{Condition, RunResult};
        self.check(what);
        match &view.condition {
            Condition::Ended { result: RunResult::Done | RunResult::DoneWithWarnings } => self.check_target(what),
            Condition::Ended { result: RunResult::Undone } => {
                let home = [Region::from(EAST)];
                assert_eq!(self.world.writers(DATABASE), home, "{:?}, {what}: undone", self.scene);
            }
            Condition::Ended { .. } => {}
            Condition::Waiting { why } => {
                let named =
                    |w: &String| view.steps.iter().any(|s| w.contains(s.id.as_str())) || w.contains("paused by");
                assert!(!why.is_empty() && why.iter().all(named), "{:?}, {what}: {why:?}", self.scene);
            }
            other => panic!("{:?}, {what}: not settled: {other:?}", self.scene),
        }
    }
}

impl Life {
    /// Waits until the run ends or waits for a person; fails with what was seen last.
    pub(super) async fn settled(&self, run: &RunId) -> RunView {
        use pilotlight_core::run::Condition;
        let settled = |view: &RunView| matches!(view.condition, Condition::Ended { .. } | Condition::Waiting { .. });
        self.until(run, "ends or waits for a person", settled).await
    }

    /// Waits until the run looks like that; fails with what was seen last.
    pub(super) async fn until(&self, run: &RunId, what: &str, is: impl Fn(&RunView) -> bool) -> RunView {
        // Virtual time: longer than any step of any scene may take, a rejoin of six hours with a retry included.
        let until = tokio::time::Instant::now() + Duration::from_secs(50_000);
        let mut records = self.engine.subscribe();
        loop {
            let view = self.engine.view(run).await.unwrap().expect("the run was started");
            if is(&view) {
                return view;
            }
            assert!(tokio::time::Instant::now() < until, "the run never {what}; last seen: {view:#?}");
            let news = tokio::time::timeout(Duration::from_secs(5), records.recv());
            let _ = news.await;
        }
    }

    /// Like [`Life::settled`], with a person who has looked and passes over what is stuck, and resumes what failed.
    pub(super) async fn ended(&self, run: &RunId) -> RunView {
        use pilotlight_core::run::{Condition, StepStatus};
        for _ in 0..20 {
            let view = self.settled(run).await;
            if matches!(view.condition, Condition::Ended { .. }) {
                return view;
            }
            let stuck: Vec<_> = view.steps.iter().filter(|s| s.status == StepStatus::Stuck).collect();
            for step in &stuck {
                let skip = Control::Skip { step: step.id.clone(), why: "looked".into() };
                self.engine.control(run, skip, "ada").await.unwrap();
            }
            if stuck.is_empty() {
                self.engine.control(run, Control::Resume, "ada").await.unwrap();
            }
        }
        panic!("a person could not bring the run to its end: {:#?}", self.engine.view(run).await)
    }

    /// Waits until no run holds the unit.
    pub(super) async fn is_free(&self, unit: &Unit) {
        let until = tokio::time::Instant::now() + Duration::from_secs(50_000);
        while let Some(run) = self.engine.unit(unit).await.unwrap().expect("it was entered").run {
            assert!(tokio::time::Instant::now() < until, "the unit is still held by {run}");
            self.clock.sleep(Duration::from_millis(5)).await;
        }
    }

    /// The process dies: nothing it was doing goes on.
    pub(super) async fn kill(self) {
        self.engine.shutdown().await;
    }
}
