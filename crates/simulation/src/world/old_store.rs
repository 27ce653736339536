//! A store that is not what it was: put back to an old copy, or emptied. What follows from it in the product is
//! `core::behind`; here are the disk, the person who looks after it as docs/errors/PL-0874.md says, and what no law asks
//! for until somebody can know.

use super::World;
use super::events::Event;
use crate::database::{Lies, Server, What};
use crate::fault::FaultKind;
use crate::laws::Law;
use crate::place::{MEMBERS, Place, REGIONS};
use crate::storage::{Disk, OldCopy};
use crate::timeline::{Nanos, nanos};
use pilotlight_core::behind::{Lack, lack};
use pilotlight_core::leader::Term;
use pilotlight_core::protocol::Heartbeat;
use pilotlight_core::runbook::Basis;
use std::collections::BTreeMap;
use std::time::Duration;

/// Looking again whether a run holds the unit: a copy that is taken in the middle of one is not modelled.
const COPY_AGAIN: Duration = Duration::from_millis(25);

/// Between two looks of the person.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Looks until a controller on an emptied store would have entered the writer that it sees.
const ENTERS_WITHIN: u32 = 4;

/// From when a controller was told until its store is mended.
const MENDS_WITHIN: Nanos = 1_200_000_000;

/// See the module.
#[derive(Default)]
pub(super) struct OldStore {
    /// Copies, by the fault they are for.
    copies: BTreeMap<usize, OldCopy>,
    /// The newest term that an agent has told.
    term: Term,
    lacks: Option<Lacks>,
}

/// What the store lacks since it is another.
#[derive(Debug, Clone, Copy)]
struct Lacks {
    what: Lack,
    /// What it had.
    lost: Basis,
    /// What the copy has.
    stored: Basis,
    /// Whose agent has been heard since.
    heard: [bool; 2],
    /// Since when a controller may know.
    told: Option<Nanos>,
    /// Looks of the person.
    looks: u32,
}

impl World {
    /// Somebody copies the store.
    pub(super) fn copy_store(&mut self, number: usize) {
        if self.disk.unit(|unit| unit.run.is_none()) == Some(true) {
            self.old_store.copies.insert(number, self.disk.copy());
            return self.note(|| "somebody copies the store".to_owned());
        }
        self.after(COPY_AGAIN, Event::CopyStore(number));
    }

    /// The copy takes its place. One that could not be taken in time is of no use to anybody.
    pub(super) fn put_store_back(&mut self, number: usize) {
        if let Some(copy) = self.old_store.copies.remove(&number) {
            self.change_store(&copy);
        }
    }

    pub(super) fn empty_store(&mut self) {
        self.change_store(&Disk::nothing());
    }

    fn change_store(&mut self, other: &OldCopy) {
        MEMBERS.into_iter().for_each(|member| self.kill_controller(member));
        let basis = |disk: &Disk| disk.unit(|unit| unit.basis()).unwrap_or_default();
        let before = self.old_store.lacks.map_or_else(Basis::default, |lacks| lacks.lost);
        let lost = before.and(basis(&self.disk));
        self.disk.put_back(other);
        let stored = basis(&self.disk);
        self.looked = None;
        let term = self.old_store.term > Term(self.disk.newest_term());
        let what = lack(stored, lost).map(|what| if term { Lack::Epoch } else { what });
        let what = what.or(term.then_some(Lack::Epoch));
        self.note(|| format!("the store is another: it has {stored:?}, {lost:?} was; it lacks {what:?}"));
        let looks = self.old_store.lacks.take().filter(|l| l.what == Lack::Epoch).map(|l| l.looks);
        self.old_store.lacks =
            what.map(|what| Lacks { what, lost, stored, heard: [false; 2], told: None, looks: looks.unwrap_or(0) });
        MEMBERS.into_iter().for_each(|member| self.start_controller(member));
        if what == Some(Lack::Epoch) && looks.is_none() {
            let first = self.some_ms(1_500, 3_000);
            self.after(first, Event::SeesToStore);
        }
    }

    /// A leader hears what an agent has heard.
    pub(super) fn tells_of_the_store(&mut self, heartbeat: &Heartbeat) {
        self.old_store.term = self.old_store.term.max(heartbeat.term);
        let now = self.now();
        let Some(lacks) = &mut self.old_store.lacks else { return };
        let Some(place) = Place::of(&heartbeat.region) else { return };
        lacks.heard[place.index() - 1] = true;
        let more = heartbeat.heard.values().any(|heard| lack(lacks.stored, *heard).is_some());
        // What nobody has heard, or remembers, nobody can tell.
        if more || lacks.heard == [true; 2] {
            lacks.told.get_or_insert(now);
        }
    }

