//! Going home with the traffic ahead of the writer, once a person has approved it: users of both regions are served, the writer
//! is still away, and the move can be taken back as a whole.

use super::{FIRST, PATIENCE, SECOND, control, start, to_the_end, waits};
use crate::bench::pair::{self, Pair, TRIES};
use crate::bench::rounds::AROUND;
use crate::bench::series::ms;
use crate::demo::DemoError;
use crate::follow::Follower;
use pilotlight_core::id::RunId;
use pilotlight_core::run::{Event, RunResult};
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_server::api::view::Action;

/// The first share is served at home, and a person ends the run: all traffic and the writer are in west afterwards, where the
/// writer was all the time. The longest gap between writes, and what was lost.
pub(super) async fn taken_back(pair: &mut Pair) -> Result<(f64, u64), DemoError> {
    let writer = pair.write().await?;
    tokio::time::sleep(AROUND).await;
    let at = SystemClock.mono();
    let (id, mut run) = approved(pair).await?;
    let mut tries = 0..TRIES;
    while !has_begun(&run, SECOND) {
        // A share that failed is tried again, as a person does it.
        if waits(run.state()).is_ok() && tries.next().is_some() {
            super::resume(pair, &id).await?;
        }
        pair.until_record(&mut run, |_| true).await?;
    }
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

/// All traffic goes home by shares, then the writer: the same figures.
pub(super) async fn home(pair: &mut Pair) -> Result<(f64, u64), DemoError> {
    let writer = pair.write().await?;
    tokio::time::sleep(AROUND).await;
    let at = SystemClock.mono();
    let mut tries = 1..TRIES;
    loop {
        let (id, mut run) = approved(pair).await?;
        if to_the_end(pair, &id, &mut run).await? {
            break;
        }
        pair.settle_wherever().await?;
        tries.next().ok_or_else(|| DemoError::Refused(format!("{TRIES} failbacks were taken back")))?;
    }
    tokio::time::sleep(AROUND).await;
    let log = writer.stop().await;
    pair.settle().await?;
    Ok((ms(log.longest_gap(at)), pair::lost(&log, &pair.database()).await?))
}

/// Starts one, looks that nothing of users has moved when it waits for a person, and approves it.
async fn approved(pair: &mut Pair) -> Result<(RunId, Follower), DemoError> {
    let id = start(pair).await?;
    let mut run = Follower::new(id.clone()).within(PATIENCE);
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

fn has_begun(run: &Follower, step: &str) -> bool {
    run.records
        .iter()
        .any(|record| matches!(&record.event, Event::StepStarted { step: begun, .. } if begun.as_str() == step))
}
