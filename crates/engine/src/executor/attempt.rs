//! One attempt of one step: the order of every effect, here and nowhere else.
//!
//! ```text
//! record intent -> mark observed state unknown -> apply -> record outcome -> observe until the post-condition holds
//! ```
//!
//! The executor has put the intent in the journal's queue when an attempt begins, and with that record the observed
//! state is unknown; [`Attempt::send`] waits until the record is durable before anything leaves.
//!
//! Whether an end is already there is the driver's to say (`Skipped`): it knows best, and its guard has to see the new
//! epoch in any case. Only an opaque command is left out by the engine itself when its post-condition already holds.

use super::shift::Shift;
use super::{Live, Parts, lease, look};
use pilotlight_core::effect::Effect;
use pilotlight_core::id::{EffectKey, Epoch, RunId, Unit};
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::{Failure, FailureKind, Outcome, Output};
use pilotlight_core::run::{Event, Returned};
use pilotlight_core::runbook::Step;
use pilotlight_core::time::{Mono, show_duration};
use pilotlight_driver::Context;
use pilotlight_driver::clock::within;
use pilotlight_driver::level::Level;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A driver gives up by itself at the deadline; its answer may be on the way for this long.
const ANSWER_ON_ITS_WAY: Duration = Duration::from_millis(500);
/// Accepted work takes minutes. Users wait for the half of a pause after each such step, and providers count questions: the
/// same target is asked once a second, as by the looks beside the run. Many at once are slowed down by their drivers.
const POLL_FIRST: Duration = Duration::from_millis(50);
const POLL_MOST: Duration = Duration::from_secs(1);

/// See [`super::Live::bars_the_way_back`].
const BARRED: &str = "the store may be an old copy, so nothing more is taken back";

/// Where an attempt begins: at its start, or wherever a crash, a lost reply or a person left it.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Start { attempt: u32, effect: Effect },
    Look { attempt: u32, effect: Effect },
    Reattach { attempt: u32, handle: String },
    Observe,
    Undo { attempt: u32, effect: Effect },
    LookUndo { attempt: u32, effect: Effect },
}

pub(super) struct Attempt {
    pub(super) parts: Arc<Parts>,
    pub(super) live: Arc<Live>,
    pub(super) run: RunId,
    pub(super) unit: Unit,
    pub(super) epoch: Epoch,
    pub(super) step: Step,
    /// A later step waits for the position this one hands over.
    pub(super) hands_over: bool,
    /// Number of the intent's record.
    pub(super) intent: u64,
    pub(super) cancel: CancellationToken,
    pub(super) say: mpsc::Sender<Event>,
    pub(super) durable: Arc<Level>,
}

impl Attempt {
    /// Makes the attempt from `entry` on, until only the state machine can say what is next.
    pub(super) async fn make(self, entry: Entry) {
        let until = self.parts.clock.mono() + self.step.deadline_ms;
        let mut next = Some(entry);
        while let Some(entry) = next.take() {
            let (attempt, result) = match entry {
                Entry::Start { attempt, effect } => (attempt, self.start(&effect, attempt, until).await),
                Entry::Look { attempt, effect } => match self.look(&effect, attempt).await {
                    look::Found::Holds => return self.say(Event::StepHolds { step: self.step.id.clone() }).await,
                    look::Found::Answer(result) => (attempt, result),
                    look::Found::Nothing(why) if self.step.may_stay_unknown() => return self.failed(why).await,
                    look::Found::Nothing(why) => return self.stuck(why).await,
                    look::Found::Cut => return self.failed("the run was ended before it was known".to_owned()).await,
                },
                Entry::Reattach { attempt, handle } => match self.poll(&handle, attempt).await {
                    Some(result) => (attempt, result),
                    None if self.step.may_be_given_up() => (attempt, Err(Failure::rejected(self.not_finished()))),
                    None => return self.stuck(self.not_finished()).await,
                },
                Entry::Observe => return self.observe(until).await,
                Entry::Undo { attempt, effect } => return self.undo(&effect, attempt, until).await,
                Entry::LookUndo { attempt, effect } => return self.look_undo(&effect, attempt).await,
            };
            next = self.after(attempt, &result);
            self.say(Event::StepReturned { step: self.step.id.clone(), attempt, result }).await;
        }
    }

