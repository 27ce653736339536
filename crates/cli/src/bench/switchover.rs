//! A planned move under 100 writes a second, with a clean and with a dirty cache.

use super::floor;
use super::pair::{self, LARGE_BUFFERS, Pair, SMALL_BUFFERS};
use super::series::{Series, median, ms};
use crate::command::moves;
use crate::demo::DemoError;
use crate::demo::plan::Settings;
use pilotlight_driver::clock::{Clock, SystemClock};
use std::time::Duration;

const AROUND: Duration = Duration::from_millis(1_200);

/// Measures `runs` switchovers, a floor before each.
pub(crate) async fn measure(runs: u32, dirty: bool, progress: &dyn Fn(&str)) -> Result<Series, DemoError> {
    let shared_buffers = if dirty { LARGE_BUFFERS } else { SMALL_BUFFERS };
    let mut pair =
        Pair::start(Settings { lease: "3s".to_owned(), on_postmaster_death: "restart", rate: 1, shared_buffers })
            .await?;
    let (mut outage_ms, mut floor_ms, mut lost) = (Vec::new(), Vec::new(), 0);
    let floor_move = if dirty { floor::Move::SwitchDirty } else { floor::Move::Switch };
    for run in 1..=runs {
        let floor = floor::measure(floor_move).await?;
        if dirty {
            pair::make_dirty(&pair.database()).await?;
        }
        let writer = pair.write().await?;
        tokio::time::sleep(AROUND).await;
        let at = SystemClock.mono();
        let to = pair.standby();
        let scene = pair.scene();
        let id = moves::start(&scene.operator, "switchover", to, "the benchmark").await;
        let id = id.map_err(|e| DemoError::Refused(format!("{:#}", e.cause)))?;
        pair.finish(id).await?;
        tokio::time::sleep(AROUND).await;
        let log = writer.stop().await;
        pair.settle().await?;
        lost += pair::lost(&log, &pair.database()).await?;
        progress(&format!(
            "switchover{} {run}/{runs}: {:.0} ms, floor {:.0} ms",
            if dirty { ", dirty" } else { "" },
            ms(log.longest_gap(at)),
            ms(floor)
        ));
        outage_ms.push(ms(log.longest_gap(at)));
        floor_ms.push(ms(floor));
    }
    pair.close();
    let bound_ms = 2.0 * median(&floor_ms);
    let name = if dirty { "planned switchover, 500 MB of dirty buffers" } else { "planned switchover, 100 writes/s" };
    Ok(Series {
        name: name.to_owned(),
        outage_ms,
        floor_ms,
        target: "at most 2 x floor, none lost".to_owned(),
        bound_ms,
        lost,
    })
}
