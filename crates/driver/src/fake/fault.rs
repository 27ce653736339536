//! What a scripted call does instead of behaving.

use super::World;
use pilotlight_core::effect::Effect;
use pilotlight_core::outcome::FailureKind;
use std::sync::Arc;
use std::time::Duration;

/// What a call does instead of behaving. Several may apply to one call; they act in the order they were scripted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Fails with this kind and changes nothing, also when the kind is `OutcomeUnknown`.
    Fail(FailureKind),
    /// Does it, then fails with `OutcomeUnknown`. The key is remembered: who asks again with it is told.
    LoseReply,
    /// Waits before it does it; gives up as transient, nothing changed, when that is longer than the deadline.
    Delay(Duration),
    /// Does it, then waits before it answers; `OutcomeUnknown` when that is longer than the deadline.
    DelayReply(Duration),
    /// Answers `Accepted`; as many resumes answer the same, then it is done.
    Accept {
        /// Resumes that find it unfinished.
        polls: u32,
    },
    /// Does it and answers `Accepted`; who asks after it is told that it was refused.
    AcceptAndRefuse,
    /// Never answers and does nothing.
    Hang,
    /// Does it and never answers.
    HangAfter,
}

type Matches = Arc<dyn Fn(&Effect) -> bool + Send + Sync>;

/// Misbehaviour waiting for its call.
#[derive(Default)]
pub(super) struct Script {
    by_call: Vec<(usize, Misbehaviour)>,
    by_effect: Vec<(Matches, u32, Misbehaviour)>,
}

impl Script {
    pub(super) fn on_call(&mut self, call: usize, what: Misbehaviour) {
        self.by_call.push((call, what));
    }

    pub(super) fn on_effect(&mut self, matches: Matches, times: u32, what: Misbehaviour) {
        self.by_effect.push((matches, times, what));
    }

    /// Takes what that call is to do.
    pub(super) fn take(&mut self, call: usize, effect: &Effect) -> Vec<Misbehaviour> {
        let mut taken: Vec<_> = Vec::new();
        self.by_call.retain(|(at, what)| {
            let due = *at == call;
            if due {
                taken.push(what.clone());
            }
            !due
        });
        for (matches, times, what) in &mut self.by_effect {
            if *times > 0 && matches(effect) {
                *times -= 1;
                taken.push(what.clone());
            }
        }
        self.by_effect.retain(|(_, times, _)| *times > 0);
        taken
    }
}

/// Misbehaviour of calls.
impl World {
    /// The `call`-th apply, counted from 0 since the world began, does this instead. See [`World::calls`].
    pub fn on_call(&self, call: usize, what: Misbehaviour) {
        self.model().script.on_call(call, what);
    }

    /// The next apply does this instead.
    pub fn on_next(&self, what: Misbehaviour) {
        let mut model = self.model();
        let next = model.calls;
        model.script.on_call(next, what);
    }

    /// The next `times` applies of an effect that matches do this instead.
    pub fn on_effect(&self, matches: impl Fn(&Effect) -> bool + Send + Sync + 'static, times: u32, what: Misbehaviour) {
        self.model().script.on_effect(Arc::new(matches), times, what);
    }
}
