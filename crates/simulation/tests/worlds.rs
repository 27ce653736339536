//! A few score of worlds, the same world twice, and every planted bug near the world that finds it.

use pilotlight_simulation::{Bug, Options, Promise, Setup, live, shrink};

/// Seeds of the test that breaks no law; long series are `cargo xtask simulate`.
const SEEDS: u64 = 300;

/// Bugs that are found soon; `cargo xtask simulate --bug` looks for all of them. Any change of a delay in our own code moves
/// the seed, so no seed is named.
const FOUND_SOON: &[Bug] = &[
    Bug::NoLeaseCheck,
    Bug::StaleEpoch,
    Bug::EarlyLapse,
    Bug::LongLease,
    Bug::NameWithdrawn,
    Bug::WaitsInNameOnly,
    Bug::FenceLies,
    Bug::CaptureLies,
    Bug::ForgetsIntent,
    Bug::EarlyAdmission,
    Bug::GuardForgets,
    Bug::EarlyPromotion,
];

/// None of them may take more seeds than this.
const SOON: u64 = 200;

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

/// One whose store is put back to a copy from the middle of a switchover that is over: only what agents have heard says that it
/// is old.
#[test]
fn a_copy_from_the_middle_of_a_run_is_known_to_be_old_by_what_agents_have_heard() {
    let unheard = Options { bug: Some(Bug::StoreBehindUnnoticed), ..Options::default() };
    assert!(live(2_957, &unheard).broken.is_some(), "this seed is another world now: look for one by the bug's name");
    assert!(live(2_957, &Options::default()).broken.is_none());
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
fn planted_bugs_are_found() {
    let missed: Vec<_> = FOUND_SOON.iter().filter(|bug| !is_found(**bug)).map(|bug| bug.name()).collect();
    assert!(missed.is_empty(), "not found within {SOON} seeds: {missed:?}");
}

fn is_found(bug: Bug) -> bool {
    (0..SOON).any(|seed| live(seed, &Options { bug: Some(bug), ..Options::default() }).broken.is_some())
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
fn a_new_writer_has_a_candidate_while_its_run_goes_on() {
    let admitted = |seed: &u64| live(*seed, &Options::default()).admitted_in_runs > 0;
    let lasting: Vec<u64> = (0..SEEDS).filter(|seed| Setup::of(*seed).lasting).collect();
    let with = lasting.iter().filter(|seed| admitted(seed)).count();
    assert!(with > 0, "of {} worlds whose runs last, in none was a candidate admitted meanwhile", lasting.len());
}

#[test]
fn a_broken_world_shrinks_to_one_that_breaks_the_same_law() {
    let options = Options { bug: Some(Bug::FenceLies), ..Options::default() };
    let crowded = |s: u64| Some(live(s, &options)).filter(|story| story.faults.len() > 4);
    let broken = |s: u64| crowded(s).and_then(|story| Some((s, story.broken?.law, story.faults.len())));
    let (seed, law, before) = (0..SOON).find_map(broken).expect("it is found");
    let (shortest, story) = shrink(seed, &options, law);
    assert_eq!(story.broken.map(|b| b.law), Some(law));
    let left = shortest.faults.as_ref().map(Vec::len).expect("it names its faults");
    assert!(left < before, "one lie needs no {left} of {before} faults");
    assert_eq!(live(seed, &shortest).broken.map(|b| b.law), Some(law), "what is printed can be repeated");
}
