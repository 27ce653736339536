//! The floor: a bare pair, made anew for each measurement.

use super::rounds::AROUND;
use crate::demo::DemoError;
use crate::wiring;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_lab::bare::BareServer;
use pilotlight_lab::database::{self, Database};
use pilotlight_lab::folder::Folder;
use pilotlight_lab::net::Door;
use pilotlight_lab::writer::{Order, SCHEMA, Writer};
use pilotlight_lab::{ports, region};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What the floor is measured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// Kill every process of the one, promote the other at once.
    Crash,
    /// Stop the one, promote the other at once.
    Switch,
    /// The same with 500 MB of dirty buffers, written out by a checkpoint before.
    SwitchDirty,
}

/// Measures the longest silence of one move of a bare pair.
pub(crate) async fn measure(what: Move) -> Result<Duration, DemoError> {
    let folder = Folder::create("pilotlight-floor-", false).map_err(|e| DemoError::at("the floor's folder", e))?;
    let buffers = if what == Move::SwitchDirty { super::pair::LARGE_BUFFERS } else { super::pair::SMALL_BUFFERS };
    let (one, two, bin_dir) = start_pair(&folder, buffers).await?;
    if what == Move::SwitchDirty {
        super::pair::make_dirty(&one.database).await?;
    }

    let servers = vec![one.database.at, two.database.at];
    let writer = Writer::start(Order::of(servers, one.database.password.clone()));
    let writer = writer.map_err(|e| DemoError::at("the writer", e))?;
    tokio::time::sleep(AROUND).await;
    if what == Move::SwitchDirty {
        super::pair::checkpoint(&one.database).await?;
    }
    let at = SystemClock.mono();
    match what {
        Move::Crash => one.kill(),
        Move::Switch | Move::SwitchDirty => {
            let (one, bin_dir) = (one.clone(), bin_dir.clone());
            let stopped = tokio::task::spawn_blocking(move || one.stop(&bin_dir)).await;
            stopped.map_err(|e| failed("stop", e.into()))?.map_err(|e| failed("stop", e.into()))?;
        }
    }
    two.promote().await.map_err(|e| failed("be promoted", e.into()))?;
    tokio::time::sleep(AROUND).await;
    let log = writer.stop().await;
    region::kill_all(folder.path(), Duration::from_secs(5));
    Ok(log.longest_gap(at))
}

/// Two bare servers of which the second follows the first, and where PostgreSQL's programs are.
pub(super) async fn start_pair(folder: &Folder, buffers: &str) -> Result<(BareServer, BareServer, PathBuf), DemoError> {
    let (one, two) = pair(folder, buffers).await?;
    let bin_dir = wiring::lab::bin_dir().map_err(|e| failed("be found", e))?;
    one.start(&bin_dir).map_err(|e| failed("start", e.into()))?;
    database::execute(&one.database, SCHEMA).await.map_err(|e| failed("create the table", e.into()))?;
    wiring::lab::clone_database(&two.data_dir, &two.database, one.database.at, buffers)
        .await
        .map_err(|e| failed("be copied", e))?;
    two.follow(&one.database).map_err(|e| failed("follow", e.into()))?;
    two.start(&bin_dir).map_err(|e| failed("start", e.into()))?;
    super::pair::wait_streaming(&one.database).await?;
    Ok((one, two, bin_dir))
}

async fn pair(folder: &Folder, buffers: &str) -> Result<(BareServer, BareServer), DemoError> {
    let free = ports::free(2).map_err(|e| DemoError::at("free ports", e))?;
    let server = |name: &str, port| BareServer {
        data_dir: folder.path().join(name),
        database: Database { at: SocketAddr::from(([127, 0, 0, 1], port)), password: "floor".to_owned() },
        door: Door::default(),
    };
    let (one, two) = (server("one", free[0]), server("two", free[1]));
    wiring::lab::create_database(&one.data_dir, &one.database, buffers).await.map_err(|e| failed("be created", e))?;
    Ok((one, two))
}

fn failed(what: &'static str, source: Box<dyn std::error::Error + Send + Sync>) -> DemoError {
    DemoError::Database { region: "the floor".to_owned(), what, source }
}
