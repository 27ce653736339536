//! Going home with the traffic ahead of the writer, once a person has approved it: users of both regions are served, the writer
//! is still away, and the move can be taken back as a whole.

use super::{FIRST, PATIENCE, SECOND, begun, control, goes_on, has_begun, waits};
use crate::bench::pair::{self, Pair};
use crate::bench::rounds::AROUND;
use crate::bench::series::ms;
use crate::demo::DemoError;
use crate::follow::Follower;
use pilotlight_core::id::RunId;
use pilotlight_core::run::RunResult;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_server::api::view::Action;

/// The first share is served at home, and a person ends the run: all traffic and the writer are in west afterwards, where the
/// writer was all the time. The longest gap between writes, and what was lost.
pub(super) async fn taken_back(pair: &mut Pair) -> Result<(f64, u64), DemoError> {
    let writer = pair.write().await?;
    tokio::time::sleep(AROUND).await;
    let at = SystemClock.mono();
    let (id, mut run) = approved(pair).await?;
    goes_on(pair, &id, &mut run, |run| has_begun(run, SECOND)).await?;
    control(pair, &id, Action::Abort, None).await?;
    while !run.has_ended() {
        pair.until_record(&mut run, |_| true).await?;
    }
    if run.ended() != Some(RunResult::Undone) {
        return Err(DemoError::Refused(format!("a failback that a person ended ended as {:?}", run.ended())));
    }
    pair.scene().until("all traffic to be back in west", PATIENCE, |s| s.routed_to("west")).await?;
    tokio::time::sleep(AROUND).await;
    let log = writer.stop().await;
    pair.settle_wherever().await?;
    if pair.writer() != "west" {
        return Err(DemoError::Refused("the writer moved, and only traffic had".to_owned()));
    }
    Ok((ms(log.longest_gap(at)), pair::lost(&log, &pair.database()).await?))
}

/// Starts one, looks that nothing of users has moved when it waits for a person, and approves it.
pub(super) async fn approved(pair: &mut Pair) -> Result<(RunId, Follower), DemoError> {
    let (id, mut run) = begun(pair).await?;
    while waits(run.state()).is_err() {
        pair.until_record(&mut run, |_| true).await?;
    }
    if has_begun(&run, FIRST) {
        return Err(DemoError::Refused(format!("{FIRST} did not wait for anybody")));
    }
    pair.scene().until("all traffic to be in west still", PATIENCE, |s| s.routed_to("west")).await?;
    control(pair, &id, Action::Approve, Some(FIRST)).await?;
    // It waits for nobody any more.
    while !has_begun(&run, FIRST) {
        pair.until_record(&mut run, |_| true).await?;
    }
    Ok((id, run))
}
