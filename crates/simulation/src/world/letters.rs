//! Messages between agents and the controller, and the controller's looks at ports.

use super::World;
use super::events::Event;
use crate::agent::unreachable;
use crate::bug::Bug;
use crate::database::{Lies, Server};
use crate::exchange::{Answer, Letter, Order, Reply};
use crate::laws::{Law, Ordered};
use crate::place::{Place, REGIONS};
use crate::timeline::nanos;
use pilotlight_agent::WayError;
use pilotlight_core::id::EffectKey;
use pilotlight_core::protocol::{Heartbeat, HeartbeatReply};
use pilotlight_core::time::Mono;
use pilotlight_core::verdict::PortAnswer;
use pilotlight_server::OffstageTerm;
use pilotlight_server::hub::Unwelcome;
use std::time::Duration;

impl World {
    /// An agent sends a letter to the controller at a place.
    pub(super) fn post(&mut self, from: Place, to: Place, letter: Letter) {
        if let Letter::Result(result, _) = &letter {
            self.laws.fences.retain(|fence| fence.place != from || fence.task != result.id);
        }
        let way = *self.network.way(from, to);
        if way.cuts > 0 || (way.lossy > 0 && self.chance.per_cent(way.lossy)) {
            return;
        }
        if way.doubling > 0 && self.chance.per_cent(way.doubling) {
            let copy = again(&letter);
            let late = self.network.takes(from, to, &mut self.chance) * 3;
            self.at(self.now() + late, Event::LetterArrives { from, to, letter: copy });
        }
        let takes = self.network.takes(from, to, &mut self.chance);
        self.at(self.now() + takes, Event::LetterArrives { from, to, letter });
    }

    pub(super) fn letter_arrives(&mut self, from: Place, to: Place, letter: Letter) {
        if !self.network.is_cut(from, to) {
            self.letter_read(from, to, letter);
        }
    }

    pub(super) fn letter_read(&mut self, from: Place, to: Place, letter: Letter) {
        let number = usize::from(to != Place::Control);
        let running = &mut self.controllers[number].running;
        let Some(controller) = running else { return self.refuse(from, to, letter, "connection refused") };
        if self.sites[controller.process].paused {
            controller.inbox.push((from, letter));
            return;
        }
        let process = controller.process;
        match controller.front.leading() {
            Some(term) => self.hear(process, &term, from, to, letter),
            None => self.refuse(from, to, letter, "it does not lead"),
        }
    }

    /// Nobody listens on the port, or it is somebody who does not lead.
    fn refuse(&mut self, to: Place, by: Place, letter: Letter, why: &str) {
        let refused = || unreachable(why);
        let answer = match letter {
            Letter::Heartbeat(_, reply) => Answer::Heartbeat(Err(refused()), reply),
            Letter::Work(_, reply) => Answer::Work(Err(refused()), reply),
            Letter::Result(_, reply) => Answer::Result(Err(refused()), reply),
        };
        self.send_back(by, to, answer);
    }

    fn hear(&mut self, process: usize, front: &OffstageTerm, from: Place, by: Place, letter: Letter) {
        self.dirty.insert(process);
        let term = front.term();
        match letter {
            Letter::Heartbeat(heartbeat, reply) => {
                let answer = self.heartbeat(front, from, *heartbeat).map(|answer| (term, answer));
                self.send_back(by, from, Answer::Heartbeat(answer, reply));
            }
            Letter::Result(result, reply) => {
                let answer = front.result(*result).map(|()| (term, ())).map_err(|e| unwelcome(&e));
                self.send_back(by, from, Answer::Result(answer, reply));
            }
            Letter::Work(request, reply) => {
                let (front, exchange) = (front.clone(), self.exchange.clone());
                let Some(process) = &self.sites[process].process else { return };
                process.spawn(async move {
                    let answer = front.work(&request).await.map(|work| (term, work)).map_err(|e| unwelcome(&e));
                    exchange.leave(Order::Answer { from: by, to: from, answer: Answer::Work(answer, reply) });
                });
            }
        }
    }

