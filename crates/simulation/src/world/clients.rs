//! Clients: one that follows the name as users do, and two that stay with the region they were once connected to, because
//! nothing makes an old connection go away by itself.

use super::World;
use super::commits::By;
use super::events::Event;
use crate::database::{Entry, Server, What};
use crate::laws::Law;
use crate::place::{Place, REGIONS};
use crate::setup::Promise;
use crate::timeline::Nanos;
use std::time::Duration;

/// A client gives a write up after this.
const PATIENCE: Duration = Duration::from_millis(700);

pub(super) struct Client {
    /// The region it stays with; without one it follows the name.
    stays: Option<Place>,
    waits_for: Option<u32>,
    believes: Option<Place>,
    asks_again: Nanos,
}

/// A client's write, and what became of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Write {
    pub(super) client: usize,
    pub(super) to: Place,
    pub(super) sent: Nanos,
    /// The server that decided to acknowledge it, and when.
    pub(super) decided: Option<(Place, Nanos)>,
    /// When its client heard of it or gave up, and what.
    pub(super) ended: Option<(Nanos, bool)>,
}

impl World {
    pub(super) fn begin_clients(&mut self) {
        for stays in [None, Some(Place::East), Some(Place::West)] {
            self.clients.push(Client { stays, waits_for: None, believes: None, asks_again: 0 });
            let pause = self.some_ms(1, 50);
            self.after(pause, Event::ClientWrites(self.clients.len() - 1));
        }
    }

    pub(super) fn client_writes(&mut self, client: usize) {
        if self.clients[client].waits_for.is_some() {
            return;
        }
        let Some(to) = self.whom(client) else {
            return self.after(Duration::from_millis(100), Event::ClientWrites(client));
        };
        let write = u32::try_from(self.writes.len()).expect("a world has few writes");
        let sent = self.now();
        self.writes.push(Write { client, to, sent, decided: None, ended: None });
        self.clients[client].waits_for = Some(write);
        self.after(PATIENCE, Event::ClientGivesUp { client, write });
        if !self.network.is_cut(Place::Outside, to) {
            let takes = self.network.takes(Place::Outside, to, &mut self.chance);
            self.at(sent + takes, Event::WriteArrives { place: to, write });
        }
    }

    /// Whom the client writes to; names are kept for their TTL.
    fn whom(&mut self, client: usize) -> Option<Place> {
        let now = self.now();
        let reaches = !self.network.is_broken(Place::Outside, Place::Control);
        let answer = self.name.shares.iter().find(|(_, share)| **share > 0).and_then(|(r, _)| Place::of(r));
        let client = &mut self.clients[client];
        if client.stays.is_some() {
            return client.stays;
        }
        if now >= client.asks_again && reaches {
            client.believes = answer;
            client.asks_again = now + 1_000_000_000;
        }
        client.believes
    }

    pub(super) fn client_gives_up(&mut self, client: usize, write: u32) {
        if self.clients[client].waits_for == Some(write) {
            self.end_write(write, false);
        }
    }

    fn end_write(&mut self, write: u32, ok: bool) {
        let now = self.now();
        let record = &mut self.writes[write as usize];
        if record.ended.is_some() {
            return;
        }
        record.ended = Some((now, ok));
        let client = record.client;
        if self.clients[client].waits_for == Some(write) {
            self.clients[client].waits_for = None;
            let pause = if ok { self.some_ms(60, 240) } else { self.some_ms(150, 350) };
            self.after(pause, Event::ClientWrites(client));
        }
    }

    pub(super) fn write_arrives(&mut self, place: Place, write: u32) {
        if self.network.is_cut(Place::Outside, place) || !self.powered[place.index()] {
            return;
        }
        let copy = &mut self.databases[place.index() - 1];
        if copy.frozen {
            copy.held_up.push(write);
            return;
        }
        // A session that is connected to a dead postmaster goes on with what its client sends.
        let takes_writes = copy.is_primary() && !copy.stopping || copy.server == Server::Orphans;
        if !takes_writes {
            return self.answer_write(place, write, false);
        }
        self.entries += 1;
        copy.wal.push(Entry { number: self.entries, what: What::Write(write) });
        let (life, at) = (copy.life, copy.wal.len());
        let fsync = self.chance.time(Duration::from_micros(150), Duration::from_millis(3));
        self.after(fsync, Event::WriteFlushed { place, life, write, at });
    }

    pub(super) fn write_flushed(&mut self, place: Place, life: u64, write: u32, at: usize) {
        let copy = self.database(place);
        if copy.life != life || !(copy.could_acknowledge() || copy.server == Server::Busy) {
            return;
        }
        if copy.frozen {
            return self.after(Duration::from_millis(20), Event::WriteFlushed { place, life, write, at });
        }
        copy.flushed = copy.flushed.max(at.min(copy.wal.len()));
        self.pump(place);
        self.commit(place, write, at);
    }

    /// The server decides to acknowledge: from here on the client may rely on it.
    pub(super) fn acknowledge_write(&mut self, place: Place, write: u32, by: By) {
        let now = self.now();
        self.writes[write as usize].decided = Some((place, now));
        self.laws.acknowledged.push((write, place));
        let (timeline, region) = self.laws.reign;
        if self.setup.promise != Promise::BestEffort {
            self.check_promise(place, write, by);
        } else if region != Some(place) {
            let new = region.map_or("nobody", Place::name);
            let what =
                format!("{} acknowledged write {write} after {new} was promoted (timeline {timeline})", place.name());
            let excused = self.is_excused(place);
            self.broke_unless(excused, Law::OldSideSilent, what);
            self.laws.written_off.insert(write);
        }
        self.answer_write(place, write, true);
    }

    pub(super) fn answer_write(&mut self, place: Place, write: u32, ok: bool) {
        if !self.network.is_cut(place, Place::Outside) {
            let takes = self.network.takes(place, Place::Outside, &mut self.chance);
            self.at(self.now() + takes, Event::WriteAnswered { write, ok });
        }
    }

    pub(super) fn write_answered(&mut self, write: u32, ok: bool) {
        self.end_write(write, ok);
    }

    /// It may acknowledge what no other copy has.
    fn may_acknowledge_alone(&mut self, place: Place) -> bool {
        let open = self.gate_is_open(place);
        let copy = self.database(place);
        let (runs, waits) = (copy.could_acknowledge(), &copy.waits);
        runs && (waits.for_nobody() || waits.gate && open && copy.is_primary())
    }

    /// At most one copy can acknowledge: asked whenever one begins to be able to.
    pub(super) fn check_one_writer(&mut self, new: Place) {
        if !self.may_acknowledge_alone(new) {
            return;
        }
        for old in REGIONS.into_iter().filter(|old| *old != new) {
            if self.may_acknowledge_alone(old) {
                let what = format!("{} became the writer while {} can acknowledge", new.name(), old.name());
                // A machine that has just gone on believes in its lease, and may start what it believes to be the writer.
                let paused = self.is_machine_excused(new) || self.is_machine_excused(old);
                let excused = match self.setup.promise {
                    Promise::BestEffort => self.is_excused(old) || paused,
                    Promise::Bounded | Promise::Governed => paused,
                    Promise::Strict => false,
                };
                self.broke_unless(excused, Law::OneWriter, what);
            }
        }
    }
}
