//! A few score of worlds, the same world twice, and every planted bug near the world that finds it.

use pilotlight_simulation::{Bug, Options, Promise, Setup, live, shrink};

/// Seeds of the test that breaks no law; long series are `cargo xtask simulate`.
const SEEDS: u64 = 80;

/// Where each bug that the test looks for is found; `cargo xtask simulate --bug` looks from seed 0 for any of them.
const FOUND_AT: &[(Bug, u64)] = &[
    (Bug::NoLeaseCheck, 0),
    (Bug::StaleEpoch, 0),
    (Bug::EarlyLapse, 0),
    (Bug::LongLease, 0),
    (Bug::NameWithdrawn, 0),
    (Bug::WaitsInNameOnly, 0),
    (Bug::FenceLies, 2),
    (Bug::CaptureLies, 2),
    (Bug::ForgetsIntent, 5),
    (Bug::EarlyAdmission, 11),
    (Bug::EarlyPromotion, 21),
    (Bug::ClockStep, 83),
    (Bug::StoreIgnoresVersions, 109),
    (Bug::GuardForgets, 145),
    (Bug::GateOutlivesLease, 382),
    (Bug::GateNeverLooks, 382),
];

fn clean(seeds: impl Iterator<Item = u64>) {
    let mut failovers = 0;
    for seed in seeds {
        let story = live(seed, &Options::default());
        if let Some(broken) = &story.broken {
            let (shortest, _) = shrink(seed, &Options::default(), broken.law);
            panic!(
                "seed {seed} breaks a law: {broken}\nfaults: {:#?}\nshrunk to: {:#?}",
                story.faults, shortest.faults
            );
        }
        failovers += story.failovers;
    }
    assert!(failovers > 0, "worlds without a failover prove nothing");
}

#[test]
fn worlds_of_even_seeds_break_no_law() {
    clean((0..SEEDS).step_by(2));
}

#[test]
fn worlds_of_odd_seeds_break_no_law() {
    clean((1..SEEDS).step_by(2));
}

#[test]
fn the_same_seed_is_the_same_world_byte_for_byte() {
    let options = Options { log: true, ..Options::default() };
    for seed in 0..12 {
        let (first, second) = (live(seed, &options), live(seed, &options));
        assert!(first.log.len() > 10, "there is a story to compare");
        assert_eq!(first.log.join("\n"), second.log.join("\n"), "seed {seed}");
        assert_eq!(first.events, second.events, "seed {seed}");
    }
    assert_ne!(live(1, &options).log, live(2, &options).log, "and another seed is another world");
}

#[test]
fn planted_bugs_are_found_and_the_same_worlds_are_whole_without_them() {
    for (bug, seed) in FOUND_AT {
        let story = live(*seed, &Options { bug: Some(*bug), ..Options::default() });
        assert!(story.broken.is_some(), "{} is not found in seed {seed}", bug.name());
        let whole = live(*seed, &Options::default());
        assert_eq!(whole.broken, None, "seed {seed}");
    }
}

#[test]
fn every_guarantee_is_lived_through_with_one_controller_and_with_two() {
    let setups: Vec<_> = (0..60).map(Setup::of).collect();
    for promise in Promise::ALL {
        for several in [false, true] {
            assert!(setups.iter().any(|s| s.promise == promise && s.several == several), "{promise:?} {several}");
        }
    }
}

#[test]
fn a_broken_world_shrinks_to_one_that_breaks_the_same_law() {
    let options = Options { bug: Some(Bug::FenceLies), ..Options::default() };
    let (seed, broken) = (0..10).find_map(|s| live(s, &options).broken.map(|b| (s, b))).expect("it is found");
    let (shortest, story) = shrink(seed, &options, broken.law);
    assert_eq!(story.broken.map(|b| b.law), Some(broken.law));
    assert!(shortest.faults.is_some_and(|faults| faults.len() <= story.faults.len()));
}
