//! What the engine does itself around drivers: letting a copy soak, and leading traffic by a share that is watched.
//!
//! Invariant: a shift that fails has led traffic back to where it was before, and was seen to; whatever is less certain is an
//! unknown outcome, and the same shift is asked for again under the same keys.

use super::attempt::Attempt;
use pilotlight_core::effect::{Effect, Watch};
use pilotlight_core::id::{Component, EffectKey, Region};
use pilotlight_core::observation::{Condition, Target};
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use pilotlight_core::placement::Placement;
use pilotlight_core::run::Returned;
use pilotlight_core::time::{Mono, show_duration};
use pilotlight_driver::Context;
use pilotlight_driver::clock::within;
use std::collections::BTreeMap;
use std::time::Duration;

/// Lag is looked at so often while a copy soaks: it changes from second to second.
const SOAK_LOOK: Duration = Duration::from_millis(500);

/// A look that takes longer saw nothing.
const SOAK_LONGEST: Duration = Duration::from_secs(5);

/// Going back is worth this much of a step's time, whatever else it took; where more is left, all of that: providers take
/// minutes to lead users anywhere.
const GOING_BACK: Duration = Duration::from_secs(15);

/// Between two tries to go back: users meet bad answers meanwhile.
const BACK_AGAIN: Duration = Duration::from_millis(200);

/// Why a share is not led to.
enum Missed {
    /// A road does not take the order, or nobody knows whether it did.
    Failed(Failure),
    /// The road took it, and does not show it.
    Unseen { road: Component, last: String },
}

impl From<Missed> for Failure {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Failed(failure) => failure,
            Missed::Unseen { road, last } => Failure::unknown(format!("{road} does not show its shares: {last}")),
        }
    }
}

/// A share with where it was before.
pub(super) struct Shift<'a> {
    pub(super) roads: &'a [Component],
    pub(super) shares: &'a BTreeMap<Region, u32>,
    pub(super) former: &'a BTreeMap<Region, u32>,
    pub(super) watch: Option<&'a Watch>,
}

impl Attempt {
    /// Waits until the copy has kept up for so long without a break.
    pub(super) async fn soak(&self, target: Target, long: Duration, most_bytes: u64, context: &Context) -> Returned {
        let clock = &self.parts.clock;
        let until = clock.mono() + context.deadline;
        let mut since: Option<Mono> = None;
        let mut last = "it was not seen yet".to_owned();
        loop {
            let seen = match within(&**clock, SOAK_LONGEST, self.parts.driver.observe(&target)).await {
                Some(seen) => seen.map_err(|f| f.message),
                None => Err("the look did not come back".to_owned()),
            };
            let now = clock.mono();
            match seen.and_then(|state| state.keeps_up(most_bytes)) {
                Ok(()) => {
                    let began = *since.get_or_insert(now);
                    if now.since(began) >= long {
                        let kept = show_duration(now.since(began));
                        return Ok(Outcome::done_with(format!("kept up for {kept}, within {most_bytes} bytes")));
                    }
                }
                Err(why) => (since, last) = (None, why),
            }
            if now >= until {
                let hint = "look at its lag in `pilotlight status`; once it keeps up, or `failback.max_lag` and `failback.soak` ask \
                    for less, ask for the move again";
                return Err(
                    Failure::rejected(format!("it did not keep up for {}: {last}", show_duration(long))).hint(hint)
                );
            }
            tokio::select! {
                biased;
                () = clock.sleep(SOAK_LOOK.min(long)) => {}
                () = context.cancel.cancelled() => return Err(Failure::transient("the run was ended before")),
            }
        }
    }

    /// Leads traffic there, watches, and leads it back when too much fails.
    pub(super) async fn shift(&self, shift: &Shift<'_>, context: &Context) -> Returned {
        let until = self.parts.clock.mono() + context.deadline;
        // So that there is time to go back.
        let led_until = self.parts.clock.mono() + context.deadline.saturating_sub(GOING_BACK);
        if let Err(missed) = self.lead(shift.roads, shift.shares, "to", context, led_until).await {
            let is_back = match &missed {
                // It was led back by an attempt that did not live to say so: its order there is answered, not done again. Only
                // what is watched is led back; what takes a share back is not.
                Missed::Unseen { road, .. } if shift.watch.is_some() && !context.cancel.is_cancelled() => {
                    self.shows(road, shift.former).await
                }
                Missed::Unseen { .. } | Missed::Failed(_) => false,
            };
            let failure = Failure::from(missed);
            return match failure.kind {
                _ if is_back => self.go_back(shift, &failure.message, context, until).await,
                // Some of the roads may lead there already.
                FailureKind::Rejected | FailureKind::Unsupported if shift.roads.len() > 1 => {
                    self.go_back(shift, &failure.message, context, until).await
                }
                _ => Err(failure),
            };
        }
        let Some(watch) = shift.watch else { return Ok(Outcome::done()) };
        let effect = Effect::Watch { watch: watch.clone() };
        match self.part(&effect, context, "watch", until).await {
            Ok(outcome) => Ok(outcome),
            Err(failure) => match failure.kind {
                FailureKind::Rejected | FailureKind::Unsupported => {
                    self.go_back(shift, &failure.message, context, until).await
                }
                _ if context.cancel.is_cancelled() => self.go_back(shift, &failure.message, context, until).await,
                // Nobody knows how the share is served, and traffic is there: asked again under the same keys.
                _ => Err(Failure::unknown(failure.message)),
            },
        }
    }