    /// What follows from an outcome that is being recorded. Nothing, when it needs a decision of the state machine.
    fn after(&self, attempt: u32, result: &Returned) -> Option<Entry> {
        match result {
            Ok(Outcome::Accepted { handle }) => Some(Entry::Reattach { attempt, handle: handle.clone() }),
            Ok(_) if self.step.after.is_some() => Some(Entry::Observe),
            Ok(_) | Err(_) => None,
        }
    }

    async fn start(&self, effect: &Effect, attempt: u32, until: Mono) -> Returned {
        if let (Effect::Command { .. }, Some(after)) = (effect, &self.step.after)
            && let Some(seen) = self.see_once(after, until).await
        {
            return Ok(Outcome::Skipped { why: format!("it is so already: {seen}") });
        }
        if let Some(before) = &self.step.before {
            self.await_before(before, until).await?;
        }
        let result = self.send(effect, EffectKey::new(&self.run, &self.step.id, attempt), until).await;
        self.with_position(effect, result).await
    }

    /// Sends the effect once its intent is durable.
    pub(super) async fn send(&self, effect: &Effect, key: EffectKey, until: Mono) -> Returned {
        // Ends with the executor, which drops its attempts when it lets go of the run.
        self.durable.reaches(self.intent).await;
        let deadline = until.since(self.parts.clock.mono()).max(Duration::from_millis(1));
        let context =
            Context { unit: self.unit.clone(), epoch: self.epoch, key, deadline, cancel: self.cancel.clone() };
        let doing = async {
            match effect {
                Effect::AwaitLapse { unit, region, attested_by } => {
                    let lapsed = lease::await_lapse(&self.parts, &self.run, unit, &context).await;
                    lease::attest(lapsed, region, attested_by.as_deref())
                }
                Effect::Grant { unit, region } => lease::grant(&self.parts, &self.run, unit, region, &context).await,
                Effect::Shift { roads, shares, former, watch } => {
                    self.shift(&Shift { roads, shares, former, watch: watch.as_ref() }, &context).await
                }
                Effect::Soak { component, region, for_ms, most_bytes } => {
                    let target = Target { component: component.clone(), region: Some(region.clone()) };
                    self.soak(target, *for_ms, *most_bytes, &context).await
                }
                _ => self.parts.driver.apply(effect, &context).await,
            }
        };
        let result = within(&*self.parts.clock, deadline + ANSWER_ON_ITS_WAY, doing).await;
        result.unwrap_or_else(|| Err(Failure::unknown(format!("no answer came within {deadline:?}"))))
    }

    /// A driver that found its end already there hands over nothing; where a later step waits for a position, the copy
    /// itself says where it stands: it acknowledges nothing any more, so that is where it will stay.
    pub(super) async fn with_position(&self, effect: &Effect, result: Returned) -> Returned {
        let (true, Ok(Outcome::Skipped { why })) = (self.hands_over, &result) else { return result };
        let (Some(component), region) = (effect.component(), effect.region()) else { return result };
        let target = Target { component: component.clone(), region: region.cloned() };
        let seen = self.parts.driver.observe(&target).await?;
        match seen.position {
            Some(position) => {
                let output = Output { position: Some(position), text: why.clone(), ..Output::default() };
                Ok(Outcome::Done { output })
            }
            None => Err(Failure::transient(format!("{component} does not say where it stands"))),
        }
    }

