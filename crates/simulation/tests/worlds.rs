//! A few score of worlds, the same world twice, and every planted bug near the world that finds it.

use pilotlight_simulation::{Bug, Options, live, shrink};

/// Seeds of the test that breaks no law; long series are `cargo xtask simulate`.
const SEEDS: u64 = 80;

/// From where to look for each bug, so that the test is short; `cargo xtask simulate --bug` looks from seed 0.
const FROM: &[(Bug, u64)] = &[
    (Bug::ClockStep, 140),
    (Bug::NoWaitAtStart, 112),
    (Bug::GrantAfterRevoke, 306),
    (Bug::JournalOverwrites, 69),
    (Bug::ForgetsIntent, 36),
    (Bug::BlindRetry, 23),
    (Bug::GuardForgets, 71),
];

/// No bug may take more seeds than this from there.
const MOST: u64 = 200;

/// Seeds that once broke a law in our own code, or in what was thought of it; see docs/simulation.md.
const ONCE_BROKEN: &[u64] = &[4, 22, 122, 214, 303, 1_225, 1_963, 5_070];

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
fn seeds_that_once_broke_a_law_do_so_no_more() {
    clean(ONCE_BROKEN.iter().copied());
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
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let options = Options { bug: Some(*bug), ..Options::default() };
        let from = FROM.iter().find(|(of, _)| of == bug).map_or(0, |(_, from)| *from);
        let found = (from..from + MOST).find_map(|seed| live(seed, &options).broken.map(|broken| (seed, broken)));
        match found {
            Some((seed, broken)) => println!("{:24}seed {seed:>6}: {broken}", bug.name()),
            None => missed.push(bug.name()),
        }
    }
    assert!(missed.is_empty(), "not found within {MOST} seeds: {missed:?}");
}

#[test]
fn a_broken_world_shrinks_to_one_that_breaks_the_same_law() {
    let options = Options { bug: Some(Bug::FenceLies), ..Options::default() };
    let (seed, broken) = (0..MOST).find_map(|s| live(s, &options).broken.map(|b| (s, b))).expect("it is found");
    let (shortest, story) = shrink(seed, &options, broken.law);
    assert_eq!(story.broken.map(|b| b.law), Some(broken.law));
    assert!(shortest.faults.is_some_and(|faults| faults.len() <= story.faults.len()));
}
