//! Shares of traffic as the dials of Global Accelerator, and back.
//!
//! A dial says how many per cent of the users who are nearest to a region are led there; the others go to the next one. So
//! the region with the largest share takes all of its own, and the others as many as their share is of that.

use pilotlight_core::id::Region;
use std::collections::BTreeMap;

/// The dials for these shares, in hundredths of a per cent; empty when no region would get anything.
pub fn dials(shares: &BTreeMap<Region, u32>) -> BTreeMap<Region, u32> {
    let Some(largest) = shares.values().copied().max().filter(|m| *m > 0) else { return BTreeMap::new() };
    // Rounded to the nearest; what is to get something gets something.
    let of = |share: u32| match share {
        0 => 0,
        _ => ((u64::from(share) * 10_000 + u64::from(largest) / 2) / u64::from(largest)).max(1),
    };
    shares.iter().map(|(r, s)| (r.clone(), u32::try_from(of(*s)).unwrap_or(10_000))).collect()
}

/// The shares that these dials mean, in per cent; `None` when every dial is at zero.
pub fn shares(dials: &BTreeMap<Region, u32>) -> Option<BTreeMap<Region, u32>> {
    let sum: u64 = dials.values().map(|d| u64::from(*d)).sum();
    if sum == 0 {
        return None;
    }
    let of = |d: u32| u32::try_from((u64::from(d) * 100 + sum / 2) / sum).unwrap_or(100);
    let mut shares: BTreeMap<Region, u32> = dials.iter().map(|(r, d)| (r.clone(), of(*d))).collect();
    let largest = dials.iter().max_by_key(|(_, d)| **d).map(|(r, _)| r.clone())?;
    let others: u32 = shares.iter().filter(|(r, _)| **r != largest).map(|(_, s)| s).sum();
    shares.insert(largest, 100_u32.saturating_sub(others));
    Some(shares)
}

/// A dial as AWS shows it, 0 to 100, in hundredths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is held within 0 and 10000 before")]
pub fn hundredths(dial: f32) -> u32 {
    (dial.clamp(0.0, 100.0) * 100.0).round() as u32
}

/// The same for a call.
pub fn percent(hundredths: u32) -> f32 {
    f32::from(u16::try_from(hundredths).unwrap_or(10_000)) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, u32)]) -> BTreeMap<Region, u32> {
        pairs.iter().map(|(r, n)| (Region::from(*r), *n)).collect()
    }

    #[test]
    fn every_split_between_two_or_three_reads_back_equal_through_what_is_sent() {
        let sent = |of: &BTreeMap<Region, u32>| -> BTreeMap<Region, u32> {
            dials(of).into_iter().map(|(r, d)| (r, hundredths(percent(d)))).collect()
        };
        for a in 0..=100 {
            let two = map(&[("a", a), ("b", 100 - a)]);
            assert_eq!(shares(&sent(&two)), Some(two), "{a}");
            for b in 0..=100 - a {
                let three = map(&[("a", a), ("b", b), ("c", 100 - a - b)]);
                assert_eq!(shares(&sent(&three)), Some(three), "{a} {b}");
            }
        }
    }

    #[test]
    fn all_traffic_is_a_whole_dial_and_none_is_none() {
        assert_eq!(dials(&map(&[("a", 100), ("b", 0)])), map(&[("a", 10_000), ("b", 0)]));
        assert_eq!(dials(&map(&[("a", 10), ("b", 90)])), map(&[("a", 1_111), ("b", 10_000)]));
        assert_eq!(shares(&map(&[("a", 10_000), ("b", 10_000)])), Some(map(&[("a", 50), ("b", 50)])));
        assert_eq!((dials(&map(&[("a", 0)])), shares(&map(&[("a", 0)]))), (BTreeMap::new(), None));
    }
}