    fn heartbeat(
        &mut self,
        front: &OffstageTerm,
        from: Place,
        mut heartbeat: Heartbeat,
    ) -> Result<HeartbeatReply, WayError> {
        self.tells_of_the_store(&heartbeat);
        if self.bug == Some(Bug::StoreBehindUnnoticed) {
            heartbeat.heard.clear();
        }
        let mut reply = front.heartbeat(heartbeat).map_err(|e| unwelcome(&e))?;
        if self.bug == Some(Bug::GrantAfterRevoke) {
            for view in &mut reply.units {
                let still = view.writer.is_none().then(|| from.region());
                if still.is_some() && self.laws.granted_until[from.index()] > 0 {
                    (view.writer, view.lease_ms) = (still, Some(self.plan.policy.lease));
                }
            }
        }
        if let Some(lease) = reply.units.iter().find_map(|v| v.lease_ms) {
            // The longest that any honest holder can believe in it, counted from now on the slowest clock.
            let until = self.now() + nanos(lease + lease / 100 + Duration::from_millis(1));
            let granted = &mut self.laws.granted_until[from.index()];
            *granted = until.max(*granted);
        }
        Ok(reply)
    }

    pub(super) fn send_back(&mut self, from: Place, to: Place, answer: Answer) {
        let way = *self.network.way(from, to);
        if way.cuts > 0 || (way.lossy > 0 && self.chance.per_cent(way.lossy)) {
            return;
        }
        let takes = self.network.takes(from, to, &mut self.chance);
        self.at(self.now() + takes, Event::AnswerArrives { answer });
    }

    pub(super) fn answer_arrives(&mut self, answer: Answer) {
        match answer {
            Answer::Heartbeat(answer, reply) => self.give(answer, reply),
            Answer::Work(answer, reply) => self.give(answer, reply),
            Answer::Result(answer, reply) => self.give(answer, reply),
        }
    }

    /// An agent has read that it is to fence.
    pub(super) fn fence_ordered(&mut self, place: Place, task: String, key: EffectKey) {
        if self.laws.begun_fences.contains(&key) {
            return;
        }
        let since = self.now();
        self.laws.fences.push(Ordered { place, task, key, since });
    }

    /// Its agent does not run.
    pub(super) fn is_stopped(&self, place: Place) -> bool {
        self.agents[place.index() - 1].process.is_none_or(|process| self.sites[process].paused)
    }

    fn give<T>(&mut self, answer: T, reply: Reply<T>) {
        self.dirty.insert(reply.process);
        reply.send(answer);
    }

    /// An agent believes in its lease from now on.
    pub(super) fn believes(&mut self, place: Place, until: Mono) {
        let left = self.timeline.until(self.machines[place.index()], until);
        if left == 0 {
            return;
        }
        let until = self.now() + left;
        let believes = &mut self.laws.believes_until[place.index()];
        *believes = until.max(*believes);
        // An answer that was slow reaches an agent whose copy was fenced meanwhile.
        if self.database(place).fenced {
            return;
        }
        for other in REGIONS.into_iter().filter(|other| *other != place) {
            // What is fenced no lease can wake; then its end need not be waited for.
            let copy = self.database(other);
            let silent = copy.fenced || copy.lies != Lies::AsWriter;
            if self.laws.believes_until[other.index()] > self.now() && !silent {
                let what = format!("{} was granted the lease while {} holds it", place.name(), other.name());
                // A machine that has just gone on reads what was answered before it was paused.
                let excused = self.is_machine_excused(place) || self.is_machine_excused(other);
                self.broke_unless(excused, Law::OneLease, what);
            }
        }
    }

    pub(super) fn dial(&mut self, from: Place, region: Place, reply: Reply<PortAnswer>) {
        let server = self.database(region).server;
        let frozen = self.database(region).frozen;
        let broken = self.network.is_broken(from, region);
        let (answer, takes) = match server {
            _ if broken || !self.powered[region.index()] || self.is_machine_paused(region) => {
                (PortAnswer::Unreachable, 400)
            }
            // The kernel takes the connection for a stopped process.
            Server::Primary | Server::Standby | Server::Busy => (PortAnswer::Answers, 4),
            _ if frozen => (PortAnswer::Answers, 4),
            Server::Down { .. } | Server::Orphans => (PortAnswer::Refused, 4),
        };
        self.after(Duration::from_millis(takes), Event::Dialled { answer, reply });
    }
}

fn unwelcome(unwelcome: &Unwelcome) -> WayError {
    WayError::Refused {
        url: "http://controller".to_owned(),
        code: "PL-0401".to_owned(),
        message: unwelcome.to_string(),
        hint: String::new(),
    }
}

/// The same letter once more; its answer goes nowhere.
fn again(letter: &Letter) -> Letter {
    match letter {
        Letter::Heartbeat(heartbeat, reply) => Letter::Heartbeat(heartbeat.clone(), Reply::new(reply.process).0),
        Letter::Work(request, reply) => Letter::Work(request.clone(), Reply::new(reply.process).0),
        Letter::Result(result, reply) => Letter::Result(result.clone(), Reply::new(reply.process).0),
    }
}
