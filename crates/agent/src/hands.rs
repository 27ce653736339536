//! The only place of the agent that applies effects.
//!
//! Invariants:
//! - one effect at a time per copy; only a fence does not wait for its turn, a run's as little as a guard's: what is under way
//!   may be the agent's own restart of the server, which takes as long as its recovery. The driver ends it, and proves that;
//! - an effect that makes a writer needs a valid lease under an epoch at least as new as its own, and is cancelled when
//!   the lease ends under it. If it did its work all the same, `upkeep` sees a writer without a lease and fences it. The one
//!   exception is the agent's own restart of an unopposed writer ([`Hands::restart_unopposed`]);
//! - an effect that names another region is refused.

use crate::AgentParts;
use crate::lease::Leases;
use crate::picture::Picture;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::{EffectKey, Epoch, Region, RunId, StepId};
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::{Failure, Outcome};
use pilotlight_core::plan::Plan;
use pilotlight_driver::clock::{Clock, within};
use pilotlight_driver::guard::Ledger;
use pilotlight_driver::{Context, Driver};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

/// A driver ends by itself before its deadline; this much later it is not waited for any more.
const GRACE: Duration = Duration::from_millis(500);

/// A fence kills processes; on a machine that needs longer, something else is wrong.
const FENCE_DEADLINE: Duration = Duration::from_secs(10);

/// Pause before the lease is asked for again, when an answer did not bring it.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// See the module.
pub(crate) struct Hands {
    region: Region,
    plan: Arc<Plan>,
    driver: Arc<dyn Driver>,
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    picture: Arc<Picture>,
    leases: Arc<Leases>,
    turns: BTreeMap<Target, Arc<Mutex<()>>>,
    /// Names the effects of this process that no run asked for.
    own_run: RunId,
    own_effects: AtomicU32,
    /// The newest trouble with the fence of a copy, until it works.
    failed_fences: std::sync::Mutex<BTreeMap<Target, String>>,
    shutdown: CancellationToken,
}

/// The right to apply effects to one copy.
pub(crate) struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedMutexGuard<()>);

impl Hands {
    pub(crate) fn new(parts: &AgentParts, picture: Arc<Picture>, leases: Arc<Leases>) -> Self {
        Self {
            region: parts.region.clone(),
            plan: parts.plan.clone(),
            driver: parts.driver.clone(),
            ledger: parts.ledger.clone(),
            clock: parts.clock.clone(),
            turns: picture.targets().into_iter().map(|t| (t, Arc::default())).collect(),
            picture,
            leases,
            own_run: RunId::new(format!("local-{}", parts.instance)),
            own_effects: AtomicU32::new(0),
            failed_fences: Default::default(),
            shutdown: parts.shutdown.clone(),
        }
    }

