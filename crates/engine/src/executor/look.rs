//! Looking: whether a condition holds, and what became of an effect whose outcome is unknown.

use super::Waits;
use super::attempt::Attempt;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::EffectKey;
use pilotlight_core::observation::{Condition, Holds};
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use pilotlight_core::run::Returned;
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::within;
use std::time::Duration;

/// A condition is usually met at once or within milliseconds, and users wait for it.
const LOOK_FIRST: Duration = Duration::from_millis(2);
/// What has not happened for a second will not be missed by a fifth of one.
const LOOK_MOST: Duration = Duration::from_millis(200);
/// Drivers answer a look within a second or two, or it is worth nothing.
const LOOK_TAKES: Duration = Duration::from_secs(3);

/// What a look at an unknown outcome found.
pub(super) enum Found {
    /// The post-condition holds.
    Holds,
    /// The same key gave this answer.
    Answer(Returned),
    /// Only a person can find out.
    Nothing(String),
    /// The run is being ended.
    Cut,
}

/// What came of one look.
enum Saw {
    /// It was answered.
    Told(Holds),
    /// It had all the time that a look is worth, and was not.
    Silence,
    /// The step's time was over before it could be.
    CutShort,
}

/// What is to be said when a condition was waited for in vain: why it did not hold, whatever became of the looks after.
#[derive(Default)]
struct Last {
    told: Option<String>,
    silent: bool,
}

impl Last {
    fn note(&mut self, saw: Saw) {
        match saw {
            Saw::Told(Holds::Yes) | Saw::CutShort => {}
            Saw::Told(Holds::No(why) | Holds::Unknown(why)) => (self.told, self.silent) = (Some(why), false),
            Saw::Silence => self.silent = true,
        }
    }

    fn words(&self) -> String {
        match (&self.told, self.silent) {
            (Some(told), false) => told.clone(),
            (Some(told), true) => format!("it did not answer any more; seen last: {told}"),
            (None, _) => "it did not answer".to_owned(),
        }
    }
}

impl Attempt {
    /// One look.
    async fn see(&self, condition: &Condition, until: Mono) -> Saw {
        let left = until.since(self.parts.clock.mono()).clamp(LOOK_FIRST, LOOK_TAKES);
        match within(&*self.parts.clock, left, self.parts.driver.observe(condition.target())).await {
            Some(Ok(state)) => Saw::Told(condition.holds(&state)),
            Some(Err(failure)) => Saw::Told(Holds::Unknown(failure.message)),
            None if left < LOOK_TAKES => Saw::CutShort,
            None => Saw::Silence,
        }
    }

    /// Whether it holds right now.
    pub(super) async fn see_once(&self, condition: &Condition, until: Mono) -> Option<String> {
        let holds = matches!(self.see(condition, until).await, Saw::Told(Holds::Yes));
        holds.then(|| format!("{condition:?}"))
    }

    /// Looks until it holds; the error says what was seen last. At least one look is taken.
    pub(super) async fn await_condition(&self, condition: &Condition, until: Mono) -> Result<(), String> {
        let found = self.look_until(condition, until).await;
        self.live.waits().remove(&self.step.id);
        found
    }

    async fn look_until(&self, condition: &Condition, until: Mono) -> Result<(), String> {
        let since = self.parts.clock.mono();
        let (mut pause, mut last) = (LOOK_FIRST, Last::default());
        loop {
            match self.see(condition, until).await {
                Saw::Told(Holds::Yes) => return Ok(()),
                other => last.note(other),
            }
            if self.parts.clock.mono() >= until || self.cancel.is_cancelled() {
                return Err(last.words());
            }
            self.live.waits().insert(self.step.id.clone(), Waits { since, saw: last.words() });
            self.pause(condition, pause).await;
            pause = (pause * 3 / 2).min(LOOK_MOST);
        }
    }

    pub(super) async fn await_before(&self, before: &Condition, until: Mono) -> Result<(), Failure> {
        let found = self.await_condition(before, until).await;
        found.map_err(|last| Failure::transient(format!("what must be seen before it was not seen: {last}")))
    }

