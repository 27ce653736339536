//! A move of the writer as it is asked for, and whether a copy may be taken out and made a writer alone for it.
//!
//! Nothing stops the old writer after a detach: its fence is `none`. A person who starts a failover answers for that; a
//! policy or a standing order does only where it asks for no fence at all.

use crate::call::Refused;
use crate::refusal::Said;
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::Failure;

/// What a switch is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Move<'a> {
    pub(crate) from: &'a Region,
    pub(crate) to: &'a Region,
    pub(crate) allow_loss: bool,
    /// How sure the fence of the old writer must be.
    pub(crate) least: FenceAssurance,
}

impl<'a> Move<'a> {
    /// A planned one: the old writer lives and hands over.
    pub(crate) fn planned(from: &'a Region, to: &'a Region) -> Self {
        Self { from, to, allow_loss: false, least: FenceAssurance::None }
    }

    /// The copy may be made a writer alone, as far as the one who wants the move has a say.
    pub(crate) fn may_detach(&self) -> bool {
        self.allow_loss && self.least.is_none()
    }

    /// The whole move was refused: why a detach is what is left, or the failure where it is not.
    pub(crate) fn last_way(&self, plan_allows: bool, refused: &Refused) -> Result<String, Failure> {
        let failure = refused.failure();
        if !(self.allow_loss && plan_allows && worth_detaching(refused.said)) {
            return Err(failure);
        }
        if !self.may_detach() {
            return Err(self.not_detached(failure));
        }
        Ok(failure.message)
    }

    /// The call failed and a detach would be left, which is not for this move.
    pub(crate) fn not_detached(&self, failure: Failure) -> Failure {
        let hint = format!(
            "nothing was detached: that fences nobody, and without a person only {} is enough; look, then start the \
             failover yourself",
            self.least
        );
        failure.hint(hint)
    }
}

/// Not what is refused for good: rights and names are not better alone. An answer that was lost is looked after first, by
/// the same effect; what AWS failed in may have been done, too, so a detach waits until it would be seen.
fn worth_detaching(said: Said) -> bool {
    matches!(said, Said::Busy | Said::Broken | Said::Unreachable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_move_that_needs_no_fence_detaches() {
        let (from, to) = (Region::from("east"), Region::from("west"));
        let person = Move { from: &from, to: &to, allow_loss: true, least: FenceAssurance::None };
        assert!(person.may_detach());
        for least in [FenceAssurance::TrafficOnly, FenceAssurance::ProviderAttested, FenceAssurance::Lapsed] {
            assert!(!Move { least, ..person }.may_detach(), "{least}");
        }
        assert!(!Move::planned(&from, &to).may_detach());
    }
}
