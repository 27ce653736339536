//! PostgreSQL is killed, the agent lives, the policy says failover.

use super::floor;
use super::pair::{self, Pair, SMALL_BUFFERS};
use super::series::{Series, median, ms};
use crate::demo::DemoError;
use crate::demo::plan::Settings;
use pilotlight_driver::clock::{Clock, SystemClock};
use std::time::Duration;

const AROUND: Duration = Duration::from_millis(1_200);

/// Measures `runs` failovers, a floor before each.
pub(crate) async fn measure(runs: u32, progress: &dyn Fn(&str)) -> Result<Series, DemoError> {
    let mut pair = Pair::start(Settings {
        lease: "3s".to_owned(),
        on_postmaster_death: "failover",
        rate: 1,
        shared_buffers: SMALL_BUFFERS,
    })
    .await?;
    let (mut outage_ms, mut floor_ms, mut lost) = (Vec::new(), Vec::new(), 0);
    for run in 1..=runs {
        let floor = floor::measure(floor::Move::Crash).await?;
        let writer = pair.write().await?;
        tokio::time::sleep(AROUND).await;
        let at = SystemClock.mono();
        let victim = pair.writer();
        pair.stage().kill_postmaster(victim)?;
        tokio::time::sleep(AROUND * 2).await;
        let log = writer.stop().await;
        pair.settle().await?;
        lost += pair::lost(&log, &pair.database()).await?;
        progress(&format!(
            "postmaster killed {run}/{runs}: {:.0} ms, floor {:.0} ms",
            ms(log.longest_gap(at)),
            ms(floor)
        ));
        outage_ms.push(ms(log.longest_gap(at)));
        floor_ms.push(ms(floor));
    }
    pair.close();
    let bound_ms = 3.0 * median(&floor_ms);
    Ok(Series {
        name: "postmaster killed, agent alive, failover".to_owned(),
        outage_ms,
        floor_ms,
        target: "at most 3 x floor".to_owned(),
        bound_ms,
        lost,
    })
}
