//! Going home by shares: a failback whose traffic follows the writer in steps, one whose instances at home do not answer, and
//! one whose traffic goes ahead of the writer.
//!
//! What is measured: how long writers wait over the whole move, and how long the traffic of a share stays with instances that
//! do not answer before it goes back.

mod ahead;

use super::pair::{self, Pair, TRIES};
use super::rounds::{self, AROUND};
use super::series::{Series, ms};
use crate::command::moves;
use crate::demo::DemoError;
use crate::demo::plan::Settings;
use crate::follow::Follower;
use pilotlight_core::id::{RunId, StepId};
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::plan::ShiftOrder;
use pilotlight_core::run::{Condition, Event, RunState};
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_server::api::view::{Action, ControlRequest};
use std::time::Duration;

/// Three shares are watched for three seconds each; on a busy machine some of them more than once.
const PATIENCE: Duration = Duration::from_secs(240);
/// One planned move of the writer, and nothing of the shares: users of both regions are served while they shift.
const UNNOTICED: Duration = Duration::from_secs(1);
/// A probe that gets no answer takes two seconds, the watch three: then it is over, and a name is published.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// The first share.
const FIRST: &str = "shift-10-east";
/// It begins when the first one was served for as long as it was watched.
const SECOND: &str = "shift-50-east";

/// Measures `runs` failbacks of each kind.
pub(crate) async fn measure(
    runs: u32,
    guarantee: &'static str,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Vec<Series>, DemoError> {
    let settings = rounds::settings(guarantee, "restart", pair::SMALL_BUFFERS);
    let by_shares = |order| Settings { shares: Some(order), ..settings.clone() };
    let [mut well, mut sick, mut back, mut home] = [(); 4].map(|()| Measured::default());

    let mut pair = Pair::start(by_shares(ShiftOrder::WriterFirst)).await?;
    for run in 1..=runs {
        away(&mut pair).await?;
        let gap = well.add(goes_home(&mut pair, begun).await?);
        progress(&format!("failback by shares {run}/{runs}: longest gap between writes {gap:.0} ms"));
        away(&mut pair).await?;
        let back = sick.add(one_fails(&mut pair).await?);
        progress(&format!("home does not answer {run}/{runs}: traffic is back after {back:.0} ms"));
    }
    pair.close();

    let mut pair = Pair::start(by_shares(ShiftOrder::TrafficFirst)).await?;
    for run in 1..=runs {
        away(&mut pair).await?;
        let gap = back.add(ahead::taken_back(&mut pair).await?);
        progress(&format!("traffic first, taken back {run}/{runs}: longest gap between writes {gap:.0} ms"));
        let gap = home.add(goes_home(&mut pair, ahead::approved).await?);
        progress(&format!("traffic first {run}/{runs}: longest gap between writes {gap:.0} ms"));
    }
    pair.close();

    Ok(vec![
        well.series("failback by shares: gap between writes", UNNOTICED),
        sick.series("a share fails: traffic is back", BACK_WITHIN),
        back.series("traffic first, taken back: gap", UNNOTICED),
        home.series("traffic first: gap between writes", UNNOTICED),
    ])
}

/// What was measured of one kind so far: each time in milliseconds, and the rows that were lost in all.
#[derive(Default)]
struct Measured {
    ms: Vec<f64>,
    lost: u64,
}

impl Measured {
    /// Returns the time once more.
    fn add(&mut self, (ms, lost): (f64, u64)) -> f64 {
        self.ms.push(ms);
        self.lost += lost;
        ms
    }

    fn series(self, name: &str, bound: Duration) -> Series {
        Series::within(bound, &format!("at most {} s", bound.as_secs()), name.to_owned(), self.ms, self.lost)
    }
}

/// The writer is in west afterwards, and all traffic.
async fn away(pair: &mut Pair) -> Result<(), DemoError> {
    if pair.writer() == "east" {
        pair.move_away().await?;
        pair.settle().await?;
    }
    Ok(())
}

async fn start(pair: &mut Pair) -> Result<RunId, DemoError> {
    let run = moves::start(&pair.scene().operator, "failback", "east", "the benchmark").await;
    run.map_err(|e| DemoError::Refused(format!("{:#}", e.cause)))
}

/// One that is followed from its first record on.
async fn begun(pair: &mut Pair) -> Result<(RunId, Follower), DemoError> {
    let id = start(pair).await?;
    Ok((id.clone(), Follower::new(id).within(PATIENCE)))
}

