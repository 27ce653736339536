//! The safety benchmark: real cuts, freezes, thaws and deaths of a real pair, and what two clients saw of each.
//!
//! Writer A sits beside the old writer and knows only that one; writer B sits with the users and knows both. Each
//! inserts about a hundred rows a second. A round makes one fault, waits for what follows, takes the fault back and lets
//! the pair settle; the next round goes the other way, so that no round has to make databases. Several lanes, each with
//! regions of its own, may run side by side. Peers take the same rounds in turns with our own pair, where they are
//! installed.

mod beside;
mod blow;
mod case;
mod ground;
mod judge;
mod kept;
mod lane;
mod names;
mod peer;
mod random;
mod steps;
mod table;

pub(crate) use case::{Case, Expect};
pub(crate) use judge::Round;
pub(crate) use peer::Peer;
pub(crate) use table::{Table, show};

use super::figure::Figure;
use super::latency;
use super::leader::{self, Shared};
use super::series::Series;
use crate::demo::DemoError;
use case::LaneKind;
use ground::Ground;
use lane::Lane;
use peer::PeerGround;
use pilotlight_core::plan::ConnectionFence;
use pilotlight_lab::net::Want;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// What our own rounds are called.
const OURS: &str = "pilotlight";

/// What is measured and how.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// Each case with how often.
    pub(crate) cases: Vec<(Case, u32)>,
    /// Peers that take the same rounds in turns, each with its version.
    pub(crate) peers: Vec<(Peer, String)>,
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

/// Whose turn it is, ours without a peer, with what.
type Turn = (Option<Peer>, Case, u32);
type Todo = Arc<Mutex<VecDeque<Turn>>>;

/// Plays all rounds. A round that goes wrong is one of the results; a lane that cannot start is an error.
pub(crate) async fn measure(order: &Order) -> Result<Measured, DemoError> {
    lane::sweep();
    peer::sweep();
    let mut all = Measured { rounds: Vec::new(), net: "no lanes".to_owned(), figures: Vec::new() };
    for kind in [LaneKind::Usual, LaneKind::Three, LaneKind::Slow] {
        lanes(order, kind, &mut all).await?;
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

/// The rounds of all lanes of that kind.
async fn lanes(order: &Order, kind: LaneKind, all: &mut Measured) -> Result<(), DemoError> {
    let cases: Vec<(Case, u32)> = order.cases.iter().copied().filter(|(case, _)| case.lane() == Some(kind)).collect();
    if cases.is_empty() {
        return Ok(());
    }
    let todo: Todo = Arc::new(Mutex::new(turns(order, &cases)));
    let mut lanes = JoinSet::new();
    for number in 0..order.lanes.max(1) {
        lanes.spawn(walk(number, order.clone(), kind, todo.clone()));
    }
    while let Some(ended) = lanes.join_next().await {
        let (rounds, net) = ended.map_err(|e| DemoError::Ended(format!("a lane has ended: {e}")))??;
        all.rounds.extend(rounds);
        all.net = net;
    }
    Ok(())
}

/// Every round: the first of each case, ours and then each peer's, the second of each case, and so on.
fn turns(order: &Order, cases: &[(Case, u32)]) -> VecDeque<Turn> {
    let most = cases.iter().map(|(_, times)| *times).max().unwrap_or_default();
    let mut turns = VecDeque::new();
    for n in 0..most {
        for (case, _) in cases.iter().filter(|(_, times)| n < *times) {
            turns.push_back((None, *case, n));
            let peers = order.peers.iter().map(|(peer, _)| *peer).filter(|peer| peer.plays(*case));
            turns.extend(peers.map(|peer| (Some(peer), *case, n)));
        }
    }
    turns
}

/// One lane takes rounds until none is left. Its pairs stand side by side, and rest while it is not their turn.
async fn walk(number: usize, order: Order, kind: LaneKind, todo: Todo) -> Result<(Vec<Round>, String), DemoError> {
    let mut rounds = Vec::new();
    let mut ours = Lane::start(number, &order, kind).await?;
    let net = ours.net_kind();
    let mut peers = BTreeMap::new();
    loop {
        let next = todo.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((peer, case, n)) = next else { return Ok((rounds, net)) };
        let played = match peer {
            None => play(&mut ours, case, n).await,
            Some(peer) => play_peer(&mut peers, peer, order.seed.wrapping_add(number as u64), case, n).await,
        };
        let mut round = match played {
            Ok(round) => round,
            Err(e) => {
                // The next round gets a pair of its own: this one is in no known state.
                match peer {
                    Some(peer) => drop(peers.remove(&peer)),
                    None => {
                        drop(ours);
                        ours = Lane::start(number, &order, kind).await?;
                    }
                }
                Round::failed(case, n, &e)
            }
        };
        round.of = peer.map_or_else(|| OURS.to_owned(), Peer::name);
        eprintln!("  {}", round.line(number));
        rounds.push(round);
    }
}

/// A round; what there is to read is printed when it goes wrong.
async fn play(ground: &mut dyn Ground, case: Case, n: u32) -> Result<Round, DemoError> {
    let played = ground.play(case, n).await;
    if played.is_err() {
        eprintln!("{}", ground.told().await);
    }
    played
}

/// The same with a peer, whose pair is made with its first round.
async fn play_peer(
    peers: &mut BTreeMap<Peer, PeerGround>,
    peer: Peer,
    seed: u64,
    case: Case,
    n: u32,
) -> Result<Round, DemoError> {
    let ground = match peers.remove(&peer) {
        Some(ground) => ground,
        None => PeerGround::start(peer, seed).await?,
    };
    play(peers.entry(peer).or_insert(ground), case, n).await
}