    /// Asks after accepted work until it is over; `None` when the step's time is.
    async fn poll(&self, handle: &str, attempt: u32) -> Option<Returned> {
        let clock = &self.parts.clock;
        let until = clock.mono() + self.step.deadline_ms;
        let key = EffectKey::new(&self.run, &self.step.id, attempt);
        self.poll_until(handle, &key, until).await
    }

    pub(super) async fn poll_until(&self, handle: &str, key: &EffectKey, until: Mono) -> Option<Returned> {
        let clock = &self.parts.clock;
        let mut pause = POLL_FIRST;
        loop {
            let deadline = until.since(clock.mono());
            if deadline.is_zero() {
                return None;
            }
            let (unit, key, cancel) = (self.unit.clone(), key.clone(), self.cancel.clone());
            let context = Context { unit, epoch: self.epoch, key, deadline, cancel };
            match within(&**clock, deadline, self.parts.driver.resume(handle, &context)).await? {
                Ok(Outcome::Accepted { .. }) => {}
                // The question failed, not the work.
                Err(f) if matches!(f.kind, FailureKind::Transient | FailureKind::Unreachable) => {}
                over => return Some(over),
            }
            clock.sleep(pause.min(deadline)).await;
            pause = (pause * 2).min(POLL_MOST);
        }
    }

    async fn observe(&self, until: Mono) {
        let Some(after) = &self.step.after else { return };
        let settled = self.step.settle_ms.map(|longest| self.parts.clock.mono() + longest);
        let until = settled.map_or(until, |settled| settled.min(until));
        match self.await_condition(after, until).await {
            Ok(()) => self.say(Event::StepHolds { step: self.step.id.clone() }).await,
            Err(last) => self.failed(format!("it was done, but its end was not seen: {last}")).await,
        }
    }

    async fn undo(&self, effect: &Effect, attempt: u32, until: Mono) {
        let key = EffectKey::undo(&self.run, &self.step.id, attempt);
        // The engine's own effects ask nobody on their way.
        let result = match self.cancel.is_cancelled() {
            true => Err(Failure::transient(BARRED)),
            false => self.send(effect, key.clone(), until).await,
        };
        self.undo_returned(result, &key, attempt).await;
    }

    /// The same undo under the same key again, as long as it may be repeated.
    async fn look_undo(&self, effect: &Effect, attempt: u32) {
        if !effect.is_idempotent() {
            return self.stuck("nobody knows whether it was taken back".to_owned()).await;
        }
        if self.cancel.is_cancelled() {
            return self.stuck(BARRED.to_owned()).await;
        }
        let key = EffectKey::undo(&self.run, &self.step.id, attempt);
        match self.send_until_known(effect, &key).await {
            Ok(result) => self.undo_returned(result, &key, attempt).await,
            Err(why) => self.stuck(why).await,
        }
    }

    /// Undos are short, so accepted ones are not recorded: after a crash the same key is answered with the same handle.
    async fn undo_returned(&self, result: Returned, key: &EffectKey, attempt: u32) {
        let result = match result {
            Ok(Outcome::Accepted { handle }) => {
                let until = self.parts.clock.mono() + self.step.deadline_ms;
                match self.poll_until(&handle, key, until).await {
                    Some(result) => result,
                    None => return self.stuck("taking it back is not finished".to_owned()).await,
                }
            }
            known => known,
        };
        self.say(Event::UndoReturned { step: self.step.id.clone(), attempt, result }).await;
    }

    fn not_finished(&self) -> String {
        format!("it is not finished after {}", show_duration(self.step.deadline_ms))
    }

    async fn stuck(&self, why: String) {
        self.say(Event::Stuck { step: self.step.id.clone(), why }).await;
    }

    async fn failed(&self, why: String) {
        self.say(Event::StepFailed { step: self.step.id.clone(), why }).await;
    }

    async fn say(&self, event: Event) {
        // The executor is gone only when the run is let go of; then nobody needs to hear it.
        let _ = self.say.send(event).await;
    }
}
