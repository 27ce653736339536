//! The one contract between Pilotlight and the world.
//!
//! A driver moves [`Effect`]s, which are data; it knows nothing of plans, runs or decisions. There is one trait and not
//! one per capability, so that the agent at the other end of a wire, the recorder, the fake and the simulator are one
//! implementation each. What a driver can do is said by its [`Descriptor`]; each [`Capability`](pilotlight_core::effect::Capability)
//! has a battery of tests in [`battery`] that every implementation passes, the [`fake`] included.
//!
//! Invariants of every implementation:
//! - an effect whose epoch is older than one seen before is [`rejected`](pilotlight_core::outcome::FailureKind::Rejected),
//!   and nothing changes;
//! - a key seen before is answered as before, without doing anything again;
//! - [`OutcomeUnknown`](pilotlight_core::outcome::FailureKind::OutcomeUnknown) is said whenever something may have
//!   changed and it was not seen what;
//! - applying an effect whose end is already there answers `Skipped`.

pub mod battery;
pub mod certificate;
pub mod checkup;
pub mod clock;
pub mod disk;
pub mod fake;
pub mod file;
pub mod gate;
pub mod guard;
pub mod level;
pub mod port;
pub mod rarely;
pub mod seldom;

use async_trait::async_trait;
use pilotlight_core::effect::{Descriptor, Effect};
use pilotlight_core::id::{EffectKey, Epoch, Unit};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::position::{Order, Position};
use pilotlight_core::rescue;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What comes with an effect besides the effect.
#[derive(Debug, Clone)]
pub struct Context {
    /// The unit it belongs to: epochs are compared per unit.
    pub unit: Unit,
    /// The epoch of the run.
    pub epoch: Epoch,
    /// Names this application of the effect.
    pub key: EffectKey,
    /// Time left; an implementation gives up by itself before it is over and says what it knows.
    pub deadline: Duration,
    /// Fires when nobody waits any more. Work under way is ended where that is safe, else left to finish.
    pub cancel: CancellationToken,
}

/// Something that can be looked at and acted upon.
#[async_trait]
pub trait Driver: Send + Sync {
    /// What it can do. Never changes while the process lives.
    fn describe(&self) -> Descriptor;

    /// Looks. Changes nothing, answers within a second or two, says [`Role::Unknown`](pilotlight_core::observation::Role)
    /// rather than guess.
    async fn observe(&self, target: &Target) -> Result<State, Failure>;

    /// Says what would stand in the way of an effect. Changes nothing.
    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure>;

    /// Does it.
    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure>;

    /// Returns when a fresh look at the target is worth it, for example when its process died. May return for nothing,
    /// so the caller looks; may never return where the technology gives no signal, so the caller has a timer too.
    async fn watch(&self, target: &Target) {
        let _ = target;
        std::future::pending::<()>().await;
    }

    /// Looks after work that [`apply`](Driver::apply) accepted with a handle, also in another process.
    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        let _ = context;
        Err(Failure::unsupported(format!("no such handle: {handle}")))
    }

    /// Tells of rescue bundles beside the copy. Changes nothing.
    async fn rescue(&self, target: &Target, question: &rescue::Question) -> Result<rescue::Answer, Failure> {
        let _ = question;
        Err(Failure::unsupported(format!("there are no rescue bundles of {}", target.component)))
    }

    /// How `first` stands to `second`, both made by this driver.
    async fn compare(&self, target: &Target, first: &Position, second: &Position) -> Result<Order, Failure> {
        let _ = (target, first, second);
        Ok(Order::Unknown)
    }
}

#[async_trait]
impl<D: Driver + ?Sized> Driver for std::sync::Arc<D> {
    fn describe(&self) -> Descriptor {
        (**self).describe()
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        (**self).observe(target).await
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        (**self).preflight(effect).await
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        (**self).apply(effect, context).await
    }

    async fn watch(&self, target: &Target) {
        (**self).watch(target).await;
    }

    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        (**self).resume(handle, context).await
    }

    async fn rescue(&self, target: &Target, question: &rescue::Question) -> Result<rescue::Answer, Failure> {
        (**self).rescue(target, question).await
    }

    async fn compare(&self, target: &Target, first: &Position, second: &Position) -> Result<Order, Failure> {
        (**self).compare(target, first, second).await
    }
}
