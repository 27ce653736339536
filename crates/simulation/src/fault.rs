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
    pub(crate) when: When,
    pub(crate) kind: FaultKind,
}

/// What a fault waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// For its time.
    At,
    /// For the turn before to be over and for everything to stand ready, or for so long; it begins so long after that, and
    /// strikes whoever writes then.
    Ready { turn: u8, at_most: Duration, after: Duration },
    /// For the moment at which all is ready for that turn; it begins so long after that.
    Beside { turn: u8, after: Duration },
    /// For the order to promote a copy to reach an agent, in the run of that number which orders one; it begins so long after
    /// that, and strikes there. Without such a run it never begins.
    Promotion { number: usize, after: Duration },
}

impl When {
    /// The turn that it begins.
    pub(crate) fn begins(self) -> Option<u8> {
        if let When::Ready { turn, .. } = self { Some(turn) } else { None }
    }
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
    /// WAL reaches the standby there one entry at a time.
    Trickle(Place),
    FullDisk(Place),
    /// The database there dies, and whoever starts it meanwhile waits for its recovery.
    SlowRestart(Place),
    /// At its begin somebody copies the controllers' store; at its end they are stopped, and started again on that copy.
    PutBack,
    /// The same, and the copy is taken while a run holds the unit.
    PutBackInRun,
    /// The region of the standby is cut off.
    StandbyAway(Place),
    /// The standby dies; its agent makes it follow again, under another name.
    StandbyDies(Place),
    /// The controllers are stopped, and started again on an empty disk.
    EmptyStore,
    Switchover,
    Failback,
    Failover,
    /// A failover to the region where the writer was given up.
    TakeUp(Place),
    Rejoin,
    Acknowledge,
    Abort,
    PauseRun,
    ResumeRun,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { at, lasts, when, kind } = self;
        match when {
            When::At => write!(f, "at {:.3} s", at.as_secs_f64())?,
            When::Ready { turn, after, .. } => {
                write!(f, "{:.3} s after all is ready, turn {turn}", after.as_secs_f64())?;
            }
            When::Beside { turn, after } => write!(f, "{:.3} s into turn {turn}", after.as_secs_f64())?,
            When::Promotion { number, after } => {
                write!(f, "{:.3} s after promotion {number} is ordered", after.as_secs_f64())?;
            }
        }
        if !lasts.is_zero() {
            write!(f, " for {:.3} s", lasts.as_secs_f64())?;
        }
        write!(f, ": {kind:?}")
    }
}

impl FaultKind {
    /// It strikes where the writer is, or where it is not, whenever it begins.
    pub(crate) fn finds_its_place(self) -> bool {
        use FaultKind::{FreezeGate, SlowRestart, StandbyAway, StandbyDies};
        matches!(self, FreezeGate(_) | SlowRestart(_) | StandbyAway(_) | StandbyDies(_))
    }

    /// The same, where the writer is.
    pub(crate) fn at(self, writer: Place) -> Self {
        match self {
            FaultKind::LoseRegion(_) => FaultKind::LoseRegion(writer),
            FaultKind::CutOff(_) => FaultKind::CutOff(writer),
            FaultKind::Cut(from, _) => FaultKind::Cut(from, writer),
            FaultKind::KillDatabase(_) => FaultKind::KillDatabase(writer),
            FaultKind::KillPostmaster(_) => FaultKind::KillPostmaster(writer),
            FaultKind::PauseMachine(_) => FaultKind::PauseMachine(writer),
            FaultKind::FreezeGate(_) => FaultKind::FreezeGate(writer),
            FaultKind::SlowRestart(_) => FaultKind::SlowRestart(writer),
            FaultKind::StandbyAway(_) => FaultKind::StandbyAway(writer.other()),
            FaultKind::StandbyDies(_) => FaultKind::StandbyDies(writer.other()),
            other => other,
        }
    }

