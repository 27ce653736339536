//! The first entry of a unit into the store: where its writer is, from what is seen alone.
//!
//! Invariant: nobody is entered while a copy that may have written is not seen, or while two say that they did.

use super::hold_still;
use crate::api::view::DecisionView;
use crate::desk::Desk;
use pilotlight_core::code;
use pilotlight_core::id::{Region, Unit};
use pilotlight_core::observation::{Role, Target};
use pilotlight_core::verdict::Sight;

/// A unit the store does not know yet is entered as soon as what is seen leaves no doubt where its writer is.
pub(super) async fn enter(desk: &Desk, unit: &Unit, sight: &Sight) -> DecisionView {
    if let Some(region) = desk.plan.regions.iter().find(|region| desk.accords.differs(region, unit)) {
        let why = format!("unit {unit} is not entered: the agent of {region} runs under another plan");
        return DecisionView::Hold { why, code: Some(code::PLANS_DIFFER.to_string()) };
    }
    let writer = match first_writer(desk, unit, sight) {
        Ok(writer) => writer,
        Err(why) => return hold_still(format!("unit {unit} has no writer yet: {why}")),
    };
    match desk.engine.enter(unit, &writer).await {
        Ok(record) => {
            tracing::info!(%unit, epoch = %record.epoch, "entered the unit, its writer is in {writer}");
            hold_still(format!("unit {unit} was entered, its writer is in {writer}"))
        }
        Err(e) => hold_still(format!("unit {unit} cannot be entered: {e}")),
    }
}

/// With a copy that may have written and does not say enough.
fn what_to_do(role: &Role) -> &'static str {
    match role {
        Role::Down { .. } => "start it if it is the writer, else make it a standby",
        Role::Fenced { .. } => "start PostgreSQL there by hand if it is the writer, else make it a standby",
        Role::Unresponsive => "mend it, or stop it",
        _ => "its agent's log says why; mend that",
    }
}

/// Where the writer is: where the only one runs, else where the plan says if it stopped there.
fn first_writer(desk: &Desk, unit: &Unit, sight: &Sight) -> Result<Region, String> {
    let home = &desk.plan.home;
    let mut wrote_at_home = true;
    let mut writers: Vec<&Region> = Vec::new();
    for (component, plan) in desk.plan.in_unit(unit) {
        for region in plan.copies() {
            if !sight.hears(&desk.plan, region) {
                return Err(format!("waiting for the agent of {region}"));
            }
            let target = Target { component: component.clone(), region: Some(region.clone()) };
            let role = sight.agents.get(region).and_then(|a| a.seen.get(&target)).and_then(|(s, _)| s.role.clone());
            let at_home = region == home;
            match role {
                Some(Role::Writer) => writers.push(region),
                Some(Role::Down { was_writer: true, .. }) if at_home => {}
                Some(Role::Standby { .. } | Role::Down { was_writer: false, .. }) => wrote_at_home &= !at_home,
                Some(role) => {
                    return Err(format!("{component} in {region} {}; {}", role.says(), what_to_do(&role)));
                }
                None => return Err(format!("waiting for a look at {component} in {region}")),
            }
        }
    }
    writers.sort_unstable();
    writers.dedup();
    match writers.as_slice() {
        [] if wrote_at_home => Ok(home.clone()),
        [] => Err(format!("no copy writes, and the copy in {home} was not the writer when it stopped")),
        [writer] if *writer == home || !wrote_at_home => Ok((*writer).clone()),
        [writer] => Err(format!("{writer} writes, but the copy in {home} was a writer too; make it a standby first")),
        several => {
            let several = several.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(" and ");
            Err(format!("copies in {several} write; stop all but one"))
        }
    }
}
