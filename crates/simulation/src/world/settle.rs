//! The end of a world: when it is at rest, and what must be true then.

use super::events::Event;
use super::{Story, World};
use crate::database::name_text;
use crate::fault::FaultKind;
use crate::laws::Law;
use crate::place::{Place, REGIONS};
use crate::setup::{Promise, UNIT};
use crate::timeline::{Nanos, nanos};
use pilotlight_core::candidate::{Admitted, Waits};
use pilotlight_core::id::{Component, Epoch, Region, RunId, Unit};
use pilotlight_core::leader::Term;
use pilotlight_core::measure::{Sample, loss};
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::Guarantee;
use pilotlight_core::run::{Condition, Event as RunEvent, Record, RunResult, RunState};
use pilotlight_core::time::{Mono, Wall};
use pilotlight_engine::journal::Journal;
use pilotlight_engine::store::UnitRecord;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A world is at rest when nothing has been under way for so long.
const QUIET: Nanos = 400_000_000;

/// From its order until a fence is begun.
const FENCE_WITHIN: Nanos = 1_000_000_000;

/// From when all is well and no such change is under way until there is a candidate: a standby that was just named is heard,
/// waited for and proven.
const CANDIDATE_WITHIN: Nanos = 2_500_000_000;

/// So long the guard leaves what an older run has under way to end by itself, once something of a newer epoch is to begin
/// beside it: as a program of a run that was ended, which nobody cuts. The change of what the writer waits for begins after it.
const OLDER_ENDS_WITHIN: Nanos = 2_000_000_000;

/// A person ends a run that is still under way so long after the last fault.
const PATIENCE: Nanos = 5_000_000_000;

/// The disk in memory answers at once.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the disk in memory never waits"),
    }
}

impl World {
    /// An installation that has run for long: the unit is entered, its candidate admitted, the name published.
    pub(super) fn settle_down(&mut self) {
        let (unit, home) = (Unit::from(UNIT), Place::East);
        let waits = Waits {
            candidate: (self.setup.promise != Promise::BestEffort).then(|| name_text(1)),
            gate: self.plan.policy.guarantee == Guarantee::Bounded,
        };
        let names = |name: &String| [(Component::from("database"), name.clone())].into();
        let record = UnitRecord {
            unit: unit.clone(),
            epoch: Epoch(1),
            writer: Some(home.region()),
            run: None,
            failed_over: None,
            failed_over_before: None,
            candidate: waits
                .candidate
                .as_ref()
                .map(|name| Admitted { region: home.other().region(), names: names(name) }),
            candidacy: 1,
            settled: false,
            term: Term::default(),
            version: 0,
        };
        let value = serde_json::to_vec(&record).expect("a unit record has only names and numbers");
        at_once(self.disk.put(&format!("unit/{UNIT}"), value, None)).expect("the store is empty");
        if waits.candidate.is_some() {
            self.names = 1;
            self.database(home.other()).name = Some(1);
        }
        let copy = self.database(home);
        (copy.proven, copy.waits) = (Some(waits.clone()), waits);
        self.agent(home).folder.once_held(unit);
        self.name.shares = [(home.region(), 100)].into();
        (self.name.published, self.name.epoch) = (true, 1);
        self.instances[0].desired = 2;
        self.instances[1].desired = 1;
    }

    fn records(&self, run: &RunId) -> Vec<Record> {
        at_once(self.disk.journal.read(run, 1, usize::MAX)).unwrap_or_default()
    }

    pub(super) fn runs(&self) -> Vec<(RunId, u64)> {
        at_once(self.disk.journal.heads()).unwrap_or_default()
    }

    /// The run that is under way, for whoever steers it: the one that holds the unit.
    pub(super) fn open_run(&self) -> Option<RunId> {
        self.units().into_iter().find_map(|unit| unit.run).filter(|run| {
            let records = self.records(run);
            !matches!(records.last().map(|r| &r.event), Some(RunEvent::RunEnded { .. }))
        })
    }

