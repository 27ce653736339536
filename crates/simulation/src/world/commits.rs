//! Commits that wait, and the gate process beside each server that may confirm them while it is told so.
//!
//! The gate is what `crates/gate` is: it hears until when it may confirm, looks at the machine's clock before each
//! confirmation, sends, and hangs up when its time is over. Between the look and the send it can be stopped; what it sends
//! then is believed only if the server has not closed the connection of a silent client meanwhile.

use super::World;
use super::events::Event;
use crate::bug::Bug;
use crate::database::{Server, is_named};
use crate::laws::Law;
use crate::place::Place;
use crate::setup::Promise;
use crate::timeline::{Nanos, nanos};
use pilotlight_core::gate::sender_timeout;
use pilotlight_core::time::Mono;
use std::time::Duration;

/// Who let a commit go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// It waited for nobody.
    Alone,
    Candidate,
    Gate,
    /// The gate, in time; the server was stopped and read it afterwards.
    GateInTime,
}

/// A gate process.
#[derive(Debug, Clone, Default)]
pub(super) struct GateSite {
    dead: bool,
    frozen_at: Option<Nanos>,
    /// It will be stopped after its next look at the clock.
    stops_next: bool,
    /// Confirms nothing from then on.
    until: Mono,
    /// What the agent said last.
    told: Option<Mono>,
    /// The life of the server that it is connected to.
    linked: Option<u64>,
}

/// Looking again whether something stopped goes on.
const AGAIN: Duration = Duration::from_millis(20);

impl World {
    fn gate(&mut self, place: Place) -> &mut GateSite {
        &mut self.gates[place.index() - 1]
    }

    /// The agent's word is on its way over a socket.
    pub(super) fn tell_gate(&mut self, place: Place, until: Mono) {
        let takes = self.chance.time(Duration::from_micros(50), Duration::from_micros(900));
        self.after(takes, Event::GateTold { place, until });
    }

    pub(super) fn gate_told(&mut self, place: Place, until: Mono) {
        if !self.powered[place.index()] {
            return;
        }
        let gate = self.gate(place);
        gate.told = Some(until);
        if gate.frozen_at.is_none() && !gate.dead {
            gate.until = until;
            self.link_gate(place);
            self.check_one_writer(place);
        }
    }

    /// It connects where it may confirm and is not connected.
    fn link_gate(&mut self, place: Place) {
        let life = self.database(place).life;
        if self.gate_is_open(place) && self.gate(place).linked != Some(life) && self.database(place).is_primary() {
            let takes = self.some_ms(1, 12);
            self.after(takes, Event::GateLinks { place, life });
        }
    }

    pub(super) fn gate_links(&mut self, place: Place, life: u64) {
        let copy = self.database(place);
        let takes_it = copy.is_primary() && !copy.frozen && copy.life == life;
        let at = copy.flushed;
        let gate = self.gate(place);
        if takes_it && !gate.dead && gate.frozen_at.is_none() && gate.linked != Some(life) {
            gate.linked = Some(life);
            self.gate_gets(place, life, at);
        }
    }

    /// By the machine's clock, its time is not over.
    pub(super) fn gate_is_open(&mut self, place: Place) -> bool {
        let now = self.timeline.mono(self.machines[place.index()]);
        let forgetful = self.bug == Some(Bug::GateNeverLooks);
        let gate = self.gate(place);
        !gate.dead && (now < gate.until || forgetful && gate.until > Mono::default())
    }

    fn gate_stands_still(&mut self, place: Place) -> bool {
        self.gate(place).frozen_at.is_some() || self.is_machine_paused(place)
    }

    /// WAL reaches the gate: it looks at the clock.
    pub(super) fn gate_gets(&mut self, place: Place, life: u64, at: usize) {
        if self.gate(place).linked != Some(life) {
            return;
        }
        if self.gate_stands_still(place) {
            return self.after(AGAIN, Event::GateGets { place, life, at });
        }
        if !self.gate_is_open(place) {
            self.gate(place).linked = None;
            return;
        }
        let now = self.now();
        let gate = self.gate(place);
        if std::mem::take(&mut gate.stops_next) {
            gate.frozen_at = Some(now);
        }
        let takes = self.chance.time(Duration::from_micros(1), Duration::from_micros(400));
        self.after(takes, Event::GateSends { place, life, at });
    }

