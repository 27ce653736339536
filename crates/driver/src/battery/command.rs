//! Laws of commands: the output is kept, a failure is said, and what was cut short is never called harmless unless it is.

use super::{Bench, Laws, Report};
use crate::Context;
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, CommandLine, Effect};
use pilotlight_core::id::{Epoch, Region};
use pilotlight_core::outcome::FailureKind;
use std::collections::BTreeMap;
use std::time::Duration;

/// A bench whose driver runs programs; the programs given here are for a machine with a shell.
#[async_trait]
pub trait CommandBench: Bench {
    /// Where they run; none means the controller.
    fn region(&self) -> Option<Region> {
        None
    }
    /// Prints `text` and ends well.
    fn prints(&self, text: &str) -> CommandLine {
        shell(&format!("printf %s '{text}'"), false)
    }
    /// Prints `text` and ends with exit code `code`.
    fn ends_with(&self, code: i32, text: &str) -> CommandLine {
        shell(&format!("printf %s '{text}'; exit {code}"), false)
    }
    /// Goes on for a minute.
    fn lasts(&self, idempotent: bool) -> CommandLine {
        shell("sleep 60", idempotent)
    }
    /// Can be counted with [`CommandBench::runs`].
    fn counts(&self) -> CommandLine;
    /// How often [`CommandBench::counts`] ran.
    async fn runs(&self) -> u32;
}

fn shell(text: &str, idempotent: bool) -> CommandLine {
    let argv = ["sh", "-eu", "-c", text].map(str::to_owned).into();
    CommandLine { argv, env: BTreeMap::new(), idempotent }
}

/// Runs the battery of [`Capability::Command`].
pub async fn command(bench: &dyn CommandBench) -> Report {
    let mut laws = Laws::new(bench, Capability::Command);
    let effect = |command| Effect::Command { region: bench.region(), command };
    laws.refuses_the_unsupported(&bench.region().unwrap_or_else(|| "here".into())).await;
    let preflight = laws.driver.preflight(&effect(bench.counts())).await;
    laws.hold("preflight-answers", preflight.is_ok(), || format!("{preflight:?}"));
    let runs = bench.runs().await;
    laws.hold("preflight-changes-nothing", runs == 0, || format!("the command ran {runs} times"));

    let kept = laws.done("a-command-is-done", &effect(bench.prints("all is well"))).await.unwrap_or_default().text;
    laws.hold("output-is-kept", kept.contains("all is well"), || format!("kept {kept:?}"));
    let failing = effect(bench.ends_with(7, "it broke"));
    if let Some(failure) = laws.fails("a-failure-is-rejected", &failing, &[FailureKind::Rejected]).await {
        let told = failure.message.contains('7') && failure.output.contains("it broke");
        laws.hold("a-failure-tells-code-and-output", told, || format!("{failure:?}"));
    }
    laws.done("a-command-is-done", &effect(bench.counts())).await;
    let runs = bench.runs().await;
    laws.hold("a-key-runs-once", runs == 1, || format!("the command ran {runs} times"));
    for (idempotent, kind) in [(false, FailureKind::OutcomeUnknown), (true, FailureKind::Transient)] {
        let context = Context { deadline: Duration::from_millis(300), ..laws.context() };
        let began = tokio::time::Instant::now();
        let answer = laws.driver.apply(&effect(bench.lasts(idempotent)), &context).await;
        let said = matches!(&answer, Err(f) if f.kind == kind);
        laws.hold("a-deadline-is-kept", began.elapsed() < laws.patience, || format!("{:?}", began.elapsed()));
        laws.hold("what-was-cut-short-is-said", said, || format!("idempotent {idempotent}: {answer:?}"));
    }
    if laws.is_guarded() {
        let context = Context { epoch: Epoch(laws.epoch.0 - 1), ..laws.context() };
        let answer = laws.driver.apply(&effect(bench.counts()), &context).await;
        let refused = matches!(&answer, Err(f) if f.kind == FailureKind::Rejected) && bench.runs().await == 1;
        laws.hold("old-epoch-is-refused", refused, || format!("{answer:?}"));
    }
    laws.report
}
