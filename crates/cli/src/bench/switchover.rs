//! A planned move under 100 writes a second, with a clean and with a dirty cache.

use super::floor::Move;
use super::pair::{self, LARGE_BUFFERS, Pair, SMALL_BUFFERS};
use super::rounds::{self, Case};
use super::series::Series;
use crate::command::moves;
use crate::demo::DemoError;
use async_trait::async_trait;

struct Planned {
    dirty: bool,
}

#[async_trait]
impl Case for Planned {
    fn floor(&self) -> Move {
        if self.dirty { Move::SwitchDirty } else { Move::Switch }
    }

    async fn prepare(&self, pair: &mut Pair) -> Result<(), DemoError> {
        if self.dirty { pair::make_dirty(&pair.database()).await } else { Ok(()) }
    }

    async fn strike(&self, pair: &mut Pair) -> Result<(), DemoError> {
        let to = pair.standby();
        let run = moves::start(&pair.scene().operator, "switchover", to, "the benchmark").await;
        let run = run.map_err(|e| DemoError::Refused(format!("{:#}", e.cause)))?;
        pair.finish(run).await
    }
}

/// Measures `runs` switchovers, a floor before each.
pub(crate) async fn measure(
    runs: u32,
    guarantee: &'static str,
    dirty: bool,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Series, DemoError> {
    let buffers = if dirty { LARGE_BUFFERS } else { SMALL_BUFFERS };
    let pair = Pair::start(rounds::settings(guarantee, "restart", buffers)).await?;
    let name = if dirty { "planned switchover, 500 MB of dirty buffers" } else { "planned switchover, 100 writes/s" };
    rounds::measure(&Planned { dirty }, pair, name, 2.0, runs, progress).await
}
