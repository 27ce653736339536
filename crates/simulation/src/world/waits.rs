//! How a writer is made to wait for its candidate, in the order of the real driver (`drivers/local`, `postgres::waits`):
//! narrow to the gate or nobody, end the streams that counted before, widen once the standby is back under its name, and
//! done when it holds everything that was acknowledged before. What fails is put back.

use super::World;
use super::commits::By;
use super::events::{Event, Job};
use crate::bug::Bug;
use crate::database::is_named;
use crate::exchange::Done;
use crate::place::Place;
use crate::timeline::{Nanos, nanos};
use pilotlight_core::candidate::Waits;
use pilotlight_core::outcome::{Failure, Outcome};
use std::time::Duration;

/// Kept for putting it back.
const RESERVE: Nanos = 2_000_000_000;

/// A standby whose connection was ended comes back after this.
const COMES_BACK: Duration = Duration::from_millis(100);

/// Where the change is.
#[derive(Debug, Clone, Default)]
pub(crate) enum Phase {
    #[default]
    Begins,
    Narrowed {
        before: Waits,
    },
    Widened {
        before: Waits,
        end: usize,
    },
}

impl World {
    pub(super) fn wait_for(&mut self, job: &mut Job, waits: &Waits) -> Option<Done> {
        let place = job.place;
        let copy = self.database(place);
        if !copy.is_primary() || copy.life != job.life {
            return Some(Err(Failure::transient("it is not the writer that it was")));
        }
        if copy.frozen || self.now() + RESERVE > job.until {
            return self.put_back(job);
        }
        if self.bug == Some(Bug::UnprovenCandidate) {
            self.set_waits(place, waits.clone());
            return Some(Ok(Outcome::done()));
        }
        match std::mem::take(&mut job.phase) {
            Phase::Begins => self.narrow(job, waits),
            Phase::Narrowed { before } => {
                job.phase = if self.candidate_streams(place, waits) {
                    self.set_waits(place, waits.clone());
                    Phase::Widened { before, end: self.database(place).flushed }
                } else {
                    Phase::Narrowed { before }
                };
                None
            }
            Phase::Widened { before, end } => {
                let copy = self.database(place);
                if copy.sender.is_some_and(|s| s.name.is_some() && s.confirmed >= end) {
                    (copy.proven, copy.made_to_wait) = (Some(waits.clone()), None);
                    self.candidate_confirms(place);
                    return Some(Ok(Outcome::done()));
                }
                job.phase = Phase::Widened { before, end };
                None
            }
        }
    }

    fn narrow(&mut self, job: &mut Job, waits: &Waits) -> Option<Done> {
        let place = job.place;
        let copy = self.database(place);
        if copy.waits == *waits && copy.proven.as_ref() == Some(waits) {
            return Some(Ok(Outcome::Skipped { why: "it waits so already".to_owned() }));
        }
        copy.proven = None;
        if waits.for_nobody() {
            self.set_waits(place, waits.clone());
            return Some(Ok(Outcome::done()));
        }
        if !self.candidate_streams(place, waits) {
            return Some(Err(Failure::transient("the candidate does not stream from here")));
        }
        let before = self.database(place).waits.clone();
        let nobody = (!waits.gate).then(|| "pl_nobody".to_owned());
        self.set_waits(place, Waits { candidate: nobody, gate: waits.gate });
        self.hang_up(place, true);
        self.after(COMES_BACK, Event::Reconnect { standby: place.other(), again: false });
        let copy = self.database(place);
        copy.made_to_wait = Some(copy.life);
        job.phase = Phase::Narrowed { before };
        None
    }

    fn candidate_streams(&mut self, place: Place, waits: &Waits) -> bool {
        let name = self.database(place).sender.and_then(|s| s.name);
        name.is_some() && is_named(name, waits.candidate.as_ref())
    }

    fn put_back(&mut self, job: &mut Job) -> Option<Done> {
        match std::mem::take(&mut job.phase) {
            Phase::Narrowed { before } | Phase::Widened { before, .. } => {
                self.database(job.place).made_to_wait = None;
                self.set_waits(job.place, before);
            }
            Phase::Begins => {}
        }
        Some(Err(Failure::transient("not in time; put back")))
    }

    /// The setting; whoever waited for nobody's sake goes on.
    pub(super) fn set_waits(&mut self, place: Place, waits: Waits) {
        self.note(|| format!("{} waits for {waits}", place.name()));
        let for_nobody = waits.for_nobody();
        self.database(place).waits = waits;
        if for_nobody {
            self.check_one_writer(place);
            self.release(place, usize::MAX, By::Alone);
        }
        self.candidate_confirms(place);
    }

    /// The machine of a region stands still as a whole, its clocks with it.
    pub(super) fn is_machine_paused(&self, place: Place) -> bool {
        self.agents[place.index() - 1].machine_excused == Nanos::MAX
    }

    /// It stands still, or has gone on a moment ago and may believe in what it believed in before.
    pub(super) fn is_machine_excused(&self, place: Place) -> bool {
        self.now() < self.agents[place.index() - 1].machine_excused
    }

    /// How long a machine that was paused believes in a lease that is over: at most a whole one, and what it takes to act.
    pub(super) fn excuse_machine(&mut self, place: Place, paused: bool) {
        let until = self.now() + nanos(self.plan.policy.lease) + super::faults::CATCH_UP;
        let now = self.now();
        let site = self.agent(place);
        site.machine_excused = if paused { Nanos::MAX } else { until };
        match site.pauses.last_mut().filter(|(_, end)| end.is_none()) {
            Some((_, end)) if !paused => *end = Some(now),
            None if paused => site.pauses.push((now, None)),
            _ => {}
        }
    }

    /// For how long the machine stood still between two moments: no clock on it has counted that.
    pub(super) fn paused_between(&self, place: Place, from: Nanos, until: Nanos) -> Nanos {
        let pauses = &self.agents[place.index() - 1].pauses;
        let within =
            |(began, end): &(Nanos, Option<Nanos>)| end.unwrap_or(until).min(until).saturating_sub((*began).max(from));
        pauses.iter().map(within).sum()
    }
}
