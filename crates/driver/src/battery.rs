//! The batteries: what every driver of a capability must keep to, as code that any implementation can be run through.
//!
//! A battery is given a bench, which makes fresh targets, breaks them and looks at them past the driver; it never stops
//! at the first broken law but [reports](Report) all of them by name. The same batteries run on the fake and on the real
//! thing, so a test that passes on the fake says something.
//!
//! Laws of every capability, checked wherever an effect is applied:
//! - `same-key-same-answer`: a key that was answered is answered the same;
//! - `old-epoch-is-refused`: an older epoch is rejected and nothing changes;
//! - `unsupported-is-said`: what the descriptor does not name is answered `Unsupported`;
//! - `looking-changes-nothing`, `preflight-changes-nothing`.

mod capacity;
mod command;
mod confirmed;
mod fence;
mod message;
mod probe;
mod replicated;
mod rescue;
mod sentinel;
mod traffic;

pub use capacity::{CapacityBench, capacity};
pub use command::{CommandBench, command};
pub use confirmed::confirmed;
pub use fence::fence;
pub use message::{MessageBench, message};
pub use probe::{ProbeBench, probe};
pub use replicated::{DataBench, Pair, replicated};
pub use rescue::{RescueBench, rescue};
pub use sentinel::sentinel;
pub use traffic::{TrafficBench, traffic};

use crate::{Context, Driver};
use pilotlight_core::effect::{Capability, CommandLine, Effect, Guard, HttpMethod, Probe};
use pilotlight_core::id::{EffectKey, Epoch, Region, RunId, Unit};
use pilotlight_core::observation::{Sentinel, State, Target};
use pilotlight_core::outcome::{Failure, FailureKind, Outcome, Output};
use pilotlight_core::time::Wall;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a battery needs whatever it tests.
pub trait Bench: Send + Sync {
    /// What is tested, guard included: it is the guarded driver that keeps the laws.
    fn driver(&self) -> &dyn Driver;

    /// Time for any one effect and for any state to be reached.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// A law that does not hold, and what was seen instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its name.
    pub law: &'static str,
    /// What was seen.
    pub seen: String,
}

/// What a battery found.
#[derive(Debug, Default)]
pub struct Report {
    /// Laws that held each time they were tried.
    pub kept: Vec<&'static str>,
    /// Every time a law did not hold.
    pub broken: Vec<Broken>,
}

impl Report {
    /// For the end of a test.
    ///
    /// # Panics
    /// When a law was broken, naming all that were.
    pub fn assert_kept(&self) {
        assert!(self.broken.is_empty(), "{self}");
        assert!(!self.kept.is_empty(), "the battery tried no law");
    }

    /// Whether this law was broken.
    pub fn broke(&self, law: &str) -> bool {
        self.broken.iter().any(|b| b.law == law)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} laws kept, broken {} times:", self.kept.len(), self.broken.len())?;
        self.broken.iter().try_for_each(|Broken { law, seen }| writeln!(f, "  {law}: {seen}"))
    }
}

/// A battery at work.
struct Laws<'a> {
    driver: &'a dyn Driver,
    patience: Duration,
    run: RunId,
    epoch: Epoch,
    applied: u32,
    report: Report,
}

impl<'a> Laws<'a> {
    fn new(bench: &'a (impl Bench + ?Sized), capability: Capability) -> Self {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let driver = bench.driver();
        let mut laws = Self {
            driver,
            patience: bench.patience(),
            run: RunId::new(format!("battery-{}-{run}", std::process::id())),
            // Later runs in one process have later epochs: a bench may keep its guard.
            epoch: Epoch(10 * (run + 1)),
            applied: 0,
            report: Report::default(),
        };
        let can = driver.describe().can(capability);
        laws.hold("capability-is-described", can, || format!("the descriptor does not name {capability:?}"));
        laws
    }

    fn hold(&mut self, law: &'static str, held: bool, seen: impl FnOnce() -> String) -> bool {
        if !held {
            self.report.kept.retain(|l| *l != law);
            self.report.broken.push(Broken { law, seen: seen() });
        } else if !self.report.kept.contains(&law) && !self.report.broke(law) {
            self.report.kept.push(law);
        }
        held
    }

    /// A context with a key of its own.
    fn context(&mut self) -> Context {
        self.applied += 1;
        Context {
            unit: Unit::from("battery"),
            epoch: self.epoch,
            key: EffectKey::new(&self.run, &format!("step-{}", self.applied).as_str().into(), 1),
            deadline: self.patience,
            cancel: CancellationToken::new(),
        }
    }

    fn is_guarded(&self) -> bool {
        self.driver.describe().guard == Guard::Enforced
    }

