//! A store that is not what it was: put back to an old copy, or emptied. What follows from it in the product is
//! `core::behind`; here are the disk, the person who looks after it as docs/errors/PL-0874.md says, and what no law asks
//! for until somebody can know.

use super::World;
use super::events::{Event, Job};
use crate::database::{Lies, Server};
use crate::fault::FaultKind;
use crate::laws::Law;
use crate::place::{MEMBERS, Place, REGIONS};
use crate::storage::{Disk, OldCopy};
use crate::timeline::{Nanos, nanos};
use pilotlight_core::behind::{Lack, lack};
use pilotlight_core::id::RunId;
use pilotlight_core::leader::Term;
use pilotlight_core::protocol::Heartbeat;
use pilotlight_core::runbook::Basis;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Looking again whether no run holds the unit any more.
const COPY_AGAIN: Duration = Duration::from_millis(25);

/// Looking again whether one does, and how far it is.
const LOOKS_FOR_RUN: Duration = Duration::from_millis(3);

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
    /// Faults whose copy was put back, or could not be taken in time.
    given_up: BTreeSet<usize>,
    /// Runs that copies were taken in the middle of.
    forgotten: BTreeSet<RunId>,
    /// A way is cut beside it.
    cut: bool,
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
    /// The copy was taken in the middle of a run.
    in_run: bool,
    /// Whose agent has been heard since.
    heard: [bool; 2],
    /// A person has raised its epoch since both were heard: past all that anybody knows.
    raised: bool,
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

    /// Somebody copies the store at some record of the next run, and puts it back a while later; then, perhaps, ends the run.
    pub(super) fn copy_in_run(&mut self, number: usize, at: Option<(RunId, u64)>) {
        if self.old_store.given_up.contains(&number) {
            return;
        }
        let held = self.disk.unit(|unit| unit.run.clone()).flatten();
        let at = held.map(|run| match at {
            Some(at) if at.0 == run => at,
            _ => (run, self.chance.between(1, 26)),
        });
        let there = at.as_ref().is_some_and(|(run, head)| self.runs().iter().any(|(of, now)| of == run && now >= head));
        if !there {
            return self.after(LOOKS_FOR_RUN, Event::CopyInRun { number, at });
        }
        self.old_store.copies.insert(number, self.disk.copy());
        self.old_store.forgotten.extend(at.iter().map(|(run, _)| run.clone()));
        self.note(|| format!("somebody copies the store in the middle of {at:?}"));
        let writer = self.disk.unit(|unit| unit.writer.as_ref().and_then(Place::of)).flatten();
        let longest = if self.chance.per_cent(60) { 700 } else { 2_500 };
        let later = self.some_ms(80, longest);
        self.after(later, Event::PutStoreBack(number));
        if self.chance.per_cent(30) {
            // What the copy does not know of is that the move was taken back.
            let asks = self.some_ms(0, 200);
            self.after(asks, Event::Wishes(FaultKind::Abort));
        }
        if self.chance.per_cent(60) {
            let asks = later + self.some_ms(100, 2_000);
            self.after(asks, Event::Wishes(FaultKind::Abort));
        }
        if let (Some(writer), true) = (writer, self.chance.per_cent(40)) {
            let kind = FaultKind::Cut(Place::Control, writer.other());
            let begins = later.mul_f64(0.95);
            let ends = later + self.some_ms(1_500, 6_000);
            self.after(begins, Event::Cut { kind, begins: true });
            self.after(ends, Event::Cut { kind, begins: false });
        }
    }

    /// A run leads nobody back who is not the newest writer.
    pub(super) fn check_way_back(&mut self, job: &Job) {
        let (timeline, newest) = self.laws.reign;
        let key = job.context.key.as_str();
        if newest != Some(job.place) && !key.starts_with("local-") {
            let what = format!("{} is made the writer again by {key}, after timeline {timeline}", job.place.name());
            self.broke(Law::NoWayBack, what);
            // Where nobody could know better: from here on this one is the writer, and the other side is the old one.
            self.laws.reign.1 = Some(job.place);
            // What that one acknowledged meanwhile is lost by this, and by nothing that comes after it.
            let copy = &self.databases[job.place.index() - 1];
            let lost = self.laws.acknowledged.iter().map(|(write, _)| *write).filter(|write| !copy.holds(*write));
            self.laws.written_off.extend(lost);
        }
    }

    /// The controllers do not reach a region when they start on the copy.
    pub(super) fn cut_beside_copy(&mut self, kind: FaultKind, begins: bool) {
        self.old_store.cut = begins;
        self.note(|| format!("{} {kind:?}", if begins { "cut beside the copy:" } else { "whole again:" }));
        self.network_fault(kind, begins);
    }

    pub(super) fn is_cut_beside_copy(&self) -> bool {
        self.old_store.cut
    }

    /// The copy of the store that was put back lacked records of that run: what it may not repeat, nobody can know that it did.
    pub(super) fn forgot_records_of(&self, run: &str) -> bool {
        self.old_store.forgotten.iter().any(|forgotten| forgotten.as_str() == run)
    }

    /// Some store that was put back lacked records of a run.
    pub(super) fn forgot_records(&self) -> bool {
        !self.old_store.forgotten.is_empty()
    }

    /// The copy takes its place. One that could not be taken in time is of no use to anybody.
    pub(super) fn put_store_back(&mut self, number: usize) {
        self.old_store.given_up.insert(number);
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
        let lost_before = self.old_store.lacks.map_or_else(Basis::default, |lacks| lacks.lost);
        let lost = lost_before.and(basis(&self.disk));
        self.disk.put_back(other);
        let stored = basis(&self.disk);
        let in_run = self.disk.unit(|unit| unit.run.is_some()) == Some(true);
        self.looked = None;
        let term = self.old_store.term > Term(self.disk.newest_term());
        let what = lack(stored, lost).map(|what| if term { Lack::Epoch } else { what });
        let what = what.or(term.then_some(Lack::Epoch));
        self.note(|| format!("the store is another: it has {stored:?}, {lost:?} was; it lacks {what:?}"));
        // Its numbers may be the same, and its records end before what was done.
        let what = what.or(in_run.then_some(Lack::Candidacy));
        let before = self.old_store.lacks.take().filter(|l| l.what == Lack::Epoch).map(|l| l.looks);
        let looks = before.unwrap_or(0);
        self.old_store.lacks =
            what.map(|what| Lacks { what, lost, stored, in_run, heard: [false; 2], raised: false, told: None, looks });
        MEMBERS.into_iter().for_each(|member| self.start_controller(member));
        if what == Some(Lack::Epoch) && before.is_none() {
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
        // A run that goes on raises the store's numbers again, so only both of them together tell then.
        let more = !lacks.in_run && heartbeat.heard.values().any(|heard| lack(lacks.stored, *heard).is_some());
        // What nobody has heard, or remembers, nobody can tell.
        if more || lacks.heard == [true; 2] {
            lacks.told.get_or_insert(now);
        }
    }

    /// Until it is mended and no run goes on from records that end too early, or a person has said that it is the one to go
    /// on with.
    pub(super) fn is_store_old(&mut self) -> bool {
        let now = self.now();
        let Some(lacks) = self.old_store.lacks else { return false };
        let forgotten = &self.old_store.forgotten;
        let goes_on = lacks.in_run
            && self.disk.unit(|unit| unit.run.as_ref().is_some_and(|run| forgotten.contains(run))) == Some(true);
        if let (true, Some(lacks)) = (goes_on, &mut self.old_store.lacks) {
            lacks.told = lacks.told.map(|_| now);
            return true;
        }
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
                | Law::HandOverLosesNothing
                | Law::NoWayBack
        );
        rests && self.is_store_old()
    }

    /// A writer that is started in place is the rightful one by that: not where it believes in a lease that is over, nor where
    /// an old store names it beside a newer writer.
    pub(super) fn becomes_heir(&mut self, place: Place) -> bool {
        let is_led_by_old = self.is_store_old() && self.newest_copy() != place;
        self.laws.granted_until[place.index()] >= self.now() && !is_led_by_old
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
        let (lost, looks, raised) = (lacks.lost, lacks.looks, lacks.raised);
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
            Some((writer, _, epoch)) if (epoch >= lost.epoch || raised) && term >= self.old_store.term => {
                // Until it has heard of its lease once, a writer started by hand is silenced by nobody.
                let heard = writer.is_none_or(|writer| self.agent(writer).folder.notes_a_lease());
                if heard {
                    self.end_of_old_store();
                }
            }
            Some((_, true, _)) => self.end_run(),
            Some(_) => {
                if let Some(lacks) = &mut self.old_store.lacks {
                    lacks.raised = lacks.heard == [true; 2];
                }
                self.person(FaultKind::EmptyStore);
            }
        }
    }

    /// What was believed in before is over a lease later.
    fn end_of_old_store(&mut self) {
        self.note(|| "a person has said that this is the store".to_owned());
        // Whoever was led back by the old one is no heir.
        self.laws.heir = Some(self.newest_copy());
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
            // An agent that has held the lease silences a writer that it finds without one.
            self.agent(newest).folder.forgets_leases();
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
        let own = copy.writes_beyond(source);
        // The person chose to go on without them: no failover that comes after it loses them.
        self.laws.written_off.extend(&own);
        self.laws.kept.extend(own);
        self.rewind(other, newest);
        self.database(other).name = None;
    }
}
