//! What goes wrong in a world, decided before it begins: a list that can be printed, shortened and tried again.

use crate::chance::Chance;
use crate::place::{PLACES, Place, REGIONS};
use std::time::Duration;

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// When, in virtual time.
    pub at: Duration,
    /// For how long; a thing of a moment has none.
    pub lasts: Duration,
    pub(crate) kind: FaultKind,
}

/// What goes wrong, or what a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// kill -9, started again at the end.
    KillController,
    /// Stopped and continued.
    PauseController,
    /// Another controller takes over while this one is stopped; at the end it goes on, deposed.
    ChangeLeader,
    KillAgent(Place),
    PauseAgent(Place),
    /// The postmaster alone is killed; its sessions go on for a while.
    KillPostmaster(Place),
    /// Every process of the database is killed.
    KillDatabase(Place),
    /// Every process of the database is stopped and continued.
    FreezeDatabase(Place),
    /// Power is lost and comes back.
    LoseRegion(Place),
    /// The machine is paused as a whole, its clocks with it.
    PauseMachine(Place),
    Cut(Place, Place),
    CutOneWay(Place, Place),
    /// Cut off from everything.
    CutOff(Place),
    Slow(Place, Place, u32),
    LoseMessages(Place, Place),
    DoubleMessages(Place, Place),
    StepClock(Place, i64),
    StorageTrouble,
    FullDisk(Place),
    Switchover,
    Failback,
    Failover,
    Rejoin,
    Acknowledge,
    Abort,
    PauseRun,
    ResumeRun,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { at, lasts, kind } = self;
        write!(f, "at {:.3} s", at.as_secs_f64())?;
        if !lasts.is_zero() {
            write!(f, " for {:.3} s", lasts.as_secs_f64())?;
        }
        write!(f, ": {kind:?}")
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// By then everything has been installed: the writer's agent has held the lease once. What happens to a writer that never
/// was anybody's is a hole (docs/failure-cases.md).
const EARLIEST: Duration = Duration::from_millis(600);

/// The faults of a seed, in order. One that leads to a failover comes first in most of them, because most of what can go
/// wrong goes wrong around one.
pub(crate) fn schedule(chance: &mut Chance) -> Vec<Fault> {
    let mut faults = Vec::new();
    let first = EARLIEST + ms(chance.between(0, 500));
    if chance.per_cent(95) {
        faults.push(main_fault(chance, first));
    }
    let others = chance.between(0, 4);
    for _ in 0..others {
        let at = EARLIEST + ms(chance.between(0, 3_300));
        faults.push(side_fault(chance, at));
    }
    faults.sort_by_key(|f| f.at);
    faults
}

/// Takes the writer away, or asks for a move of it.
fn main_fault(chance: &mut Chance, at: Duration) -> Fault {
    let lasts = ms(chance.between(1_500, 3_000));
    let (kind, lasts) = match chance.between(0, 10) {
        0..=2 => (FaultKind::LoseRegion(Place::East), lasts),
        3..=5 => (FaultKind::CutOff(Place::East), lasts),
        6 => (FaultKind::Cut(Place::Control, Place::East), lasts),
        7 => (FaultKind::KillDatabase(Place::East), Duration::ZERO),
        8 => (FaultKind::KillPostmaster(Place::East), Duration::ZERO),
        _ => (FaultKind::Switchover, Duration::ZERO),
    };
    Fault { at, lasts, kind }
}

fn side_fault(chance: &mut Chance, at: Duration) -> Fault {
    let region = chance.of(&REGIONS);
    let (from, to) = (chance.of(&PLACES), chance.of(&REGIONS));
    let from = if from == to { Place::Control } else { from };
    let short = ms(chance.between(50, 2_000));
    let moment = Duration::ZERO;
    let (kind, lasts) = match chance.between(0, 31) {
        0 | 1 => (FaultKind::KillController, short),
        2 => (FaultKind::PauseController, short),
        3 => (FaultKind::ChangeLeader, short),
        4 => (FaultKind::KillAgent(region), short),
        5 => (FaultKind::PauseAgent(region), short),
        6 => (FaultKind::KillPostmaster(region), moment),
        7 => (FaultKind::KillDatabase(region), moment),
        8 => (FaultKind::FreezeDatabase(region), short),
        9 => (FaultKind::LoseRegion(region), short),
        10 => (FaultKind::PauseMachine(region), short),
        11 | 12 => (FaultKind::Cut(from, to), short),
        13 | 14 => match chance.per_cent(50) {
            true => (FaultKind::CutOneWay(from, to), short),
            false => (FaultKind::CutOneWay(to, from), short),
        },
        15 => (FaultKind::CutOff(region), short),
        16 => {
            let slow = u32::try_from(chance.between(20, 600)).unwrap_or(600);
            match chance.per_cent(50) {
                true => (FaultKind::Slow(from, to, slow), short * 2),
                false => (FaultKind::Slow(to, from, slow), short * 2),
            }
        }
        17 | 18 => (FaultKind::LoseMessages(region, Place::Control), short * 2),
        19 => (FaultKind::LoseMessages(Place::Control, region), short * 2),
        20 => (FaultKind::DoubleMessages(region, Place::Control), short * 2),
        21 => {
            let step = i64::try_from(chance.between(0, 8_000)).unwrap_or(0) - 4_000;
            (FaultKind::StepClock(region, step), moment)
        }
        22 => (FaultKind::StorageTrouble, short),
        23 => (FaultKind::FullDisk(region), short),
        24 => (FaultKind::Switchover, moment),
        25 => (FaultKind::Failback, moment),
        26 => (FaultKind::Acknowledge, moment),
        27 => (FaultKind::Abort, moment),
        28 => (FaultKind::PauseRun, short),
        29 => (FaultKind::Failover, moment),
        _ => (FaultKind::Rejoin, moment),
    };
    Fault { at, lasts, kind }
}
