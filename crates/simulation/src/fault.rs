//! What goes wrong in a world, decided before it begins: a list that can be printed, shortened and tried again.

use crate::chance::Chance;
use crate::place::{MEMBERS, PLACES, Place, REGIONS};
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
    /// kill -9 of the controller there, started again at the end.
    KillController(Place),
    /// Stopped and continued.
    PauseController(Place),
    /// Whichever leads is stopped for so long that another takes over; at the end it goes on, deposed.
    ChangeLeader,
    /// The controller there does not reach the store, where that is somewhere else.
    CutStore(Place),
    /// Beside a writer.
    KillGate(Place),
    FreezeGate(Place),
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

/// By then agents and controllers have met, and the writer's agent holds the lease.
const EARLIEST: Duration = Duration::from_millis(350);

/// By then a new installation is there, too. What happens to a writer that never was anybody's is a hole
/// (docs/failure-cases.md).
const INSTALLED: Duration = Duration::from_millis(1_300);

/// The faults of a seed, in order. Those that lead to a failover come one after the other, there and back again, because
/// most of what can go wrong goes wrong around one.
pub(crate) fn schedule(chance: &mut Chance, fresh: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    let begin = if fresh { INSTALLED } else { EARLIEST };
    let mut at = begin + ms(chance.between(0, 500));
    let mut writer = Place::East;
    for _ in 0..chance.between(1, 6) {
        let fault = main_fault(chance, at, writer);
        at += fault.lasts.max(ms(1_400)) + ms(chance.between(300, 1_300));
        writer = writer.other();
        faults.push(fault);
    }
    let end = u64::try_from((at - begin).as_millis()).unwrap_or(u64::MAX);
    for _ in 0..chance.between(0, 5) {
        let at = begin + ms(chance.between(0, end));
        faults.push(side_fault(chance, at));
    }
    faults.sort_by_key(|f| f.at);
    faults
}

/// Takes the writer away, or asks for a move of it.
fn main_fault(chance: &mut Chance, at: Duration, writer: Place) -> Fault {
    let lasts = ms(chance.between(1_300, 2_400));
    let (kind, lasts) = match chance.between(0, 20) {
        0..=6 => (FaultKind::LoseRegion(writer), lasts),
        7..=13 => (FaultKind::CutOff(writer), lasts),
        14 => (FaultKind::Cut(Place::Control, writer), lasts),
        15 => (FaultKind::KillDatabase(writer), Duration::ZERO),
        16 => (FaultKind::KillPostmaster(writer), Duration::ZERO),
        17 | 18 => (FaultKind::PauseMachine(writer), lasts),
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
    let member = if chance.per_cent(70) { Place::Control } else { chance.of(&MEMBERS) };
    let (kind, lasts) = match chance.between(0, 37) {
        0 | 1 => (FaultKind::KillController(member), short),
        2 => (FaultKind::PauseController(member), short),
        3 | 31 => (FaultKind::ChangeLeader, short * 2),
        32 => (FaultKind::CutStore(member), short),
        33 => (FaultKind::KillGate(region), moment),
        34 | 35 => (FaultKind::FreezeGate(region), short * 2),
        36 => (FaultKind::LoseMessages(region, region.other()), short),
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
