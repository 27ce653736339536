//! The safety benchmark: real cuts, freezes, thaws and deaths of a real pair, and what two clients saw of each.
//!
//! Writer A sits beside the old writer and knows only that one; writer B sits with the users and knows both. Each
//! inserts about a hundred rows a second. A round makes one fault, waits for what follows, takes the fault back and lets
//! the pair settle; the next round goes the other way, so that no round has to make databases. Several lanes, each with
//! regions of its own, may run side by side.

mod blow;
mod case;
mod judge;
mod kept;
mod lane;
mod names;
mod steps;
mod table;

pub(crate) use case::{Case, Expect};
pub(crate) use judge::Round;
pub(crate) use table::{Table, show};

use super::figure::Figure;
use super::latency;
use super::leader::{self, Shared};
use super::series::Series;
use crate::demo::DemoError;
use crate::demo::plan::Controllers;
use lane::Lane;
use pilotlight_core::plan::ConnectionFence;
use pilotlight_lab::net::Want;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// What is measured and how.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// Each case with how often.
    pub(crate) cases: Vec<(Case, u32)>,
    /// So many pairs side by side.
    pub(crate) lanes: usize,
    /// The network between their places.
    pub(crate) net: Want,
    /// `policy.lease`.
    pub(crate) lease: Duration,
    /// `policy.guarantee`.
    pub(crate) guarantee: &'static str,
    /// `connection_fence`.
    pub(crate) fence: ConnectionFence,
    /// What the controllers of the case `leader` share.
    pub(crate) store: Shared,
    /// Where chance begins.
    pub(crate) seed: u64,
}

/// Every round, in the order they ended, and what network they ran on.
pub(crate) struct Measured {
    pub(crate) rounds: Vec<Round>,
    pub(crate) net: String,
    /// Of the cases that are played apart.
    pub(crate) figures: Vec<Figure>,
}

type Todo = Arc<Mutex<VecDeque<(Case, u32)>>>;

/// Plays all rounds. A round that goes wrong is one of the results; a lane that cannot start is an error.
pub(crate) async fn measure(order: &Order) -> Result<Measured, DemoError> {
    lane::sweep();
    let mut all = Measured { rounds: Vec::new(), net: "no lanes".to_owned(), figures: Vec::new() };
    for controllers in [Controllers::One, Controllers::Folder] {
        lanes(order, &controllers, &mut all).await?;
    }
    // One after the other and after the lanes: what they measure is the machine itself.
    let progress = |text: &str| eprintln!("  {text}");
    for (case, times) in &order.cases {
        match case {
            Case::Latency => all.figures.extend(latency::measure(*times, &progress).await?),
            Case::Leader => {
                let asked = leader::Asked { runs: *times, lease: order.lease, guarantee: order.guarantee };
                let series = leader::measure(asked, order.store, &progress).await?;
                all.figures.extend(series.iter().flat_map(Series::figures));
            }
            _ => {}
        }
    }
    Ok(all)
}

/// The rounds of all lanes that have such controllers.
async fn lanes(order: &Order, controllers: &Controllers, all: &mut Measured) -> Result<(), DemoError> {
    let theirs = |case: Case| !case.is_apart() && case.has_three() == controllers.are_several();
    let cases: Vec<(Case, u32)> = order.cases.iter().copied().filter(|(case, _)| theirs(*case)).collect();
    if cases.is_empty() {
        return Ok(());
    }
    let most = cases.iter().map(|(_, times)| *times).max().unwrap_or_default();
    let in_turns = (0..most).flat_map(|n| cases.iter().filter(move |(_, times)| n < *times).map(move |c| (c.0, n)));
    let todo: Todo = Arc::new(Mutex::new(in_turns.collect()));
    let mut lanes = JoinSet::new();
    for number in 0..order.lanes.max(1) {
        lanes.spawn(walk(number, order.clone(), controllers.clone(), todo.clone()));
    }
    while let Some(ended) = lanes.join_next().await {
        let (rounds, net) = ended.map_err(|e| DemoError::Ended(format!("a lane has ended: {e}")))??;
        all.rounds.extend(rounds);
        all.net = net;
    }
    Ok(())
}

/// One lane takes rounds until none is left.
async fn walk(
    number: usize,
    order: Order,
    controllers: Controllers,
    todo: Todo,
) -> Result<(Vec<Round>, String), DemoError> {
    let mut rounds = Vec::new();
    let mut lane = Lane::start(number, &order, &controllers).await?;
    let net = lane.net_kind().to_owned();
    loop {
        let next = todo.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((case, n)) = next else { return Ok((rounds, net)) };
        let round = match lane.play(case, n).await {
            Ok(round) => round,
            Err(e) => {
                eprintln!("{}\n{}", lane.logs(), lane.open_run().await);
                // The next round gets a pair of its own: this one is in no known state.
                drop(lane);
                lane = Lane::start(number, &order, &controllers).await?;
                Round::failed(case, n, &e)
            }
        };
        eprintln!("  {}", round.line(number));
        rounds.push(round);
    }
}
