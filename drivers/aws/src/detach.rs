//! A move of the writer as it is asked for, whether a copy may be taken out and made a writer alone for it, and how that is
//! done once AWS did not take the whole move: the same for every kind that can.
//!
//! Nothing stops the old writer after a detach: its fence is `none`. A person who starts a failover answers for that; a
//! policy or a standing order does only where it asks for no fence at all.

use crate::access::Access;
use crate::call::{Refused, SHOWS_WITHIN};
use crate::words::refusal::Said;
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::id::{Component, Region};
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_core::time::Wall;
use pilotlight_driver::Context;

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

/// The part that a copy has in its whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Member {
        is_writer: bool,
        /// Something moves there, wherever to.
        moves: bool,
    },
    Alone {
        is_writer: bool,
    },
}

/// A driver whose copies can be taken out of their whole.
pub(crate) trait Detachable {
    /// What one region's API shows.
    type Seen;

    fn access(&self) -> &Access;
    /// The plan allows it.
    fn may_detach(&self) -> bool;
    async fn seen(&self, region: &Region) -> Result<Self::Seen, Failure>;
    fn part(&self, seen: &Self::Seen) -> Part;
    /// True when exactly this move is under way; a failure when another one, or a person, came first.
    fn moves_already(&self, seen: &Self::Seen, from: &Region, to: &Region) -> Result<bool, Failure>;
    /// Out of the whole, alone, and nobody stops the old writer.
    async fn take_out(&self, to: &Region, seen: &Self::Seen, why: &str, context: &Context) -> Result<(), Refused>;
    /// The end of a whole move after all.
    fn moved(&self, from: &Region, to: &Region, allow_loss: bool) -> Outcome;
    /// The end of a detach.
    fn detached(&self, to: &Region, why: &str) -> Outcome;
}

/// What is done where AWS did not take the whole move.
pub(crate) enum LastWay {
    /// It is under way all the same.
    Whole,
    /// AWS failed after it was asked: the move may come, and only if it does not the copy is taken out.
    Doubt { why: String, since: Wall },
    /// The copy is being taken out.
    Detach { why: String },
}

/// AWS did not take the whole move. Where that is allowed the copy is taken out, when nothing moves there.
pub(crate) async fn last_way<D: Detachable>(
    driver: &D,
    wanted: &Move<'_>,
    refused: &Refused,
    context: &Context,
) -> Result<LastWay, Failure> {
    let Move { from, to, .. } = *wanted;
    let why = wanted.last_way(driver.may_detach(), refused)?;
    if refused.said == Said::Broken {
        return Ok(LastWay::Doubt { why, since: driver.access().clock().wall() });
    }
    // Nothing was done of it; the look from before may be old by now.
    let seen = driver.seen(to).await?;
    if driver.moves_already(&seen, from, to)? {
        return Ok(LastWay::Whole);
    }
    driver.take_out(to, &seen, &why, context).await.map_err(|r| r.failure())?;
    Ok(LastWay::Detach { why })
}

/// `None` while the whole move may still come, and while the copy is taken out.
pub(crate) async fn in_doubt<D: Detachable>(
    driver: &D,
    (from, to): (&Region, &Region),
    why: &str,
    since: Wall,
    context: &Context,
) -> Result<Option<Outcome>, Failure> {
    let seen = driver.seen(to).await?;
    let moves = match driver.part(&seen) {
        Part::Alone { is_writer } => return Ok(is_writer.then(|| driver.detached(to, why))),
        Part::Member { is_writer: true, .. } => return Ok(Some(driver.moved(from, to, true))),
        Part::Member { moves, .. } => moves,
    };
    let shown = driver.access().clock().wall().since(since) > SHOWS_WITHIN;
    if !shown || moves || driver.moves_already(&seen, from, to)? {
        return Ok(None);
    }
    match driver.take_out(to, &seen, why, context).await {
        // Asked for already, and not shown yet.
        Err(refused) if !matches!(refused.said, Said::Missing | Said::Busy) => Err(refused.failure()),
        _ => Ok(None),
    }
}

/// A copy that writes alone, and what a person must know of the old writer.
pub(crate) fn stands_alone(component: &Component, to: &Region, warning: String) -> Outcome {
    let text = format!("{component} in {to} stands alone");
    let output = Output { assurance: Some(FenceAssurance::None), text, ..Output::default() };
    Outcome::Warned { output, warning }
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