    /// The same, where a copy is being promoted.
    pub(crate) fn at_heir(self, heir: Place) -> Self {
        match self {
            FaultKind::LoseRegion(_) => FaultKind::LoseRegion(heir),
            FaultKind::CutOff(_) => FaultKind::CutOff(heir),
            FaultKind::CutOneWay(Place::Control, _) => FaultKind::CutOneWay(Place::Control, heir),
            FaultKind::CutOneWay(_, to) => FaultKind::CutOneWay(heir, to),
            FaultKind::LoseMessages(..) => FaultKind::LoseMessages(heir, Place::Control),
            FaultKind::KillAgent(_) => FaultKind::KillAgent(heir),
            FaultKind::PauseAgent(_) => FaultKind::PauseAgent(heir),
            FaultKind::PauseMachine(_) => FaultKind::PauseMachine(heir),
            FaultKind::KillDatabase(_) => FaultKind::KillDatabase(heir),
            FaultKind::FreezeDatabase(_) => FaultKind::FreezeDatabase(heir),
            other => other,
        }
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

/// A turn that waits for everything to stand ready begins by then at the latest.
const READY_BY: Duration = Duration::from_millis(3_500);

/// A move whose last step takes long is over by then.
const OVER_BY: Duration = Duration::from_secs(6);

/// In so many worlds of a hundred something strikes in the middle of a promotion.
const PROMOTIONS_STRUCK: u64 = 25;

/// The faults of a seed, in order. Those that lead to a failover come one after the other, there and back again, because
/// most of what can go wrong goes wrong around one. In most worlds each waits until the one before has been mended, so that
/// it leads to a failover; in the others it does not care.
pub(crate) fn schedule(chance: &mut Chance, fresh: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    let begin = if fresh { INSTALLED } else { EARLIEST };
    let patient = chance.per_cent(85);
    let mut at = begin + ms(chance.between(0, if patient { 150 } else { 500 }));
    let mut writer = Place::East;
    let turns = chance.between(2, 9);
    for turn in (0_u8..).take(usize::try_from(turns).unwrap_or(1)) {
        // Most who wait for a turn to be over need not wait for long after its failover.
        let longest = if patient && chance.per_cent(85) { 1_600 } else { 2_400 };
        let mut fault = main_fault(chance, at, writer, longest);
        if patient {
            // Some strike while the last turn is being mended.
            let at_most = if chance.per_cent(88) { READY_BY } else { ms(chance.between(0, 1_200)) };
            fault.when = When::Ready { turn, at_most, after: ms(chance.between(0, 200)) };
        }
        at += fault.lasts.max(ms(1_400)) + ms(chance.between(300, 1_300));
        writer = writer.other();
        faults.push(fault);
    }
    let end = u64::try_from((at - begin).as_millis()).unwrap_or(u64::MAX);
    for _ in 0..chance.between(0, turns + 2) {
        let at = begin + ms(chance.between(0, end));
        let mut fault = side_fault(chance, at);
        if patient && chance.per_cent(60) {
            let turn = u8::try_from(chance.between(0, turns)).unwrap_or(0);
            // While the turn strikes and leases end, or at any time of it.
            let within = if chance.per_cent(50) { 1_200 } else { 4_000 };
            fault.when = When::Beside { turn, after: ms(chance.between(0, within)) };
        }
        faults.push(fault);
    }
    faults.sort_by_key(|f| f.at);
    faults
}

/// What few worlds have. Streams of their own, so that every other world is what it is without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rare {
    Nothing,
    /// A store that is put back to an old copy of it.
    PutBack,
    /// The same, and the standby is away meanwhile for longer than its writer waits for it.
    PutBackWithdrawn,
    /// The same, and the standby comes back under another name meanwhile.
    PutBackRenamed,
    /// A copy that is taken while a run holds the unit.
    PutBackInRun,
    Emptied,
    /// A writer whose restart takes long.
    SlowRestart,
    /// Two moves there and back that somebody asks for, and the new writer is lost while the last step of the second still
    /// goes on where it came from, which takes over again, and is struck meanwhile.
    Overtaken,
    /// A gate that stands still from before its writer's region is cut off until the other one writes.
    SilentGate,
}

impl Rare {
    /// What the world of a seed has.
    pub(crate) fn of(seed: u64) -> Self {
        match Chance::new(seed, 6).between(0, 100) {
            0 | 1 => Rare::PutBack,
            2 | 3 => Rare::PutBackWithdrawn,
            4 | 5 => Rare::PutBackRenamed,
            6 => Rare::Emptied,
            7..=9 => Rare::SlowRestart,
            10..=12 => Rare::PutBackInRun,
            13..=15 => Rare::Overtaken,
            16..=18 => Rare::SilentGate,
            _ => Rare::Nothing,
        }
    }

