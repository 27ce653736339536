//! What the controller looks at itself: the ports of writers, as a second opinion on silent agents, and what belongs to no
//! region.
//!
//! Border: how to dial a port is given ([`PortLook`]); what follows from the answers is decided elsewhere.

use crate::desk::Desk;
use crate::quiet::Quiet;
use pilotlight_core::effect::Capability;
use pilotlight_core::id::Region;
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::plan::Plan;
use pilotlight_core::time::Mono;
use pilotlight_core::verdict::{PortAnswer, PortSight};
use pilotlight_driver::clock::within;
use pilotlight_driver::port::PortLook;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// While the writer's agent is heard, its word counts; the port is only looked at so that its state is known.
const CALM: Duration = Duration::from_secs(1);

/// While it is silent, the verdict waits for this.
const SILENT: Duration = Duration::from_millis(150);

/// Providers count calls: the same target is not looked at more often through an API than this.
const LEAST_MANAGED: Duration = Duration::from_secs(1);

/// An API that has not answered by then does not answer.
const LONGEST_MANAGED: Duration = Duration::from_secs(4);

/// A port that has not answered by then does not answer.
const LONGEST: Duration = Duration::from_secs(1);

/// Looks at the ports of every unit's writer, and of silent regions that take users at rest, until shutdown. A port that hangs holds up no other.
pub(crate) async fn ports(desk: Arc<Desk>, look: Arc<dyn PortLook>) {
    let mut begun: BTreeMap<Target, Mono> = BTreeMap::new();
    let mut looks = JoinSet::new();
    let changes = desk.engine.granter().changes();
    while !desk.shutdown.is_cancelled() {
        let (known, now) = (changes.get(), desk.clock.mono());
        let mut next = CALM.min(desk.next_silence());
        for (target, every) in wanted(&desk) {
            let left = begun.get(&target).map_or(Duration::ZERO, |at| every.saturating_sub(now.since(*at)));
            next = next.min(if left.is_zero() { every } else { left });
            if !left.is_zero() {
                continue;
            }
            begun.insert(target.clone(), now);
            let (desk, look) = (desk.clone(), look.clone());
            looks.spawn(async move {
                let answer = within(&*desk.clock, LONGEST, look.look(&target)).await;
                let answer = answer.unwrap_or(PortAnswer::Unreachable);
                desk.saw_port(target, PortSight { answer, at: now });
            });
        }
        while looks.try_join_next().is_some() {}
        tokio::select! {
            biased;
            () = pause(&desk, next) => {}
            // Perhaps the writer is another one.
            () = changes.passes(known) => {}
        }
    }
}

fn wanted(desk: &Desk) -> Vec<(Target, Duration)> {
    let mut wanted = Vec::new();
    let at_rest = desk.plan.shares.iter().flatten().filter(|(_, share)| **share > 0).map(|(region, _)| region);
    let at_rest: Vec<&Region> = at_rest.collect();
    for unit in desk.plan.units() {
        let Some(writer) = desk.engine.granter().read(unit, |r| r.writer.clone()).flatten() else { continue };
        let every = if desk.hears(unit, &writer) { CALM } else { SILENT };
        for (component, plan) in desk.plan.in_unit(unit) {
            if plan.has_copy(&writer) {
                let target = Target { component: component.clone(), region: Some(writer.clone()) };
                wanted.push((target, every));
            }
            // One that takes users and falls silent is drained when its port says the same.
            let others = plan.copies().into_iter().filter(|r| **r != writer && at_rest.contains(r));
            for region in others.filter(|r| !desk.hears(unit, r)) {
                let target = Target { component: component.clone(), region: Some(region.clone()) };
                wanted.push((target, SILENT));
            }
        }
    }
    wanted
}

/// Looks at what belongs to no region until shutdown.
pub(crate) async fn shared(desk: Arc<Desk>) {
    let spans = desk.descriptors.iter().filter(|(_, d)| d.can(Capability::Traffic));
    let targets: Vec<Target> = spans.map(|(c, _)| Target { component: c.clone(), region: None }).collect();
    let changes = desk.engine.granter().changes();
    while !desk.shutdown.is_cancelled() {
        let known = changes.get();
        for target in &targets {
            let began = desk.clock.mono();
            // One that does not answer keeps its last state, which ages.
            if let Some(Ok(state)) = within(&*desk.clock, LONGEST * 2, desk.engine.driver().observe(target)).await {
                desk.saw_shared(target.clone(), state, began);
            }
        }
        tokio::select! {
            biased;
            () = pause(&desk, CALM) => {}
            // What was seen before it no longer counts.
            () = changes.passes(known) => {}
        }
    }
}

/// Looks through the provider's API at what needs no agent, until shutdown. A region whose API hangs holds up no other.
pub(crate) async fn managed(desk: Arc<Desk>) {
    let targets = managed_targets(&desk);
    if targets.is_empty() {
        return desk.shutdown.cancelled().await;
    }
    let mut under_way: BTreeMap<Target, tokio::task::AbortHandle> = BTreeMap::new();
    let mut looks = JoinSet::new();
    let quiet = Arc::new(Mutex::new(Quiet::new(desk.clock.mono(), managed_counts_for(&desk.plan))));
    while !desk.shutdown.is_cancelled() {
        for target in &targets {
            if under_way.get(target).is_some_and(|look| !look.is_finished()) {
                continue;
            }
            let Some(region) = target.region.clone() else { continue };
            if !quiet.lock().unwrap_or_else(PoisonError::into_inner).may_look(&region, desk.clock.mono()) {
                continue;
            }
            let (desk, wanted, quiet) = (desk.clone(), target.clone(), quiet.clone());
            let look = looks.spawn(async move {
                let began = desk.clock.mono();
                match within(&*desk.clock, LONGEST_MANAGED, desk.engine.driver().observe(&wanted)).await {
                    Some(Ok(state)) => desk.saw_managed(wanted, state, began),
                    Some(Err(refused)) if refused.kind != FailureKind::Unreachable => {
                        desk.was_refused(wanted, &refused, began);
                    }
                    Some(Err(_)) | None => return,
                }
                quiet.lock().unwrap_or_else(PoisonError::into_inner).answered(region, desk.clock.mono());
            });
            under_way.insert(target.clone(), look);
        }
        while looks.try_join_next().is_some() {}
        pause(&desk, managed_every(&desk.plan)).await;
    }
}

fn managed_every(plan: &Plan) -> Duration {
    plan.policy.renew.max(LEAST_MANAGED)
}

/// A look through an API older than this no longer says that the region's API answers: three were missed.
pub(crate) fn managed_counts_for(plan: &Plan) -> Duration {
    managed_every(plan) * 3 + Duration::from_secs(2)
}

fn managed_targets(desk: &Desk) -> Vec<Target> {
    let mut targets = Vec::new();
    for (component, plan) in desk.plan.components.iter().filter(|(_, c)| c.is_managed()) {
        let places = plan.copies().into_iter().chain(plan.capacity().map(|(regions, _)| regions).unwrap_or_default());
        targets.extend(places.map(|r| Target { component: component.clone(), region: Some(r.clone()) }));
    }
    targets
}

async fn pause(desk: &Desk, d: Duration) {
    tokio::select! {
        biased;
        () = desk.clock.sleep(d) => {}
        () = desk.shutdown.cancelled() => {}
    }
}
