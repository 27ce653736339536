//! A region that is back becomes a standby again; the writer stays where it is.
//!
//! Invariant, held by a property: no step silences the writer's region, rewinds it or lets it follow, whatever target is named.

use super::draft::{Draft, Say, step};
use super::moves::{fence, target};
use super::refusal::CHECK_KIND;
use super::survey::{Data, Survey};
use super::{Consent, Refusal, limits, surround};
use crate::effect::{Capability, Effect};
use crate::id::{Component, Region, StepId};
use crate::observation::{Condition, Role};
use crate::runbook::{OnFailure, Phase, Step};
use crate::verdict::astray;

/// Every region that answers and whose copy is astray: fence what was a writer, keep what only it holds, let it follow, leave it its standby size.
pub(super) fn rejoin(survey: &Survey<'_>) -> Result<Draft, Refusal> {
    let writer = survey.from();
    // Any other target would make the writer's region one that came back, and the first step its fence.
    if !survey.stays() {
        return Err(Refusal::RejoinElsewhere { writer: writer.clone(), region: survey.to().clone() });
    }
    let mut draft = Draft::default();
    surround::tell_start(survey, &mut draft);
    let told = draft.steps.len();
    let mut open = None;
    for region in survey.d.plan.regions.iter().filter(|r| *r != writer) {
        let mut back: Vec<StepId> = Vec::new();
        for data in &survey.data {
            if !survey.can_reach(data.descriptor, region) || !is_astray(survey, data, region) {
                continue;
            }
            if *survey.role(data.name, writer) != Role::Writer {
                let (component, region) = (data.name.clone(), writer.clone());
                let says = survey.says(data.name, writer);
                return Err(Refusal::SourceNotWriter { component, region, says });
            }
            let silent = match survey.role(data.name, region) {
                Role::Standby { .. } => None,
                // Nothing is there that could take writes.
                Role::Down { was_writer: false, .. } => None,
                // What it took meanwhile is to arrive before it stops.
                _ if data.descriptor.told_to_follow => None,
                _ if data.descriptor.can(Capability::Fence) => {
                    Some(draft.add(fence(survey, data, region, data.descriptor.fence_alone())))
                }
                _ => {
                    let hint = survey.d.plan.components[data.name].to_silence().unwrap_or(CHECK_KIND);
                    let (component, capability) = (data.name.clone(), Capability::Fence);
                    let refusal = Refusal::Incapable { component, capability, hint };
                    if data.descriptor.needs_rejoin() {
                        return Err(refusal);
                    }
                    // Its provider may be about to make it follow: what else is astray need not wait for that.
                    open = Some(refusal);
                    continue;
                }
            };
            let kept = data.descriptor.can(Capability::Rescue);
            let rescue = match survey.is_gone(data.name, region) {
                true => give_up(data.name, region, writer),
                false => rescue(data.name, region, writer),
            };
            let kept = kept.then(|| draft.add(rescue.once(silent.clone())));
            back.push(draft.add(follow(survey, data, region, writer).once(silent).once(kept)));
        }
        let led = survey.lit().any(|r| r == region) || survey.takes_users(region);
        if !back.is_empty() && !led {
            surround::shrink(survey, &mut draft, region, &back);
        }
    }
    if draft.steps.len() == told {
        return Err(open.unwrap_or(Refusal::NothingToRejoin { writer: writer.clone() }));
    }
    let all: Vec<StepId> = draft.steps[told..].iter().map(|s| s.id.clone()).collect();
    surround::tell_end(survey, &mut draft, &all);
    Ok(draft)
}

/// Besides what a verdict counts, a copy that takes writes although the writer is elsewhere. Where a provider makes the
/// others follow by itself, only what it has let go of: a copy that stands alone, or is not there.
fn is_astray(survey: &Survey<'_>, data: &Data<'_>, region: &Region) -> bool {
    let has_copy = survey.d.plan.components[data.name].has_copy(region);
    let role = survey.role(data.name, region);
    has_copy
        && match data.descriptor.needs_rejoin() {
            // Its disk may only be away. Whoever asks for the rejoin says that it is not.
            _ if survey.is_gone(data.name, region) => survey.d.consent == Consent::Given,
            true => *role == Role::Writer || astray(role, survey.to()).is_some(),
            false => match role {
                Role::Writer | Role::Fenced { .. } => true,
                Role::Down { was_writer: false, .. } => data.descriptor.can(Capability::Fence),
                _ => false,
            },
        }
}

/// Keeps what the copy holds and nobody else does. It fails rather than let any of it be lost; then a person decides.
fn rescue(component: &Component, region: &Region, upstream: &Region) -> Step {
    let (component, region, upstream) = (component.clone(), region.clone(), upstream.clone());
    let title = format!("Keep what {component} in {region} acknowledged and never sent");
    let why = "To follow again it must forget that; nothing is forgotten that is not safe in a rescue bundle.";
    let id = format!("rescue-{component}-{region}");
    let effect = Effect::CaptureRescue { component, region, upstream, waived_by: None };
    step(id, Phase::Rejoin, effect, limits::RESCUE).say(title, why)
}

/// Nothing is there any more to be kept. A person says so; who it was is known where the request is.
fn give_up(component: &Component, region: &Region, upstream: &Region) -> Step {
    let step = rescue(component, region, upstream);
    let (component, region, upstream) = (component.clone(), region.clone(), upstream.clone());
    let title = format!("Give up what {component} in {region} held: its data directory is empty");
    let why = "If its disk is only away, mount it instead: what was acknowledged there and never sent is on it.";
    let waived_by = Some("whoever asked for this rejoin".to_owned());
    let effect = Effect::CaptureRescue { component, region, upstream, waived_by };
    Step { effect, ..step }.say(title, why)
}

/// Makes a copy follow the writer.
pub(super) fn follow(survey: &Survey<'_>, data: &Data<'_>, region: &Region, upstream: &Region) -> Step {
    let component = data.name;
    let limit = limits::rejoin(survey.d.plan.components[component].rejoin_within());
    let effect = Effect::Rejoin { component: component.clone(), region: region.clone(), upstream: upstream.clone() };
    let title = format!("Make {component} in {region} a standby of {upstream}");
    let why = "Until it follows again, there is nothing to fail over to.";
    let follow = step(format!("rejoin-{component}-{region}"), Phase::Rejoin, effect, limit)
        .say(title, why)
        .until(Condition::Follows { target: target(component, region), upstream: upstream.clone() })
        // The unit is free again then: a writer that is lost meanwhile can be replaced.
        .else_do(OnFailure::Undo);
    Step { settle_ms: Some(limits::FOLLOWS), ..follow }
}

/// The same at the end of a move: users are served already, so a failure is a warning.
pub(super) fn follow_after_move(survey: &Survey<'_>, data: &Data<'_>, region: &Region) -> Step {
    follow(survey, data, region, survey.to()).else_do(OnFailure::GoOn)
}
