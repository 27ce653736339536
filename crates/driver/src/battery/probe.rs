//! Laws of probes: what works passes, what does not is said with what was seen, and nobody waits for the silent.

use super::{Bench, Laws, Report};
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Effect, Probe};
use pilotlight_core::id::Region;
use pilotlight_core::outcome::FailureKind;

/// A bench with things to ask.
#[async_trait]
pub trait ProbeBench: Bench {
    /// Probes that succeed.
    async fn working(&self) -> Vec<Probe>;
    /// Probes that fail at once, each with a word that the failure must contain.
    async fn failing(&self) -> Vec<(Probe, String)>;
    /// Probes of something that never answers; their timeouts are short.
    async fn silent(&self) -> Vec<Probe>;
}

/// Runs the battery of [`Capability::Probe`].
pub async fn probe(bench: &dyn ProbeBench) -> Report {
    let mut laws = Laws::new(bench, Capability::Probe);
    laws.refuses_the_unsupported(&Region::from("here")).await;
    let verify = |probe| Effect::Verify { region: None, probe };
    for probe in bench.working().await {
        let preflight = laws.driver.preflight(&verify(probe.clone())).await;
        laws.hold("preflight-answers", preflight.is_ok(), || format!("{probe:?}: {preflight:?}"));
        laws.done("what-works-passes", &verify(probe)).await;
    }
    let nothing_changed = [FailureKind::Transient, FailureKind::Unreachable];
    for (probe, word) in bench.failing().await {
        if let Some(failure) = laws.fails("what-fails-is-said", &verify(probe), &nothing_changed).await {
            let told = failure.message.contains(&word) || failure.output.contains(&word);
            laws.hold("a-failure-tells-what-was-seen", told, || format!("no {word:?} in {failure:?}"));
        }
    }
    for probe in bench.silent().await {
        let began = tokio::time::Instant::now();
        laws.fails("silence-is-said", &verify(probe), &nothing_changed).await;
        laws.hold("a-timeout-is-kept", began.elapsed() < laws.patience, || format!("{:?}", began.elapsed()));
    }
    laws.report
}
