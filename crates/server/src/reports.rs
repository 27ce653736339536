//! Writes the report of every run as soon as it has ended. What only an outside client knows is not in it.

use crate::desk::Desk;
use pilotlight_core::id::RunId;
use pilotlight_core::run::{Event, RunView};
use pilotlight_core::time::Mono;
use pilotlight_engine::report::{Origin, Report, Session};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// The controller uses no service.
const NOT_FELT: &str = "What users felt is not in here: `pilotlight measure` beside the move tells that, and `pilotlight report RUN \
                        --requests FILE` puts it in.";

/// Writes reports until shutdown. A run that ends while nobody listens gets its report when it is asked for.
pub(crate) async fn run(desk: Arc<Desk>) {
    let Some(folder) = desk.reports.clone() else { return desk.shutdown.cancelled().await };
    let mut records = desk.engine.subscribe();
    loop {
        let published = tokio::select! {
            biased;
            published = records.recv() => published,
            () = desk.shutdown.cancelled() => return,
        };
        match published {
            Ok((run, record)) if matches!(record.event, Event::RunEnded { .. }) => {
                if let Err(e) = write(&desk, &folder, &run).await {
                    tracing::warn!(%run, "the report could not be written: {e}");
                }
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return desk.shutdown.cancelled().await,
        }
    }
}

/// Writes the report of a run that has ended if it is not there yet: the controller may have died in between.
pub(crate) async fn make_up_for(desk: &Desk, folder: &Path, view: &RunView) {
    if view.ended.is_none() {
        return;
    }
    if let Err(e) = write(desk, folder, &view.run).await {
        tracing::warn!(run = %view.run, "the report could not be written: {e}");
    }
}

/// One at a time, and each once: both files go through the same place beside them.
async fn write(desk: &Desk, folder: &Path, run: &RunId) -> Result<(), String> {
    let _turn = desk.reporting.lock().await;
    let to: PathBuf = folder.join(run.as_str());
    // The page is written last.
    if to.join("report.html").exists() {
        return Ok(());
    }
    let view = desk.engine.view(run).await.map_err(|e| e.to_string())?.ok_or("the run is not in the journal")?;
    let report = report(desk, &view);
    let written = tokio::task::spawn_blocking(move || report.write(&to)).await;
    written.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
    Ok(())
}

fn report(desk: &Desk, view: &RunView) -> Report {
    // No client's samples: the monotonic origin is never used.
    let origin = Origin { wall: view.cause.first_seen.unwrap_or(view.started), mono: Mono::default() };
    Session::of_run(&desk.plan, view, origin, &[], NOT_FELT.to_owned()).report()
}
