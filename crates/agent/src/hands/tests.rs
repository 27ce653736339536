//! What waits for its turn on a copy, and what does not.

use super::*;
use crate::lease::guard_tests::{descriptor, parts, plan};
use async_trait::async_trait;
use pilotlight_core::effect::Descriptor;
use pilotlight_core::observation::State;
use pilotlight_core::outcome::{FailureKind, Finding};
use pilotlight_core::protocol::UnitView;
use pilotlight_driver::Driver;
use tokio::sync::Notify;

/// A server whose recovery does not end: only a fence comes to its end on it. A promotion waits for something older, and says
/// whether it was called off by the time its turn came.
#[derive(Default)]
struct Recovers {
    waits: Notify,
    turn: Notify,
}

#[async_trait]
impl Driver for Recovers {
    fn describe(&self) -> Descriptor {
        descriptor()
    }

    async fn observe(&self, _: &Target) -> Result<State, Failure> {
        std::future::pending().await
    }

    async fn preflight(&self, _: &Effect) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        match effect {
            Effect::Fence { .. } => Ok(Outcome::done_with("fenced")),
            Effect::Promote { .. } => {
                self.waits.notify_one();
                self.turn.notified().await;
                if context.cancel.is_cancelled() { Err(Failure::transient("called off")) } else { Ok(Outcome::done()) }
            }
            _ => std::future::pending().await,
        }
    }

    async fn watch(&self, _: &Target) {
        std::future::pending::<()>().await;
    }
}

fn context(step: &str, deadline: Duration) -> Context {
    Context {
        epoch: Epoch(2),
        key: EffectKey::new(&RunId::from("run-1"), &StepId::new(step), 0),
        unit: "shop".into(),
        deadline,
        cancel: CancellationToken::new(),
    }
}

#[tokio::test]
async fn a_fence_of_a_run_waits_for_no_turn_and_everything_else_does() {
    let plan = plan();
    let parts = parts(&plan, Arc::new(Recovers::default()), &CancellationToken::new());
    let picture = Arc::new(Picture::new(&parts.plan, &parts.region, &parts.descriptors));
    let hands = Hands::new(&parts, picture, Arc::new(Leases::new(parts.clock.clone(), BTreeMap::new())));
    let (component, region) = (pilotlight_core::id::Component::from("database"), parts.region.clone());
    let target = Target { component: component.clone(), region: Some(region.clone()) };
    // As the restart of a writer has it, for as long as the recovery takes.
    let turn = hands.try_turn(&target).expect("nothing runs on it");
    let fence = Effect::Fence { component: component.clone(), region: region.clone() };
    let fenced = hands.apply(&fence, &context("fence", Duration::from_secs(30))).await;
    assert_eq!(fenced.map(|done| done.output().unwrap().text.clone()), Ok("fenced".to_owned()));
    // Everything else does.
    let rejoin = Effect::Rejoin { component, region, upstream: "west".into() };
    let waited = hands.apply(&rejoin, &context("rejoin", Duration::from_millis(50))).await.unwrap_err();
    assert_eq!(waited.kind, FailureKind::Transient, "{waited}");
    assert!(waited.message.contains("has not ended"), "{waited}");
    drop(turn);
}

#[tokio::test]
async fn a_promotion_whose_turn_comes_when_the_lease_is_over_does_not_begin() {
    let plan = plan();
    let driver = Arc::new(Recovers::default());
    let parts = parts(&plan, driver.clone(), &CancellationToken::new());
    let picture = Arc::new(Picture::new(&parts.plan, &parts.region, &parts.descriptors));
    let (component, region) = (pilotlight_core::id::Component::from("database"), parts.region.clone());
    let promote = Effect::Promote { component, region: region.clone() };
    for outlives in [true, false] {
        let lease = Duration::from_millis(if outlives { 600_000 } else { 2_000 });
        let leases = Arc::new(Leases::new(parts.clock.clone(), BTreeMap::new()));
        let hands = Hands::new(&parts, picture.clone(), leases.clone());
        picture.heard(vec![UnitView {
            unit: "shop".into(),
            epoch: Epoch(2),
            writer: Some(region.clone()),
            lease_ms: Some(lease),
            candidate: None,
            candidacy: 0,
            offered: Vec::new(),
        }]);
        let until = leases.renewed(&"shop".into(), parts.clock.mono(), lease);
        let context = context("promote", Duration::from_secs(30));
        let stands_still = async {
            driver.waits.notified().await;
            // As an agent that is stopped: its turn comes and its lease ends, and nothing of it runs meanwhile.
            while !outlives && parts.clock.mono() < until {
                std::thread::yield_now();
            }
            driver.turn.notify_one();
        };
        let (answer, ()) = tokio::join!(hands.apply(&promote, &context), stands_still);
        assert_eq!(answer.is_ok(), outlives, "{answer:?}");
    }
}
