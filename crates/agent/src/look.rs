//! Looks at one copy: by timer, when the driver signals, and after each effect.
//!
//! Each copy has a task of its own, because a look may take seconds when something is wrong, and then the other copies and
//! the heartbeat must go on.

use crate::Agent;
use pilotlight_core::observation::{Role, State, Target};
use pilotlight_driver::clock::within;
use std::pin::pin;
use std::time::Duration;

/// Between two looks at a copy that replicates, when nothing signals.
const INTERVAL: Duration = Duration::from_millis(150);

/// The same for what only has a capacity: nothing is decided by it within a lease.
const CALM: Duration = Duration::from_millis(500);

/// The shortest time between two looks: a driver may signal for nothing, and a dead process signals without end.
const SHORTEST: Duration = Duration::from_millis(10);

/// A look that takes longer saw nothing.
const LONGEST: Duration = Duration::from_secs(5);

/// Looks until shutdown.
pub(crate) async fn run(agent: &Agent, target: &Target) {
    let signals = agent.picture.signals(target);
    // It begins before the look, so that nothing that happens in between is missed, and lasts over many looks.
    let mut signal = Box::pin(signalled(agent, target));
    let mut over = pin!(agent.shutdown.cancelled());
    let interval = if agent.picture.is_replicated(target) { INTERVAL } else { CALM };
    while !agent.shutdown.is_cancelled() {
        let generation = agent.picture.generation(target);
        let began = agent.clock.mono();
        let state = tokio::select! {
            biased;
            state = look(agent, target) => state,
            () = &mut over => return,
        };
        let state = besides(agent, target, state);
        agent.picture.looked(target, generation, began, state);
        tokio::select! {
            biased;
            () = agent.clock.sleep(interval) => {}
            () = signals.look.notified() => {}
            () = &mut signal => signal.set(signalled(agent, target)),
            () = &mut over => return,
        }
    }
}

async fn signalled(agent: &Agent, target: &Target) {
    tokio::join!(agent.clock.sleep(SHORTEST), agent.driver.watch(target));
}

async fn look(agent: &Agent, target: &Target) -> State {
    match within(&*agent.clock, LONGEST, agent.driver.observe(target)).await {
        Some(Ok(state)) => state,
        Some(Err(e)) => unseen(agent, target, e.with_hint()),
        None => unseen(agent, target, format!("the look took longer than {LONGEST:?}")),
    }
}

/// What the agent itself knows of the copy, with what its driver saw.
fn besides(agent: &Agent, target: &Target, mut state: State) -> State {
    state.epoch = agent.hands.newest_epoch(target).max(state.epoch);
    state.findings.extend(agent.gates.troubles(&target.component));
    state
}

/// What is known after a look that failed: nothing, and why.
fn unseen(agent: &Agent, target: &Target, why: String) -> State {
    let role = agent.picture.is_replicated(target).then_some(Role::Unknown);
    State { role, facts: [("look".to_owned(), why)].into(), ..State::default() }
}