/// Every share is served, and the service is home: the longest gap between writes, and what was lost.
async fn goes_home(
    pair: &mut Pair,
    begin: impl AsyncFn(&mut Pair) -> Result<(RunId, Follower), DemoError>,
) -> Result<(f64, u64), DemoError> {
    let writer = pair.write().await?;
    tokio::time::sleep(AROUND).await;
    let at = SystemClock.mono();
    let mut tries = 1..TRIES;
    loop {
        let (id, mut run) = begin(pair).await?;
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

/// The same once: how long the traffic took to be back, and what was lost.
async fn one_fails(pair: &mut Pair) -> Result<(f64, u64), DemoError> {
    let mut lost = 0;
    for _ in 0..TRIES {
        let (back, gone) = try_one_fails(pair).await?;
        lost += gone;
        if let Some(back) = back {
            return Ok((back, lost));
        }
        away(pair).await?;
    }
    Err(DemoError::Refused(format!("{TRIES} times the first share was served before its instances were frozen")))
}

/// The instances at home stop answering with the first share: it goes back, the run waits, a person mends it and resumes.
/// `None` when they stopped too late.
async fn try_one_fails(pair: &mut Pair) -> Result<(Option<f64>, u64), DemoError> {
    let writer = pair.write().await?;
    let (id, mut run) = begun(pair).await?;
    pair.until_record(&mut run, |event| begins(event, FIRST)).await?;
    pair.stage().freeze("east", |p| p.words.get(1).is_some_and(|verb| verb == "payments"));
    let frozen = SystemClock.mono();
    let back = until_back(pair, &mut run).await;
    pair.stage().thaw();
    let back = back?;
    to_the_end(pair, &id, &mut run).await?;
    let log = writer.stop().await;
    pair.settle_wherever().await?;
    Ok((back.map(|back| ms(back.since(frozen))), pair::lost(&log, &pair.database()).await?))
}

/// Waits for the end, and says whether the service is home.
async fn to_the_end(pair: &mut Pair, id: &RunId, run: &mut Follower) -> Result<bool, DemoError> {
    goes_on(pair, id, run, Follower::has_ended).await?;
    pair::has_moved(run)
}

/// Follows a run until it is that far. A share that failed is tried again, as a person does it; one that always fails is not borne.
async fn goes_on(
    pair: &mut Pair,
    id: &RunId,
    run: &mut Follower,
    is_so: impl Fn(&Follower) -> bool,
) -> Result<(), DemoError> {
    let mut tries = 0..TRIES;
    while !is_so(run) {
        if waits(run.state()).is_ok() && tries.next().is_some() {
            control(pair, id, Action::Resume, None).await?;
        }
        pair.until_record(run, |_| true).await?;
    }
    Ok(())
}

fn begins(event: &Event, wanted: &str) -> bool {
    matches!(event, Event::StepStarted { step, .. } if step.as_str() == wanted)
}

fn has_begun(run: &Follower, step: &str) -> bool {
    run.records.iter().any(|record| begins(&record.event, step))
}

/// Waits until the first share has gone back and the run waits; `None` when it was served.
async fn until_back(pair: &mut Pair, run: &mut Follower) -> Result<Option<Mono>, DemoError> {
    let is_back = |event: &Event| {
        matches!(event, Event::StepReturned { step, result: Err(f), .. }
            if step.as_str() == FIRST && f.kind == FailureKind::Rejected && f.message.contains("traffic is back at west 100 %"))
    };
    // It may have come together with the record that was waited for before.
    if !has_begun(run, SECOND) {
        pair.until_record(run, |event| is_back(event) || begins(event, SECOND)).await?;
    }
    if has_begun(run, SECOND) {
        return Ok(None);
    }
    let back = SystemClock.mono();
    // What else is under way ends first.
    while matches!(run.state().map(RunState::condition), Some(Condition::Pausing { .. })) {
        pair.until_record(run, |_| true).await?;
    }
    waits(run.state())?;
    pair.scene().until("all traffic to be back in west", PATIENCE, |s| s.routed_to("west")).await?;
    Ok(Some(back))
}

async fn control(pair: &mut Pair, run: &RunId, action: Action, step: Option<&str>) -> Result<(), DemoError> {
    let ask =
        ControlRequest { action, step: step.map(StepId::from), by: "the benchmark".to_owned(), why: String::new() };
    let done: Result<serde_json::Value, _> = pair.scene().operator.post(&format!("/v1/runs/{run}/control"), &ask).await;
    done.map(drop).map_err(|e| DemoError::Refused(format!("{:#}", e.cause)))
}

fn waits(state: Option<&RunState>) -> Result<(), DemoError> {
    match state.map(RunState::condition) {
        Some(Condition::Waiting { .. }) => Ok(()),
        other => Err(DemoError::Refused(format!("the run does not wait for a person: {other:?}"))),
    }
}
