//! The engine on a durable journal: how close a run comes to its critical path, and how fast one is recovered.
//!
//! The critical path is computed from what each effect really took, since a sleep of 10 ms takes longer; the price of an
//! fsync is measured on the same file system while the run goes on, since it changes with what else the disk does.

mod fsync;
mod recovery;
mod walk;

use super::figures::{Figure, Table};
use anyhow::Context;
use std::time::Duration;

/// Steps side by side, and how many such levels: 1,000 steps.
const WIDE: usize = 10;
const LEVELS: usize = 100;
/// What a step takes at least.
const STEP: Duration = Duration::from_millis(10);
/// Events in the journal that is recovered.
const EVENTS: usize = 100_000;

pub(super) fn run(repeat: usize) -> anyhow::Result<Table> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    let (mut walks, mut recoveries) = (Vec::new(), Vec::new());
    for turn in 1..=repeat {
        eprintln!("engine: repetition {turn} of {repeat}");
        walks.push(runtime.block_on(walk::measure())?);
        recoveries.push(runtime.block_on(recovery::measure())?);
    }
    let ms = |d: Duration| d.as_secs_f64() * 1_000.0;
    let of = |pick: &dyn Fn(&walk::Walk) -> f64| walks.iter().map(pick).collect::<Vec<_>>();
    let took =
        |pick: &dyn Fn(&recovery::Recovery) -> Duration| recoveries.iter().map(|r| ms(pick(r))).collect::<Vec<_>>();
    let allowed = |w: &walk::Walk| 1.05 * ms(w.critical_path) + 2.0 * LEVELS as f64 * ms(w.fsync);
    let figures = vec![
        Figure::of("makespan of 1,000 steps, 10 wide", "ms", &of(&|w| ms(w.makespan))),
        Figure::of("critical path of the effects as measured", "ms", &of(&|w| ms(w.critical_path))),
        Figure::of("one fsync meanwhile, on average", "ms", &of(&|w| ms(w.fsync))),
        Figure::of("makespan / (1.05 x critical path + 2 fsync a level)", "1", &of(&|w| ms(w.makespan) / allowed(w)))
            .at_most(1.0),
        Figure::of("makespan / critical path", "1", &of(&|w| ms(w.makespan) / ms(w.critical_path))),
        Figure::of("records in its journal", "1", &of(&|w| w.records as f64)),
        Figure::of("recovery of one run of 100,000 events", "ms", &took(&|r| r.one_long_run)).at_most(1_000.0),
        Figure::of("recovery among 1,000 runs of 100 events", "ms", &took(&|r| r.many_runs)).at_most(1_000.0),
    ];
    Ok(Table { benchmark: "engine", repetitions: repeat, figures })
}
