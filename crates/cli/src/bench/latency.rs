//! What the guarantee and the fences of the connections cost each commit: the same two servers, asked in turns.
//!
//! Five ways take turns on one pair, a load after the other, so that a machine that gets slower gets slower for all:
//! plain asynchronous replication, PostgreSQL's own synchronous replication to the same standby, `bounded` (the real gate
//! process, renewed as an agent does, and the candidate attached), and `bounded` behind each fence. A ratio is taken within
//! a round, never across rounds.

mod load;
mod stand;

use super::figure::Figure;
use crate::demo::DemoError;
use load::{LOADS, Load};
use pilotlight_core::measure::median;
use stand::{Stand, Way};
use std::time::Duration;

/// How long pgbench runs each time.
const RUN: Duration = Duration::from_secs(4);

/// What was measured of one load in one way, in milliseconds, round by round.
struct Row {
    load: Load,
    way: Way,
    took: Vec<f64>,
}

/// Measures `rounds` rounds.
pub(crate) async fn measure(rounds: u32, progress: &(dyn Fn(&str) + Sync)) -> Result<Vec<Figure>, DemoError> {
    let mut stand = Stand::start(progress).await?;
    let ways = stand.ways();
    let mut rows: Vec<Row> = Vec::new();
    for load in LOADS {
        rows.extend(ways.iter().map(|way| Row { load, way: *way, took: Vec::new() }));
    }
    let mut fsync = Vec::new();
    for round in 0..rounds as usize {
        stand.set(Way::Plain).await?;
        load::warm_up(&stand).await?;
        for load in LOADS {
            // Nobody is always the first after the other load.
            for turn in 0..ways.len() {
                let way = ways[(turn + round) % ways.len()];
                stand.set(way).await?;
                let took = load.run(&stand, RUN).await?;
                let mut of = rows.iter_mut().filter(|row| row.load == load && row.way == way);
                of.by_ref().for_each(|row| row.took.push(took));
            }
        }
        let disk = stand.fsync()?;
        let lines = rows.iter().filter_map(|row| Some(format!("{} {} {:.2}", row.load, row.way, row.took.last()?)));
        progress(&format!("round {}/{rounds}: fsync {disk:.2}; {}", round + 1, lines.collect::<Vec<_>>().join(", ")));
        fsync.push(disk);
    }
    stand.close();
    let mut figures = vec![Figure::shown("latency: fsync of 8 kB on this disk", &fsync)];
    for row in &rows {
        figures.push(Figure::shown(format!("latency: {}, {}", row.load, row.way), &row.took));
    }
    for row in &rows {
        figures.extend(row.way.against().iter().filter_map(|against| ratio(row, *against, &rows)));
    }
    Ok(figures)
}

/// `bounded` against plain has a target; the others stand there without one.
fn ratio(row: &Row, against: Way, all: &[Row]) -> Option<Figure> {
    let base = all.iter().find(|base| base.load == row.load && base.way == against)?;
    let ratios: Vec<f64> = row.took.iter().zip(&base.took).map(|(took, base)| took / base).collect();
    let name = format!("latency: {}, {} / {against}", row.load, row.way);
    Some(match (row.way, against, median(&ratios)) {
        (Way::Bounded, Way::Plain, Some(_)) => Figure::at_most(name, &ratios, row.load.most()).times(),
        _ => Figure::shown(name, &ratios).times(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_round_by_round() {
        let row = |way, took: &[f64]| Row { load: LOADS[0], way, took: took.to_vec() };
        // The machine got three times slower: within each round the ratio is the same.
        let rows = [row(Way::Plain, &[1.0, 3.0]), row(Way::Bounded, &[1.2, 3.6])];
        assert!(Way::Plain.against().is_empty(), "plain is what the others are held against");
        let figure = ratio(&rows[1], Way::Plain, &rows).expect("bounded has a base");
        assert!((figure.median.unwrap() - 1.2).abs() < 1e-9 && figure.met, "{figure:?}");
        let rows = [row(Way::Plain, &[1.0]), row(Way::Bounded, &[1.4])];
        assert!(!ratio(&rows[1], Way::Plain, &rows).expect("bounded has a base").met, "1.4 at one client is too much");
        assert!(ratio(&rows[1], Way::Synchronous, &rows).is_none(), "that was not measured");
    }
}
