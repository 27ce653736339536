//! How faults begin and end.

use super::World;
use super::events::Event;
use crate::bug::Bug;
use crate::database::{Lies, Server, name_text};
use crate::fault::{Fault, FaultKind, When};
use crate::place::{PLACES, Place, REGIONS};
use crate::setup::Promise;
use crate::timeline::{Nanos, nanos};
use pilotlight_core::id::{EffectKey, RunId};
use pilotlight_engine::store::FailedOver;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long sessions of a dead postmaster go on if nobody ends them.
const ORPHANS: Duration = Duration::from_secs(4);

/// What an agent needs after it begins to run again until it has done what it should have done meanwhile.
pub(super) const CATCH_UP: Nanos = 900_000_000;

/// Between two looks of a turn whether everything stands ready, and how long after a thing of a moment the next one begins
/// to look.
const READY_AGAIN: Duration = Duration::from_millis(25);
const READY_LATER: Duration = Duration::from_millis(400);
/// So long after a turn begins to wait a person sees a run that waits for somebody, and ends it; else the other turns would
/// find nothing that can be taken away.
const SEEN_BY: Nanos = 600_000_000;

/// How far the faults of a world are.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) begun: usize,
    pub(super) over: usize,
    /// Runs that have ordered a promotion, in order.
    promotions: Vec<String>,
    /// The newest turn for which a person has ended a run.
    seen_for: Option<usize>,
    /// When a person last saw to a copy that lay still.
    seen_to: Nanos,
    /// The newest failover whose end a person has seen.
    seen: Option<RunId>,
}

impl World {
    /// It waits for its time, or for a turn that this world does not have.
    pub(super) fn is_by_the_clock(&self, when: When) -> bool {
        match when {
            When::At => true,
            When::Ready { .. } | When::Promotion { .. } => false,
            When::Beside { turn, .. } => !self.faults.iter().any(|f| f.when.begins() == Some(turn)),
        }
    }

    /// The next turn begins to wait until everything stands ready.
    pub(super) fn next_turn(&mut self, from: usize, later: Duration) {
        let Some(number) = (from..self.faults.len()).find(|n| self.faults[*n].when.begins().is_some()) else { return };
        let since = self.now() + nanos(later);
        self.at(since, Event::TurnWaits { number, since });
    }

    pub(super) fn turn_waits(&mut self, number: usize, since: Nanos) {
        let When::Ready { turn: now, at_most, .. } = self.faults[number].when else { return };
        self.see_to_the_failover();
        let is_asked_for = matches!(self.faults[number].kind, FaultKind::Switchover);
        if !self.stands_ready(is_asked_for) && self.now() - since < nanos(at_most) {
            self.see_to_the_run(number, since);
            self.see_to_the_copies(since);
            return self.after(READY_AGAIN, Event::TurnWaits { number, since });
        }
        for number in 0..self.faults.len() {
            match self.faults[number].when {
                When::Ready { turn, after, .. } | When::Beside { turn, after } if turn == now => {
                    self.after(after, Event::Fault(number));
                }
                _ => {}
            }
        }
    }

    /// An agent has read that it is to promote its copy: what waits for that begins, once for each run.
    pub(super) fn promotion_ordered(&mut self, heir: Place, key: &EffectKey) {
        let run = key.as_str().split('/').next().unwrap_or_default();
        if self.progress.promotions.iter().any(|known| known == run) {
            return;
        }
        let this = self.progress.promotions.len();
        self.progress.promotions.push(run.to_owned());
        for at in 0..self.faults.len() {
            if let When::Promotion { number, after } = self.faults[at].when
                && number == this
            {
                self.faults[at].kind = self.faults[at].kind.at_heir(heir);
                self.after(after, Event::Fault(at));
            }
        }
    }

