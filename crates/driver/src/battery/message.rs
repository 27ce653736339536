//! Laws of messages: each arrives once, what did not arrive is said, and so is what may have: a move passes over it at once and
//! tells it to nobody a second time.

use super::{Bench, Laws, Report};
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Effect};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::outcome::FailureKind;
use std::time::Duration;
use tokio::time::Instant;

/// How late the end of a deadline may be noticed on a machine with much other work; one that keeps no deadline waits for ever.
const NOTICED: Duration = Duration::from_secs(20);

/// A bench with somebody who listens.
#[async_trait]
pub trait MessageBench: Bench {
    /// The component messages are sent through.
    fn component(&self) -> Component;
    /// What has arrived, in order.
    async fn arrived(&self) -> Vec<String>;
    /// The other side takes the next message and does not answer it.
    async fn swallow_next(&self);
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
    bench.swallow_next().await;
    let began = Instant::now();
    let may_be_told = [FailureKind::OutcomeUnknown];
    laws.fails("an-unknown-message-holds-nothing-up", &notify("is anybody there?"), &may_be_told).await;
    // A driver may use up the time it is given, and notices the end of it a little later.
    let (took, most) = (began.elapsed(), bench.patience() + NOTICED);
    laws.hold("an-unknown-message-holds-nothing-up", took <= most, || format!("it was waited for {took:?}"));
    let arrived = bench.arrived().await;
    let expected = [expected[0], expected[1], "is anybody there?"];
    laws.hold("each-message-arrives-once", arrived == expected, || format!("{arrived:?}"));
    bench.refuse().await;
    let nothing_sent = [FailureKind::Transient, FailureKind::Unreachable];
    laws.fails("a-lost-message-is-said", &notify("into the void"), &nothing_sent).await;
    laws.report
}
