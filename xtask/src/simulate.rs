//! `cargo xtask simulate`: lives through many seeds on every core, says how fast, and shows the first that break a law,
//! each with the shortest list of faults that does so.

mod asked;
mod tally;

use asked::Asked;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_simulation::{Bug, Options, Story, live, shrink};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tally::Tally;

/// Between two lines of progress.
const EVERY: Duration = Duration::from_secs(2);

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let asked = asked::read(arguments)?;
    if asked.log {
        return Ok(show(&asked));
    }
    if asked.every_bug {
        return Ok(every_bug(asked));
    }
    let tally = Tally::default();
    let began = SystemClock.mono();
    let (failed, next) = live_through(&asked, &tally);
    tally.sum_up(&asked, SystemClock.mono().since(began));
    failed.iter().take(asked.failures).for_each(|(seed, story)| report(&asked, *seed, story));
    let end = asked.end();
    if !failed.is_empty() && next < end {
        println!("\nthe rest: cargo xtask simulate --first {next} --seeds {}{}", end - next, asked.words());
    }
    // A planted bug has to be found.
    Ok(if failed.is_empty() == asked.bug.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The table of the docs: the first seed that finds each planted bug. Each has to be found.
fn every_bug(mut asked: Asked) -> ExitCode {
    println!("| bug | first seed | law |\n|---|---|---|");
    let mut all = true;
    for bug in Bug::ALL {
        asked.bug = Some(*bug);
        let (failed, _) = live_through(&asked, &Tally::default());
        // Workers end what they have begun: the lowest is the one that is always found.
        let first = failed.iter().find_map(|(seed, story)| Some((seed, story.broken.as_ref()?.law.name())));
        match first {
            Some((seed, law)) => println!("| `{}` | {seed} | {law} |", bug.name()),
            None => println!("| `{}` | not in {} | |", bug.name(), asked.seeds),
        }
        all &= first.is_some();
    }
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Seeds are begun in order and ended once begun, so the first that fail are those that would always be found. Returns the
/// ones that broke a law, and the first that was not begun.
fn live_through(asked: &Asked, tally: &Tally) -> (BTreeMap<u64, Story>, u64) {
    let failed: Mutex<BTreeMap<u64, Story>> = Mutex::default();
    let (next, stop) = (AtomicU64::new(asked.first), AtomicBool::new(false));
    let end = asked.end();
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let story = live(seed, &asked.options(false));
            tally.add(&story);
            if story.broken.is_some() {
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.insert(seed, story);
                stop.fetch_or(failed.len() >= asked.failures, Ordering::Relaxed);
            }
        }
    };
    let began = SystemClock.mono();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..asked.jobs).map(|_| scope.spawn(work)).collect();
        let mut said = began;
        while workers.iter().any(|w| !w.is_finished()) {
            std::thread::park_timeout(Duration::from_millis(50));
            let now = SystemClock.mono();
            if now.since(said) >= EVERY {
                said = now;
                eprintln!("{}", tally.line(now.since(began), asked.seeds));
            }
        }
    });
    (failed.into_inner().unwrap_or_else(PoisonError::into_inner), next.into_inner().min(end))
}

fn report(asked: &Asked, seed: u64, story: &Story) {
    let Some(broken) = &story.broken else { return };
    println!("\nseed {seed} breaks a law: {broken}");
    println!("  the law: {}", broken.law.says());
    if let Some(setup) = story.setup {
        println!("  its guarantee: {}, controllers: {}", setup.promise.name(), if setup.several { 2 } else { 1 });
    }
    println!("  its faults:");
    story.faults.iter().for_each(|fault| println!("    {fault}"));
    let (shortest, again) = shrink(seed, &asked.options(false), broken.law);
    let faults = shortest.faults.as_deref().unwrap_or_default();
    println!("  shrunk to {} of {}:", faults.len(), story.faults.len());
    faults.iter().for_each(|fault| println!("    {fault}"));
    if let Some(broken) = &again.broken {
        println!("  which breaks: {broken}");
    }
    let log = live(seed, &Options { log: true, ..shortest }).log;
    println!("  the end of its log:");
    log[log.len().saturating_sub(60)..].iter().for_each(|line| println!("    {line}"));
    println!("\nall of it: cargo xtask simulate --first {seed} --log{}", asked.words());
}

fn show(asked: &Asked) -> ExitCode {
    let mut options = asked.options(true);
    if let Some(only) = &asked.only {
        let faults = live(asked.first, &options).faults;
        options.faults = Some(only.iter().filter_map(|i| faults.get(*i).copied()).collect());
    }
    let story = live(asked.first, &options);
    story.log.iter().for_each(|line| println!("{line}"));
    println!("{} events, {} moves, {} failovers", story.events, story.moves, story.failovers);
    match story.broken {
        Some(broken) => {
            println!("breaks a law: {broken}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}
