//! An observer: looks at the regions from a place of its own and tells the controller. It holds nothing and does nothing.

use crate::link::HttpWay;
use crate::outlook::{Outlook, wakes};
use crate::{AgentError, fresh_instance};
use pilotlight_core::id::Observer;
use pilotlight_core::plan::Plan;
use pilotlight_core::protocol::{OLDEST, ObserverReport};
use pilotlight_core::verdict::Witness;
use pilotlight_driver::checkup::Checkup;
use pilotlight_driver::clock::Clock;
use pilotlight_driver::port::PortLook;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Pause after a report that got no answer.
const RETRY: Duration = Duration::from_millis(250);

/// What an observer is made of.
pub struct ObserverParts {
    /// Its name in `policy.observers`.
    pub observer: Observer,
    /// The plan.
    pub plan: Arc<Plan>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Dials ports.
    pub port_look: Arc<dyn PortLook>,
    /// Speaks HTTP, trusts the plan's certificate authority.
    pub client: reqwest::Client,
    /// The shared secret.
    pub token: String,
    /// Ends the observer.
    pub shutdown: CancellationToken,
}

/// Looks and reports every `policy.renew`, and at once when something changed, until shutdown.
pub async fn observe(parts: ObserverParts) -> Result<(), AgentError> {
    let ObserverParts { observer, plan, clock, port_look, client, token, shutdown } = parts;
    let outlook = Arc::new(Outlook::new(&plan, None, clock.clone(), port_look.clone()));
    let news = Arc::new(Notify::new());
    let looking = tokio::spawn(outlook.clone().run(wakes(&news), shutdown.clone()));
    let checkup = Checkup::new(&plan, &Witness::Observer(observer.clone()), clock.clone(), port_look);
    let checking = tokio::spawn(checkup.clone().run(wakes(&news), shutdown.clone()));
    let way = HttpWay::new(client, &plan.controller.urls(), token);
    let instance = fresh_instance();
    let mut sequence = 0;
    tracing::info!(%observer, instance, "the observer has started");
    while !shutdown.is_cancelled() {
        sequence += 1;
        let report = ObserverReport {
            version: OLDEST,
            observer: observer.clone(),
            instance: instance.clone(),
            sequence,
            ports: outlook.seen(clock.mono()),
            health: checkup.seen(clock.mono()),
        };
        let answered = tokio::select! {
            biased;
            reply = way.post::<_, ()>("/v1/observe", &report, plan.policy.lease / 4) => reply.is_ok(),
            () = shutdown.cancelled() => break,
        };
        let pause = if answered { plan.policy.renew } else { RETRY };
        tokio::select! {
            biased;
            () = clock.sleep(pause) => {}
            () = news.notified(), if answered => {}
            () = shutdown.cancelled() => {}
        }
    }
    let ended = looking.await.and(checking.await);
    ended.map_err(|e| AgentError::TaskEnded(e.to_string()))
}