    /// Carries out what a run asks for.
    pub(crate) async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        if let Some(other) = effect.region().filter(|r| **r != self.region) {
            return Err(Failure::rejected(format!("this is the agent of {}, not of {other}", self.region)));
        }
        let heard = self.picture.epoch(&context.unit);
        if context.epoch < heard {
            return Err(Failure::stale(&context.unit, context.epoch, heard));
        }
        self.picture.raise(&context.unit, context.epoch);
        let target = self.target_of(effect);
        let began = self.clock.mono();
        let waits = !matches!(effect, Effect::Fence { .. });
        let _turn = match target.as_ref().and_then(|t| self.turns.get(t)).filter(|_| waits) {
            None => None,
            Some(turn) => {
                Some(within(&*self.clock, context.deadline, turn.clone().lock_owned()).await.ok_or_else(|| {
                    Failure::transient("another effect on the same copy has not ended; this one did not begin")
                })?)
            }
        };
        let left = context.deadline.saturating_sub(self.clock.mono().since(began));
        let context = Context { deadline: left, ..context.clone() };
        self.perform(target.as_ref(), None, effect, &context).await
    }

    /// The turn on a copy, if no effect runs on it.
    pub(crate) fn try_turn(&self, target: &Target) -> Option<Turn> {
        self.turns.get(target)?.clone().try_lock_owned().ok().map(Turn)
    }

    /// Applies something the agent decided by itself, from a look of that generation. Nothing is done if something was
    /// done to the copy since: it may have been fenced, and what is fenced is not started by an agent's own decision.
    pub(crate) async fn own(
        &self,
        _turn: &Turn,
        target: &Target,
        decided_at: u64,
        effect: &Effect,
        deadline: Duration,
    ) -> Result<Outcome, Failure> {
        let context = self.own_context(target, effect, deadline);
        self.perform(Some(target), Some(decided_at), effect, &context).await
    }

    /// Starts a dead writer that nobody can replace, and that therefore needs no lease.
    pub(crate) async fn restart_unopposed(
        &self,
        _turn: &Turn,
        target: &Target,
        decided_at: u64,
        effect: &Effect,
        deadline: Duration,
    ) -> Result<Outcome, Failure> {
        let context = self.own_context(target, effect, deadline);
        let running = self.picture.begin(target, true);
        let unopposed = self.picture.view(&context.unit).is_some_and(|v| {
            v.writer.as_ref() == Some(&self.region) && v.candidate.is_none() && v.epoch >= context.epoch
        });
        if running.generation != decided_at + 1 || !unopposed {
            return Err(Failure::transient("the copy or its unit has changed meanwhile; nothing was done"));
        }
        self.drive(effect, &context).await
    }

    /// Writes a sentinel, or keeps the writer ready for a rescue: changes nothing that another effect could stumble over, so it takes no turn.
    pub(crate) async fn sentinel(
        &self,
        target: &Target,
        effect: &Effect,
        deadline: Duration,
    ) -> Result<Outcome, Failure> {
        let context = self.own_context(target, effect, deadline);
        within(&*self.clock, deadline, self.driver.apply(effect, &context))
            .await
            .unwrap_or_else(|| Err(Failure::unknown("the sentinel took too long")))
    }

    /// Fences without waiting for anybody. Returns whether the copy is silent for certain.
    pub(crate) async fn fence_at_once(&self, target: &Target, why: &str) -> bool {
        let component = &target.component;
        let effect = Effect::Fence { component: component.clone(), region: self.region.clone() };
        let context = self.own_context(target, &effect, FENCE_DEADLINE);
        let answer = self.perform(Some(target), None, &effect, &context).await;
        // Said afterwards: a log that nobody reads holds up whoever writes to it, and it is one log for all copies.
        match answer {
            Ok(_) => {
                self.failed_fences().remove(target);
                tracing::warn!(%component, "fenced: {why}");
                true
            }
            Err(e) => {
                if self.is_news(target, &e.message) {
                    tracing::error!(%component, "the fence ({why}) failed, trying again until it works: {e}");
                }
                false
            }
        }
    }

    /// A fence is tried many times a second; each trouble is logged once.
    fn is_news(&self, target: &Target, trouble: &str) -> bool {
        self.failed_fences().insert(target.clone(), trouble.to_owned()).is_none_or(|old| old != trouble)
    }

    fn failed_fences(&self) -> std::sync::MutexGuard<'_, BTreeMap<Target, String>> {
        self.failed_fences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn perform(
        &self,
        target: Option<&Target>,
        decided_at: Option<u64>,
        effect: &Effect,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let makes_writer = self.makes_writer(effect);
        if makes_writer {
            self.await_lease(context).await?;
        }
        let running = target.map(|t| self.picture.begin(t, makes_writer));
        let overtaken = decided_at.is_some_and(|at| running.as_ref().is_some_and(|r| r.generation != at + 1));
        // From here on the guard fences this copy when the lease ends; it may have ended a moment before.
        if overtaken || (makes_writer && !self.holds_lease(context)) {
            return Err(Failure::transient("the copy or its lease has changed meanwhile; nothing was done"));
        }
        if !makes_writer {
            return self.drive(effect, context).await;
        }
        let mut driven = pin!(self.drive(effect, context));
        let mut over = pin!(self.leases.over(&context.unit));
        // Looked at before each go, and by the clock: an agent that stood still finds its turn come and its lease over in the
        // same moment, and what sleeps until that end has not been woken yet.
        poll_fn(|cx| {
            let goes_on = !context.cancel.is_cancelled();
            if goes_on && (over.as_mut().poll(cx).is_ready() || !self.leases.is_valid(&context.unit)) {
                context.cancel.cancel();
            }
            driven.as_mut().poll(cx)
        })
        .await
    }

    /// What the driver answers; one that does not end in time leaves the outcome unknown.
    async fn drive(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        let longest = context.deadline + GRACE;
        let answer = within(&*self.clock, longest, self.driver.apply(effect, context)).await;
        answer.unwrap_or_else(|| Err(Failure::unknown(format!("no end within {longest:?}"))))
    }

    /// Returns once this region holds the lease under the effect's epoch; asks for it at once.
    async fn await_lease(&self, context: &Context) -> Result<(), Failure> {
        let granted = within(&*self.clock, context.deadline, async {
            while !self.holds_lease(context) {
                let heard = self.picture.heard.get();
                self.picture.beat.notify_one();
                self.picture.heard.passes(heard).await;
                if !self.holds_lease(context) {
                    self.clock.sleep(ASK_AGAIN).await;
                }
            }
        });
        granted.await.ok_or_else(|| {
            let unit = &context.unit;
            Failure::transient(format!("{} does not hold the lease of unit {unit}; nothing was done", self.region))
        })
    }

    fn holds_lease(&self, context: &Context) -> bool {
        let view = self.picture.view(&context.unit);
        let named = view.is_some_and(|v| v.writer.as_ref() == Some(&self.region) && v.epoch >= context.epoch);
        named && self.leases.is_valid(&context.unit)
    }

    fn makes_writer(&self, effect: &Effect) -> bool {
        match effect {
            Effect::Promote { .. } | Effect::ResumeWrites { .. } => true,
            Effect::Switch { to, .. } => *to == self.region,
            _ => false,
        }
    }

    fn target_of(&self, effect: &Effect) -> Option<Target> {
        let component = effect.component()?.clone();
        Some(Target { component, region: Some(self.region.clone()) })
    }

    /// The newest epoch of the target's unit that the guard here has seen.
    pub(crate) fn newest_epoch(&self, target: &Target) -> Option<Epoch> {
        let unit = &self.plan.components.get(&target.component)?.unit;
        Some(self.ledger.epoch(unit)).filter(|newest| *newest > Epoch::default())
    }

    fn own_context(&self, target: &Target, effect: &Effect, deadline: Duration) -> Context {
        let unit = self.plan.components.get(&target.component).map(|c| c.unit.clone());
        let unit = unit.expect("the picture only names components of the plan");
        let number = self.own_effects.fetch_add(1, Ordering::Relaxed);
        let step = StepId::new(format!("{}-{}", word(effect), target.component));
        Context {
            // The agent may have restarted and not have heard of the newest epoch yet; its guard remembers.
            epoch: self.picture.epoch(&unit).max(self.ledger.epoch(&unit)),
            key: EffectKey::new(&self.own_run, &step, number),
            unit,
            deadline,
            cancel: self.shutdown.child_token(),
        }
    }
}

/// The word of an agent's own effect in its key.
fn word(effect: &Effect) -> &'static str {
    match effect {
        Effect::Fence { .. } => "fence",
        Effect::ResumeWrites { .. } => "resume-writes",
        Effect::Rejoin { .. } => "rejoin",
        Effect::KeepRescue { .. } => "keep-rescue",
        Effect::SetCapacity { .. } => "set-capacity",
        Effect::WriteSentinel { .. } => "write-sentinel",
        Effect::WaitFor { .. } => "wait-for",
        _ => "effect",
    }
}

#[cfg(test)]
mod tests;
