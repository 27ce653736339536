//! Who takes over.

use super::Reason;
use super::unadmitted::lost_writer;
use crate::plan::Plan;
use crate::verdict::{Candidate, Hurdle, Judgement};

/// Who takes over, or what stops the best one.
pub(super) fn choose<'a>(plan: &Plan, judgement: &'a Judgement) -> Result<&'a Candidate, Reason> {
    let Some(best) = judgement.successor(plan) else {
        return Err(Reason::NoCandidate { given_up: judgement.given_up().cloned() });
    };
    let region = best.region.clone();
    match best.hurdle(plan) {
        Hurdle::None => Ok(best),
        Hurdle::NotAdmitted => Err(Reason::NotAdmitted { region, lost: lost_writer(judgement) }),
        Hurdle::Behind { bytes, allowed } => Err(Reason::Behind { region, bytes, allowed }),
        Hurdle::ReplayBehind { bytes, allowed } => Err(Reason::ReplayBehind { region, bytes, allowed }),
        Hurdle::PastRpo { exposure, rpo } => Err(Reason::PastRpo { region, exposure, rpo }),
        Hurdle::LagUnknown => Err(Reason::LagUnknown { region }),
    }
}
