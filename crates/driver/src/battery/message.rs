//! Laws of messages: each arrives once, and what did not arrive is said.

use super::{Bench, Laws, Report};
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Effect};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::outcome::FailureKind;

/// A bench with somebody who listens.
#[async_trait]
pub trait MessageBench: Bench {
    /// The component messages are sent through.
    fn component(&self) -> Component;
    /// What has arrived, in order.
    async fn arrived(&self) -> Vec<String>;
    /// From now on the other side refuses every message.
    async fn refuse(&self);
}

/// Runs the battery of [`Capability::Message`].
pub async fn message(bench: &dyn MessageBench) -> Report {
    let mut laws = Laws::new(bench, Capability::Message);
    laws.refuses_the_unsupported(&Region::from("here")).await;
    let notify = |message: &str| Effect::Notify { component: bench.component(), message: message.to_owned() };
    let preflight = laws.driver.preflight(&notify("never sent")).await;
    laws.hold("preflight-answers", preflight.is_ok(), || format!("{preflight:?}"));
    laws.done("a-message-is-sent", &notify("failover begins: \"east\" is lost\nsecond line")).await;
    laws.done("a-message-is-sent", &notify("failover ended")).await;
    let arrived = bench.arrived().await;
    let expected = ["failover begins: \"east\" is lost\nsecond line", "failover ended"];
    laws.hold("each-message-arrives-once", arrived == expected, || format!("{arrived:?}"));
    bench.refuse().await;
    let nothing_sent = [FailureKind::Transient, FailureKind::Unreachable];
    laws.fails("a-lost-message-is-said", &notify("into the void"), &nothing_sent).await;
    laws.report
}
