//! What all seeds came to, and how fast.

use super::Asked;
use pilotlight_core::time::show_duration;
use pilotlight_simulation::{Promise, Story};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A failover counts as whole with so many events in its world.
const WHOLE: u64 = 200;

/// See the module.
#[derive(Default)]
pub(super) struct Tally {
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

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Tally {
    pub(super) fn add(&self, story: &Story) {
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

    /// How far it is, after so long.
    pub(super) fn line(&self, took: Duration, of: u64) -> String {
        let (seeds, seconds) = (get(&self.seeds), took.as_secs_f64().max(0.001));
        let per_second = |n: u64| n as f64 / seconds;
        let done = seeds * 20 / of.max(1);
        let bar: String = (0..20).map(|i| if i < done { '#' } else { '.' }).collect();
        let left = of.saturating_sub(seeds);
        let left = match seeds {
            0 => String::new(),
            _ => format!(", {} left", show_duration(took.mul_f64(left as f64 / seeds as f64))),
        };
        format!(
            "[{bar}] {seeds} of {of} seeds, {:.0} seeds/s, {:.0} failovers/s, {:.0} events/s{left}",
            per_second(seeds),
            per_second(get(&self.failovers)),
            per_second(get(&self.events))
        )
    }

    /// The end.
    pub(super) fn sum_up(&self, asked: &Asked, took: Duration) {
        println!("{}", self.line(took, asked.seeds));
        let (seeds, whole) = (get(&self.seeds), get(&self.whole));
        let core_seconds = processor().unwrap_or(took.as_secs_f64() * asked.jobs as f64).max(0.001);
        println!(
            "{seeds} seeds from {} on, {:.1} s, {core_seconds:.1} s of processor time",
            asked.first,
            took.as_secs_f64()
        );
        println!(
            "  {whole} whole failovers (in worlds of {WHOLE} events and more) among {} moves: {:.0} in each second of one \
             core, {:.0} events each, worlds without one included",
            get(&self.moves),
            whole as f64 / core_seconds,
            get(&self.events) as f64 / whole.max(1) as f64,
        );
        for (promise, (seeds, failovers)) in Promise::ALL.iter().zip(&self.by_promise) {
            println!("  {:14}{} worlds, {} failovers", promise.name(), get(seeds), get(failovers));
        }
        println!(
            "  {} events, {:.0} s of virtual time, {} terms of leaders, {} runs ended by a person, {} times a law was \
             broken where the guarantee does not promise it",
            get(&self.events),
            get(&self.virtual_ms) as f64 / 1e3,
            get(&self.terms),
            get(&self.aborted),
            get(&self.excused),
        );
    }
}

/// What the processor has spent on this process, in seconds; `None` where the system does not say.
fn processor() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    // In user and in system mode, in hundredths of a second.
    Some((ticks(11)? + ticks(12)?) / 100.0)
}
