//! The two ways to move the writer, with the source (switchover, failback) and without it (failover), and what is done where it
//! is where it is to be: users are led to it, or it is taken up again.

use super::draft::{Draft, Say, step};
use super::survey::{Data, Survey};
use super::{Consent, Refusal, limits, shares, surround};
use crate::effect::{Capability, Effect, FenceAssurance, HandOver};
use crate::id::{Component, Region, StepId};
use crate::observation::{Condition, Role, Target};
use crate::runbook::{OnFailure, Phase, Step};
use std::time::Duration;

/// Without the source: make sure that it is silent, then promote. Instances start meanwhile.
pub(super) fn ungraceful(survey: &Survey<'_>) -> Result<Draft, Refusal> {
    let mut draft = Draft::default();
    surround::tell_start(survey, &mut draft);
    let opened = surround::before_move(survey, &mut draft);
    let silent = silence(survey, &mut draft, &opened)?;
    let rooms = surround::make_room(survey, &mut draft, &opened, OnFailure::Pause);
    let grant = draft.add(grant(survey).once(opened).once(silent));
    let writers = promote_all(survey, &mut draft, &grant, &[]);
    surround::after_promotion(survey, &mut draft, &writers, &rooms);
    Ok(draft)
}

/// With the source: everything slow first, then stop, hand over, promote. Undone as a whole until the promotion.
pub(super) fn graceful(survey: &Survey<'_>) -> Draft {
    let mut draft = Draft::default();
    surround::tell_start(survey, &mut draft);
    let opened = surround::before_move(survey, &mut draft);
    let rooms = surround::make_room(survey, &mut draft, &opened, OnFailure::Undo);
    let soaked = shares::soak(survey, &mut draft, &opened);
    let mut opened = [opened, soaked].concat();
    let (prepared, before_users) = (draft.steps.len(), [opened.clone(), rooms.clone()].concat());
    if let (Some(plan), true) = (shares::wanted(survey), shares::traffic_first(survey)) {
        opened = shares::shift_all(survey, &mut draft, plan, before_users.clone());
    }
    let mut ready = Vec::new();
    for data in survey.data.iter().filter(|d| !d.descriptor.atomic_switch) {
        let flushed = draft.add(checkpoint(survey, data.name).once(opened.clone()));
        let room_ids = rooms.iter().cloned();
        let stopped = draft.add(stop(survey, data).once([flushed]).once(opened.clone()).once(room_ids));
        ready.push(draft.add(await_position(survey, data, &stopped).once([stopped.clone()])));
    }
    let undo = Effect::Grant { unit: survey.d.intent.unit.clone(), region: survey.from().clone() };
    let named = grant(survey).once(opened).once(ready).once(rooms.iter().cloned());
    let grant = draft.add(named.undone_by(undo).else_do(OnFailure::Undo));
    let writers = promote_all(survey, &mut draft, &grant, &rooms);
    surround::after_promotion(survey, &mut draft, &writers, &rooms);
    shares::ask_before_users(survey, &mut draft, prepared, &before_users);
    draft
}

/// The writer is where it is to be and users are led elsewhere: everything of a move that comes after its promotion.
pub(super) fn lead_to_writer(survey: &Survey<'_>) -> Draft {
    let mut draft = Draft::default();
    surround::tell_start(survey, &mut draft);
    let mut ready = surround::before_move(survey, &mut draft);
    ready.extend(surround::make_room(survey, &mut draft, &ready, OnFailure::Pause));
    let prepared = draft.steps.len();
    surround::after_promotion(survey, &mut draft, &[], &ready);
    if survey.d.plan.shares.is_some() {
        shares::ask_before_users(survey, &mut draft, prepared, &ready);
    }
    draft
}