    /// Applies under a new key, follows long work to its end, and asks again under the same key.
    async fn apply(&mut self, effect: &Effect) -> Result<Outcome, Failure> {
        let context = self.context();
        let answer = self.driver.apply(effect, &context).await;
        if self.is_guarded() && !matches!(&answer, Err(f) if f.kind != FailureKind::Rejected) {
            let again = self.driver.apply(effect, &context).await;
            self.hold("same-key-same-answer", answer == again, || {
                format!("{effect:?} was answered {answer:?}, then {again:?}")
            });
        }
        let Ok(Outcome::Accepted { mut handle }) = answer else { return answer };
        let until = Instant::now() + self.patience;
        while Instant::now() < until {
            match self.driver.resume(&handle, &context).await {
                Ok(Outcome::Accepted { handle: next }) => handle = next,
                end => return end,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(Failure::unknown(format!("{effect:?} did not end within {:?}", self.patience)))
    }

    /// The effect is done; gives what it hands on.
    async fn done(&mut self, law: &'static str, effect: &Effect) -> Option<Output> {
        let answer = self.apply(effect).await;
        let output = answer.as_ref().ok().and_then(Outcome::output).cloned();
        self.hold(law, output.is_some(), || format!("{effect:?} was answered {answer:?}"));
        output
    }

    /// The effect is there already.
    async fn skipped(&mut self, law: &'static str, effect: &Effect) {
        let answer = self.apply(effect).await;
        self.hold(law, matches!(answer, Ok(Outcome::Skipped { .. })), || format!("{effect:?} was answered {answer:?}"));
    }

    /// The effect fails in one of these ways.
    async fn fails(&mut self, law: &'static str, effect: &Effect, kinds: &[FailureKind]) -> Option<Failure> {
        let answer = self.apply(effect).await;
        let failed = matches!(&answer, Err(f) if kinds.contains(&f.kind));
        self.hold(law, failed, || format!("{effect:?} was answered {answer:?}, expected a failure of {kinds:?}"));
        answer.err()
    }

    /// An effect that would change the target is refused under an older epoch, and nothing changes.
    async fn refuses_old_epoch(&mut self, effect: &Effect, target: &Target) {
        if !self.is_guarded() {
            return;
        }
        let before = self.look(target).await.map(|s| substance(&s));
        let context = Context { epoch: Epoch(self.epoch.0 - 1), ..self.context() };
        let answer = self.driver.apply(effect, &context).await;
        let refused = matches!(&answer, Err(f) if f.kind == FailureKind::Rejected);
        self.hold("old-epoch-is-refused", refused, || format!("{effect:?} was answered {answer:?}"));
        let after = self.look(target).await.map(|s| substance(&s));
        self.hold("old-epoch-is-refused", before == after, || format!("{before:?} became {after:?}"));
    }

    /// Looks twice and asks for a preflight between.
    async fn looks(&mut self, target: &Target, effect: &Effect) -> Option<State> {
        let first = self.look(target).await;
        let second = self.look(target).await;
        let same = first.as_ref().map(substance) == second.as_ref().map(substance);
        self.hold("looking-changes-nothing", same, || format!("{first:?} became {second:?}"));
        let preflight = self.driver.preflight(effect).await;
        self.hold("preflight-answers", preflight.is_ok(), || format!("for {effect:?}: {preflight:?}"));
        let third = self.look(target).await;
        let same = second.as_ref().map(substance) == third.as_ref().map(substance);
        self.hold("preflight-changes-nothing", same, || format!("{second:?} became {third:?}"));
        third
    }

    async fn look(&mut self, target: &Target) -> Option<State> {
        let seen = self.driver.observe(target).await;
        self.hold("looking-works", seen.is_ok(), || format!("{target:?}: {seen:?}"));
        seen.ok()
    }

    /// Waits until the target is seen like that.
    async fn reaches(&mut self, law: &'static str, target: &Target, is: impl Fn(&State) -> bool) -> Option<State> {
        let until = Instant::now() + self.patience;
        let mut last = self.driver.observe(target).await;
        while !last.as_ref().is_ok_and(&is) && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
            last = self.driver.observe(target).await;
        }
        let reached = last.as_ref().is_ok_and(&is);
        let patience = self.patience;
        self.hold(law, reached, || format!("{target:?} is still {last:?} after {patience:?}"));
        last.ok()
    }

    /// Every capability the descriptor does not name.
    async fn refuses_the_unsupported(&mut self, region: &Region) {
        let descriptor = self.driver.describe();
        for effect in one_of_each(region) {
            if effect.capability().is_some_and(|c| descriptor.can(c)) {
                continue;
            }
            let context = self.context();
            let answer = self.driver.apply(&effect, &context).await;
            let said = matches!(&answer, Err(f) if f.kind == FailureKind::Unsupported);
            self.hold("unsupported-is-said", said, || format!("{effect:?} was answered {answer:?}"));
        }
    }
}

/// What does not change by itself: not lag, positions and facts.
fn substance(state: &State) -> State {
    State {
        role: state.role.clone(),
        shares: state.shares.clone(),
        capacity: state.capacity.map(|c| pilotlight_core::observation::Capacity { ready: 0, ..c }),
        ..State::default()
    }
}

/// An effect per capability, and those the engine does itself.
fn one_of_each(region: &Region) -> Vec<Effect> {
    let (component, region) = (|| "battery".into(), || region.clone());
    let command = CommandLine { argv: vec!["true".to_owned()], env: BTreeMap::new(), idempotent: true };
    let probe = Probe::Http {
        url: "http://127.0.0.1:9/".to_owned(),
        method: HttpMethod::Get,
        status: None,
        body_contains: None,
        timeout_ms: Duration::from_millis(100),
    };
    vec![
        Effect::AwaitLapse { unit: "battery".into(), region: region(), attested_by: None },
        Effect::Grant { unit: "battery".into(), region: region() },
        Effect::Fence { component: component(), region: region() },
        Effect::Promote { component: component(), region: region() },
        Effect::WriteSentinel {
            component: component(),
            region: region(),
            sentinel: Sentinel { number: 1, written: Wall(0) },
        },
        Effect::KeepRescue { component: component(), region: region() },
        Effect::SetCapacity { component: component(), region: region(), instances: 1 },
        Effect::Route { component: component(), shares: BTreeMap::from([(region(), 100)]) },
        Effect::Command { region: Some(region()), command },
        Effect::Verify { region: Some(region()), probe },
        Effect::Notify { component: component(), message: "battery".to_owned() },
    ]
}

#[cfg(test)]
mod tests;
