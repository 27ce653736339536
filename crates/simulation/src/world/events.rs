//! What can happen next, and the one place that lets it happen.

use super::World;
use super::waits::Phase;
use crate::exchange::{Answer, Done, Letter, Reply, Seen};
use crate::fault::FaultKind;
use crate::place::Place;
use crate::queue::Queue;
use crate::timeline::Nanos;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::RunId;
use pilotlight_core::observation::Target;
use pilotlight_core::time::Mono;
use pilotlight_core::verdict::PortAnswer;
use pilotlight_driver::Context;

/// What happens when; of what happens at one time, the older wish comes first. Events are large and stay where they are:
/// only their places are put in order.
pub(crate) struct Agenda {
    order: Queue,
    events: Vec<Option<Event>>,
    free: Vec<usize>,
}

impl Agenda {
    pub(crate) const EMPTY: Self = Self { order: Queue::EMPTY, events: Vec::new(), free: Vec::new() };

    pub(crate) fn add(&mut self, at: Nanos, number: u64, event: Event) {
        let place = self.free.pop().unwrap_or(self.events.len());
        match self.events.get_mut(place) {
            Some(slot) => *slot = Some(event),
            None => self.events.push(Some(event)),
        }
        self.order.add(at, number, place);
    }

    /// When the next one happens, and its number.
    pub(crate) fn next(&self) -> Option<(Nanos, u64)> {
        self.order.next().map(|(at, number, _)| (at, number))
    }

    /// The next one, which then is over.
    pub(crate) fn take(&mut self) -> Option<Event> {
        let (_, _, place) = self.order.take()?;
        self.free.push(place);
        self.events[place].take()
    }
}

/// An effect under way at a place.
pub(crate) struct Job {
    pub(crate) place: Place,
    pub(crate) effect: Effect,
    pub(crate) context: Context,
    pub(crate) reply: Reply<Done>,
    /// The life of the database it was begun on.
    pub(crate) life: u64,
    /// When it gives up.
    pub(crate) until: Nanos,
    /// Where a change of what the writer waits for is.
    pub(crate) phase: Phase,
}

pub(crate) enum Event {
    /// A letter arrives at the controller of a place.
    LetterArrives { from: Place, to: Place, letter: Letter },
    /// Its answer arrives at the agent.
    AnswerArrives { answer: Answer },
    /// A look is over.
    Looked { target: Target, reply: Reply<Seen> },
    /// An effect is over, or looks whether it can be.
    JobGoesOn(Box<Job>),
    /// A dialled port has answered or not.
    Dialled { answer: PortAnswer, reply: Reply<PortAnswer> },
    /// A client wants to write.
    ClientWrites(usize),
    /// A client has waited long enough.
    ClientGivesUp { client: usize, write: u32 },
    /// A write reaches a server.
    WriteArrives { place: Place, write: u32 },
    /// A write is on the server's disk.
    WriteFlushed { place: Place, life: u64, write: u32, at: usize },
    /// A server's word reaches its client.
    WriteAnswered { write: u32, ok: bool },
    /// WAL reaches the standby.
    WalArrives { to: Place, stream: u64, upto: usize },
    /// The standby's confirmation reaches the primary.
    WalConfirmed { to: Place, stream: u64, upto: usize },
    /// A standby without a stream tries again.
    Reconnect { standby: Place, again: bool },
    /// A gate hears until when it may confirm.
    GateTold { place: Place, until: Mono },
    /// A gate connects to its server.
    GateLinks { place: Place, life: u64 },
    /// WAL reaches a gate.
    GateGets { place: Place, life: u64, at: usize },
    /// A gate that has looked at the clock sends.
    GateSends { place: Place, life: u64, at: usize },
    /// A gate's word reaches its server.
    GateConfirms { place: Place, life: u64, at: usize, late: bool },
    /// A gate that was killed is started again.
    GateReturns { place: Place },
    /// What was left of a dead postmaster ends.
    OrphansEnd { place: Place, life: u64 },
    /// A turn waits for everything to stand ready.
    TurnWaits { number: usize, since: Nanos },
    /// A fault begins.
    Fault(usize),
    /// It is over.
    FaultEnds(usize),
    /// Somebody copies the store for that fault, as soon as no run holds the unit.
    CopyStore(usize),
    /// The same, while one does.
    CopyInRun { number: usize, at: Option<(RunId, u64)> },
    /// The copy takes its place.
    PutStoreBack(usize),
    /// Somebody wants something of the run that is under way.
    Wishes(FaultKind),
    /// A way is cut beside a fault, or whole again.
    Cut { kind: FaultKind, begins: bool },
    /// A person looks after a store that is not what it was.
    SeesToStore,
    /// Is everything at rest?
    Check,
}

impl World {
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::LetterArrives { from, to, letter } => self.letter_arrives(from, to, letter),
            Event::AnswerArrives { answer } => self.answer_arrives(answer),
            Event::Looked { target, reply } => self.looked(&target, reply),
            // Whoever asked is gone as well.
            Event::JobGoesOn(job) if !self.powered[job.place.index()] => {
                self.laws.under_way.remove(&job.context.key);
            }
            Event::JobGoesOn(job) => self.go_on(*job),
            Event::Dialled { answer, reply } => {
                self.dirty.insert(reply.process);
                reply.send(answer);
            }
            Event::ClientWrites(client) => self.client_writes(client),
            Event::ClientGivesUp { client, write } => self.client_gives_up(client, write),
            Event::WriteArrives { place, write } => self.write_arrives(place, write),
            Event::WriteFlushed { place, life, write, at } => self.write_flushed(place, life, write, at),
            Event::WriteAnswered { write, ok } => self.write_answered(write, ok),
            Event::WalArrives { to, stream, upto } => self.wal_arrives(to, stream, upto),
            Event::WalConfirmed { to, stream, upto } => self.wal_confirmed(to, stream, upto),
            Event::Reconnect { standby, again } => self.reconnect(standby, again),
            Event::GateTold { place, until } => self.gate_told(place, until),
            Event::GateLinks { place, life } => self.gate_links(place, life),
            Event::GateGets { place, life, at } => self.gate_gets(place, life, at),
            Event::GateSends { place, life, at } => self.gate_sends(place, life, at),
            Event::GateConfirms { place, life, at, late } => self.gate_confirms(place, life, at, late),
            Event::GateReturns { place } => self.gate_returns(place),
            Event::OrphansEnd { place, life } => self.orphans_end(place, life),
            Event::TurnWaits { number, since } => self.turn_waits(number, since),
            Event::Fault(number) => self.fault_begins(number),
            Event::FaultEnds(number) => self.fault_ends(number),
            Event::CopyStore(number) => self.copy_store(number),
            Event::CopyInRun { number, at } => self.copy_in_run(number, at),
            Event::PutStoreBack(number) => self.put_store_back(number),
            Event::Wishes(wish) => self.person(wish),
            Event::Cut { kind, begins } => self.cut_beside_copy(kind, begins),
            Event::SeesToStore => self.see_to_the_store(),
            Event::Check => self.check(),
        }
    }
}
