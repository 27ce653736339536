//! Keeps a writer ready for the rescue of rows: what will be needed to read them has to be held from before the loss on.

use crate::Agent;
use pilotlight_core::effect::Effect;
use pilotlight_core::observation::{Role, Target};
use std::time::Duration;

/// Soon after a standby has come: from then on there is something to lose. The driver does not do all of it each time.
const EVERY: Duration = Duration::from_secs(1);

/// What is to be made may have to wait for long transactions of users.
const DEADLINE: Duration = Duration::from_secs(30);

/// Looks after it until shutdown: on the writer, and on a standby, which must hold nothing back. No lease is asked for: what is
/// moved on or dropped decides nothing, and a writer that goes on without one, with every controller away, fills its disk else.
pub(crate) async fn run(agent: &Agent, target: &Target) {
    let mut complained = false;
    loop {
        tokio::select! {
            biased;
            () = agent.shutdown.cancelled() => return,
            () = agent.clock.sleep(EVERY) => {}
        }
        let Some(now) = agent.picture.situation(target) else { continue };
        if !matches!(now.state.role, Some(Role::Writer | Role::Standby { .. })) {
            continue;
        }
        let effect = Effect::KeepRescue { component: target.component.clone(), region: agent.region.clone() };
        match agent.hands.sentinel(target, &effect, DEADLINE).await {
            Ok(_) => complained = false,
            Err(e) if !complained => {
                complained = true;
                tracing::warn!(component = %target.component, "rows might not be rescued after a loss: {e}");
            }
            Err(_) => {}
        }
    }
}