    /// Adds it to the turns of a world that has some.
    pub(crate) fn add_to(self, chance: &mut Chance, faults: &mut Vec<Fault>) {
        let turns: Vec<u8> = faults.iter().filter_map(|f| f.when.begins()).collect();
        if turns.is_empty() {
            return;
        }
        let (turn, begins) = (chance.of(&turns), chance.between(0, 4_000));
        if self == Rare::PutBackInRun && chance.per_cent(75) {
            // Only a move that somebody asked for is ever taken back.
            let main = faults.iter_mut().filter(|f| f.when.begins() == Some(turn));
            main.for_each(|f| (f.kind, f.lasts) = (FaultKind::Switchover, Duration::ZERO));
        }
        let mut beside = |after: u64, lasts: u64, kind: FaultKind| {
            let when = When::Beside { turn, after: ms(begins + after) };
            faults.push(Fault { at: Duration::ZERO, lasts: ms(lasts), when, kind });
        };
        let soon = chance.between(20, 400);
        match self {
            Rare::Nothing => {}
            Rare::Overtaken => overtake(chance, faults),
            Rare::PutBack => beside(0, chance.between(300, 5_000), FaultKind::PutBack),
            Rare::PutBackWithdrawn => {
                beside(0, chance.between(2_800, 5_500), FaultKind::PutBack);
                beside(soon, chance.between(1_600, 3_000), FaultKind::StandbyAway(Place::West));
            }
            Rare::PutBackRenamed => {
                beside(0, chance.between(1_500, 4_500), FaultKind::PutBack);
                beside(soon, 0, FaultKind::StandbyDies(Place::West));
            }
            Rare::PutBackInRun => {
                let when = When::Beside { turn, after: Duration::ZERO };
                let lasts = ms(chance.between(3_000, 6_000));
                faults.push(Fault { at: Duration::ZERO, lasts, when, kind: FaultKind::PutBackInRun });
            }
            Rare::SilentGate => {
                for main in faults.iter_mut().filter(|f| f.when.begins() == Some(turn)) {
                    (main.kind, main.lasts) = (FaultKind::CutOff(Place::East), ms(chance.between(1_600, 2_600)));
                }
                let when = When::Beside { turn, after: ms(chance.between(0, 400)) };
                let (lasts, kind) = (ms(chance.between(1_000, 2_400)), FaultKind::FreezeGate(Place::East));
                faults.push(Fault { at: Duration::ZERO, lasts, when, kind });
            }
            Rare::Emptied => beside(0, 0, FaultKind::EmptyStore),
            Rare::SlowRestart => {
                beside(0, chance.between(1_500, 4_000), FaultKind::SlowRestart(Place::East));
                if chance.per_cent(60) {
                    beside(chance.between(150, 1_200), 0, FaultKind::Failover);
                }
            }
        }
    }

