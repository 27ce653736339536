//! The rounds of a case that has a floor: floor, move, floor, move.

use super::floor;
use super::pair::{self, Pair};
use super::series::{Series, ms};
use crate::demo::DemoError;
use crate::demo::plan::{Controllers, Settings};
use async_trait::async_trait;
use pilotlight_core::measure::median;
use pilotlight_core::plan::ConnectionFence;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_lab::net::Want;
use std::time::Duration;

/// Time for the writer before and after a move, so that the gap is not one of the start or the end.
pub(super) const AROUND: Duration = Duration::from_millis(1_200);

/// What is measured.
#[async_trait]
pub(super) trait Case: Sync {
    /// The floor it is held against.
    fn floor(&self) -> floor::Move;

    /// Before anything is written.
    async fn prepare(&self, pair: &mut Pair) -> Result<(), DemoError>;

    /// Breaks or moves the writer.
    async fn strike(&self, pair: &mut Pair) -> Result<(), DemoError>;
}

/// The settings of a pair under test.
pub(super) fn settings(
    guarantee: &'static str,
    on_postmaster_death: &'static str,
    shared_buffers: &'static str,
) -> Settings {
    Settings {
        lease: "3s".to_owned(),
        rpo: "5s",
        on_postmaster_death,
        guarantee,
        rate: 1,
        rows: false,
        shared_buffers,
        net: Want::Plain,
        controllers: Controllers::One,
        shares: None,
        fence: ConnectionFence::None,
    }
}

/// Measures `runs` rounds; the bound is `times` the floor's median.
pub(super) async fn measure(
    case: &dyn Case,
    mut pair: Pair,
    name: &str,
    times: f64,
    runs: u32,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Series, DemoError> {
    let (mut outage_ms, mut floor_ms, mut lost) = (Vec::new(), Vec::new(), 0);
    for run in 1..=runs {
        let floor = floor::measure(case.floor()).await?;
        case.prepare(&mut pair).await?;
        let writer = pair.write().await?;
        tokio::time::sleep(AROUND).await;
        let at = SystemClock.mono();
        case.strike(&mut pair).await?;
        tokio::time::sleep(AROUND * 2).await;
        let log = writer.stop().await;
        pair.settle().await?;
        lost += pair::lost(&log, &pair.database()).await?;
        progress(&format!("{name} {run}/{runs}: {:.0} ms, floor {:.0} ms", ms(log.longest_gap(at)), ms(floor)));
        outage_ms.push(ms(log.longest_gap(at)));
        floor_ms.push(ms(floor));
    }
    pair.close();
    let bound_ms = times * median(&floor_ms).unwrap_or_default();
    let target = format!("at most {times} x floor");
    Ok(Series { name: name.to_owned(), outage_ms, floor_ms, target, bound_ms, lost })
}