    /// Every fault is over, but for those that wait for a promotion that nothing leads to.
    pub(super) fn are_faults_over(&self) -> bool {
        let seen = self.progress.promotions.len();
        let waits = |f: &&Fault| matches!(f.when, When::Promotion { number, .. } if number >= seen);
        self.progress.over + self.faults.iter().filter(waits).count() == self.faults.len()
    }

    /// A person ends the run that waits for somebody, once for each turn.
    fn see_to_the_run(&mut self, number: usize, since: Nanos) {
        let seen = self.progress.seen_for == Some(number) || self.now() - since < SEEN_BY;
        if !seen && !self.is_moving() && self.open_run().is_some() {
            self.progress.seen_for = Some(number);
            self.person(FaultKind::Abort);
        }
    }

    /// A person takes up again a writer that was given up and that nobody replaces, ending first a rejoin that waits for it;
    /// where only the other copy lies still, and its rejoin has failed, asks for one. And asks again where that is refused.
    fn see_to_the_copies(&mut self, since: Nanos) {
        if self.now() - self.progress.seen_to.max(since) < SEEN_BY {
            return;
        }
        let rejoins = |run: &RunId| run.as_str().starts_with("rejoin");
        let named = self.disk.unit(|unit| {
            let waits = unit.run.as_ref().is_none_or(rejoins);
            unit.writer.as_ref().filter(|_| waits).and_then(Place::of).map(|writer| (writer, unit.run.is_some()))
        });
        let Some((writer, rejoins)) = named.flatten() else { return };
        let [writer_lies, other_lies] = [writer, writer.other()].map(|place| {
            let copy = self.database(place);
            copy.fenced && matches!(copy.server, Server::Down { .. })
        });
        let wish = match (writer_lies, rejoins) {
            (true, true) => FaultKind::Abort,
            (true, false) => FaultKind::TakeUp(writer),
            (false, false) if other_lies => FaultKind::Rejoin,
            (false, _) => return,
        };
        if self.sees_every_copy() {
            self.progress.seen_to = self.now();
            self.person(wish);
        }
    }

    /// Nobody takes up a writer while the other region may hold a newer one unseen: a person would look there first.
    fn sees_every_copy(&mut self) -> bool {
        let Some(leader) = self.leader() else { return false };
        let seen = |world: &mut Self, place: Place| !world.is_excused(place) && !world.network.is_broken(leader, place);
        REGIONS.into_iter().all(|place| seen(self, place))
    }

    /// A failover that ended badly is the last one that nobody asks for until a person has acknowledged it, as most do.
    fn see_to_the_failover(&mut self) {
        let unseen = |f: &FailedOver| f.automatic && f.acknowledged_by.is_none();
        let last = self.disk.unit(|unit| {
            let last = unit.failed_over.as_ref().filter(|f| unseen(f) && unit.run.as_ref() != Some(&f.run))?;
            (self.progress.seen.as_ref() != Some(&last.run)).then(|| last.run.clone())
        });
        let Some(last) = last.flatten() else { return };
        let badly = self.ended_badly(&last);
        self.progress.seen = Some(last);
        if badly && self.chance.per_cent(85) {
            self.person(FaultKind::Acknowledge);
        }
    }

    /// Nothing is under way that takes the writer away, somebody leads, and there is one who could be promoted. A move that
    /// somebody asks for needs a unit that no run holds.
    fn stands_ready(&self, is_asked_for: bool) -> bool {
        let needs_candidate = self.setup.promise != Promise::BestEffort;
        let stands = self.disk.unit(|unit| {
            let free = unit.run.is_none() || self.setup.lasting && unit.settled && !is_asked_for;
            let writer = unit.writer.as_ref().filter(|_| free).and_then(Place::of);
            let named = unit.candidate.as_ref().and_then(|c| c.names.values().next().cloned());
            writer.map(|writer| (writer, named))
        });
        let Some((writer, named)) = stands.flatten() else { return false };
        let (source, copy) = (&self.databases[writer.index() - 1], &self.databases[writer.other().index() - 1]);
        let streams = copy.server == Server::Standby && copy.receiver.is_some();
        // One that has come back under another name is not yet the one that was named.
        let is_candidate = || named.is_some_and(|named| copy.name.map(name_text) == Some(named));
        let heir = streams && (!needs_candidate || is_candidate());
        heir && source.is_primary() && !source.frozen && self.leader().is_some()
    }

