//! What follows when a region is lost that takes users and has no writer.

use super::{Decision, History, REJOIN_PAUSE, Reason};
use crate::id::{Region, Unit};
use crate::placement::{Intent, Mode, Verb};
use crate::plan::{DecisionMode, Plan, Shares};
use crate::time::Wall;
use crate::verdict::{Judgement, Verdict};
use std::time::Duration;

/// It is known to take nothing.
pub(super) fn is_dark(led: Option<&Shares>, region: &Region) -> bool {
    led.is_some_and(|led| led.get(region).is_none_or(|share| *share == 0))
}

/// A region without the writer that is lost gives its share to the others, while the writer is well; a lost writer is the
/// graver matter. The past of failovers bars nothing here: no writer moves, and nothing gives the share back but a person.
pub(super) fn drain(plan: &Plan, unit: &Unit, judgement: &Judgement, history: &History, now: Wall) -> Option<Decision> {
    let (writer, led) = (judgement.writer.as_ref()?, history.led.as_ref()?);
    let works = matches!(judgement.verdict, Verdict::Healthy | Verdict::ServiceUnhealthy);
    let region = judgement.lost.iter().find(|region| works && !is_dark(Some(led), region))?.clone();
    if !judgement.quorum.is_majority() {
        return Some(Decision::Hold(Reason::Minority { quorum: judgement.quorum }));
    }
    if let Some(hold) = &history.hold {
        return Some(Decision::Hold(Reason::Held { hold: hold.clone() }));
    }
    let left = history.failed_drain.map_or(Duration::ZERO, |at| REJOIN_PAUSE.saturating_sub(now.since(at)));
    if left > Duration::ZERO && plan.policy.mode != DecisionMode::Manual {
        return Some(Decision::Hold(Reason::DrainFailed { region, left }));
    }
    let is_away = |region: &Region| judgement.lost.contains(region) || is_dark(Some(led), region);
    let target = plan.placement(writer, is_away);
    let intent = Intent { unit: unit.clone(), verb: Verb::Drain, mode: Mode::Graceful, target };
    Some(match plan.policy.mode {
        DecisionMode::Automatic => Decision::Start(intent),
        DecisionMode::ApproveFirst => Decision::Ask(intent),
        DecisionMode::Manual => Decision::Hold(Reason::DrainByHand { region }),
    })
}
