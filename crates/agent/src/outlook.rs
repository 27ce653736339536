//! What is seen of the other places: their ports, dialled by timer. Agents and observers carry it to the controller.
//!
//! Border: looks only; what follows is the controller's to judge.
//!
//! Each port has a task of its own: one that hangs holds up no other.

use pilotlight_core::id::Region;
use pilotlight_core::observation::Target;
use pilotlight_core::plan::Plan;
use pilotlight_core::protocol::PortSeen;
use pilotlight_core::time::Mono;
use pilotlight_core::verdict::PortAnswer;
use pilotlight_driver::clock::{Clock, within};
use pilotlight_driver::port::PortLook;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Looks are as far apart as heartbeats, within these: an answer must be newer than a silent agent's last word well before
/// its lease is over, and a port need not be dialled for nothing.
const INTERVAL: (Duration, Duration) = (Duration::from_millis(150), Duration::from_secs(1));

/// A port that has not answered by then does not answer.
const LONGEST: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Outlook {
    clock: Arc<dyn Clock>,
    look: Arc<dyn PortLook>,
    targets: Vec<Target>,
    every: Duration,
    seen: Mutex<BTreeMap<Target, (PortAnswer, Mono)>>,
}

impl Outlook {
    /// Looks at every copy of replicated data outside of `own`.
    pub(crate) fn new(plan: &Plan, own: Option<&Region>, clock: Arc<dyn Clock>, look: Arc<dyn PortLook>) -> Self {
        let copies = plan.components.iter().flat_map(|(name, c)| {
            let regions = c.copies().into_iter().filter(|r| Some(*r) != own);
            regions.map(|r| Target { component: name.clone(), region: Some(r.clone()) })
        });
        let every = plan.policy.renew.clamp(INTERVAL.0, INTERVAL.1);
        Self { clock, look, targets: copies.collect(), every, seen: Mutex::default() }
    }

    /// The newest answers, for the next message.
    pub(crate) fn seen(&self, now: Mono) -> Vec<PortSeen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let port = |(target, (answer, at)): (&Target, &(PortAnswer, Mono))| PortSeen {
            target: target.clone(),
            answer: *answer,
            age_ms: now.since(*at),
        };
        seen.iter().map(port).collect()
    }

    /// Looks until shutdown; `news` fires when an answer is another than before.
    pub(crate) async fn run(self: Arc<Self>, news: impl Fn() + Clone + Send + 'static, shutdown: CancellationToken) {
        let mut looks = JoinSet::new();
        for target in self.targets.clone() {
            let (outlook, news, stop) = (self.clone(), news.clone(), shutdown.clone());
            looks.spawn(async move {
                while !stop.is_cancelled() {
                    if outlook.look_at(&target).await {
                        news();
                    }
                    tokio::select! {
                        biased;
                        () = outlook.clock.sleep(outlook.every) => {}
                        () = stop.cancelled() => {}
                    }
                }
            });
        }
        shutdown.cancelled().await;
        while looks.join_next().await.is_some() {}
    }

    /// Returns whether the answer is news.
    async fn look_at(&self, target: &Target) -> bool {
        let began = self.clock.mono();
        let answer = within(&*self.clock, LONGEST, self.look.look(target)).await;
        let answer = answer.unwrap_or(PortAnswer::Unreachable);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(target.clone(), (answer, began)).is_none_or(|(before, _)| before != answer)
    }
}

/// A signal that a task waits for.
pub(crate) fn wakes(notify: &Arc<Notify>) -> impl Fn() + Clone + Send + 'static + use<> {
    let notify = notify.clone();
    move || notify.notify_one()
}
