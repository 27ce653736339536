//! What earlier leaders, or a write that was done after all, have left in the store: read again and again while leading.
//!
//! A controller that was just deposed may still have put something in the store or in a journal, and thereby won against
//! the new leader's first record. Nothing of it is harmful, but somebody has to go on from there.

use crate::desk::Desk;
use std::sync::Arc;
use std::time::Duration;

/// Nobody waits for this in the usual case, and each look is a request to the store.
const EVERY: Duration = Duration::from_secs(1);

/// Runs until shutdown.
pub(crate) async fn run(desk: Arc<Desk>) {
    let mut closed = false;
    let mut complained = false;
    while !desk.shutdown.is_cancelled() {
        let looked = async {
            if !closed {
                desk.engine.close_orphans().await?;
                closed = true;
            }
            if desk.lead.is_contested() { desk.engine.continue_held().await } else { Ok(Vec::new()) }
        };
        match looked.await {
            Ok(runs) => {
                complained = false;
                for run in runs {
                    tracing::info!(%run, "goes on where another controller left it");
                }
            }
            Err(why) if !complained => {
                tracing::warn!("what other controllers left cannot be read: {why}");
                complained = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            biased;
            () = desk.clock.sleep(EVERY) => {}
            () = desk.shutdown.cancelled() => {}
        }
    }
}
