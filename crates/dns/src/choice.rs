//! Chooses one answer by weight. The only place of this crate with randomness.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// The index of the weight that `roll` falls on, each with a chance of its weight among the sum; `None` when all are 0.
///
/// `roll` is reduced modulo the sum. With 64 bits and sums far below 2^40 the skew of that is far below one in a
/// million, which no user of DNS can notice.
pub fn choose(weights: impl Iterator<Item = u32> + Clone, roll: u64) -> Option<usize> {
    let sum: u64 = weights.clone().map(u64::from).sum();
    let mut rest = roll.checked_rem(sum)?;
    for (index, weight) in weights.map(u64::from).enumerate() {
        if rest < weight {
            return Some(index);
        }
        rest -= weight;
    }
    None
}

/// Rolls that nobody can foresee: a counter under a keyed hash whose key is random per process.
///
/// Better than turning in a circle: two resolvers that ask in step would always get the same region each.
#[derive(Debug, Default)]
pub struct Dice {
    key: RandomState,
    rolled: AtomicU64,
}

impl Dice {
    /// The next roll.
    pub fn roll(&self) -> u64 {
        self.key.hash_one(self.rolled.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_gets_exactly_its_share_of_the_rolls() {
        let weights = [10, 0, 50, 40];
        let mut hits = [0; 4];
        for roll in 0..100 {
            hits[choose(weights.iter().copied(), roll).unwrap()] += 1;
        }
        assert_eq!(hits, [10, 0, 50, 40]);
    }

    #[test]
    fn nothing_is_chosen_among_nothing() {
        assert_eq!(choose([].iter().copied(), 7), None);
        assert_eq!(choose([0, 0].iter().copied(), 7), None);
        assert_eq!(choose([u32::MAX, u32::MAX].iter().copied(), u64::MAX).map(|i| i < 2), Some(true));
    }

    #[test]
    fn dice_are_fair_within_five_standard_deviations() {
        let dice = Dice::default();
        let heads = (0..10_000).filter(|_| dice.roll() % 2 == 0).count();
        assert!((4_750..=5_250).contains(&heads), "{heads} of 10000");
    }
}
