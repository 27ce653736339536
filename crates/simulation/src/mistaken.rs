//! Planted bugs of an agent's hands and guard: a driver around the guarded one that does what either did wrong before.

use crate::bug::Bug;
use crate::drivers::PlaceDriver;
use async_trait::async_trait;
use pilotlight_core::effect::{Descriptor, Effect};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, FailureKind, Finding, Outcome};
use pilotlight_core::position::{Order, Position};
use pilotlight_driver::clock::within;
use pilotlight_driver::{Context, Driver};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Which mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BesideGuard {
    FenceWaitsItsTurn,
    OvertakenFenceAgain,
    LatePromotion,
}

impl BesideGuard {
    /// The planted bug is one of these.
    pub(crate) fn of(bug: Bug) -> Option<Self> {
        match bug {
            Bug::FenceWaitsItsTurn => Some(Self::FenceWaitsItsTurn),
            Bug::OvertakenFenceAgain => Some(Self::OvertakenFenceAgain),
            Bug::LatePromotion => Some(Self::LatePromotion),
            _ => None,
        }
    }
}

/// See the module.
pub(crate) struct Mistaken {
    guarded: Arc<dyn Driver>,
    inner: Arc<PlaceDriver>,
    bug: BesideGuard,
    turn: Mutex<()>,
}

impl Mistaken {
    pub(crate) fn new(guarded: Arc<dyn Driver>, inner: Arc<PlaceDriver>, bug: BesideGuard) -> Self {
        Self { guarded, inner, bug, turn: Mutex::default() }
    }

    /// Everything but what takes no turn, and a fence of the agent's own.
    async fn in_turn(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        let own = context.key.as_str().starts_with("local-");
        let no_turn = match effect {
            Effect::Fence { .. } => own,
            Effect::WriteSentinel { .. } | Effect::KeepRescue { .. } | Effect::SetCapacity { .. } => true,
            _ => false,
        };
        if no_turn {
            return self.guarded.apply(effect, context).await;
        }
        let Some(_turn) = within(&self.inner.clock, context.deadline, self.turn.lock()).await else {
            return Err(Failure::transient("another effect on the same copy has not ended; this one did not begin"));
        };
        self.guarded.apply(effect, context).await
    }

    async fn again(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        let answer = self.guarded.apply(effect, context).await;
        let overtaken = |e: &Failure| e.kind == FailureKind::OutcomeUnknown && e.message.contains("and not again");
        match answer {
            Err(e) if matches!(effect, Effect::Fence { .. }) && overtaken(&e) => {
                self.inner.apply(effect, context).await
            }
            answer => answer,
        }
    }
}

#[async_trait]
impl Driver for Mistaken {
    fn describe(&self) -> Descriptor {
        self.guarded.describe()
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        self.guarded.observe(target).await
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        self.guarded.preflight(effect).await
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        match (self.bug, effect) {
            (BesideGuard::FenceWaitsItsTurn, _) => self.in_turn(effect, context).await,
            (BesideGuard::OvertakenFenceAgain, _) => self.again(effect, context).await,
            (BesideGuard::LatePromotion, Effect::Promote { .. }) => {
                let deaf = Context { cancel: CancellationToken::new(), ..context.clone() };
                self.guarded.apply(effect, &deaf).await
            }
            (BesideGuard::LatePromotion, _) => self.guarded.apply(effect, context).await,
        }
    }

    async fn watch(&self, target: &Target) {
        self.guarded.watch(target).await;
    }

    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        self.guarded.resume(handle, context).await
    }

    async fn compare(&self, target: &Target, first: &Position, second: &Position) -> Result<Order, Failure> {
        self.guarded.compare(target, first, second).await
    }
}