/// The writer's agent has given it up, and nobody takes its place: it is started again where it is, with all it acknowledged.
pub(super) fn in_place(survey: &Survey<'_>) -> Draft {
    let mut draft = Draft::default();
    surround::tell_start(survey, &mut draft);
    let opened = surround::before_move(survey, &mut draft);
    let rooms = surround::make_room(survey, &mut draft, &opened, OnFailure::Pause);
    let given_up = survey.data.iter().filter(|data| survey.is_given_up(data));
    let writers: Vec<(Component, StepId)> = given_up
        .map(|data| (data.name.clone(), draft.add(take_up(survey, data).once(opened.iter().cloned()))))
        .collect();
    surround::after_promotion(survey, &mut draft, &writers, &rooms);
    draft
}

fn take_up(survey: &Survey<'_>, data: &Data<'_>) -> Step {
    let (to, component) = (survey.to(), data.name);
    let effect = Effect::ResumeWrites { component: component.clone(), region: to.clone() };
    let title = format!("Start {component} in {to} again as the writer it was");
    let why =
        "Its agent gave it up and fenced it, and nobody was named in its place: it holds all that it acknowledged.";
    step(format!("resume-writes-{component}-{to}"), Phase::Promote, effect, limits::promote(data.descriptor.pace))
        .say(title, why)
        .until(Condition::IsWriter { target: target(component, to) })
}

/// One step or two for each copy that may take writes, and the assurance they give.
fn silence(survey: &Survey<'_>, draft: &mut Draft, opened: &[StepId]) -> Result<Vec<StepId>, Refusal> {
    let from = survey.from();
    let mut steps = Vec::new();
    let mut wait = false;
    let mut attested_by = None;
    for data in &survey.data {
        // The API of a lost region is lost with it, so nothing is fenced through it either.
        // A provider that switches in one call stops the old writer by it.
        let by_call = data.descriptor.atomic_switch;
        let direct = data.descriptor.can(Capability::Fence) && survey.answers(from) && !by_call;
        // What is left when the fence itself is too weak or cannot be carried out: the lease, where an agent keeps one.
        let by_fence = match (direct, by_call) {
            (true, _) | (_, true) => data.descriptor.fence_assurance,
            (false, false) => FenceAssurance::None,
        };
        let waits = by_fence < FenceAssurance::Lapsed && data.descriptor.needs_agent;
        let possible = by_fence.max(if waits { FenceAssurance::Lapsed } else { FenceAssurance::None });
        let least = survey.d.least_fence;
        if survey.d.consent == Consent::Policy && possible < least {
            return Err(Refusal::FenceTooWeak { component: data.name.clone(), possible, least });
        }
        // The lease bounds what was acknowledged beside the candidate; what a writer without one acknowledged, nothing does.
        if !survey.is_admitted() && by_fence < FenceAssurance::Proven {
            let (unit, region) = (survey.d.intent.unit.clone(), survey.to().clone());
            attested_by = survey.d.attested_by.filter(|_| survey.d.consent == Consent::Given);
            if attested_by.is_none() {
                return Err(Refusal::NotAdmitted { unit, region, possible });
            }
        }
        let lapses = waits || attested_by.is_some();
        wait |= lapses;
        // A copy of the one that writes has nothing to silence.
        let follows = matches!(survey.role(data.name, from), Role::Standby { .. }) && survey.was_moved_by_hand(data);
        if direct && !follows {
            // What is waited for is surer than this fence; else nothing but what the fence achieves stands before a promotion.
            let least = if lapses { FenceAssurance::None } else { data.descriptor.fence_assurance };
            steps.push(draft.add(fence(survey, data, from, least).once(opened.iter().cloned())));
        }
        for region in survey.bystanders(data.name) {
            if *survey.role(data.name, region) != Role::Writer {
                continue;
            }
            if !(data.descriptor.can(Capability::Fence) && survey.answers(region)) {
                return Err(Refusal::AnotherWriter { component: data.name.clone(), region: region.clone() });
            }
            let least = data.descriptor.fence_alone();
            steps.push(draft.add(fence(survey, data, region, least).once(opened.iter().cloned())));
        }
    }
    if wait {
        steps.push(draft.add(await_lapse(survey, attested_by).once(opened.iter().cloned())));
    }
    Ok(steps)
}

