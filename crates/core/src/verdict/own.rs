//! What the writer's own agent says of a copy, as a word.

use super::{Scope, Sight, Verdict};
use crate::id::Component;
use crate::observation::{Role, State};
use crate::plan::Plan;

/// The word and its evidence.
pub(super) fn read_role(component: &Component, state: &State) -> (Verdict, String) {
    match &state.role {
        // Its agent can neither start it nor prove that it is dead: it may lie on a disk that is away.
        Some(Role::Down { .. } | Role::Unknown) if state.has_no_data() => {
            (Verdict::Suspect, state.because(format!("{component} is not there")))
        }
        Some(Role::Writer) => (Verdict::Healthy, format!("{component} is the writer")),
        Some(Role::Fenced { assurance }) => {
            (Verdict::WriterDead, format!("{component} was given up and fenced ({assurance})"))
        }
        Some(Role::Down { .. }) => {
            (Verdict::Suspect, format!("{component} is down; its agent starts it again or gives it up"))
        }
        Some(Role::Unresponsive) => (Verdict::Suspect, state.because(format!("{component} runs but does not answer"))),
        Some(Role::Standby { .. }) => {
            (Verdict::Unknown, format!("{component} follows another copy although it should be the writer"))
        }
        Some(Role::Unknown) | None => {
            (Verdict::Unknown, state.because(format!("the role of {component} could not be seen")))
        }
    }
}

/// Of two copies in one region the graver word speaks; a dead one is graver than one that may recover.
pub(super) fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Healthy | Verdict::ServiceUnhealthy => 0,
        Verdict::NoDataYet => 1,
        Verdict::Unknown => 2,
        Verdict::Suspect => 3,
        Verdict::AgentLost | Verdict::AllDown | Verdict::Minority => 4,
        Verdict::WriterDead | Verdict::RegionLost => 5,
    }
}

/// The agent of that copy sees it, and sees nothing that could be started.
pub(super) fn is_without_data(plan: &Plan, scope: &Scope, sight: &Sight) -> bool {
    let Scope::Component { component, region } = scope else { return false };
    sight.fresh_look(plan, region, component).is_some_and(State::has_no_data)
}