    pub(super) fn fault_begins(&mut self, number: usize) {
        self.progress.begun += 1;
        let fault = &mut self.faults[number];
        if (fault.when.begins().is_some() || fault.kind.finds_its_place())
            && let Some(writer) = self.disk.unit(|unit| unit.writer.as_ref().and_then(Place::of)).flatten()
        {
            fault.kind = fault.kind.at(writer);
        }
        let fault = *fault;
        match fault.lasts {
            Duration::ZERO => self.fault_over(number, READY_LATER),
            lasts => self.after(lasts, Event::FaultEnds(number)),
        }
        self.note(|| format!("fault {number}: {fault}"));
        match fault.kind {
            FaultKind::KillController(member) => self.kill_controller(member),
            FaultKind::PauseController(member) => self.pause_controller(member, true),
            FaultKind::ChangeLeader => self.stop_leader(number),
            FaultKind::CutStore(member) => self.cut_store(member, true),
            FaultKind::KillGate(place) => self.kill_gate(place),
            FaultKind::FreezeGate(place) => self.freeze_gate(place, true),
            FaultKind::KillAgent(place) => self.kill_agent(place),
            FaultKind::PauseAgent(place) => self.pause_agent(place, true),
            FaultKind::KillPostmaster(place) => self.kill_postmaster(place),
            FaultKind::KillDatabase(place) | FaultKind::StandbyDies(place) => self.kill_database(place),
            FaultKind::FreezeDatabase(place) => self.freeze(place, true),
            FaultKind::LoseRegion(place) => self.lose(place),
            FaultKind::PauseMachine(place) => self.pause_machine(place, true),
            FaultKind::StepClock(place, ms) => {
                self.timeline.change_machine(self.machines[place.index()], |m| m.step_ms += ms);
            }
            FaultKind::StorageTrouble => self.disk.set_trouble(true),
            FaultKind::FullDisk(place) => self.agent(place).folder.guard.set_full(true),
            FaultKind::Trickle(place) => self.trickles[place.index() - 1] += 1,
            FaultKind::SlowRestart(place) => {
                self.database(place).slow += 1;
                self.kill_database(place);
            }
            FaultKind::PutBack => self.copy_store(number),
            FaultKind::PutBackInRun => self.copy_in_run(number, None),
            FaultKind::EmptyStore => self.empty_store(),
            FaultKind::Switchover
            | FaultKind::Failback
            | FaultKind::Failover
            | FaultKind::TakeUp(_)
            | FaultKind::Rejoin
            | FaultKind::Acknowledge
            | FaultKind::Abort
            | FaultKind::PauseRun
            | FaultKind::ResumeRun => self.person(fault.kind),
            _ => self.network_fault(fault.kind, true),
        }
    }

    fn fault_over(&mut self, number: usize, later: Duration) {
        self.progress.over += 1;
        if self.faults[number].when.begins().is_some() {
            self.next_turn(number + 1, later);
        }
    }

