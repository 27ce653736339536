//! Heartbeats: presence, looks and the renewal of the lease.
//!
//! Invariant: a heartbeat never waits for a look, an effect or the disk; it carries the newest looks with their age.

use crate::Agent;
use pilotlight_core::protocol::{Heartbeat, OLDEST, VERSION};
use std::time::Duration;

/// Pause after a heartbeat that got no answer: short, because the lease runs meanwhile, and not zero, because a refused
/// connection comes back at once.
const RETRY: Duration = Duration::from_millis(100);

/// Sends heartbeats until shutdown: every `policy.renew`, and at once when something changed.
pub(crate) async fn run(agent: &Agent) {
    let policy = &agent.plan.policy;
    // Four lost requests fit into one lease.
    let timeout = (policy.lease / 4).max(Duration::from_millis(50));
    let mut sequence = 0;
    while !agent.shutdown.is_cancelled() {
        sequence += 1;
        let answered = beat(agent, sequence, timeout).await;
        let pause = if answered { policy.renew } else { RETRY.min(policy.renew) };
        tokio::select! {
            biased;
            () = agent.clock.sleep(pause) => {}
            () = agent.picture.beat.notified(), if answered => {}
            () = agent.shutdown.cancelled() => return,
        }
    }
}

async fn beat(agent: &Agent, sequence: u64, timeout: Duration) -> bool {
    // Before anything else: the lease is counted from here.
    let sent = agent.clock.mono();
    let (sees, sentinels) = agent.picture.seen(sent);
    let only = agent.plan.only_with_sentinels().and_then(|component| sentinels.get(component)).copied();
    let heartbeat = Heartbeat {
        version: OLDEST,
        speaks: VERSION,
        region: agent.region.clone(),
        instance: agent.instance.clone(),
        place: agent.place.clone(),
        sequence,
        sees,
        sentinels,
        sentinel: only.map(|newest| newest.sentinel),
        steady_from: only.map_or(0, |newest| newest.steady_from),
        ports: agent.outlook.seen(sent),
        health: agent.checkup.seen(sent),
        wishes: agent.picture.wishes(),
        heard: agent.hearing.heard().units,
        term: agent.way.term(),
        accord: Some(agent.accord.clone()),
    };
    let reply = tokio::select! {
        biased;
        reply = agent.way.heartbeat(&heartbeat, timeout) => reply,
        () = agent.shutdown.cancelled() => return false,
    };
    let Ok(reply) = reply else {
        agent.picture.not_answered();
        return false;
    };
    for unit in &reply.units {
        if let Some(lease) = unit.lease_ms {
            let until = agent.leases.renewed(&unit.unit, sent, lease);
            agent.gates.allow(&unit.unit, until);
        }
    }
    agent.hearing.answered(reply.units, agent.way.term(), |units| agent.picture.heard(units));
    true
}
