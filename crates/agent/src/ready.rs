//! What an agent lacks to look after a copy, and what would make a bad day worse, said once at its start: it is felt only when
//! somebody has to act, and then it is too late.
//!
//! Border: reads and logs. Nothing waits for it and nothing is decided from it. `check --live` asks again and has all of it.

use crate::Agent;
use pilotlight_core::effect::Effect;
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_driver::clock::within;
use std::time::Duration;

/// It reads files, asks its own server and tries a door of each other; what takes longer is told by the looks.
const LONGEST: Duration = Duration::from_secs(10);

/// Asks the driver what would stand in the way of a fence, which is what must never fail, and of what follows on one.
pub(crate) async fn check(agent: &Agent, target: &Target) {
    if !agent.picture.is_replicated(target) {
        return;
    }
    let (component, region) = (target.component.clone(), agent.region.clone());
    let effect = Effect::Fence { component, region };
    let findings = tokio::select! {
        findings = within(&*agent.clock, LONGEST, agent.driver.preflight(&effect)) => findings,
        () = agent.shutdown.cancelled() => return,
    };
    let findings = match findings {
        Some(Ok(findings)) => findings,
        Some(Err(failure)) => vec![Finding::unseen(target.component.as_str(), &failure)],
        None => return,
    };
    for Finding { code, severity, message, hint } in &findings {
        let component = &target.component;
        match severity {
            Severity::Blocker => {
                tracing::warn!(%component, hint, "this agent lacks what it may need: {code}: {message}");
            }
            Severity::Warning => {
                tracing::warn!(%component, hint, "this would stand in the way on a bad day: {code}: {message}");
            }
            Severity::Note => tracing::info!(%component, hint, "{code}: {message}"),
        }
    }
}