    pub(super) fn fault_ends(&mut self, number: usize) {
        let fault = self.faults[number];
        self.fault_over(number, Duration::ZERO);
        self.note(|| format!("fault {number} ends"));
        match fault.kind {
            FaultKind::KillController(member) => self.start_controller(member),
            FaultKind::PauseController(member) => self.pause_controller(member, false),
            FaultKind::ChangeLeader => {
                if let Some(member) = self.stopped.remove(&number) {
                    self.stop_clock(member, false);
                    self.pause_controller(member, false);
                }
            }
            FaultKind::CutStore(member) => self.cut_store(member, false),
            FaultKind::FreezeGate(place) => self.freeze_gate(place, false),
            FaultKind::KillAgent(place) => self.start_agent(place),
            FaultKind::PauseAgent(place) => self.pause_agent(place, false),
            FaultKind::FreezeDatabase(place) => self.freeze(place, false),
            FaultKind::LoseRegion(place) => self.power_returns(place),
            FaultKind::PauseMachine(place) => self.pause_machine(place, false),
            FaultKind::StorageTrouble => self.disk.set_trouble(false),
            FaultKind::FullDisk(place) => self.agent(place).folder.guard.set_full(false),
            FaultKind::Trickle(place) => self.trickles[place.index() - 1] -= 1,
            FaultKind::SlowRestart(place) => self.database(place).slow -= 1,
            FaultKind::PutBack | FaultKind::PutBackInRun => self.put_store_back(number),
            FaultKind::PauseRun => self.person(FaultKind::ResumeRun),
            _ => self.network_fault(fault.kind, false),
        }
    }

    pub(super) fn kill_controller(&mut self, member: Place) {
        let Some(controller) = self.controller(member).running.take() else { return };
        self.sites[controller.process].process = None;
        self.disk.process_died();
    }

    fn pause_controller(&mut self, member: Place, paused: bool) {
        let Some(controller) = &mut self.controller(member).running else { return };
        let process = controller.process;
        let inbox = if paused { Vec::new() } else { std::mem::take(&mut controller.inbox) };
        self.sites[process].paused = paused;
        if paused {
            return;
        }
        self.dirty.insert(process);
        // What came while it was stopped is read now, whoever still waits for it.
        for (from, letter) in inbox {
            self.letter_read(from, member, letter);
        }
    }

    /// Stops whoever leads.
    fn stop_leader(&mut self, number: usize) {
        if let Some(member) = self.leader() {
            self.stopped.insert(number, member);
            self.pause_controller(member, true);
            self.stop_clock(member, true);
        }
    }

    /// A planted bug.
    fn stop_clock(&mut self, member: Place, stopped: bool) {
        if self.bug.is_some_and(Bug::leads_on) {
            let now = self.now();
            self.timeline.change_machine(self.machines[member.index()], |m| m.stand_still(stopped, now));
        }
    }

