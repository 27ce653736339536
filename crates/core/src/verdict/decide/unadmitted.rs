//! What a person can do when the region that could take over is one that the writer did not wait for, or when there is none.
//!
//! Invariant: what is said does not lead into a refusal. That a lease ran out proves nothing about such a writer (`PL-0231`), so
//! a lost one needs a person's word, by its region's name; one that is heard needs nobody's.

use crate::id::Region;
use crate::verdict::{Judgement, Verdict};

/// The writer's region, if nobody there is heard who could silence it.
pub(super) fn lost_writer(judgement: &Judgement) -> Option<Region> {
    judgement.writer.clone().filter(|_| judgement.verdict == Verdict::RegionLost)
}

/// What a person can do without a standby.
pub(super) fn in_place(given_up: Option<&Region>) -> String {
    let take_up = |writer: &Region| {
        format!(
            "; the writer in {writer} was given up and is heard: `pilotlight failover --to {writer}` starts it again there"
        )
    };
    given_up.map(take_up).unwrap_or_default()
}

/// In a sentence.
pub(super) fn without_candidate(lost: Option<&Region>) -> String {
    match lost {
        Some(writer) => format!(
            "start the agent in {writer} again; or make sure by hand that the writer there is off for good, then \
             `pilotlight failover --writer-is-off {writer}`"
        ),
        None => "decide by hand: the writer's agent is heard, so a move silences it first".to_owned(),
    }
}