    /// It has looked at the clock; now it sends.
    pub(super) fn gate_sends(&mut self, place: Place, life: u64, at: usize) {
        if self.gate(place).linked != Some(life) {
            return;
        }
        if self.gate_stands_still(place) {
            return self.after(AGAIN, Event::GateSends { place, life, at });
        }
        let takes = self.chance.time(Duration::from_micros(30), Duration::from_micros(200));
        self.after(takes, Event::GateConfirms { place, life, at, late: false });
    }

    /// Its word reaches the server.
    pub(super) fn gate_confirms(&mut self, place: Place, life: u64, at: usize, late: bool) {
        let copy = self.database(place);
        if copy.life != life {
            return;
        }
        if copy.frozen {
            return self.after(AGAIN, Event::GateConfirms { place, life, at, late: true });
        }
        if copy.waits.gate {
            self.release(place, at, if late { By::GateInTime } else { By::Gate });
        }
    }

    /// A gate is stopped or goes on.
    pub(super) fn freeze_gate(&mut self, place: Place, frozen: bool) {
        let (now, lease) = (self.now(), self.plan.policy.lease);
        let believed = self.bug == Some(Bug::SilentGateBelieved);
        let gate = self.gate(place);
        gate.stops_next = false;
        match (frozen, gate.frozen_at) {
            // At the worst moment: it has looked at the clock and has not sent.
            (true, None) => gate.stops_next = true,
            (false, Some(since)) => {
                gate.frozen_at = None;
                if now - since >= nanos(sender_timeout(lease)) && !believed {
                    gate.linked = None;
                }
                if let Some(until) = gate.told {
                    gate.until = until;
                    self.link_gate(place);
                }
            }
            _ => {}
        }
    }

    /// It is killed; its agent starts another and tells it what it told this one.
    pub(super) fn kill_gate(&mut self, place: Place) {
        *self.gate(place) = GateSite { dead: true, ..GateSite::default() };
        let takes = self.some_ms(150, 400);
        self.after(takes, Event::GateReturns { place });
    }

    pub(super) fn gate_returns(&mut self, place: Place) {
        self.gate(place).dead = false;
    }

    /// Power is lost.
    pub(super) fn lose_gate(&mut self, place: Place) {
        *self.gate(place) = GateSite::default();
    }

    /// A commit is on the server's disk: it is acknowledged, or waits.
    pub(super) fn commit(&mut self, place: Place, write: u32, at: usize) {
        let in_name_only = self.bug == Some(Bug::WaitsInNameOnly);
        let copy = self.database(place);
        if copy.waits.for_nobody() || in_name_only {
            return self.acknowledge_write(place, write, By::Alone);
        }
        copy.waiting.push_back((write, at));
        let (gate, life) = (copy.waits.gate, copy.life);
        if gate {
            let takes = self.chance.time(Duration::from_micros(40), Duration::from_micros(250));
            self.after(takes, Event::GateGets { place, life, at });
        }
    }

    /// Somebody who counts has confirmed so many entries.
    pub(super) fn release(&mut self, place: Place, upto: usize, by: By) {
        loop {
            let copy = self.database(place);
            let (stops, runs) = (copy.stopping, copy.server == Server::Primary && !copy.frozen);
            let Some((write, _)) = copy.waiting.front().copied().filter(|(_, at)| runs && *at <= upto) else { return };
            copy.waiting.pop_front();
            match stops {
                // A server that stops ends its sessions; nobody is told that the commit is done.
                true => self.answer_write(place, write, false),
                false => self.acknowledge_write(place, write, by),
            }
        }
    }

    /// Its standby has confirmed something.
    pub(super) fn candidate_confirms(&mut self, place: Place) {
        let copy = self.database(place);
        let Some(sender) = copy.sender.filter(|s| is_named(s.name, copy.waits.candidate.as_ref())) else { return };
        if sender.name.is_some() {
            self.release(place, sender.confirmed, By::Candidate);
        }
    }

    /// What the guarantee promises of a write that is acknowledged now.
    pub(super) fn check_promise(&mut self, place: Place, write: u32, by: By) {
        if by == By::Alone
            && let Some(candidate) = self.disk.candidate()
            && candidate.region != place.region()
            && self.laws.heir.is_none_or(|heir| heir == place)
        {
            let what =
                format!("{} acknowledged write {write} without {}, the candidate", place.name(), candidate.region);
            self.broke(Law::CandidateIsAwaited, what);
        }
        let Some(heir) = self.laws.heir.filter(|heir| *heir != place) else { return };
        let held = self.databases[heir.index() - 1].holds(write);
        if held {
            return;
        }
        let what = format!("{} acknowledged write {write} ({by:?}) after {} was promoted", place.name(), heir.name());
        self.laws.written_off.insert(write);
        let bounded = self.setup.promise != Promise::Strict;
        if bounded && (by == By::GateInTime || by == By::Gate && self.is_machine_excused(place)) {
            self.laws.excused += 1;
            return self.note(|| format!("excused: {what}"));
        }
        self.broke(Law::OldSideSilent, what);
    }

