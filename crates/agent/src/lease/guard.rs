//! What acts when a lease is over: it closes the gates, and fences where there is none. Each copy of the region has a guard
//! of its own, a thread with a runtime; in a simulation, where nothing runs unless everything else waits, a task instead.
//!
//! A guard owns nothing but its thread: no queue, no look, no answer of the controller stands between the end of a lease
//! and the fence, and no other copy. Leases that one heartbeat renewed end in the same moment, and the controller counts
//! [`FENCE_ALLOWANCE`](pilotlight_core::lease::FENCE_ALLOWANCE) from there for each of them: fences one after the other
//! would add up, and one that waits for a name or a disk would let the next writer go on. A thread and not a task, because
//! a fence also writes files, and a disk that hangs stops the thread that writes to it.
//!
//! A fence that fails is tried again until it works or the lease is granted anew.

use crate::Agent;
use pilotlight_core::id::Unit;
use pilotlight_core::observation::Target;
use pilotlight_core::time::Mono;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The longest sleep of a guard. The wait itself is counted on a clock that stands still while the machine sleeps, so
/// a holder that slept must wake soon after.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Pause after a fence that failed.
const RETRY: Duration = Duration::from_millis(100);

/// Where the guards run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardRuns {
    /// On threads and runtimes of their own: nothing else that the agent does can delay them.
    OnItsThread,
    /// Beside the other tasks; only for simulations.
    AsTask,
}

/// Starts the guard of every copy. Each receiver resolves when its guard has ended, whatever ended it.
pub(crate) fn spawn_guards(
    agent: &Arc<Agent>,
    runs: GuardRuns,
) -> Result<Vec<(Target, oneshot::Receiver<()>)>, io::Error> {
    let mut started = Vec::new();
    for unit in agent.picture.units() {
        for copy in agent.picture.replicated_of(&unit) {
            let dealt_with = agent.leases.over_at_start(&unit);
            let guard = Guard { agent: agent.clone(), unit: unit.clone(), copy: copy.clone(), dealt_with };
            let ended = match runs {
                GuardRuns::OnItsThread => guard.spawn_thread()?,
                GuardRuns::AsTask => guard.spawn_task(),
            };
            started.push((copy, ended));
        }
    }
    Ok(started)
}

/// The guard of one copy.
struct Guard {
    agent: Arc<Agent>,
    unit: Unit,
    copy: Target,
    /// The end of the lease that nothing needs to be done for any more.
    dealt_with: Option<Mono>,
}

impl Guard {
    fn spawn_thread(mut self) -> Result<oneshot::Receiver<()>, io::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (alive, ended) = oneshot::channel();
        std::thread::Builder::new().name("lease-guard".to_owned()).spawn(move || {
            let _alive = alive;
            while !self.agent.shutdown.is_cancelled() {
                if let Some(end) = self.agent.leases.wait_for_end(&self.unit, self.dealt_with, LONGEST_WAIT) {
                    runtime.block_on(self.act(end));
                }
            }
        })?;
        Ok(ended)
    }

    fn spawn_task(mut self) -> oneshot::Receiver<()> {
        let (alive, ended) = oneshot::channel();
        tokio::spawn(async move {
            let _alive: oneshot::Sender<()> = alive;
            // Simulated sleeps are counted on the very clock that leases are; a lease granted meanwhile ends later than this.
            let longest = self.agent.plan.policy.lease / 2;
            while !self.agent.shutdown.is_cancelled() {
                match self.agent.leases.ended(&self.unit, self.dealt_with, longest) {
                    Err(wait) => self.agent.clock.sleep(wait).await,
                    Ok(end) => self.act(end).await,
                }
            }
        });
        ended
    }

    /// Acts on a lease that has ended; a fence that does not work is tried again a moment later.
    async fn act(&mut self, end: Mono) {
        if self.silence().await {
            self.dealt_with = Some(end);
        } else {
            self.agent.clock.sleep(RETRY).await;
        }
    }

    /// Closes the gates of the copy, which have closed by themselves, and fences it where it has none and may be written.
    async fn silence(&self) -> bool {
        let (gates, component) = (&self.agent.gates, &self.copy.component);
        gates.close(component);
        let silent = gates.end_writes(component) || !self.agent.picture.may_write(&self.copy);
        silent || self.agent.hands.fence_at_once(&self.copy, "the lease has run out").await
    }
}

#[cfg(test)]
pub(crate) mod tests;