    /// Somebody has ended the run that holds the unit, and it waits for a person.
    fn is_being_ended(&self) -> bool {
        let state = self.open_run().and_then(|run| RunState::replay(&self.records(&run)).ok());
        state.is_some_and(|state| state.is_aborting() && matches!(state.condition(), Condition::Waiting { .. }))
    }

    /// Looks whether everything is at rest; the faults are over by the last of their ends.
    pub(super) fn check(&mut self) {
        let now = self.now();
        self.after(Duration::from_millis(200), Event::Check);
        self.check_fences();
        self.check_candidate();
        let over = self.are_faults_over() && !self.is_cut_beside_copy();
        let waits = self.is_store_old() || self.laws.unopposed_since.is_some();
        let quiet = over && !waits && self.leader().is_some() && !self.is_moving() && self.has_writer_or_reason();
        self.come_to_the_rescue(over, quiet);
        self.quiet_since = if quiet { self.quiet_since.or(Some(now)) } else { None };
    }

    /// A run may wait for hours for what will never come (a rejoin, for its upstream). It ends, at its deadline; a person
    /// does not wait for that.
    fn come_to_the_rescue(&mut self, over: bool, quiet: bool) {
        let now = self.now();
        let since = *self.unquiet_since.get_or_insert(now);
        if quiet || !over {
            self.unquiet_since = None;
        } else if now - since > PATIENCE {
            self.unquiet_since = None;
            self.aborted += 1;
            self.end_run();
        }
    }

    /// A person ends the run that holds the unit. What could not be taken back waits for a person, who ends nothing by saying so
    /// again.
    pub(super) fn end_run(&mut self) {
        self.person(if self.is_being_ended() { FaultKind::ResumeRun } else { FaultKind::Abort });
    }

    /// Nothing that goes on on a copy keeps a run's fence waiting.
    fn check_fences(&mut self) {
        let now = self.now();
        let late = self.laws.fences.iter().find(|fence| now - fence.since > FENCE_WITHIN);
        if let Some(what) = late.map(|f| format!("{} reached the agent of {} and is not begun", f.key, f.place.name()))
        {
            self.broke(Law::FenceAtOnce, what);
        }
    }

    /// A writer whose standby streams has a candidate soon, where nothing is amiss.
    fn check_candidate(&mut self) {
        let (now, amiss) = (self.now(), self.is_amiss());
        let lacks = !amiss && self.setup.promise != Promise::BestEffort && self.lacks_candidate();
        let lacks = lacks && !self.stands_before_its_writer() && !self.is_made_to_wait();
        let since = lacks.then(|| self.laws.unopposed_since.unwrap_or(now));
        self.laws.unopposed_since = since;
        self.laws.held_up = since.is_some() && (self.laws.held_up || self.is_held_up());
        let within = CANDIDATE_WITHIN + if self.laws.held_up { OLDER_ENDS_WITHIN } else { 0 };
        if since.is_some_and(|since| now - since > within) {
            let stands = self.disk.unit(|unit| self.stands(unit)).unwrap_or_default();
            let what = format!("the store has not named the standby that streams and is waited for; {stands}");
            self.broke(Law::CandidateComesBack, what);
        }
    }

    /// A run holds the unit that has not named its writer yet: nobody is admitted before that.
    fn stands_before_its_writer(&self) -> bool {
        let held = self.disk.unit(|unit| unit.run.clone().zip(unit.writer.clone())).flatten();
        let before = |(run, writer): (RunId, Region)| {
            let state = RunState::replay(&self.records(&run)).ok()?;
            Some(state.runbook().intent.target.writer != writer)
        };
        held.and_then(before).unwrap_or_default()
    }

    /// A standby that went while its writer was being made to wait for it is given up some seconds later.
    fn is_made_to_wait(&self) -> bool {
        self.databases.iter().any(|copy| copy.made_to_wait == Some(copy.life))
    }

    /// The writer's agent has something under way that a run older than the newest has begun.
    fn is_held_up(&self) -> bool {
        let newest = |unit: &UnitRecord| unit.writer.as_ref().and_then(Place::of).zip(Some(unit.epoch));
        let Some((writer, newest)) = self.disk.unit(newest).flatten() else { return false };
        self.laws.under_way.values().any(|(place, epoch)| *place == writer && *epoch < newest)
    }

