//! What each region's copy was over time, by the faults and by what the runs' records say.
//!
//! A copy that broke by itself and that no run touched is shown as it was last known.

use super::session::{Fault, Origin};
use super::{Lane, LaneState, Span, Stay};
use pilotlight_core::effect::Effect;
use pilotlight_core::id::Region;
use pilotlight_core::placement::{Mode, Verb};
use pilotlight_core::run::{RunView, StepStatus, StepView};
use pilotlight_core::time::Wall;

/// From `at` on the region's copy was that.
type Turn<'a> = (Wall, &'a Region, LaneState);

/// Draws the lanes from the origin to `until_ms`.
pub(super) fn lanes(
    regions: &[Region],
    writer: &Region,
    faults: &[Fault],
    runs: &[RunView],
    origin: Origin,
    until_ms: u64,
) -> Vec<Lane> {
    let lost = faults.iter().filter_map(|f| Some((f.at, f.region.as_ref()?, LaneState::Lost)));
    let given_up = runs.iter().filter_map(given_up);
    let steps = runs.iter().flat_map(|r| r.steps.iter()).flat_map(turns);
    let mut all: Vec<Turn> = lost.chain(given_up).chain(steps).collect();
    all.sort_by_key(|(at, ..)| *at);
    let lane = |region: &Region| {
        let first = match () {
            () if region == writer => LaneState::Writer,
            () if was_out(region, faults, runs) => LaneState::Fenced,
            () => LaneState::Standby,
        };
        let own = all.iter().filter(|(_, of, _)| *of == region).map(|(at, _, state)| (origin.wall_ms(*at), *state));
        Lane { region: region.to_string(), spans: stays(first, own, until_ms) }
    };
    regions.iter().map(lane).collect()
}

/// What first became of the region was a rejoin: before that it was no copy, and its agent kept it fenced.
fn was_out(region: &Region, faults: &[Fault], runs: &[RunView]) -> bool {
    let touches = |run: &&RunView| run.steps.iter().flat_map(turns).any(|(_, of, _)| of == region);
    let first = runs.iter().find(touches).filter(|run| run.intent.verb == Verb::Rejoin);
    first.is_some_and(|run| !faults.iter().any(|f| f.region.as_ref() == Some(region) && f.at < run.started))
}

/// A writer that a failover replaced was lost from the first sign on, also where nobody wrote a fault down. One that a person
/// replaced while it was well was not.
fn given_up(run: &RunView) -> Option<Turn<'_>> {
    let at = run.cause.first_seen.filter(|_| run.intent.mode == Mode::Ungraceful)?;
    Some((at, &run.from, LaneState::Lost))
}

/// What a step made of the copies it touched.
fn turns(step: &StepView) -> Vec<Turn<'_>> {
    let done = matches!(step.status, StepStatus::Done | StepStatus::Warned);
    let (started, ended) = (step.started, step.ended.filter(|_| done));
    let turn = |at: Option<Wall>, region, state| at.map(|at| (at, region, state));
    match &step.effect {
        Effect::Fence { region, .. } | Effect::StopWrites { region, .. } => {
            vec![turn(ended, region, LaneState::Fenced)]
        }
        Effect::Promote { region, .. } | Effect::ResumeWrites { region, .. } => {
            vec![turn(ended, region, LaneState::Writer)]
        }
        Effect::Rejoin { region, .. } => {
            vec![turn(started, region, LaneState::Rejoining), turn(ended, region, LaneState::Standby)]
        }
        Effect::Switch { from, to, .. } => {
            vec![turn(ended, from, LaneState::Standby), turn(ended, to, LaneState::Writer)]
        }
        _ => Vec::new(),
    }
    .into_iter()
    .flatten()
    .collect()
}

/// The last one is what the copy was in the end, also where it became that in the very end.
fn stays(first: LaneState, turns: impl Iterator<Item = (u64, LaneState)>, until_ms: u64) -> Vec<Stay> {
    let (mut spans, mut state, mut from_ms) = (Vec::new(), first, 0);
    for (at, next) in turns.map(|(at, next)| (at.min(until_ms), next)) {
        if next == state {
            continue;
        }
        if at > from_ms {
            spans.push(Stay { span: Span { from_ms, until_ms: at }, state });
        }
        (state, from_ms) = (next, at);
    }
    spans.push(Stay { span: Span { from_ms, until_ms }, state });
    spans
}
