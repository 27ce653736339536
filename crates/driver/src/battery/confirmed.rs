//! Laws of waiting: what a writer is said to wait for is what it waits for, and its candidate holds what was acknowledged.

use super::replicated::{is_streaming, is_writer};
use super::{DataBench, Laws, Pair, Report};
use pilotlight_core::candidate::Waits;
use pilotlight_core::effect::{Capability, Effect};
use pilotlight_core::id::Region;
use pilotlight_core::observation::State;
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

const AGAIN: Duration = Duration::from_millis(20);

/// Runs the battery of [`Capability::Confirmed`] on two fresh pairs whose writers wait for nobody but the candidate.
pub async fn confirmed(bench: &dyn DataBench) -> Report {
    let mut laws = Laws::new(bench, Capability::Confirmed);
    wait_and_stop_waiting(bench, &mut laws).await;
    lose_the_writer(bench, &mut laws).await;
    laws.report
}

impl Pair {
    fn wait_for(&self, region: &Region, candidate: Option<String>) -> Effect {
        let waits = Waits { candidate, gate: false };
        Effect::WaitFor { component: self.component.clone(), region: region.clone(), waits }
    }

    /// The writer waits for its standby; gives the standby's name.
    async fn bound(&self, laws: &mut Laws<'_>) -> Option<String> {
        let (writer, standby) = (self.at(&self.writer), self.at(&self.standby));
        let seen = laws.reaches("roles-are-seen", &writer, is_writer).await;
        let free = seen.is_some_and(|s| s.waiting.is_none_or(|w| w.waits.for_nobody()));
        laws.hold("a-writer-waits-for-nobody-at-first", free, || "it waits for somebody".to_owned());
        let named = |s: &State| is_streaming(s) && s.follows_as.is_some();
        let name = laws.reaches("a-standby-says-its-name", &standby, named).await?.follows_as?;
        let wait = self.wait_for(&self.writer, Some(name.clone()));
        // A standby that has just connected has not said how far it is.
        let until = Instant::now() + laws.patience;
        let mut answer = laws.apply(&wait).await;
        while answer.is_err() && Instant::now() < until {
            tokio::time::sleep(AGAIN).await;
            answer = laws.apply(&wait).await;
        }
        laws.hold("waiting-is-done", answer.is_ok(), || format!("{wait:?} was answered {answer:?}"));
        self.waits_so(laws, Some(&name)).await;
        Some(name)
    }

    async fn waits_so(&self, laws: &mut Laws<'_>, candidate: Option<&String>) {
        let seen = laws.look(&self.at(&self.writer)).await.and_then(|s| s.waiting);
        let so = seen.as_ref().is_some_and(|w| w.waits.candidate.as_ref() == candidate && !w.waits.gate);
        laws.hold("what-it-waits-for-is-seen", so, || format!("{seen:?}, not {candidate:?}"));
    }
}

async fn wait_and_stop_waiting(bench: &dyn DataBench, laws: &mut Laws<'_>) {
    let pair = bench.pair().await;
    laws.refuses_the_unsupported(&pair.writer).await;
    let Some(name) = pair.bound(laws).await else { return };
    laws.skipped("the-same-again-is-nothing", &pair.wait_for(&pair.writer, Some(name.clone()))).await;
    let stranger = pair.wait_for(&pair.writer, Some("pl_9_nobody".to_owned()));
    laws.fails("nobody-waits-for-a-stranger", &stranger, &[FailureKind::Transient, FailureKind::Rejected]).await;
    pair.waits_so(laws, Some(&name)).await;
    let there = pair.wait_for(&pair.standby, Some(name.clone()));
    laws.fails("a-standby-waits-for-nobody", &there, &[FailureKind::Rejected]).await;
    laws.refuses_old_epoch(&pair.wait_for(&pair.writer, None), &pair.at(&pair.writer)).await;
    pair.waits_so(laws, Some(&name)).await;
    let written = bench.write(&pair.writer).await;
    laws.hold("the-candidate-confirms", written.is_ok(), || format!("{written:?}"));
    bench.kill(&pair.standby).await;
    let alone = bench.write(&pair.writer).await;
    laws.hold("without-the-candidate-nothing-is-acknowledged", alone.is_err(), || format!("it acknowledged {alone:?}"));
    laws.done("waiting-for-nobody-is-done", &pair.wait_for(&pair.writer, None)).await;
    pair.waits_so(laws, None).await;
    let free = bench.write(&pair.writer).await;
    laws.hold("waiting-for-nobody-is-done", free.is_ok(), || format!("{free:?}"));
}

async fn lose_the_writer(bench: &dyn DataBench, laws: &mut Laws<'_>) {
    let pair = bench.pair().await;
    let mut acknowledged = BTreeSet::new();
    for _ in 0..10 {
        acknowledged.extend(bench.write(&pair.writer).await.ok());
    }
    let law = "the-candidate-holds-what-was-acknowledged-before";
    if pair.bound(laws).await.is_none() {
        return;
    }
    for _ in 0..10 {
        acknowledged.extend(bench.write(&pair.writer).await.ok());
    }
    bench.kill(&pair.writer).await;
    let fence = Effect::Fence { component: pair.component.clone(), region: pair.writer.clone() };
    laws.done("a-dead-writer-can-be-fenced", &fence).await;
    let promoted: Result<Outcome, Failure> = laws.apply(&pair.promote(&pair.standby)).await;
    laws.hold(law, promoted.is_ok(), || format!("it was not promoted: {promoted:?}"));
    let held = bench.held(&pair.standby).await;
    let missing: Vec<_> = acknowledged.difference(&held).collect();
    laws.hold(law, missing.is_empty() && acknowledged.len() == 20, || format!("{acknowledged:?} without {missing:?}"));
    let seen = laws.reaches("roles-are-seen", &pair.at(&pair.standby), is_writer).await.and_then(|s| s.waiting);
    let free = seen.as_ref().is_none_or(|w| w.waits.for_nobody());
    laws.hold("a-new-writer-waits-for-nobody", free, || format!("{seen:?}"));
}