pub(super) fn fence(survey: &Survey<'_>, data: &Data<'_>, region: &Region, least: FenceAssurance) -> Step {
    let component = data.name;
    let effect = Effect::Fence { component: component.clone(), region: region.clone() };
    let title = format!("Fence {component} in {region}");
    let after = Condition::IsFenced { target: target(component, region), least };
    let id = format!("fence-{component}-{region}");
    match survey.role(component, region) {
        // Proven when it was derived, and a fenced copy never starts by itself: the step only makes sure that later orders
        // with an older epoch are refused there. If the agent has gone meanwhile, nothing is lost by going on.
        Role::Fenced { assurance } if *assurance >= data.descriptor.fence_alone() => {
            let why = "It was seen to be fenced; this raises the epoch there, so that nothing older can wake it.";
            let again = step(id, Phase::Fence, effect, limits::FENCE_AGAIN).say(title, why).until(after);
            again.else_do(OnFailure::GoOn)
        }
        _ => {
            let why = "Two writers at once would make two histories; the old one is silenced before a new one starts.";
            step(id, Phase::Fence, effect, limits::fence(data.descriptor.pace)).say(title, why).until(after)
        }
    }
}

fn await_lapse(survey: &Survey<'_>, attested_by: Option<&str>) -> Step {
    let (unit, region) = (survey.d.intent.unit.clone(), survey.from().clone());
    let title = format!("Wait until the lease of {region} is over");
    let why = match attested_by {
        None => format!("{region} cannot be fenced from here; when its lease is over, it has fenced itself."),
        Some(person) => format!(
            "{person} says that the writer in {region} is off. Nobody was to replace it, so the end of its lease alone \
             would prove nothing."
        ),
    };
    let limit = limits::await_lapse(survey.d.plan.policy.lease);
    let id = format!("await-lapse-{region}");
    let attested_by = attested_by.map(str::to_owned);
    step(id, Phase::Fence, Effect::AwaitLapse { unit, region, attested_by }, limit).say(title, why)
}

fn grant(survey: &Survey<'_>) -> Step {
    let (unit, region) = (survey.d.intent.unit.clone(), survey.to().clone());
    let title = format!("Give the lease of {unit} to {region}");
    let why = "Its agent lets the copy be written only while it holds the lease.";
    step(format!("grant-{region}"), Phase::Promote, Effect::Grant { unit, region }, limits::GRANT).say(title, why)
}

fn checkpoint(survey: &Survey<'_>, component: &Component) -> Step {
    let region = survey.from();
    let effect = Effect::Checkpoint { component: component.clone(), region: region.clone() };
    let title = format!("Write out what {component} in {region} holds in memory");
    let why = "The stop has less to write then, so users wait less.";
    let id = format!("checkpoint-{component}-{region}");
    step(id, Phase::Prepare, effect, limits::CHECKPOINT).say(title, why).else_do(OnFailure::GoOn)
}

fn stop(survey: &Survey<'_>, data: &Data<'_>) -> Step {
    let (component, from, to) = (data.name, survey.from(), survey.to());
    let effect = Effect::StopWrites { component: component.clone(), region: from.clone() };
    let undo = Effect::ResumeWrites { component: component.clone(), region: from.clone() };
    let title = format!("Stop writes of {component} in {from}");
    let why = "The last position it reaches is what the new writer must hold, so nothing is lost.";
    step(format!("stop-writes-{component}-{from}"), Phase::Fence, effect, limits::stop(data.descriptor.pace))
        .say(title, why)
        .only_if(Condition::IsStreaming { target: target(component, to) })
        .until(Condition::IsFenced { target: target(component, from), least: data.descriptor.fence_assurance })
        .undone_by(undo)
        .else_do(OnFailure::Undo)
}