    /// Who is named, who is waited for, and who holds the unit.
    fn stands(&self, unit: &UnitRecord) -> String {
        let named = unit.candidate.as_ref().map(|c| c.names.values().cloned().collect::<Vec<_>>());
        let copies: Vec<_> = self.databases.iter().map(|d| (d.name.map(name_text), d.receiver, &d.waits)).collect();
        let (run, settled, candidacy) = (&unit.run, unit.settled, unit.candidacy);
        format!("named {named:?} ({candidacy}), run {run:?} (settled: {settled}), copies {copies:?}")
    }

    fn is_amiss(&mut self) -> bool {
        self.progress.begun != self.progress.over || self.is_cut_beside_copy() || self.is_store_old()
    }

    fn lacks_candidate(&self) -> bool {
        let named = |unit: &UnitRecord| {
            let name = unit.candidate.as_ref().and_then(|c| c.names.values().next().cloned());
            unit.writer.as_ref().and_then(Place::of).map(|writer| (writer, name))
        };
        let Some((writer, named)) = self.disk.unit(named).flatten() else { return false };
        let (source, copy) = (&self.databases[writer.index() - 1], &self.databases[writer.other().index() - 1]);
        let name = copy.name.filter(|_| copy.receiver.is_some()).map(name_text);
        let streams = source.is_primary() && !source.frozen && name.is_some();
        streams
            && (named != name || source.waits.candidate != name)
            && self.leader().is_some()
            && !REGIONS.into_iter().any(|place| self.is_stopped(place))
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.quiet_since.is_some_and(|since| self.now() - since >= QUIET)
    }

    /// Runs that hold their unit and neither have ended nor wait for a person. One that holds nothing moves nothing: its
    /// first record was kept although its controller was told otherwise; the next controller ends it.
    fn moving(&self) -> Vec<(RunId, String)> {
        let units = self.units();
        let moves = |(run, _): (RunId, u64)| {
            if !units.iter().any(|unit| unit.run.as_ref() == Some(&run)) || self.disk.is_torn(&run) {
                return None;
            }
            let records = self.records(&run);
            if matches!(records.last().map(|r| &r.event), Some(RunEvent::RunEnded { .. })) {
                return None;
            }
            match RunState::replay(&records).map(|state| state.view().condition) {
                Ok(Condition::Running | Condition::Pausing { .. }) => Some((run, "goes on".to_owned())),
                Ok(_) => None,
                Err(illegal) => Some((run, illegal.to_string())),
            }
        };
        self.runs().into_iter().filter_map(moves).collect()
    }

    fn units(&self) -> Vec<UnitRecord> {
        self.disk.units()
    }

    /// Something moves; what was found is remembered until the run that holds the unit has another record.
    pub(super) fn is_moving(&mut self) -> bool {
        let Some(held) = self.units().into_iter().find_map(|unit| unit.run) else { return false };
        let at = self
            .runs()
            .into_iter()
            .find(|(run, _)| *run == held)
            .map(|(run, head)| (run, head, self.disk.is_torn(&held)));
        match (&self.looked, &at) {
            (Some((before, moves)), Some(now)) if before == now => *moves,
            _ => {
                let moves = !self.moving().is_empty();
                self.looked = at.map(|at| (at, moves));
                moves
            }
        }
    }

    pub(super) fn ended_badly(&self, run: &RunId) -> bool {
        let last = self.records(run).pop().map(|record| record.event);
        matches!(last, Some(RunEvent::RunEnded { result })
            if !result.is_done() && result != RunResult::Withdrawn)
    }

    /// The unit is not held by a run that is over.
    fn has_writer_or_reason(&self) -> bool {
        let heads = self.runs();
        self.units().iter().filter_map(|unit| unit.run.as_ref()).all(|run| {
            let head = heads.iter().find(|(of, _)| of == run).map(|(_, head)| *head);
            let last = head.and_then(|head| at_once(self.disk.journal.read(run, head, 1)).ok()?.pop());
            last.is_some_and(|last| !matches!(last.event, RunEvent::RunEnded { .. }))
        })
    }

