//! `cargo xtask simulate`: lives through many seeds, says how fast, and shows the first one that breaks a law.

use anyhow::{Context, bail};
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_simulation::{Bug, Law, Options, Promise, Story, live, shrink};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Between two lines of progress.
const EVERY: Duration = Duration::from_secs(2);

/// What was asked for.
struct Asked {
    seeds: u64,
    first: u64,
    jobs: u64,
    log: bool,
    only: Option<Vec<usize>>,
    bug: Option<Bug>,
    promise: Option<Promise>,
}

/// What all seeds came to.
#[derive(Default)]
struct Tally {
    seeds: AtomicU64,
    events: AtomicU64,
    failovers: AtomicU64,
    whole: AtomicU64,
    moves: AtomicU64,
    excused: AtomicU64,
    virtual_ms: AtomicU64,
    terms: AtomicU64,
    aborted: AtomicU64,
    /// Seeds and failovers of each guarantee.
    by_promise: [(AtomicU64, AtomicU64); Promise::ALL.len()],
}

/// A failover counts as whole with so many events in its world.
const WHOLE: u64 = 200;

impl Tally {
    fn add(&self, story: &Story) {
        let add = |counter: &AtomicU64, by: u64| counter.fetch_add(by, Ordering::Relaxed);
        add(&self.seeds, 1);
        add(&self.events, story.events);
        add(&self.failovers, story.failovers);
        add(&self.whole, if story.events >= WHOLE { story.failovers } else { 0 });
        add(&self.moves, story.moves);
        add(&self.excused, story.excused);
        add(&self.virtual_ms, u64::try_from(story.lasted.as_millis()).unwrap_or(0));
        add(&self.terms, story.terms);
        add(&self.aborted, story.aborted);
        if let Some(setup) = story.setup {
            let (seeds, failovers) = &self.by_promise[setup.promise as usize];
            add(seeds, 1);
            add(failovers, story.failovers);
        }
    }

