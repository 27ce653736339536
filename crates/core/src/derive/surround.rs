//! What surrounds every move: notes, the user's commands, instances, traffic, proofs, and the old side's new role.

use super::draft::{Draft, Say, step};
use super::moves::target;
use super::survey::Survey;
use super::{limits, rejoin, shares};
use crate::effect::Effect;
use crate::id::{Component, Region, StepId};
use crate::observation::{Condition, Role, Target};
use crate::placement::{Mode, Verb};
use crate::plan::{ExecPlan, Hook};
use crate::runbook::{OnFailure, Phase, Step};
use std::collections::BTreeSet;

/// Tells people that it starts. Nothing waits for it, nor for what became of it.
pub(super) fn tell_start(survey: &Survey<'_>, draft: &mut Draft) {
    let (verb, unit) = (survey.d.intent.verb, &survey.d.intent.unit);
    let (application, from, to) = (&survey.d.plan.application, survey.from(), survey.to());
    let message = match verb {
        _ if survey.stays() => format!("{application}: {verb} of {unit} started, the writer stays in {to}"),
        _ => format!("{application}: {verb} of {unit} from {from} to {to} started"),
    };
    for messenger in &survey.messengers {
        draft.add(note("start", messenger, &message));
    }
}

/// Tells people that users are served, or that the copies follow again.
pub(super) fn tell_end(survey: &Survey<'_>, draft: &mut Draft, needs: &[StepId]) {
    let (verb, unit) = (survey.d.intent.verb, &survey.d.intent.unit);
    let (application, to) = (&survey.d.plan.application, survey.to());
    let message = match verb {
        Verb::Rejoin => format!("{application}: {verb} of {unit} done, copies follow {to} again"),
        _ => {
            let lit: Vec<&str> = survey.lit().map(Region::as_str).collect();
            let (lit, serve) = (lit.join(" and "), if lit.len() == 1 { "serves" } else { "serve" });
            format!("{application}: {verb} of {unit} done, {lit} {serve} users")
        }
    };
    for messenger in &survey.messengers {
        draft.add(note("end", messenger, &message).once(needs.iter().cloned()));
    }
}

fn note(edge: &str, messenger: &Component, message: &str) -> Step {
    let effect = Effect::Notify { component: messenger.clone(), message: message.to_owned() };
    let title = format!("Tell people through {messenger}: {edge}");
    step(format!("notify-{edge}-{messenger}"), Phase::Notify, effect, limits::NOTIFY)
        .say(title, "People who know do not start a second move.")
        .else_do(OnFailure::GoOn)
}

/// The user's commands that come before anything else.
pub(super) fn before_move(survey: &Survey<'_>, draft: &mut Draft) -> Vec<StepId> {
    let on_failure = match survey.d.intent.mode {
        Mode::Graceful => OnFailure::Undo,
        Mode::Ungraceful => OnFailure::Pause,
    };
    let why = "The plan wants it done before anything moves.";
    commands(survey, draft, Hook::BeforeMove, Phase::Prepare, why, &[], on_failure)
}

fn commands(
    survey: &Survey<'_>,
    draft: &mut Draft,
    when: Hook,
    phase: Phase,
    why: &str,
    needs: &[StepId],
    on_failure: OnFailure,
) -> Vec<StepId> {
    // A lost region cannot run its command, and nobody may have to wait for that: it is left out of a failover.
    let runs = |hook: &ExecPlan| hook.region.as_ref().is_none_or(|r| survey.answers(r));
    let hooks = survey.hooks(when).filter(|(_, hook)| runs(hook));
    hooks
        .map(|(component, hook)| {
            let mut command = hook.command.clone();
            for (name, value) in [
                ("PILOTLIGHT_VERB", survey.d.intent.verb.to_string()),
                ("PILOTLIGHT_UNIT", survey.d.intent.unit.to_string()),
                ("PILOTLIGHT_FROM", survey.from().to_string()),
                ("PILOTLIGHT_TO", survey.to().to_string()),
            ] {
                command.env.entry(name.to_owned()).or_insert(value);
            }
            let limit = limits::command(hook.deadline, command.idempotent);
            let effect = Effect::Command { region: hook.region.clone(), command };
            let run = step(format!("run-{component}"), phase, effect, limit);
            let run = run.say(format!("Run the command {component}"), why).else_do(on_failure);
            draft.add(run.once(needs.iter().cloned()))
        })
        .collect()
}

/// Starts instances where traffic is to go, before anybody is led there and without anything waiting for it but that.
pub(super) fn make_room(
    survey: &Survey<'_>,
    draft: &mut Draft,
    opened: &[StepId],
    on_failure: OnFailure,
) -> Vec<StepId> {
    let mut rooms = Vec::new();
    for (component, _, instances) in &survey.rooms {
        for region in survey.lit() {
            let size =
                |instances| Effect::SetCapacity { component: (*component).clone(), region: region.clone(), instances };
            let ready = Condition::HasCapacity { target: target(component, region), ready: instances.active };
            let title = format!("Start instances of {component} in {region}, up to {}", instances.active);
            let scale = step(
                format!("scale-{component}-{region}"),
                Phase::Scale,
                size(instances.active),
                limits::scale(survey.pace(component)),
            )
            .say(title, "Traffic is led only to where it can be served.")
            .until(ready)
            .once(opened.iter().cloned())
            .else_do(on_failure);
            // Where the traffic is now, taking it back would take away what is live.
            let undoable = on_failure == OnFailure::Undo && region != survey.from();
            rooms.push(draft.add(if undoable { scale.undone_by(size(instances.standby)) } else { scale }));
        }
    }
    rooms
}

