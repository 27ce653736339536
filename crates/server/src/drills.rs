//! Takes drills back when their time is over.
//!
//! Nothing is kept for it: that a run was a drill, and for how long, stands in its first record, so any controller goes on
//! with it. What is decided is decided in core.

use crate::api::view::{DrillView, MoveReply, MoveRequest};
use crate::desk::Desk;
use crate::moves;
use pilotlight_core::code;
use pilotlight_core::drill::{Drill, Next};
use pilotlight_core::id::{RunId, Unit};
use pilotlight_core::placement::Verb;
use pilotlight_core::run::Condition;
use pilotlight_core::time::Mono;
use pilotlight_core::verdict::Verdict;
use pilotlight_engine::RunSummary;
use pilotlight_engine::store::UnitRecord;
use std::time::Duration;

/// Between two attempts to go back: what refuses it rarely changes faster.
const AGAIN: Duration = Duration::from_secs(10);

/// A move back that was refused: of which drill, when, and why. It can be lost.
pub(crate) type RefusedBack = Option<(RunId, Mono, String)>;

/// The newest move of the unit, if it was a drill that led where it should and is not taken back.
pub fn newest(runs: &[RunSummary], unit: &Unit) -> Option<Drill> {
    let run = moves::newest_move(runs, unit)?;
    let (Condition::Ended { result }, Some(ended), Some(lasts)) = (&run.condition, run.ended, run.drill_ms) else {
        return None;
    };
    Drill::of(&run.run, &run.from, &run.to, ended, *result, lasts)
}

/// Waits, starts the move back, or says what stands in its way.
pub(crate) async fn go_on(
    desk: &Desk,
    record: &UnitRecord,
    drill: Drill,
    verdict: Verdict,
    refused: &mut RefusedBack,
) -> DrillView {
    let (now, hold) = (desk.clock.wall(), desk.holds.read());
    let held = match drill.next(now, &desk.plan.home, record.writer.as_ref(), verdict, hold.as_ref()) {
        Next::Wait => None,
        Next::Hold(why) => Some(why),
        Next::Back(verb) => back(desk, &record.unit, &drill, verb, refused).await,
    };
    if let Some(why) = &held
        && desk.rarely.may_say(&format!("drill {}", drill.run), desk.clock.mono())
    {
        tracing::warn!(run = %drill.run, "{}: the drill is over and is not taken back: {why}", code::DRILL_NOT_BACK);
    }
    DrillView { drill, held }
}

/// Starts the move back; says why it was refused.
async fn back(desk: &Desk, unit: &Unit, drill: &Drill, verb: Verb, refused: &mut RefusedBack) -> Option<String> {
    let now = desk.clock.mono();
    if let Some((of, at, why)) = refused
        && *of == drill.run
        && now.since(*at) < AGAIN
    {
        return Some(why.clone());
    }
    let request = MoveRequest {
        unit: Some(unit.clone()),
        target: Some(drill.from.clone()),
        why: format!("the time of drill {} is over", drill.run),
        ..MoveRequest::new(verb, "pilotlight")
    };
    match moves::request(desk, request).await {
        Ok(MoveReply::Started { run }) => tracing::info!(%run, %unit, "takes drill {} back", drill.run),
        Ok(MoveReply::DryRun { .. }) => {}
        Err(refusal) => {
            let why = format!("{} ({})", refusal.body.message, refusal.body.code);
            *refused = Some((drill.run.clone(), now, why.clone()));
            return Some(why);
        }
    }
    None
}