    fn line(&self, seconds: f64, of: u64) -> String {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (seeds, events, failovers) = (get(&self.seeds), get(&self.events), get(&self.failovers));
        let per_second = |n: u64| n as f64 / seconds.max(0.001);
        let done = seeds * 20 / of.max(1);
        let bar: String = (0..20).map(|i| if i < done { '#' } else { '.' }).collect();
        format!(
            "[{bar}] {seeds} of {of} seeds, {:.0} seeds/s, {:.0} failovers/s, {:.0} events/s",
            per_second(seeds),
            per_second(failovers),
            per_second(events)
        )
    }
}

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let asked = read(arguments)?;
    if asked.log {
        return Ok(show(&asked));
    }
    let tally = Tally::default();
    let found: Mutex<Option<(u64, Story)>> = Mutex::default();
    let (next, stop) = (AtomicU64::new(asked.first), AtomicBool::new(false));
    let began = SystemClock.mono();
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= asked.first + asked.seeds {
                return;
            }
            let story = live(seed, &options(&asked, false));
            tally.add(&story);
            if story.broken.is_some() {
                stop.store(true, Ordering::Relaxed);
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                if found.as_ref().is_none_or(|(other, _)| seed < *other) {
                    *found = Some((seed, story));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..asked.jobs).map(|_| scope.spawn(work)).collect();
        let mut said = SystemClock.mono();
        while workers.iter().any(|w| !w.is_finished()) {
            std::thread::park_timeout(Duration::from_millis(50));
            let now = SystemClock.mono();
            if now.since(said) >= EVERY {
                said = now;
                eprintln!("{}", tally.line(now.since(began).as_secs_f64(), asked.seeds));
            }
        }
    });
    sum_up(&asked, &tally, SystemClock.mono().since(began));
    match found.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((seed, story)) => {
            report(&asked, seed, &story);
            Ok(ExitCode::FAILURE)
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

fn options(asked: &Asked, log: bool) -> Options {
    Options { bug: asked.bug, log, promise: asked.promise, ..Options::default() }
}

fn sum_up(asked: &Asked, tally: &Tally, took: Duration) {
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!("{}", tally.line(took.as_secs_f64(), asked.seeds));
    let (seeds, whole) = (get(&tally.seeds), get(&tally.whole));
    println!("seeds {} to {}, {:.1} s", asked.first, asked.first + seeds.saturating_sub(1), took.as_secs_f64());
    println!(
        "  {whole} whole failovers (in worlds of {WHOLE} events and more) among {} moves: {:.0} in each second of one core, \
         {:.0} events each, worlds without one included",
        get(&tally.moves),
        whole as f64 / processor().unwrap_or(took.as_secs_f64() * asked.jobs as f64).max(0.001),
        get(&tally.events) as f64 / whole.max(1) as f64,
    );
    for (promise, (seeds, failovers)) in Promise::ALL.iter().zip(&tally.by_promise) {
        println!("  {:14}{} worlds, {} failovers", promise.name(), get(seeds), get(failovers));
    }
    println!(
        "  {} events, {:.0} s of virtual time, {} terms of leaders, {} runs ended by a person, {} times a law was broken \
         where the guarantee does not promise it",
        get(&tally.events),
        get(&tally.virtual_ms) as f64 / 1e3,
        get(&tally.terms),
        get(&tally.aborted),
        get(&tally.excused),
    );
}

/// What the processor has spent on this process, in seconds; `None` where the system does not say.
fn processor() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    // In user and in system mode, in hundredths of a second.
    Some((ticks(11)? + ticks(12)?) / 100.0)
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
    let (shortest, again) = shrink(seed, &options(asked, false), broken.law);
    let faults = shortest.faults.as_deref().unwrap_or_default();
    println!("  shrunk to {} of {}:", faults.len(), story.faults.len());
    faults.iter().for_each(|fault| println!("    {fault}"));
    if let Some(broken) = &again.broken {
        println!("  which breaks: {broken}");
    }
    let log = live(seed, &Options { log: true, ..shortest }).log;
    println!("  the end of its log:");
    log[log.len().saturating_sub(60)..].iter().for_each(|line| println!("    {line}"));
    let bug = asked.bug.map_or(String::new(), |b| format!(" --bug {}", b.name()));
    let promise = asked.promise.map_or(String::new(), |p| format!(" --guarantee {}", p.name()));
    println!("\nall of it: cargo xtask simulate --first {seed} --log{bug}{promise}");
}

fn show(asked: &Asked) -> ExitCode {
    let mut options = options(asked, true);
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

fn read(arguments: &[String]) -> anyhow::Result<Asked> {
    let mut asked = Asked { seeds: 10_000, first: 0, jobs: 1, log: false, only: None, bug: None, promise: None };
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        if word == "--laws" {
            println!("{}", laws());
            continue;
        }
        if word == "--log" {
            asked.log = true;
            continue;
        }
        let value = rest.next().with_context(|| format!("{word} needs a value"))?;
        let number = || value.parse::<u64>().with_context(|| format!("{word} needs a number, not {value}"));
        match word.as_str() {
            "--seeds" => asked.seeds = number()?,
            "--first" => asked.first = number()?,
            "--jobs" => asked.jobs = number()?.max(1),
            "--only" => {
                let numbers = value.split(',').map(str::parse).collect::<Result<_, _>>();
                asked.only = Some(numbers.context("--only needs the numbers of faults, such as 0,2")?);
            }
            "--guarantee" => {
                let found = Promise::ALL.into_iter().find(|p| p.name() == value);
                let known = Promise::ALL.map(Promise::name).join(", ");
                asked.promise =
                    Some(found.with_context(|| format!("no guarantee is called {value}; there are {known}"))?);
            }
            "--bug" => {
                let known = Bug::ALL.iter().map(|b| format!("  {:24}{}", b.name(), b.what())).collect::<Vec<_>>();
                let unknown = || format!("no planted bug is called {value}; there are\n{}", known.join("\n"));
                asked.bug = Some(Bug::named(value).with_context(unknown)?);
            }
            _ => bail!("simulate knows no {word}; the laws it checks:\n{}", laws()),
        }
    }
    Ok(asked)
}

fn laws() -> String {
    Law::ALL.iter().map(|l| format!("  {:24}{}", l.name(), l.says())).collect::<Vec<_>>().join("\n")
}