    pub(super) fn keep(&mut self, writes: &[u32]) {
        if self.bug != Some(Bug::CaptureLies) {
            self.laws.kept.extend(writes);
        }
    }

    /// The driver rewinds nothing that it has not kept, asked or not. That a step before has asked is the run's business all the
    /// same, but of one whose records a store that was put back has lost.
    pub(super) fn keep_unasked(&mut self, place: Place, writes: &[u32]) {
        let unkept = writes.iter().find(|w| self.writes[**w as usize].decided.is_some() && !self.laws.kept.contains(w));
        if let Some(write) = unkept {
            let what = format!("{} is rewound, and nobody has asked to keep write {write}", place.name());
            self.broke_unless(self.forgot_records(), Law::NothingVanishes, what);
        }
        self.keep(writes);
    }

    /// What an automatic failover may lose; a person may lose more, and nobody loses it twice.
    pub(super) fn check_loss(&mut self, new: Place, automatic: bool, told: Option<Nanos>) {
        let rpo = nanos(self.plan.objectives.rpo);
        let copy = &self.databases[new.index() - 1];
        let held = copy.written();
        let written_off = &self.laws.written_off;
        let lost: Vec<(u32, Nanos)> = self
            .laws
            .acknowledged
            .iter()
            .filter(|(write, _)| !held.contains(write) && !written_off.contains(write))
            .filter_map(|(write, _)| Some((*write, self.writes[*write as usize].decided?.1)))
            .collect();
        let span = lost.iter().map(|(_, at)| *at).max().zip(lost.iter().map(|(_, at)| *at).min());
        match self.setup.promise {
            _ if !automatic => {}
            Promise::Strict if !lost.is_empty() => {
                let what = format!("write {} was acknowledged and is not on {}", lost[0].0, new.name());
                self.broke(Law::StrictLosesNothing, what);
            }
            Promise::Governed if span.is_some_and(|s| self.counted(new.other(), s) > rpo + RPO_SLACK) => {
                let what = format!("{} writes over {:?} ns are not on {}", lost.len(), span, new.name());
                self.broke(Law::RpoHolds, what);
            }
            _ => {}
        }
        if let (true, Some(told), Some(span)) = (automatic, told, span) {
            self.check_told(new, told, span);
        }
        self.laws.written_off.extend(lost.into_iter().map(|(write, _)| write));
    }

    /// What was told rests on sentinels and on the lease: where none are written, or the agent does not keep it, nothing holds.
    fn check_told(&mut self, new: Place, told: Nanos, span: (Nanos, Nanos)) {
        let old = new.other();
        if self.counted(old, span) <= told + TOLD_SLACK {
            return;
        }
        let unheld = self.setup.promise == Promise::BestEffort && self.is_excused(old);
        let excused = self.lacks_sentinels(old, span) || unheld || self.is_machine_excused(old);
        let what = format!("writes over {span:?} ns are not on {}, told were {told} ns", new.name());
        self.broke_unless(excused, Law::ToldSpanHolds, what);
    }

    /// For longer than the slack no sentinel was written while what is lost was acknowledged: beside a full disk, or a server that
    /// had to be started again.
    fn lacks_sentinels(&self, old: Place, (newest, oldest): (Nanos, Nanos)) -> bool {
        let within = |at: &&Nanos| (oldest.saturating_sub(TOLD_SLACK)..=newest).contains(*at);
        let written = self.laws.sentinels[old.index()].iter().filter(within).copied();
        let mut last = oldest.saturating_sub(TOLD_SLACK);
        written.chain([newest]).any(|at| at - std::mem::replace(&mut last, at) > TOLD_SLACK)
    }

    /// How long the lost span was on the writer's machine, which counts no time in which it stood still.
    fn counted(&self, writer: Place, (last, first): (Nanos, Nanos)) -> Nanos {
        (last - first).saturating_sub(self.paused_between(writer, first, last))
    }
}

/// From one sentinel to the next, and the allowance of a fence.
const TOLD_SLACK: Nanos = 600_000_000;

/// What clocks may drift in an RPO, and a confirmation on its way.
const RPO_SLACK: Nanos = 20_000_000;
