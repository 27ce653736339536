//! `GET /v1/status`: everything the controller knows, at one moment.

use super::view::{
    ComponentStatus, CoolingDown, DecisionView, Drift, OlderAgent, RegionStatus, StatusView, UnitStatus,
};
use crate::desk::Desk;
use pilotlight_core::id::{Component, Region, Unit};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::plan::Plan;
use pilotlight_core::protocol::VERSION;
use pilotlight_core::run::Condition;
use pilotlight_core::time::{Mono, Wall};
use pilotlight_core::verdict::{Reach, Sight};
use pilotlight_driver::clock::Clock;
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::store::UnitRecord;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) async fn view(desk: &Desk) -> Result<StatusView, StorageError> {
    let plan = &desk.plan;
    let now = desk.clock.mono();
    let units = plan.units().into_iter().map(|u| unit(desk, u)).collect();
    let some_unit = plan.units().into_iter().next();
    let regions =
        some_unit.map(|u| desk.sight(u)).map(|sight| plan.regions.iter().map(|r| region(desk, &sight, r)).collect());
    let looks = desk.shared();
    let mut open_runs = desk.engine.readable_runs().await?;
    open_runs.retain(|r| !matches!(r.condition, Condition::Ended { .. }));
    let waits = open_runs.iter().map(|r| (r.run.clone(), desk.engine.waits(&r.run))).filter(|(_, w)| !w.is_empty());
    let waits = waits.collect();
    Ok(StatusView {
        units,
        regions: regions.unwrap_or_default(),
        shared: looks.iter().map(|(t, (state, at))| component(t, state, now.since(*at))).collect(),
        open_runs,
        waits,
        hold: desk.holds.read(),
        findings: desk.of_house(),
        reach: plan.units().into_iter().next().map(|u| desk.sight(u).reach(plan)).unwrap_or_default(),
        ..bare(plan, &*desk.clock, desk.began)
    })
}

/// What any controller says of its plan and of itself, and nothing that was seen.
pub(crate) fn bare(plan: &Plan, clock: &dyn Clock, began: Mono) -> StatusView {
    StatusView {
        application: plan.application.clone(),
        home: plan.home.clone(),
        rto_ms: plan.objectives.rto,
        rpo_ms: plan.objectives.rpo,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_ms: clock.mono().since(began),
        at: clock.wall(),
        units: Vec::new(),
        regions: Vec::new(),
        shared: Vec::new(),
        open_runs: Vec::new(),
        waits: BTreeMap::new(),
        hold: None,
        findings: Vec::new(),
        reach: Reach::default(),
    }
}

fn unit(desk: &Desk, unit: &Unit) -> UnitStatus {
    let record = desk.engine.granter().unit(unit);
    let judged = desk.judged(unit);
    let why = "not judged yet: the controller has just started".to_owned();
    let hold = || DecisionView::Hold { why, code: None };
    let cooling_down = judged.as_ref().and_then(|j| j.cooling_down).and_then(|left| {
        let run = record.as_ref().and_then(|r| r.failed_over.as_ref()).map(|f| f.run.clone())?;
        Some(CoolingDown { run, left_ms: left, until: Wall(desk.clock.wall().0 + millis(left)) })
    });
    let exposed = judged.as_ref().map(|j| j.exposed.clone()).unwrap_or_default();
    let drill = judged.as_ref().and_then(|j| j.drill.clone());
    let led_elsewhere = record.as_ref().map(|r| led_elsewhere(desk, r)).unwrap_or_default();
    // A drill drifts on purpose.
    let drift = record.as_ref().filter(|_| drill.is_none()).map(|r| drift(desk, r)).unwrap_or_default();
    UnitStatus {
        unit: unit.clone(),
        epoch: record.as_ref().map(|r| r.epoch),
        writer: record.as_ref().and_then(|r| r.writer.clone()),
        candidate: record.as_ref().and_then(|r| r.candidate.as_ref()).map(|c| c.region.clone()),
        run: record.and_then(|r| r.run),
        decision: judged.as_ref().map_or_else(hold, |j| j.decision.clone()),
        judgement: judged.and_then(|j| j.judgement),
        lease: desk.engine.granter().sight(unit),
        cooling_down,
        drill,
        led_elsewhere,
        drift,
        exposed,
    }
}

/// What leads users past the writer while no run is there to change that.
fn led_elsewhere(desk: &Desk, record: &UnitRecord) -> Vec<Component> {
    let (Some(writer), None) = (&record.writer, &record.run) else { return Vec::new() };
    let past = |state: &State| {
        state.shares.as_ref().is_some_and(|s| s.values().any(|n| *n > 0) && s.get(writer).is_none_or(|n| *n == 0))
    };
    let looks = desk.shared_now();
    let roads = looks.iter().filter(|(_, state)| past(state)).map(|(target, _)| &target.component);
    roads.filter(|c| desk.plan.components.get(*c).is_some_and(|p| p.unit == record.unit)).cloned().collect()
}

/// What leads by other shares than those at rest while no run is there to change that.
fn drift(desk: &Desk, record: &UnitRecord) -> Vec<Drift> {
    let (Some(_), None) = (&record.writer, &record.run) else { return Vec::new() };
    let of_unit = |c: &Component| desk.plan.components.get(c).is_some_and(|p| p.unit == record.unit);
    let looks = desk.shared_now().into_iter().filter(|(target, _)| of_unit(&target.component));
    let seen = looks.filter_map(|(target, state)| Some((target.component, state.shares.clone()?)));
    seen.filter(|(_, seen)| desk.plan.drifts(seen)).map(|(component, seen)| Drift { component, seen }).collect()
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

fn region(desk: &Desk, sight: &Sight, region: &Region) -> RegionStatus {
    let looks = sight.agents.get(region).map(|a| &a.seen);
    RegionStatus {
        region: region.clone(),
        heard_ms: sight.last_heard(region).map(|at| sight.now.since(at)),
        heard: sight.hears(&desk.plan, region),
        older: desk
            .hub
            .speaks(region)
            .filter(|s| *s < VERSION)
            .map(|speaks| OlderAgent { speaks, controller: VERSION }),
        plan: desk.accords.status(region),
        components: looks
            .into_iter()
            .flatten()
            .map(|(t, (state, at))| component(t, state, sight.now.since(*at)))
            .collect(),
    }
}

fn component(target: &Target, state: &State, age_ms: Duration) -> ComponentStatus {
    ComponentStatus { component: target.component.clone(), state: state.clone(), age_ms }
}
