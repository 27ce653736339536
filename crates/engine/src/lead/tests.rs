//! What becomes of an effect that is longer than the lead, with paused time.

use super::{Lead, LedDriver};
use crate::engine::tests::clock::TokioClock;
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Descriptor, Effect};
use pilotlight_core::id::{EffectKey, Epoch, RunId};
use pilotlight_core::leader::Term;
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, FailureKind, Finding, Outcome, Output};
use pilotlight_driver::clock::Clock;
use pilotlight_driver::{Context, Driver};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LEAD: Duration = Duration::from_millis(350);
const CALL: Duration = Duration::from_millis(100);
const CALLS: u32 = 10;

/// An effect of ten calls to a provider that compares nothing.
struct ManyCalls {
    sent: AtomicU32,
    clock: TokioClock,
}

impl ManyCalls {
    fn sent(&self) -> u32 {
        self.sent.load(Ordering::SeqCst)
    }

    async fn call_on(&self) -> Result<Outcome, Failure> {
        for _ in 0..CALLS {
            self.sent.fetch_add(1, Ordering::SeqCst);
            self.clock.sleep(CALL).await;
        }
        Ok(Outcome::Done { output: Output::default() })
    }
}

#[async_trait]
impl Driver for ManyCalls {
    fn describe(&self) -> Descriptor {
        Descriptor::caller_checked(Capability::Replicated)
    }

    async fn observe(&self, _: &Target) -> Result<State, Failure> {
        Ok(State::default())
    }

    async fn preflight(&self, _: &Effect) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }

    async fn apply(&self, _: &Effect, _: &Context) -> Result<Outcome, Failure> {
        self.call_on().await
    }

    async fn resume(&self, _: &str, _: &Context) -> Result<Outcome, Failure> {
        self.call_on().await
    }
}

struct Scene {
    provider: Arc<ManyCalls>,
    led: LedDriver,
    clock: Arc<TokioClock>,
}

impl Scene {
    fn new() -> Self {
        let clock = Arc::new(TokioClock::new());
        let provider = Arc::new(ManyCalls { sent: AtomicU32::new(0), clock: *clock });
        let lead = Lead::won(Term(1), clock.clone(), clock.mono(), LEAD);
        Self { led: LedDriver { inner: provider.clone(), lead }, provider, clock }
    }

    async fn apply(&self) -> Result<Outcome, Failure> {
        self.led.apply(&Effect::Checkpoint { component: "db".into(), region: "east".into() }, &context()).await
    }
}

fn context() -> Context {
    Context {
        unit: "shop".into(),
        epoch: Epoch(1),
        key: EffectKey::new(&RunId::new("run"), &"step".into(), 1),
        deadline: Duration::from_secs(60),
        cancel: CancellationToken::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_long_effect_no_call_leaves_after_the_end_of_the_lead() {
    let scene = Scene::new();
    let failure = scene.apply().await.expect_err("let go of");
    assert_eq!(failure.kind, FailureKind::OutcomeUnknown, "{failure}");
    assert_eq!((scene.provider.sent(), scene.clock.mono().0), (4, LEAD));
    let failure = scene.apply().await.expect_err("it does not lead");
    assert_eq!((failure.kind, scene.provider.sent()), (FailureKind::Transient, 4), "{failure}");
    let failure = scene.led.resume("handle", &context()).await.expect_err("it does not lead");
    assert_eq!((failure.kind, scene.provider.sent()), (FailureKind::Transient, 4), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_renewed_lead_lets_it_go_on_and_one_that_is_given_up_ends_it_at_once() {
    let scene = Scene::new();
    let renewing = async {
        loop {
            scene.led.lead.renewed(scene.clock.mono(), LEAD);
            scene.clock.sleep(LEAD / 4).await;
        }
    };
    let done = tokio::select! {
        done = scene.apply() => done,
        () = renewing => unreachable!("it renews for ever"),
    };
    assert!(matches!(done, Ok(Outcome::Done { .. })), "{done:?}");
    assert_eq!(scene.provider.sent(), CALLS);
    let ending = async {
        scene.clock.sleep(CALL / 2).await;
        scene.led.lead.end();
    };
    let (failure, ()) = tokio::join!(scene.apply(), ending);
    assert_eq!(failure.expect_err("let go of").kind, FailureKind::OutcomeUnknown);
    assert_eq!(scene.provider.sent(), CALLS + 1);
}

/// Frozen with a call under way, and on again after the end: both are ready in the same turn, and the end counts.
#[tokio::test(start_paused = true)]
async fn a_process_that_was_frozen_over_the_end_sends_no_further_call() {
    let scene = Scene::new();
    let frozen = async {
        scene.clock.sleep(CALL / 2).await;
        tokio::time::advance(LEAD).await;
    };
    let (failure, ()) = tokio::join!(scene.apply(), frozen);
    assert_eq!(failure.expect_err("let go of").kind, FailureKind::OutcomeUnknown);
    assert_eq!(scene.provider.sent(), 1, "the answer of the first call was there, the second must not leave");
}
