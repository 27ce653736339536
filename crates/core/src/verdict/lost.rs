//! Regions without the writer that take users at rest: which of them are not heard, and which are lost.
//!
//! Silence alone moves nobody here either: it takes silence for as long as the writer's region may be silent, nothing that
//! still speaks of life there, and somebody else who says that it is gone.

use super::{Bench, Evidence, PortAnswer, ServiceHealth, signs_of_life};
use crate::health::Health;
use crate::id::Region;
use crate::lease::granters_lease;

/// Both lists in the plan's order, and what the second rests on.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    pub(super) silent: Vec<Region>,
    pub(super) lost: Vec<Region>,
    pub(super) evidence: Vec<Evidence>,
}

pub(super) fn elsewhere(bench: &Bench<'_>, writer: Option<&Region>, health: &[ServiceHealth]) -> Elsewhere {
    let mut found = Elsewhere::default();
    let Some(shares) = &bench.plan.shares else { return found };
    let takes = |region: &&Region| Some(*region) != writer && shares.get(*region).is_some_and(|share| *share > 0);
    for region in bench.plan.regions.iter().filter(takes).filter(|r| !bench.sight.hears(bench.plan, r)) {
        found.silent.push(region.clone());
        let evidence = witnesses(bench, region, health);
        if is_silent_long(bench, region) && !lives(bench, region, health) && !evidence.is_empty() {
            found.lost.push(region.clone());
            found.evidence.push(bench.silence_of(region));
            found.evidence.extend(evidence);
        }
    }
    found
}

/// One that was never heard is not known to have been there.
fn is_silent_long(bench: &Bench<'_>, region: &Region) -> bool {
    let lease = granters_lease(bench.plan.policy.lease);
    bench.sight.last_heard(region).is_some_and(|at| bench.sight.now.since(at) >= lease)
}

/// Somebody still sees it. A port that nobody has looked at since may be one.
fn lives(bench: &Bench<'_>, region: &Region, health: &[ServiceHealth]) -> bool {
    let serves = |h: &ServiceHealth| h.question.region.as_ref() == Some(region) && h.health == Health::Healthy;
    health.iter().any(serves) || !signs_of_life(bench.plan, bench.unit, region, bench.sight).is_empty()
}

/// Who says that it is gone: ports that do not answer, health checks of its users.
fn witnesses(bench: &Bench<'_>, region: &Region, health: &[ServiceHealth]) -> Vec<Evidence> {
    let gone =
        |(answer, e): (Option<PortAnswer>, Evidence)| answer.is_some_and(|a| a != PortAnswer::Answers).then_some(e);
    let by_ports = bench.ports_of(region).into_iter().filter_map(gone);
    let unhealthy = |h: &&ServiceHealth| h.question.region.as_ref() == Some(region) && h.health == Health::Unhealthy;
    by_ports.chain(health.iter().filter(unhealthy).map(ServiceHealth::evidence)).collect()
}
