//! Shares of traffic as Route 53's weights, and back.

use pilotlight_core::id::Region;
use std::collections::BTreeMap;

/// The shares that these weights mean, in per cent; `None` when no region would get anything.
///
/// We write shares as weights, so weights that add up to a hundred are shares; others are rounded, and what rounding
/// leaves over goes to the largest.
pub fn shares(weights: &BTreeMap<Region, u32>) -> Option<BTreeMap<Region, u32>> {
    let sum: u64 = weights.values().map(|w| u64::from(*w)).sum();
    if sum == 0 {
        return None;
    }
    let of = |w: u32| u32::try_from(u64::from(w) * 100 / sum).unwrap_or(100);
    let mut shares: BTreeMap<Region, u32> = weights.iter().map(|(r, w)| (r.clone(), of(*w))).collect();
    let given: u32 = shares.values().sum();
    let largest = weights.iter().max_by_key(|(_, w)| **w).map(|(r, _)| r.clone())?;
    if let Some(share) = shares.get_mut(&largest) {
        *share += 100 - given;
    }
    Some(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_read_back_as_shares() {
        let map = |pairs: &[(&str, u32)]| pairs.iter().map(|(r, n)| (Region::from(*r), *n)).collect::<BTreeMap<_, _>>();
        assert_eq!(shares(&map(&[("a", 10), ("b", 90)])), Some(map(&[("a", 10), ("b", 90)])));
        assert_eq!(shares(&map(&[("a", 255), ("b", 0)])), Some(map(&[("a", 100), ("b", 0)])));
        assert_eq!(shares(&map(&[("a", 1), ("b", 2)])), Some(map(&[("a", 33), ("b", 67)])));
        assert_eq!(shares(&map(&[("a", 0), ("b", 0)])), None);
    }
}