    /// In some worlds something strikes while a copy is being promoted: where it is promoted, or whoever leads. A store that
    /// goes back in the middle of a run is enough for a world.
    pub(crate) fn strike_promotions(self, chance: &mut Chance, faults: &mut Vec<Fault>) {
        let overtaken = self == Rare::Overtaken;
        if self == Rare::PutBackInRun || !chance.per_cent(PROMOTIONS_STRUCK) && !overtaken {
            return;
        }
        let turns = faults.iter().filter(|f| f.when.begins().is_some()).count().max(1);
        let number = usize::try_from(chance.between(0, turns as u64)).unwrap_or(0);
        let within = if chance.per_cent(50) { 150 } else { 1_000 };
        let number = if overtaken { 2 } else { number };
        let when = When::Promotion { number, after: ms(chance.between(0, within)) };
        let (heir, lasts) = (Place::West, ms(chance.between(300, 2_500)));
        let (kind, lasts) = match chance.between(0, 20) {
            0..=7 => (FaultKind::CutOff(heir), lasts),
            8 => (FaultKind::CutOneWay(Place::Control, heir), lasts),
            9 => (FaultKind::CutOneWay(heir, Place::Control), lasts),
            10 => (FaultKind::LoseMessages(heir, Place::Control), lasts),
            11..=13 => (FaultKind::PauseAgent(heir), lasts),
            14 => (FaultKind::KillAgent(heir), lasts / 4),
            15 => (FaultKind::PauseMachine(heir), lasts),
            16 => (FaultKind::FreezeDatabase(heir), lasts),
            17 => (FaultKind::KillDatabase(heir), Duration::ZERO),
            18 => (FaultKind::LoseRegion(heir), lasts),
            _ => (FaultKind::ChangeLeader, lasts * 2),
        };
        faults.push(Fault { at: Duration::ZERO, lasts, when, kind });
    }
}

fn overtake(chance: &mut Chance, faults: &mut [Fault]) {
    for fault in faults.iter_mut() {
        let When::Ready { turn, after, .. } = fault.when else { continue };
        // The first move's last step has to end before the second begins.
        fault.when = When::Ready { turn, at_most: if turn < 2 { OVER_BY } else { READY_BY }, after };
        (fault.kind, fault.lasts) = match turn {
            0 | 1 => (FaultKind::Switchover, Duration::ZERO),
            2 => (FaultKind::CutOff(Place::East), ms(chance.between(1_600, 2_400))),
            _ => (fault.kind, fault.lasts),
        };
    }
}

/// Takes the writer away, or asks for a move of it.
fn main_fault(chance: &mut Chance, at: Duration, writer: Place, longest: u64) -> Fault {
    let lasts = ms(chance.between(1_200, longest));
    let (kind, lasts) = match chance.between(0, 40) {
        0..=15 => (FaultKind::LoseRegion(writer), lasts),
        16..=31 => (FaultKind::CutOff(writer), lasts),
        32 | 33 => (FaultKind::Cut(Place::Control, writer), lasts),
        34 => (FaultKind::KillDatabase(writer), Duration::ZERO),
        35 => (FaultKind::KillPostmaster(writer), Duration::ZERO),
        36 | 37 => (FaultKind::PauseMachine(writer), lasts),
        _ => (FaultKind::Switchover, Duration::ZERO),
    };
    Fault { at, lasts, when: When::At, kind }
}

fn side_fault(chance: &mut Chance, at: Duration) -> Fault {
    let region = chance.of(&REGIONS);
    let (from, to) = (chance.of(&PLACES), chance.of(&REGIONS));
    let from = if from == to { Place::Control } else { from };
    let short = ms(chance.between(50, 2_000));
    let moment = Duration::ZERO;
    let member = if chance.per_cent(70) { Place::Control } else { chance.of(&MEMBERS) };
    let (kind, lasts) = match chance.between(0, 40) {
        // One that is back at once meets leases that it knows nothing of.
        0 => (FaultKind::KillController(member), short / 4),
        1 => (FaultKind::KillController(member), short),
        2 => (FaultKind::PauseController(member), short),
        3 | 31 => (FaultKind::ChangeLeader, short * 2),
        32 => (FaultKind::CutStore(member), short),
        33 => (FaultKind::KillGate(region), moment),
        34 | 35 => (FaultKind::FreezeGate(region), short * 2),
        37..=39 => (FaultKind::Trickle(region), short * 2),
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
    Fault { at, lasts, when: When::At, kind }
}