    pub(super) fn unsettled(&mut self) -> String {
        let moving: Vec<String> = self.moving().into_iter().map(|(run, why)| format!("{run} {why}")).collect();
        let places: Vec<String> = REGIONS.into_iter().map(|place| self.describe(place)).collect();
        let old = if self.is_store_old() { ", the store is old" } else { "" };
        format!("not at rest: {}{old}; {}", moving.join(", "), places.join("; "))
    }

    /// A run's last record has become durable.
    pub(super) fn run_ended(&mut self, run: &RunId) {
        let records = self.records(run);
        let Some(RunEvent::RunStarted { runbook, .. }) = records.first().map(|r| &r.event) else { return };
        let Some(RunEvent::RunEnded { result }) = records.last().map(|r| &r.event) else { return };
        self.note(|| format!("{run} has ended: {result}"));
        if result.is_done() {
            self.moves += 1;
            let (verb, to) = (runbook.intent.verb, Place::of(&runbook.intent.target.writer));
            // One in place moves nothing.
            if let (Verb::Failover, Some(to), false) = (verb, to, runbook.stays()) {
                self.failovers += 1;
                self.check_report(run, to);
            }
        }
    }

    /// How much time the run was told to lose at the most, where sentinels said so.
    pub(super) fn told_of(&self, run: &RunId) -> Option<Nanos> {
        match self.records(run).first().map(|r| &r.event) {
            Some(RunEvent::RunStarted { cause, .. }) => cause.exposure_ms.map(nanos),
            _ => None,
        }
    }

    /// What an outside client measures against what really happened.
    fn check_report(&mut self, run: &RunId, new: Place) {
        let held: BTreeSet<u64> = self.written_on(new).into_iter().map(u64::from).collect();
        let sample = |(id, w): (usize, &super::clients::Write)| {
            let (end, ok) = w.ended?;
            let mono = |at: Nanos| Mono(Duration::from_nanos(at));
            let (start, end) = (mono(w.sent), mono(end));
            Some(Sample { id: id as u64, start, end, wall: Wall(0), ok, region: ok.then(|| w.to.region()) })
        };
        let samples: Vec<Sample> = self.writes.iter().enumerate().filter_map(sample).collect();
        let told = loss(&samples, &held).lost;
        let heard = |write: u32| self.writes[write as usize].ended.is_some_and(|(_, ok)| ok);
        let mut true_loss: Vec<u64> = self
            .laws
            .acknowledged
            .iter()
            .map(|(write, _)| *write)
            .filter(|write| heard(*write) && !held.contains(&u64::from(*write)))
            .map(u64::from)
            .collect();
        true_loss.sort_unstable();
        if told != true_loss {
            self.broke(Law::LossIsReported, format!("{run} reports {told:?}, lost are {true_loss:?}"));
        }
    }

    fn written_on(&self, place: Place) -> BTreeSet<u32> {
        self.databases[place.index() - 1].written()
    }

    pub(super) fn end(mut self) -> Story {
        let everywhere: BTreeSet<u32> = REGIONS.into_iter().flat_map(|place| self.written_on(place)).collect();
        let there = |write: &u32| everywhere.contains(write) || self.laws.kept.contains(write);
        let gone = self.laws.acknowledged.iter().map(|(write, _)| *write).find(|write| !there(write));
        if let Some(write) = gone {
            self.broke(Law::NothingVanishes, format!("write {write} was acknowledged and is nowhere"));
        }
        Story {
            broken: self.laws.broken,
            log: self.log.unwrap_or_default(),
            faults: self.faults,
            setup: Some(self.setup),
            terms: self.disk.terms(),
            admitted_in_runs: self.disk.admitted_in_runs(),
            events: self.events,
            failovers: self.failovers,
            moves: self.moves,
            excused: self.laws.excused,
            aborted: self.aborted,
            lasted: Duration::from_nanos(self.timeline.now()),
        }
    }
}
