//! Sentinels: a counted row the writer's agent writes, so that everybody can see how far a copy has come.

use crate::Agent;
use pilotlight_core::code;
use pilotlight_core::effect::Effect;
use pilotlight_core::observation::{Newest, Role, Sentinel, Target};
use pilotlight_core::time::ClockWatch;
use std::time::Duration;

/// Writes until shutdown, while the copy here is the writer and the lease is valid.
pub(crate) async fn run(agent: &Agent, target: &Target, every: Duration) {
    let mut last = 0;
    let mut complained = false;
    let (mut clocks, mut steady_from) = (ClockWatch::default(), 0);
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
        let set = clocks.read(sentinel.written, agent.clock.mono());
        if let Some(set) = set {
            let (component, code) = (&target.component, code::CLOCK_SET);
            tracing::warn!(%component, "{code}: the wall clock here was {set}; leases do not mind, sentinels begin anew");
        }
        // Another clock, or another region's: what was written before cannot be held against this one.
        if set.is_some() || last == 0 || number != last + 1 {
            steady_from = number;
        }
        let (component, region) = (target.component.clone(), agent.region.clone());
        let effect = Effect::WriteSentinel { component, region, sentinel };
        match agent.hands.sentinel(target, &effect, every.max(Duration::from_secs(1))).await {
            Ok(_) => {
                last = number;
                complained = false;
                agent.picture.note_sentinel(&target.component, Newest { sentinel, steady_from });
            }
            Err(e) if !complained => {
                complained = true;
                tracing::warn!(component = %target.component, "cannot write a sentinel: {e}");
            }
            Err(_) => {}
        }
    }
}