    /// Tried again under the same keys while there is time, unless the run is being ended: then its undo does it.
    async fn go_back(&self, shift: &Shift<'_>, why: &str, context: &Context, until: Mono) -> Returned {
        let (clock, cancelled) = (&self.parts.clock, || context.cancel.is_cancelled());
        let least = clock.mono() + GOING_BACK;
        let until = if cancelled() { least } else { least.max(until) };
        loop {
            let failure = match self.lead(shift.roads, shift.former, "back", context, until).await {
                Ok(()) => break,
                Err(missed) => Failure::from(missed),
            };
            let is_final = matches!(failure.kind, FailureKind::Rejected | FailureKind::Unsupported);
            if is_final || cancelled() || clock.mono() >= until {
                let why = format!("{why}; traffic could not be led back: {}", failure.message);
                let hint = "users may still meet what fails: look at what the road answers, then resume the run, or lead them by hand";
                return Err(Failure::unknown(why).hint(hint));
            }
            clock.sleep(BACK_AGAIN).await;
        }
        let shown: Vec<String> = shift.former.iter().map(|(r, share)| format!("{r} {share} %")).collect();
        Err(Failure::rejected(format!("{why}; traffic is back at {}", shown.join(", "))).hint(
            "look at the instances that were given traffic, then resume the run to try the share again, or abort it",
        ))
    }

    /// The road leads traffic by these shares.
    async fn shows(&self, road: &Component, shares: &BTreeMap<Region, u32>) -> bool {
        let Some(seen) = self.routed(road, shares) else { return false };
        self.see_once(&seen, self.parts.clock.mono() + SOAK_LONGEST).await.is_some()
    }

    fn routed(&self, road: &Component, shares: &BTreeMap<Region, u32>) -> Option<Condition> {
        let writer = self.step.effect.region().cloned().or_else(|| shares.keys().next().cloned())?;
        let placement = Placement { writer, traffic: shares.clone() };
        Some(Condition::IsRouted { target: Target { component: road.clone(), region: None }, placement })
    }

    /// Publishes the shares on every road and waits until they are seen.
    async fn lead(
        &self,
        roads: &[Component],
        shares: &BTreeMap<Region, u32>,
        part: &str,
        context: &Context,
        until: Mono,
    ) -> Result<(), Missed> {
        for (i, road) in roads.iter().enumerate() {
            let effect = Effect::Route { component: road.clone(), shares: shares.clone() };
            let led = self.part(&effect, context, &format!("{part}-{road}"), until).await;
            led.map_err(|failure| match failure.kind {
                FailureKind::Transient | FailureKind::Unreachable if i > 0 => Failure::unknown(failure.message),
                _ => failure,
            })
            .map_err(Missed::Failed)?;
            let Some(seen) = self.routed(road, shares) else { continue };
            let seen = self.await_condition(&seen, until).await;
            seen.map_err(|last| Missed::Unseen { road: road.clone(), last })?;
        }
        Ok(())
    }

    /// One effect of a driver, under a key of its own, until it is over.
    async fn part(&self, effect: &Effect, context: &Context, part: &str, until: Mono) -> Returned {
        let deadline = until.since(self.parts.clock.mono()).max(Duration::from_millis(1));
        let key: EffectKey = context.key.part(part);
        let context = Context { key: key.clone(), deadline, ..context.clone() };
        match self.parts.driver.apply(effect, &context).await {
            Ok(Outcome::Accepted { handle }) => match self.poll_until(&handle, &key, until).await {
                Some(result) => result,
                None => Err(Failure::unknown(format!("{part} is not finished"))),
            },
            other => other,
        }
    }
}
