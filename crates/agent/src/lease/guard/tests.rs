//! Several leases that end in the same moment, and a fence that does not come to its end.

use crate::heard::Heard;
use crate::{AgentParts, GuardRuns, Notes, Way, WayError, run};
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Guard as GuardOf};
use pilotlight_core::effect::{Descriptor, Effect, FenceAssurance, Pace};
use pilotlight_core::id::{Component, Epoch, Region, Unit};
use pilotlight_core::leader::Term;
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Outcome};
use pilotlight_core::plan::{Guarantee, Plan, SAMPLE};
use pilotlight_core::protocol::{Heartbeat, HeartbeatReply, TaskResult, UnitView, WorkReply, WorkRequest};
use pilotlight_core::time::Mono;
use pilotlight_core::verdict::PortAnswer;
use pilotlight_driver::clock::SystemClock;
use pilotlight_driver::guard::{Ledger, MemoryLog};
use pilotlight_driver::port::PortLook;
use pilotlight_driver::{Context, Driver};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Two of one unit, one of another.
const DATABASES: [&str; 3] = ["archive", "database", "orders"];

/// How a fence hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hangs {
    /// It waits for an answer that does not come.
    Waiting,
    /// It is in a call of the system that does not return, as to a disk that is gone.
    OnItsDisk,
}

/// Databases of which one cannot be fenced to the end. Nobody can look at them, so that only the guards fence.
struct Stuck {
    which: &'static str,
    how: Hangs,
    begun: Mutex<BTreeSet<Component>>,
    changed: Condvar,
    released: AtomicBool,
}

impl Stuck {
    /// Waits until a fence of each of these has begun; says which have not.
    fn missing(&self, mut wanted: BTreeSet<Component>) -> BTreeSet<Component> {
        let begun = self.begun.lock().unwrap();
        let all = |begun: &mut BTreeSet<Component>| !wanted.is_subset(begun);
        let (begun, _) = self.changed.wait_timeout_while(begun, Duration::from_secs(60), all).unwrap();
        wanted.retain(|c| !begun.contains(c));
        wanted
    }

    fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
        let _begun = self.begun.lock().unwrap();
        self.changed.notify_all();
    }
}

#[async_trait]
impl Driver for Stuck {
    fn describe(&self) -> Descriptor {
        descriptor()
    }

    async fn observe(&self, _: &Target) -> Result<State, Failure> {
        std::future::pending().await
    }

    async fn preflight(&self, _: &Effect) -> Result<Vec<pilotlight_core::outcome::Finding>, Failure> {
        Ok(Vec::new())
    }

    async fn watch(&self, _: &Target) {
        std::future::pending::<()>().await;
    }

    async fn apply(&self, effect: &Effect, _: &Context) -> Result<Outcome, Failure> {
        let Effect::Fence { component, .. } = effect else { return Err(Failure::unsupported("only fences")) };
        self.begun.lock().unwrap().insert(component.clone());
        self.changed.notify_all();
        if component.as_str() == self.which {
            match self.how {
                Hangs::Waiting => std::future::pending::<()>().await,
                Hangs::OnItsDisk => {
                    let begun = self.begun.lock().unwrap();
                    let stuck = |_: &mut BTreeSet<Component>| !self.released.load(Ordering::SeqCst);
                    drop(self.changed.wait_while(begun, stuck).unwrap());
                }
            }
        }
        Ok(Outcome::done_with("fenced"))
    }
}

/// Nobody can look at it either, and nothing is done to it.
pub(crate) struct StuckNowhere;

#[async_trait]
impl Driver for StuckNowhere {
    fn describe(&self) -> Descriptor {
        descriptor()
    }

    async fn observe(&self, _: &Target) -> Result<State, Failure> {
        std::future::pending().await
    }

    async fn preflight(&self, _: &Effect) -> Result<Vec<pilotlight_core::outcome::Finding>, Failure> {
        Ok(Vec::new())
    }

    async fn watch(&self, _: &Target) {
        std::future::pending::<()>().await;
    }

    async fn apply(&self, _: &Effect, _: &Context) -> Result<Outcome, Failure> {
        Err(Failure::unsupported("nothing can be done"))
    }
}

pub(crate) fn descriptor() -> Descriptor {
    Descriptor {
        capabilities: [Capability::Replicated, Capability::Fence].into(),
        guard: GuardOf::Enforced,
        fence_assurance: FenceAssurance::Proven,
        atomic_switch: false,
        told_to_follow: false,
        needs_agent: true,
        pace: Pace::Seconds,
    }
}

