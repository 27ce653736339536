//! Sentinels: a counted row the writer's agent writes, so that everybody can see how far a copy has come.

use crate::Agent;
use pilotlight_core::effect::Effect;
use pilotlight_core::observation::{Role, Sentinel, Target};
use std::time::Duration;

/// Writes until shutdown, while the copy here is the writer and the lease is valid.
pub(crate) async fn run(agent: &Agent, target: &Target, every: Duration) {
    let mut last = 0;
    let mut complained = false;
    loop {
        tokio::select! {
            biased;
            () = agent.clock.sleep(every) => {}
            () = agent.shutdown.cancelled() => return,
        }
        // No situation means that an effect runs: this is no time to write.
        let Some(now) = agent.picture.situation(target) else { continue };
        if now.state.role != Some(Role::Writer) || !agent.leases.is_valid(&now.unit) {
            continue;
        }
        // Another region may have counted on while this one was a standby.
        let number = now.state.sentinel.map_or(0, |s| s.number).max(last) + 1;
        let sentinel = Sentinel { number, written: agent.clock.wall() };
        let (component, region) = (target.component.clone(), agent.region.clone());
        let effect = Effect::WriteSentinel { component, region, sentinel };
        match agent.hands.sentinel(target, &effect, every.max(Duration::from_secs(1))).await {
            Ok(_) => {
                last = number;
                complained = false;
                agent.picture.note_sentinel(sentinel);
            }
            Err(e) if !complained => {
                complained = true;
                tracing::warn!(component = %target.component, "cannot write a sentinel: {e}");
            }
            Err(_) => {}
        }
    }
}
