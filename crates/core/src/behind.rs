//! Whether the store is behind what was seen of it: then it was lost, or an old copy of it was put back.
//!
//! Two numbers of a unit only ever rise: its epoch with each run, its candidacy with each change of its candidate. Agents
//! tell the highest of either that they heard, so a store that says less is not the one that it was. They are compared one
//! by one: an old copy that is behind in either is found, whatever the other says. A store that is put back gives a
//! candidacy out again, perhaps for somebody else, so agents tell whom they heard of under it, too.
//!
//! - Behind in the epoch, what the store says of the *writer* may be old: a person has to look.
//! - Behind in the candidacy alone, only its *candidate* may be old: somebody whom the writer no longer waits for. To have
//!   nobody is always safe, so the store mends itself: no candidate, under a number [`past`] all that may have been. The
//!   writer's agent then admits one anew, in its usual order.
//!
//! Border: pure. What is met is remembered by the engine, which also changes the store.

use crate::candidate::{Admitted, mark};
use crate::id::Epoch;
use crate::runbook::Basis;

/// In what the store is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// A whole run, at least.
    Epoch,
    /// A change of the candidate; no run.
    Candidacy,
}

impl Basis {
    /// Where that candidate, or nobody, was named under these numbers.
    pub fn of(epoch: Epoch, candidacy: u64, candidate: Option<&Admitted>) -> Self {
        Self { epoch, candidacy, mark: mark(candidate) }
    }

    /// The higher of each number.
    pub fn and(self, other: Basis) -> Basis {
        let epoch = self.epoch.max(other.epoch);
        if self.names_another(other) {
            // Whichever of the two is put back then, it is behind.
            return Basis { epoch, candidacy: self.candidacy.saturating_add(1), mark: 0 };
        }
        let (candidacy, mark) = (self.candidacy, self.mark).max((other.candidacy, other.mark));
        Basis { epoch, candidacy, mark }
    }

    /// Its candidate is not the newest one that was seen.
    pub fn is_old_in_candidacy(self, met: Basis) -> bool {
        self.candidacy < met.candidacy || self.names_another(met)
    }

    /// Under the same number; where either does not say whom, it may be the same.
    pub fn names_another(self, other: Basis) -> bool {
        self.candidacy == other.candidacy && self.mark != other.mark && self.mark != 0 && other.mark != 0
    }
}

/// In what a store that says `stored` is behind, where `met` was seen.
pub fn lack(stored: Basis, met: Basis) -> Option<Lack> {
    if stored.epoch < met.epoch {
        return Some(Lack::Epoch);
    }
    stored.is_old_in_candidacy(met).then_some(Lack::Candidacy)
}

/// A candidacy that the lost store never had, to go on from without a candidate.
///
/// One more than was heard would not do: that store may have granted a last wish whose answer nobody heard, and one number
/// must not have two meanings. A second one cannot have followed: it is only asked for under a number that was heard, and a
/// run that raised it has raised the epoch too.
pub fn past(stored: Basis, met: Basis) -> u64 {
    stored.candidacy.max(met.candidacy).saturating_add(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basis(epoch: u64, candidacy: u64) -> Basis {
        Basis { epoch: Epoch(epoch), candidacy, mark: 0 }
    }

    #[test]
    fn a_store_is_behind_in_either_number_and_the_epoch_weighs_more() {
        for (stored, met, expected) in [
            (basis(3, 7), basis(3, 7), None),
            (basis(3, 7), Basis::default(), None),
            (basis(4, 8), basis(3, 7), None),
            (basis(3, 6), basis(3, 7), Some(Lack::Candidacy)),
            (basis(2, 7), basis(3, 7), Some(Lack::Epoch)),
            (basis(2, 6), basis(3, 7), Some(Lack::Epoch)),
            // It has gone on by runs of its own since it was put back; its candidate is as old.
            (basis(4, 6), basis(3, 7), Some(Lack::Candidacy)),
            (basis(2, 9), basis(3, 7), Some(Lack::Epoch)),
        ] {
            assert_eq!(lack(stored, met), expected, "{stored:?} {met:?}");
        }
    }

    #[test]
    fn what_was_met_only_grows_each_number_by_itself() {
        assert_eq!(basis(2, 9).and(basis(3, 1)), basis(3, 9));
        assert_eq!(basis(3, 9).and(basis(2, 1)), basis(3, 9));
    }

    #[test]
    fn the_same_number_for_another_candidate_is_behind_and_both_of_them_are_once_both_were_heard() {
        let of = |candidacy, mark| Basis { epoch: Epoch(1), candidacy, mark };
        assert_eq!(lack(of(7, 1), of(7, 2)), Some(Lack::Candidacy));
        assert_eq!(lack(of(7, 1), of(7, 1)), None);
        assert_eq!((lack(of(7, 1), of(7, 0)), lack(of(7, 0), of(7, 2))), (None, None), "it is not said whom");
        assert_eq!(lack(of(8, 1), of(7, 2)), None, "a newer one");
        assert_eq!(of(7, 1).and(of(8, 2)), of(8, 2));
        assert_eq!((of(7, 1).and(of(7, 0)), of(7, 0).and(of(7, 1))), (of(7, 1), of(7, 1)));
        for both in [of(7, 1).and(of(7, 2)), of(7, 2).and(of(7, 1)), of(7, 1).and(of(7, 2)).and(of(7, 1))] {
            assert_eq!((lack(of(7, 1), both), lack(of(7, 2), both)), (Some(Lack::Candidacy), Some(Lack::Candidacy)));
            let mended = of(past(of(7, 1), both), 3);
            assert_eq!(lack(mended, both), None);
        }
    }

    #[test]
    fn a_store_that_mends_itself_is_past_what_was_heard_and_what_may_have_been_granted_unheard() {
        for (stored, met) in [(basis(1, 0), basis(1, 7)), (basis(1, 7), basis(2, 0)), (basis(1, 7), basis(1, 7))] {
            let mended = past(stored, met);
            assert!(mended > 8, "{mended}");
            assert_eq!(lack(Basis { candidacy: mended, ..met }, met), None);
        }
        let last = basis(1, u64::MAX);
        assert_eq!(past(basis(1, 0), last), u64::MAX, "it does not begin anew");
    }
}