/// A controller that renews the leases of all units in one answer, once, and is cut off then.
#[derive(Default)]
struct CutOff {
    answered: AtomicBool,
}

fn silence() -> WayError {
    WayError::Unreachable { url: "http://controller".to_owned(), why: "cut off".to_owned() }
}

#[async_trait]
impl Way for CutOff {
    async fn heartbeat(&self, from: &Heartbeat, _: Duration) -> Result<HeartbeatReply, WayError> {
        if self.answered.swap(true, Ordering::SeqCst) {
            return Err(silence());
        }
        let view = |unit: &str| UnitView {
            unit: unit.into(),
            epoch: Epoch(1),
            writer: Some(from.region.clone()),
            lease_ms: Some(Duration::from_millis(100)),
            candidate: None,
            candidacy: 0,
            offered: Vec::new(),
        };
        Ok(HeartbeatReply { units: vec![view("ledger"), view("shop")] })
    }

    async fn work(&self, _: &WorkRequest, _: Duration) -> Result<WorkReply, WayError> {
        std::future::pending().await
    }

    async fn result(&self, _: &TaskResult, _: Duration) -> Result<(), WayError> {
        Err(silence())
    }

    fn term(&self) -> Term {
        Term::default()
    }

    fn has_heard(&self, _: Term) {}
}

struct NoNotes;

#[async_trait]
impl Notes for NoNotes {
    fn load(&self) -> BTreeMap<Unit, Mono> {
        BTreeMap::new()
    }

    async fn store(&self, _: BTreeMap<Unit, Mono>) -> std::io::Result<()> {
        Ok(())
    }

    fn heard(&self) -> Heard {
        Heard::default()
    }

    async fn hears(&self, _: Heard) -> std::io::Result<()> {
        Ok(())
    }
}

struct NoPorts;

#[async_trait]
impl PortLook for NoPorts {
    async fn look(&self, _: &Target) -> PortAnswer {
        PortAnswer::Unreachable
    }
}

/// Three databases in two units, whose writers nothing but a fence ends.
pub(crate) fn plan() -> Plan {
    let mut plan = Plan::read(SAMPLE, "sample.yaml").unwrap();
    plan.policy.guarantee = Guarantee::BestEffort;
    let database = plan.components[&Component::from("database")].clone();
    plan.components.clear();
    for (name, unit) in DATABASES.into_iter().zip(["ledger", "shop", "shop"]) {
        let mut component = database.clone();
        component.unit = unit.into();
        plan.components.insert(name.into(), component);
    }
    plan
}

pub(crate) fn parts(plan: &Plan, driver: Arc<dyn Driver>, shutdown: &CancellationToken) -> AgentParts {
    let clock = Arc::new(SystemClock);
    AgentParts {
        region: Region::from("east"),
        plan: Arc::new(plan.clone()),
        driver,
        ledger: Arc::new(Ledger::on_memory(&MemoryLog::default(), clock.clone())),
        descriptors: DATABASES.map(|name| (name.into(), descriptor())).into(),
        gates: BTreeMap::new(),
        clock,
        port_look: Arc::new(NoPorts),
        way: Arc::new(CutOff::default()),
        notes: Arc::new(NoNotes),
        instance: "one".to_owned(),
        place: String::new(),
        guard: GuardRuns::OnItsThread,
        shutdown: shutdown.clone(),
    }
}

#[test]
fn a_fence_that_hangs_holds_up_no_other() {
    let plan = plan();
    for how in [Hangs::Waiting, Hangs::OnItsDisk] {
        for which in DATABASES {
            let driver = Arc::new(Stuck {
                which,
                how,
                begun: Mutex::default(),
                changed: Condvar::new(),
                released: AtomicBool::new(false),
            });
            let shutdown = CancellationToken::new();
            let (parts, looks_on) = (parts(&plan, driver.clone(), &shutdown), driver.clone());
            let agent = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(run(parts)).unwrap();
            });
            let missing = looks_on.missing(DATABASES.map(Component::from).into());
            driver.release();
            shutdown.cancel();
            assert_eq!(missing, BTreeSet::new(), "not fenced while {which} hangs ({how:?})");
            if how == Hangs::OnItsDisk {
                agent.join().unwrap();
            }
        }
    }
}