fn await_position(survey: &Survey<'_>, data: &Data<'_>, stopped: &StepId) -> Step {
    let (component, to) = (data.name, survey.to());
    let position = HandOver::From(stopped.clone());
    let effect = Effect::AwaitPosition { component: component.clone(), region: to.clone(), position };
    let title = format!("Wait until {component} in {to} holds everything");
    let why = format!("Every change that {} acknowledged must be there before it is promoted.", survey.from());
    let limit = limits::await_position(data.descriptor.pace);
    step(format!("await-position-{component}-{to}"), Phase::Promote, effect, limit)
        .say(title, why)
        .else_do(OnFailure::Undo)
}

/// The steps after which each component's writer is in the new region, by component.
fn promote_all(survey: &Survey<'_>, draft: &mut Draft, grant: &StepId, rooms: &[StepId]) -> Vec<(Component, StepId)> {
    let alone = survey.data.len() == 1;
    let promote = |data: &Data<'_>| {
        let step = if data.descriptor.atomic_switch { switch(survey, data, alone) } else { promote(survey, data) };
        let id = draft.add(step.once([grant.clone()]).once(rooms.iter().cloned()));
        (data.name.clone(), id)
    };
    survey.data.iter().map(promote).collect()
}

fn promote(survey: &Survey<'_>, data: &Data<'_>) -> Step {
    let (to, component) = (survey.to(), data.name);
    let effect = Effect::Promote { component: component.clone(), region: to.clone() };
    let title = format!("Make {component} in {to} the writer");
    let from = survey.from();
    let silenced = data.descriptor.needs_agent || survey.answers(from);
    let why = match silenced {
        _ if survey.was_moved_by_hand(data) => entered(survey, data),
        true => "From here on there is only a way forward.".to_owned(),
        false => format!("From here on there is only a way forward. Nothing stops {component} in {from} if it lives."),
    };
    step(format!("promote-{component}-{to}"), Phase::Promote, effect, limits::promote(data.descriptor.pace))
        .say(title, why)
        .until(Condition::IsWriter { target: target(component, to) })
}

/// Why a copy that writes is made the writer.
fn entered(survey: &Survey<'_>, data: &Data<'_>) -> String {
    let (component, from, to) = (data.name, survey.from(), survey.to());
    let seen = format!("{component} in {to} was seen to write already, so this only enters it as the writer");
    match survey.answers(from) {
        true => format!("{seen}. In {from} it {}.", survey.says(component, from)),
        false => format!("{seen}. Nothing stops {component} in {from} if it lives."),
    }
}

/// A switch that is refused has changed nothing, so a planned move of nothing else can still be undone.
fn switch(survey: &Survey<'_>, data: &Data<'_>, alone: bool) -> Step {
    let (component, from, to) = (data.name, survey.from(), survey.to());
    let allow_loss = survey.d.intent.mode == crate::placement::Mode::Ungraceful;
    // A person answers for whatever way the provider leaves; the policy only for one whose fence is sure enough.
    let least = match (allow_loss, survey.d.consent) {
        (true, Consent::Policy) => survey.d.least_fence,
        _ => FenceAssurance::None,
    };
    let effect = Effect::Switch { component: component.clone(), from: from.clone(), to: to.clone(), allow_loss, least };
    let title = format!("Switch {component} from {from} to {to}");
    let why = match data.descriptor.told_to_follow {
        _ if survey.was_moved_by_hand(data) => entered(survey, data),
        false => "The provider stops the old writer, hands over and makes the new one in one call.".to_owned(),
        true => format!("What is written in {to} is copied from now on. Nothing stops what still writes in {from}."),
    };
    let on_failure = if alone && !allow_loss { OnFailure::Undo } else { OnFailure::Pause };
    let before = if allow_loss { Duration::ZERO } else { survey.d.plan.components[component].prepares_within() };
    step(format!("switch-{component}-{to}"), Phase::Promote, effect, limits::switch(before))
        .say(title, why)
        .until(Condition::IsWriter { target: target(component, to) })
        .else_do(on_failure)
}

pub(super) fn target(component: &Component, region: &Region) -> Target {
    Target { component: component.clone(), region: Some(region.clone()) }
}
