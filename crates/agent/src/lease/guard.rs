//! The thread that acts when a lease is over: it closes the gates, and fences where there is none. A simulation, where
//! nothing runs unless everything else waits, gives it a task instead.
//!
//! It owns nothing but its thread: no queue, no look, no answer of the controller stands between the end of a lease and
//! the fence. A fence that fails is tried again until it works or the lease is granted anew.

use crate::Agent;
use pilotlight_core::id::Unit;
use pilotlight_core::time::Mono;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// The longest sleep of the guard. The wait itself is counted on a clock that stands still while the machine sleeps, so
/// a holder that slept must wake soon after.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Pause after a fence that failed.
const RETRY: Duration = Duration::from_millis(100);

/// Where the guard runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardRuns {
    /// On a thread and a runtime of its own: nothing else that the agent does can delay it.
    OnItsThread,
    /// Beside the other tasks; only for simulations.
    AsTask,
}

/// Starts the guard. The receiver resolves when it has ended, whatever ended it.
pub(crate) fn spawn_guard(agent: Arc<Agent>, runs: GuardRuns) -> Result<oneshot::Receiver<()>, std::io::Error> {
    match runs {
        GuardRuns::OnItsThread => spawn_thread(agent),
        GuardRuns::AsTask => {
            let (alive, ended) = oneshot::channel();
            tokio::spawn(async move {
                let _alive: oneshot::Sender<()> = alive;
                watch(&agent).await;
            });
            Ok(ended)
        }
    }
}

async fn watch(agent: &Arc<Agent>) {
    // Simulated sleeps are counted on the very clock that leases are; a lease granted meanwhile ends later than this.
    let longest = agent.plan.policy.lease / 2;
    while !agent.shutdown.is_cancelled() {
        match agent.leases.ended(longest) {
            Err(wait) => agent.clock.sleep(wait).await,
            Ok(over) => {
                for (unit, end) in over {
                    fence_for(agent, &unit, end).await;
                }
            }
        }
    }
}

fn spawn_thread(agent: Arc<Agent>) -> Result<oneshot::Receiver<()>, std::io::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (alive, ended) = oneshot::channel();
    std::thread::Builder::new().name("lease-guard".to_owned()).spawn(move || {
        let _alive = alive;
        while !agent.shutdown.is_cancelled() {
            for (unit, end) in agent.leases.wait_for_end(LONGEST_WAIT) {
                runtime.block_on(fence_for(&agent, &unit, end));
            }
        }
    })?;
    Ok(ended)
}

/// Fences for a lease that has ended; one that does not work is tried again a moment later.
async fn fence_for(agent: &Arc<Agent>, unit: &Unit, end: Mono) {
    if fence_all(agent, unit).await {
        agent.leases.fenced(unit, end);
    } else {
        agent.clock.sleep(RETRY).await;
    }
}

/// Closes every gate of the unit, which have closed by themselves, and fences every copy without one that may be written,
/// all at once.
async fn fence_all(agent: &Arc<Agent>, unit: &Unit) -> bool {
    agent.gates.close(unit);
    let mut fences = JoinSet::new();
    for target in agent.picture.replicated_of(unit) {
        if agent.picture.may_write(&target) && !agent.gates.end_writes(&target.component) {
            let agent = agent.clone();
            fences.spawn(async move { agent.hands.fence_at_once(&target, "the lease has run out").await });
        }
    }
    fences.join_all().await.into_iter().all(|silent| silent)
}