    /// Until it is mended, or a person has said that it is the one to go on with.
    pub(super) fn is_store_old(&mut self) -> bool {
        let now = self.now();
        let Some(lacks) = self.old_store.lacks else { return false };
        let over = match lacks.what {
            Lack::Candidacy => lacks.told.is_some_and(|told| now.saturating_sub(told) > MENDS_WITHIN),
            Lack::Epoch => false,
        };
        if over {
            self.old_store.lacks = None;
        }
        !over
    }

    /// What the store says is what these laws rest on: nobody can know that it is old, until an agent has told or, where it
    /// lacks a whole run, a person has looked.
    pub(super) fn rests_on_the_store(&mut self, law: Law) -> bool {
        let rests = matches!(
            law,
            Law::OldSideSilent
                | Law::OneWriter
                | Law::OneLease
                | Law::WriterHoldsLease
                | Law::CandidateIsAwaited
                | Law::StrictLosesNothing
                | Law::RpoHolds
                | Law::ToldSpanHolds
        );
        rests && self.is_store_old()
    }

    /// The copy with the newest timeline and, of two, the one that is longer.
    fn newest_copy(&self) -> Place {
        let newest = |place: &Place| {
            let copy = &self.databases[place.index() - 1];
            (copy.timeline, copy.wal.len(), copy.lies == Lies::AsWriter)
        };
        REGIONS.into_iter().max_by_key(newest).unwrap_or(Place::East)
    }

    /// A person looks, and does what the page of the error says.
    pub(super) fn see_to_the_store(&mut self) {
        let Some(lacks) = &mut self.old_store.lacks else { return };
        if lacks.what != Lack::Epoch {
            return;
        }
        lacks.looks += 1;
        let (lost, looks) = (lacks.lost, lacks.looks);
        self.after(LOOK_AGAIN, Event::SeesToStore);
        let Some(term) = self.leading_term() else { return };
        let newest = self.newest_copy();
        let unit = self.disk.unit(|unit| (unit.writer.as_ref().and_then(Place::of), unit.run.is_some(), unit.epoch));
        match unit {
            None if looks % ENTERS_WITHIN == 0 => self.start_by_hand(newest),
            None => {}
            Some((Some(writer), ..)) if writer != newest => {
                self.note(|| format!("a person empties the store: it names {}, not {}", writer.name(), newest.name()));
                self.change_store(&Disk::nothing());
            }
            Some((.., epoch)) if epoch >= lost.epoch && term >= self.old_store.term => self.end_of_old_store(),
            Some((_, true, _)) => self.person(FaultKind::Abort),
            Some(_) => self.person(FaultKind::EmptyStore),
        }
    }

    /// What was believed in before is over a lease later.
    fn end_of_old_store(&mut self) {
        self.note(|| "a person has said that this is the store".to_owned());
        let later = nanos(self.plan.policy.lease) + super::faults::CATCH_UP;
        if let Some(lacks) = &mut self.old_store.lacks {
            (lacks.what, lacks.told) = (Lack::Candidacy, Some(self.timeline.now() + later - MENDS_WITHIN));
        }
    }

    fn leading_term(&self) -> Option<Term> {
        let member = self.leader()?;
        let running = self.controllers[usize::from(member != Place::Control)].running.as_ref()?;
        running.front.leading().map(|term| term.term())
    }

    /// The newest copy is made the writer by hand, the other follows it.
    fn start_by_hand(&mut self, newest: Place) {
        let other = newest.other();
        let stopped = |place: Place| !self.powered[place.index()] || self.is_machine_paused(place);
        if REGIONS.into_iter().any(stopped) {
            return;
        }
        self.note(|| format!("a person makes {} the writer by hand", newest.name()));
        if !self.database(newest).is_primary() {
            self.kill_agent(newest);
            self.kill_database(newest);
            let copy = self.database(newest);
            (copy.server, copy.lies, copy.fenced) = (Server::Primary, Lies::AsWriter, false);
            self.laws.reign = (copy.timeline, Some(newest));
            self.laws.heir = Some(newest);
            self.start_agent(newest);
        }
        let follows = self.database(other).lies == Lies::AsStandby { upstream: newest } && !self.database(other).fenced;
        if follows {
            return;
        }
        self.kill_database(other);
        let (source, copy) = (&self.databases[newest.index() - 1], &self.databases[other.index() - 1]);
        let own = copy.wal[copy.common(source)..].iter().filter_map(|entry| match entry.what {
            What::Write(write) => Some(write),
            What::Sentinel(_) => None,
        });
        self.laws.kept.extend(own);
        self.rewind(other, newest);
        self.database(other).name = None;
    }
}
