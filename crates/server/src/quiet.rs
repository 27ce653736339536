//! Regions whose API is silent: each is looked at once in a while, to see that it is back, and not by everything at once.

use pilotlight_core::id::Region;
use pilotlight_core::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two looks at a silent region.
const ONE_LOOK: Duration = Duration::from_secs(10);

/// Who answered when, and who was asked since.
#[derive(Debug)]
pub(crate) struct Quiet {
    began: Mono,
    patience: Duration,
    answered: BTreeMap<Region, Mono>,
    asked: BTreeMap<Region, Mono>,
}

impl Quiet {
    /// A region is silent when it has not answered for that long.
    pub(crate) fn new(began: Mono, patience: Duration) -> Self {
        Self { began, patience, answered: BTreeMap::new(), asked: BTreeMap::new() }
    }

    /// Its API answered, if only to refuse.
    pub(crate) fn answered(&mut self, region: Region, now: Mono) {
        self.answered.insert(region, now);
    }

    /// Whether to look at something there now; counts as the look of a silent region.
    pub(crate) fn may_look(&mut self, region: &Region, now: Mono) -> bool {
        let last = self.answered.get(region).copied().unwrap_or(self.began);
        if now.since(last) <= self.patience {
            return true;
        }
        let due = self.asked.get(region).is_none_or(|at| now.since(*at) >= ONE_LOOK);
        if due {
            self.asked.insert(region.clone(), now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    #[test]
    fn a_silent_region_is_looked_at_once_in_a_while_and_as_ever_when_it_is_back() {
        let (east, west) = (Region::from("east"), Region::from("west"));
        let mut quiet = Quiet::new(at(0), Duration::from_secs(5));
        let looks = |quiet: &mut Quiet, region: &Region, from: u64, to: u64| {
            (from..to).filter(|second| quiet.may_look(region, at(*second))).count()
        };
        assert_eq!(looks(&mut quiet, &east, 0, 5), 5, "nothing is known yet");
        quiet.answered(west.clone(), at(99));
        assert_eq!(looks(&mut quiet, &east, 100, 130), 3);
        assert_eq!(looks(&mut quiet, &west, 100, 104), 4, "the other region answers");
        quiet.answered(east.clone(), at(131));
        assert_eq!(looks(&mut quiet, &east, 131, 136), 5);
    }
}
