//! Probes asked for a while, and their bad answers counted.

use super::ProbeDriver;
use pilotlight_core::effect::{Watch, Watched};
use pilotlight_core::health::{Answer, Tally};
use pilotlight_core::outcome::{Failure, Outcome};
use pilotlight_driver::Context;
use pilotlight_driver::clock::{Clock, SystemClock};
use tokio::task::JoinSet;

impl ProbeDriver {
    /// Asks in rounds. It ends early when so much is bad that the rest cannot make up for it: users meet those answers too.
    pub(super) async fn watch(&self, watch: &Watch, context: &Context) -> Result<Outcome, Failure> {
        let mut tally = Tally::default();
        let rounds = watch.rounds();
        let all = rounds.saturating_mul(u32::try_from(watch.probes.len()).unwrap_or(u32::MAX));
        let mut pace = tokio::time::interval(watch.every_ms.max(std::time::Duration::from_millis(1)));
        let began = SystemClock.mono();
        for _ in 0..rounds {
            // Answers that take long make rounds fewer, not the watch longer.
            if SystemClock.mono().since(began) > watch.for_ms {
                break;
            }
            tokio::select! {
                _ = pace.tick() => {}
                () = context.cancel.cancelled() => return Err(Failure::transient("the run was ended before")),
            }
            for (watched, answer) in self.round(&watch.probes).await {
                tally.count(&watched.name, &answer, watched.latency_ms);
            }
            if tally.exceeds(watch.max_errors, all) {
                break;
            }
        }
        tally.end(watch.max_errors).map(Outcome::done_with).map_err(Failure::rejected)
    }

    /// Every question at once.
    async fn round(&self, probes: &[Watched]) -> Vec<(Watched, Answer)> {
        let mut asks = JoinSet::new();
        for watched in probes.iter().cloned() {
            let driver = self.clone();
            asks.spawn(async move {
                let began = SystemClock.mono();
                let result = driver.ask(&watched.probe, watched.probe.timeout()).await.map_err(|f| f.message);
                let took = SystemClock.mono().since(began);
                (watched, Answer { result, took })
            });
        }
        asks.join_all().await
    }
}