/// Everything that follows the new writers: traffic, proof, the other copies, the old side's instances, the last note.
pub(super) fn after_promotion(
    survey: &Survey<'_>,
    draft: &mut Draft,
    writers: &[(Component, StepId)],
    rooms: &[StepId],
) {
    let promoted: Vec<StepId> = writers.iter().map(|(_, id)| id.clone()).collect();
    let why = "The plan wants it done when the new writer writes and before traffic comes.";
    let hooked = commands(survey, draft, Hook::BeforeRoute, Phase::Promote, why, &promoted, OnFailure::Pause);
    let ready: Vec<StepId> = [&promoted, rooms, &hooked].into_iter().flatten().cloned().collect();
    let routed: Vec<StepId> = match shares::wanted(survey).filter(|_| !shares::traffic_first(survey)) {
        Some(plan) => shares::shift_all(survey, draft, plan, ready.clone()),
        None => survey.roads.iter().map(|road| draft.add(route(survey, road).once(ready.clone()))).collect(),
    };
    let served = verify(survey, draft, if routed.is_empty() { ready } else { routed });
    let why = "The plan wants it done when everything is verified.";
    let closed = commands(survey, draft, Hook::AfterMove, Phase::Verify, why, &served, OnFailure::GoOn);
    let end = if closed.is_empty() { &served } else { &closed };
    tell_end(survey, draft, end);
    if !survey.stays() {
        follow_all(survey, draft, writers, &served);
    }
    let led = survey.roads.iter().filter_map(|road| survey.shares(road)).flatten();
    let left: BTreeSet<&Region> = led.chain([survey.from()]).collect();
    for dark in left.into_iter().filter(|r| survey.answers(r) && !survey.lit().any(|lit| lit == *r)) {
        shrink(survey, draft, dark, &served);
    }
}

fn route(survey: &Survey<'_>, road: &Component) -> Step {
    let placement = survey.d.intent.target.clone();
    let shares = placement.traffic.clone();
    let why = match survey.d.plan.shares {
        Some(_) => "From here on users are led by these shares.",
        None => "From here on users reach the new writer.",
    };
    let shown: Vec<String> = shares.iter().map(|(region, share)| format!("{region} {share} %")).collect();
    let target = Target { component: road.clone(), region: None };
    let limit = limits::route(survey.pace(road));
    step(format!("route-{road}"), Phase::Route, Effect::Route { component: road.clone(), shares }, limit)
        .say(format!("Lead traffic by {road}: {}", shown.join(", ")), why)
        .until(Condition::IsRouted { target, placement })
}

/// The plan's proofs of this unit, one after the other; returns what the end of the move waits for.
fn verify(survey: &Survey<'_>, draft: &mut Draft, mut needs: Vec<StepId>) -> Vec<StepId> {
    let proofs: Vec<_> = survey.d.plan.proofs(&survey.d.intent.unit).collect();
    for (index, probe) in proofs.iter().enumerate() {
        let number = index + 1;
        let effect = Effect::Verify { region: None, probe: (*probe).clone() };
        let why = "A move has worked when users are served, not when its steps are done.";
        let proof = step(format!("verify-{number}"), Phase::Verify, effect, limits::verify(probe));
        let title = format!("Check that it works ({number} of {})", proofs.len());
        needs = vec![draft.add(proof.say(title, why).once(needs))];
    }
    needs
}

/// The other copies follow the new writer: bystanders always, the old writer only when it took part. A lost one that comes
/// back is another run.
///
/// A copy that took writes until now follows only when users have gone.
fn follow_all(survey: &Survey<'_>, draft: &mut Draft, writers: &[(Component, StepId)], served: &[StepId]) {
    for data in survey.data.iter().filter(|d| d.descriptor.needs_rejoin()) {
        let promoted = writers.iter().filter(|(name, _)| name == data.name).map(|(_, id)| id.clone());
        let left = served.iter().filter(|_| data.descriptor.told_to_follow).cloned();
        let promoted: Vec<StepId> = promoted.chain(left).collect();
        let from = (survey.d.intent.mode == Mode::Graceful).then(|| survey.from());
        let standing = |region: &&Region| {
            let is_standby = matches!(survey.role(data.name, region), Role::Standby { .. });
            is_standby && survey.can_reach(data.descriptor, region)
        };
        let bystanders = survey.bystanders(data.name).into_iter().filter(standing);
        for region in from.into_iter().chain(bystanders) {
            draft.add(rejoin::follow_after_move(survey, data, region).once(promoted.clone()));
        }
    }
}

/// Leaves a region without traffic its standby size.
pub(super) fn shrink(survey: &Survey<'_>, draft: &mut Draft, region: &Region, needs: &[StepId]) {
    for (component, regions, instances) in &survey.rooms {
        if instances.standby >= instances.active || !regions.contains(&region) {
            continue;
        }
        let effect = Effect::SetCapacity {
            component: (*component).clone(),
            region: region.clone(),
            instances: instances.standby,
        };
        let kept = match instances.standby {
            0 => "no instance".to_owned(),
            1 => "1 instance".to_owned(),
            many => format!("{many} instances"),
        };
        let title = format!("Keep {kept} of {component} in {region}");
        let scale = step(
            format!("scale-down-{component}-{region}"),
            Phase::Rejoin,
            effect,
            limits::scale_down(survey.pace(component)),
        );
        let scale = scale.say(title, "No traffic goes there any more.").else_do(OnFailure::GoOn);
        draft.add(scale.once(needs.iter().cloned()));
    }
}
