//! What each term of a controller is made of, whoever hosts it: `pilotlight serve`, or another program ([`crate::hosted`]).

use super::controller::{Ports, wire};
use super::place::Place;
use super::store::Opened;
use crate::connect;
use crate::error::CliError;
use pilotlight_core::code;
use pilotlight_core::plan::{Member, Plan};
use pilotlight_driver::clock::SystemClock;
use pilotlight_driver::guard::Ledger;
use pilotlight_engine::granter::Granter;
use pilotlight_engine::lead::Lead;
use pilotlight_engine::{Engine, EngineParts};
use pilotlight_server::hub::Hub;
use pilotlight_server::{Assemble, Orders, RecordingTo, ServeError, ServerParts};
use std::sync::Arc;

/// What outlives the terms of one controller.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) plan: Arc<Plan>,
    pub(crate) member: Member,
    pub(crate) opened: Arc<Opened>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) recording: Option<RecordingTo>,
    pub(crate) orders: Orders,
}

/// Says what cannot be wired now and not at the first lead.
pub(crate) fn try_wiring(plan: &Plan, ledger: &Arc<Ledger>) -> Result<(), CliError> {
    let clock = Arc::new(SystemClock);
    wire(plan, &Hub::new(clock, &plan.regions, plan.policy.renew, plan.policy.lease), ledger).map(|_| ())
}

/// What makes the parts of each term.
pub(crate) fn assemble(kept: Kept) -> Assemble {
    Box::new(move |lead| {
        let kept = kept.clone();
        Box::pin(async move { parts(kept, lead).await })
    })
}

async fn parts(kept: Kept, lead: Lead) -> Result<ServerParts, ServeError> {
    let Kept { plan, member, opened, ledger, recording, orders } = kept;
    let clock = Arc::new(SystemClock);
    let hub = Hub::new(clock.clone(), &plan.regions, plan.policy.renew, plan.policy.lease);
    let unmade = |e: CliError| ServeError::Parts(format!("{:#}", e.cause));
    let wired = wire(&plan, &hub, &ledger).map_err(unmade)?;
    let name = match lead.is_contested() {
        true => format!("{} ({})", member.name, connect::whoami()),
        false => connect::whoami(),
    };
    let engine = Engine::open(EngineParts {
        store: opened.store.clone(),
        journal: opened.journal.clone(),
        driver: wired.driver,
        clock: clock.clone(),
        granter: Arc::new(Granter::new(clock, plan.policy.lease)),
        name,
        lead: lead.clone(),
    })
    .await?;
    for unit in plan.units() {
        engine.met(unit, ledger.epoch(unit));
        if let Some(behind) = engine.behind(unit) {
            tracing::error!(%unit, "{}: {behind}; {}", code::STORE_BEHIND, behind.hint());
        }
    }
    let probes = Place::of(&plan, None).map_err(unmade)?.probes;
    let port_look = Arc::new(Ports::of(&plan).asking(probes));
    let reports = Some(member.state.join("reports"));
    let descriptors = wired.descriptors;
    Ok(ServerParts { engine, descriptors, hub, port_look, reports, recording, orders, lead })
}