    /// A while, or until the driver says that a look is worth it.
    async fn pause(&self, condition: &Condition, pause: Duration) {
        let clock = &self.parts.clock;
        tokio::select! {
            biased;
            () = clock.sleep(pause) => {}
            () = self.cancel.cancelled() => {}
            () = async {
                self.parts.driver.watch(condition.target()).await;
                clock.sleep(LOOK_FIRST).await;
            } => {}
        }
    }

    /// The outcome is unknown: the post-condition first; then, if it may be repeated, the same effect under the same key,
    /// which a guard answers without doing it again. Never under a new key.
    pub(super) async fn look(&self, effect: &Effect, attempt: u32) -> Found {
        let until = self.parts.clock.mono() + self.step.deadline_ms;
        // A position that was handed over cannot be seen afterwards, only asked for again.
        if let (Some(after), false) = (&self.step.after, self.hands_over) {
            match self.await_known(after, effect, until).await {
                Ok(true) => return Found::Holds,
                Ok(false) => {}
                Err(_) if self.cancel.is_cancelled() => return Found::Cut,
                Err(last) => return Found::Nothing(format!("its outcome could not be found out: {last}")),
            }
        }
        if !effect.is_idempotent() {
            return Found::Nothing("nobody knows whether it ran, and it may not run twice".to_owned());
        }
        let key = EffectKey::new(&self.run, &self.step.id, attempt);
        match self.send_until_known(effect, &key).await {
            Ok(result) => Found::Answer(self.with_position(effect, result).await),
            Err(_) if self.cancel.is_cancelled() => Found::Cut,
            Err(why) => Found::Nothing(why),
        }
    }

    /// Looks until the condition is seen to hold or, for what may be repeated, seen not to hold. What may not be repeated
    /// may still be under way, so a no is no answer before the deadline.
    async fn await_known(&self, after: &Condition, effect: &Effect, until: Mono) -> Result<bool, String> {
        let (mut pause, mut last) = (LOOK_FIRST, Last::default());
        loop {
            match self.see(after, until).await {
                Saw::Told(Holds::Yes) => return Ok(true),
                Saw::Told(Holds::No(_)) if effect.is_idempotent() => return Ok(false),
                other => last.note(other),
            }
            if self.parts.clock.mono() >= until || self.cancel.is_cancelled() {
                return Err(last.words());
            }
            self.pause(after, pause).await;
            pause = (pause * 3 / 2).min(LOOK_MOST);
        }
    }

    /// The same effect under the same key until the answer is more than a maybe; the error says what was heard last.
    pub(super) async fn send_until_known(&self, effect: &Effect, key: &EffectKey) -> Result<Returned, String> {
        let clock = &self.parts.clock;
        let until = clock.mono() + self.step.deadline_ms;
        let mut pause = LOOK_FIRST;
        loop {
            let last = match self.send(effect, key.clone(), until).await {
                // Each further sending may be one more that arrives.
                Err(f) if f.kind == FailureKind::OutcomeUnknown && self.step.may_stay_unknown() => return Ok(Err(f)),
                Err(f) if is_a_maybe(f.kind) => f.message,
                Ok(Outcome::Accepted { handle }) => return Ok(Ok(Outcome::Accepted { handle })),
                known => return Ok(known),
            };
            if clock.mono() >= until || self.cancel.is_cancelled() {
                return Err(format!("its outcome is not known: {last}"));
            }
            clock.sleep(pause).await;
            pause = (pause * 2).min(LOOK_MOST);
        }
    }
}

fn is_a_maybe(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::OutcomeUnknown | FailureKind::Transient | FailureKind::Unreachable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_waited_for_in_vain_is_told_with_its_last_reason() {
        let no = || Saw::Told(Holds::No("0 of 2 instances ready".into()));
        let table = [
            (vec![], "it did not answer"),
            (vec![Saw::CutShort], "it did not answer"),
            (vec![no(), Saw::CutShort], "0 of 2 instances ready"),
            (vec![no(), Saw::Silence], "it did not answer any more; seen last: 0 of 2 instances ready"),
            (vec![Saw::Silence, no(), Saw::CutShort], "0 of 2 instances ready"),
        ];
        for (looks, told) in table {
            let mut last = Last::default();
            looks.into_iter().for_each(|look| last.note(look));
            assert_eq!(last.words(), told);
        }
    }
}