    /// The only controller has its store on its own disk.
    fn cut_store(&mut self, member: Place, begins: bool) {
        let cut = self.controller(member).cut.clone();
        match begins {
            true if self.setup.several => _ = cut.fetch_add(1, Ordering::Relaxed),
            true => {}
            false => _ = cut.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)),
        }
    }

    pub(super) fn kill_agent(&mut self, place: Place) {
        self.laws.fences.retain(|fence| fence.place != place);
        if let Some(process) = self.agent(place).process.take() {
            self.sites[process].process = None;
        }
    }

    fn pause_agent(&mut self, place: Place, paused: bool) {
        let now = self.now();
        let site = self.agent(place);
        site.runs_since = now;
        self.laws.fences.retain(|fence| fence.place != place);
        let Some(process) = self.agent(place).process else { return };
        self.sites[process].paused = paused;
        if !paused {
            self.dirty.insert(process);
        }
    }

    /// Whether the region's agent is not there to keep what the guarantee promises, or was not until a moment ago.
    pub(super) fn is_excused(&mut self, place: Place) -> bool {
        let now = self.now();
        let site = self.agent(place);
        let stopped = site.process.is_none_or(|process| self.sites[process].paused);
        stopped || now.saturating_sub(self.agent(place).runs_since) < CATCH_UP && self.agent(place).runs_since > 0
    }

    fn kill_postmaster(&mut self, place: Place) {
        let copy = self.database(place);
        if !copy.is_primary() {
            return self.kill_database(place);
        }
        copy.server = Server::Orphans;
        let life = copy.life;
        self.hang_up(place, true);
        self.after(ORPHANS, Event::OrphansEnd { place, life });
    }

    pub(super) fn orphans_end(&mut self, place: Place, life: u64) {
        let copy = self.database(place);
        if copy.server == Server::Orphans && copy.life == life {
            copy.kill();
        }
    }

    pub(super) fn kill_database(&mut self, place: Place) {
        self.database(place).kill();
        self.hang_up(place, true);
    }

    fn freeze(&mut self, place: Place, frozen: bool) {
        let copy = self.database(place);
        if copy.frozen == frozen || matches!(copy.server, Server::Down { .. }) {
            return;
        }
        copy.frozen = frozen;
        if frozen {
            return;
        }
        for write in std::mem::take(&mut copy.held_up) {
            self.write_arrives(place, write);
        }
        self.pump(place);
    }

    fn lose(&mut self, place: Place) {
        self.powered[place.index()] = false;
        self.kill_agent(place);
        self.database(place).kill();
        // Nobody is left who could hang up.
        self.hang_up(place, false);
        self.lose_gate(place);
        self.instances[place.index() - 1].desired = 0;
        self.agent(place).folder.rebooted();
    }

    fn power_returns(&mut self, place: Place) {
        if !std::mem::replace(&mut self.powered[place.index()], true) {
            // Monotonic time begins anew with every boot.
            let now = self.now();
            self.timeline.change_machine(self.machines[place.index()], |m| {
                (m.ahead, m.unseen, m.stopped_at) = (Duration::from_secs(20), now, None);
            });
            self.start_agent(place);
        }
    }

    fn pause_machine(&mut self, place: Place, paused: bool) {
        self.pause_agent(place, paused);
        self.excuse_machine(place, paused);
        self.freeze(place, paused);
        let now = self.now();
        // It has not seen the time of the pause, so it believes in its lease for up to a whole one more.
        let lease = nanos(self.plan.policy.lease);
        self.agent(place).runs_since = now + lease;
        // The clocks of a paused machine have not seen the pause.
        self.timeline.change_machine(self.machines[place.index()], |m| m.stand_still(paused, now));
    }

    pub(super) fn network_fault(&mut self, kind: FaultKind, begins: bool) {
        let count = |cuts: &mut u32| *cuts = if begins { *cuts + 1 } else { cuts.saturating_sub(1) };
        let ways: Vec<(Place, Place)> = match kind {
            FaultKind::Cut(a, b) => vec![(a, b), (b, a)],
            FaultKind::CutOneWay(a, b) => vec![(a, b)],
            FaultKind::CutOff(place) | FaultKind::StandbyAway(place) => {
                let others = PLACES.into_iter().filter(|other| *other != place && *other != Place::Outside);
                others.flat_map(|other| [(place, other), (other, place)]).collect()
            }
            _ => vec![],
        };
        for (from, to) in ways {
            count(&mut self.network.way_mut(from, to).cuts);
        }
        match kind {
            FaultKind::Slow(from, to, ms) => {
                self.network.way_mut(from, to).slow = if begins { u64::from(ms) * 1_000_000 } else { 0 };
            }
            FaultKind::LoseMessages(from, to) => {
                self.network.way_mut(from, to).lossy = if begins { 40 } else { 0 };
            }
            FaultKind::DoubleMessages(from, to) => {
                self.network.way_mut(from, to).doubling = if begins { 50 } else { 0 };
            }
            _ => {}
        }
        if !begins {
            REGIONS.into_iter().for_each(|place| self.pump(place));
        }
    }

    /// Standbys of a region that has come back are not started by anybody but its agent.
    pub(super) fn describe(&mut self, place: Place) -> String {
        let copy = self.database(place);
        let lies = match copy.lies {
            Lies::AsWriter => "as a writer",
            Lies::AsStandby { .. } => "as a standby",
        };
        format!("{}: {:?}, lies {lies}, fenced {}, {} entries", place.name(), copy.server, copy.fenced, copy.wal.len())
    }
}
