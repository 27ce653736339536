//! What an agent lacks to look after a copy, said once at its start: a program that is missing is felt only when somebody
//! has to act, and then it is too late.
//!
//! Border: reads and logs. Nothing waits for it and nothing is decided from it.

use crate::Agent;
use pilotlight_core::effect::Effect;
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_driver::clock::within;
use std::time::Duration;

/// It reads files and asks its own server; what takes longer is told by the looks.
const LONGEST: Duration = Duration::from_secs(10);

/// Asks the driver what would stand in the way of a fence, which is what must never fail.
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
    for Finding { code, message, hint, .. } in findings.iter().filter(|f| f.severity == Severity::Blocker) {
        tracing::warn!(component = %target.component, hint, "this agent lacks what it may need: {code}: {message}");
    }
}
