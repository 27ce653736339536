//! A driver behind a durable memory of epochs and keys: what makes an effect happen once and an old order bounce.
//!
//! [`Guarded`] wraps any driver where its effects land (the agent, the controller's own drivers). [`Ledger`] is the
//! memory, in a folder; several drivers of one place share one, because an epoch is seen by the place.
//!
//! Invariants:
//! - no effect starts whose epoch is older than one that this place has durably seen; a newer epoch first ends what an
//!   older one still has under way. Only a fence does not wait: it is done at once, and again when the older has ended,
//!   unless a newer epoch has come meanwhile: then only that one's fence can say that the place is silent;
//! - a key that was answered is answered the same without doing anything, also after a crash;
//! - what a run has taken back here it does not do again, nor is it told that it is done: such an order is from an old copy
//!   of the controller's journal;
//! - an opaque command whose end was never recorded is not run again: its outcome is unknown;
//! - when the record cannot be written, nothing is done, except that a fence waits for no record: its epoch is noted beside it,
//!   and it is answered once that is on disk.
//!
//! An idempotent effect costs a disk flush only when it raises the epoch: to find its intent after a crash and to do it
//! again is the same as to find nothing and to do it again. An opaque command costs two.

mod ledger;
mod log;

pub use ledger::Ledger;
pub use log::{MemoryLog, OpenError};

use crate::{Context, Driver};
use async_trait::async_trait;
use ledger::{Begun, Flight};
use pilotlight_core::effect::{Descriptor, Effect};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::position::{Order, Position};
use pilotlight_core::rescue;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Time an effect of an older epoch has to come to an end by itself once a newer one has arrived.
const GRACE_OF_THE_SUPERSEDED: Duration = Duration::from_secs(2);

/// A driver whose effects are done at most once per key and never with an old epoch.
pub struct Guarded<D> {
    inner: D,
    ledger: Arc<Ledger>,
}

impl<D: Driver> Guarded<D> {
    /// Guards with a ledger of its own in that folder.
    pub fn open(inner: D, folder: &Path) -> Result<Self, OpenError> {
        Ok(Self::with(inner, Arc::new(Ledger::open(folder)?)))
    }

    /// Guards with the ledger of its place.
    pub fn with(inner: D, ledger: Arc<Ledger>) -> Self {
        Self { inner, ledger }
    }

    /// The memory.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The driver inside.
    pub fn inner(&self) -> &D {
        &self.inner
    }
}

impl<D: Driver> Guarded<D> {
    async fn apply_until_superseded(
        &self,
        effect: &Effect,
        context: &Context,
        flight: &Flight,
    ) -> Result<Outcome, Failure> {
        let work = self.inner.apply(effect, context);
        tokio::pin!(work);
        tokio::select! {
            biased;
            answer = &mut work => return answer,
            () = flight.superseded() => context.cancel.cancel(),
        }
        tokio::select! {
            biased;
            answer = work => answer,
            () = self.ledger.clock().sleep(GRACE_OF_THE_SUPERSEDED) => {
                let (key, unit) = (&context.key, &context.unit);
                Err(Failure::unknown(format!("{key} was left behind because a newer epoch of unit {unit} arrived")))
            }
        }
    }
}

#[async_trait]
impl<D: Driver> Driver for Guarded<D> {
    fn describe(&self) -> Descriptor {
        Descriptor { guard: pilotlight_core::effect::Guard::Enforced, ..self.inner.describe() }
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        self.inner.observe(target).await
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        self.inner.preflight(effect).await
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        if let Effect::WriteSentinel { .. } | Effect::KeepRescue { .. } = effect {
            // Several a second, harmless when repeated: no record, but an old writer's sentinel still bounces.
            self.ledger.admit(&context.unit, context.epoch).await?;
            return self.inner.apply(effect, context).await;
        }
        let flight = match self.ledger.begin(effect, context).await? {
            Begun::Answered(answer) => return answer,
            Begun::Go(flight) => flight,
        };
        let context = Context { cancel: context.cancel.child_token(), ..context.clone() };
        let mut answer = self.apply_until_superseded(effect, &context, &flight).await;
        if flight.older_ended().await {
            if flight.is_superseded() {
                let (key, unit) = (&context.key, &context.unit);
                let why = format!("{key} was done, and not again, because a newer epoch of unit {unit} arrived");
                return self.ledger.end(flight, effect, &context, Err(Failure::unknown(why))).await;
            }
            let again = self.apply_until_superseded(effect, &context, &flight).await;
            answer = match again {
                Ok(Outcome::Skipped { .. }) => answer,
                again => again,
            };
        }
        self.ledger.end(flight, effect, &context, answer).await
    }

    async fn watch(&self, target: &Target) {
        self.inner.watch(target).await;
    }

    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        self.ledger.admit(&context.unit, context.epoch).await?;
        self.inner.resume(handle, context).await
    }

    async fn rescue(&self, target: &Target, question: &rescue::Question) -> Result<rescue::Answer, Failure> {
        self.inner.rescue(target, question).await
    }

    async fn compare(&self, target: &Target, first: &Position, second: &Position) -> Result<Order, Failure> {
        self.inner.compare(target, first, second).await
    }
}

#[cfg(test)]
mod tests;
