//! The controller's side of the agents: who was heard when, what they see, and the tasks on their way to them.
//!
//! Border: no HTTP and no decisions. The API hands in what agents say; the controller reads the [`AgentSight`]s; the
//! engine drives agents through [`RemoteAgent`].
//!
//! Invariants:
//! - an older heartbeat never undoes a newer one, nor does an agent process that another has replaced;
//! - a task counts as delivered before the answer that carries it leaves. What was not delivered when its caller gives up
//!   is withdrawn, so "unreachable" means that nothing happened; what was delivered and not answered is "outcome unknown";
//! - a delivered task is delivered again (the answer may have been lost) until its result is here; agents know its id and
//!   their guards its key. A result nobody waits for is taken and forgotten.

mod remote;
mod tasks;

pub use remote::RemoteAgent;

use pilotlight_core::health::{Health, Opinion, Question};
use pilotlight_core::id::Region;
use pilotlight_core::lease::granters_lease;
use pilotlight_core::observation::Target;
use pilotlight_core::protocol::{Answer, HealthSeen, Heartbeat, Job, ObserverReport, PortSeen, Task, TaskResult};
use pilotlight_core::shared::Shared;
use pilotlight_core::time::{Mono, show_duration};
use pilotlight_core::verdict::{AgentSight, Outlook, PortAnswer, PortSight, Witness};
use pilotlight_driver::clock::Clock;
use pilotlight_driver::level::Level;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tasks::{Delivery, Tasks};
use tokio::sync::oneshot;

/// Replaced agent processes that are remembered per region.
const REPLACED: usize = 16;

/// See the module.
pub struct Hub {
    clock: Arc<dyn Clock>,
    /// Tells this controller process's tasks from those of an earlier one, which agents may remember.
    life: String,
    /// An agent not heard for so long is not asked any more.
    silent_after: Duration,
    /// An agent not heard for so long will not answer what was delivered to it.
    lost_after: Duration,
    /// When this controller began to listen.
    began: Mono,
    sessions: BTreeMap<Region, Session>,
    outlooks: Mutex<BTreeMap<Witness, Said>>,
    /// Grows with whatever decisions rest on.
    news: Level,
}

/// What an observer said last.
#[derive(Default)]
struct Said {
    instance: String,
    sequence: u64,
    outlook: Shared<Outlook>,
}

struct Session {
    inner: Mutex<Inner>,
    /// Counts this agent's heartbeats.
    beats: Level,
    /// Counts tasks that were added.
    added: Level,
}

#[derive(Default)]
struct Inner {
    instance: Option<String>,
    /// Where that one runs.
    place: String,
    replaced: VecDeque<String>,
    sequence: u64,
    /// The newest version of the protocol that it understands.
    speaks: u32,
    /// What it said, as decisions see it.
    sight: Shared<AgentSight>,
    tasks: Tasks,
}

/// Why an agent is not listened to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwelcome {
    /// The plan has no such region.
    #[error("the plan has no region {region}; it has {known}")]
    UnknownRegion {
        /// What the agent says it stands for.
        region: Region,
        /// The plan's.
        known: String,
    },
    /// A newer process speaks for the region.
    #[error("another agent process has taken over region {region}")]
    Replaced {
        /// The region.
        region: Region,
    },
    /// An answer to a task from a process that was never given one.
    #[error("no task of region {region} was given to this agent process")]
    Stranger {
        /// The region.
        region: Region,
    },
    /// An agent at another place speaks for the region and may hold its lease.
    #[error("the agent in {place} speaks for region {region}; this one is heard once that one was silent for a lease")]
    Elsewhere {
        /// The region.
        region: Region,
        /// Where the other one runs.
        place: String,
    },
}

impl Hub {
    /// A hub for the agents of these regions. `renew` and `lease` are the plan's.
    pub fn new<'a>(
        clock: Arc<dyn Clock>,
        regions: impl IntoIterator<Item = &'a Region>,
        renew: Duration,
        lease: Duration,
    ) -> Arc<Self> {
        let life = format!("{:016x}", RandomState::new().hash_one(0));
        Self::of_life(life, clock, regions, renew, lease)
    }

    /// The same with a name for this controller process that no other has.
    pub fn of_life<'a>(
        life: String,
        clock: Arc<dyn Clock>,
        regions: impl IntoIterator<Item = &'a Region>,
        renew: Duration,
        lease: Duration,
    ) -> Arc<Self> {
        let session = |region: &Region| {
            let session =
                Session { inner: Mutex::new(Inner::default()), beats: Level::default(), added: Level::default() };
            (region.clone(), session)
        };
        Arc::new(Self {
            began: clock.mono(),
            clock,
            life,
            silent_after: (renew * 3).clamp(Duration::from_millis(500), lease.max(Duration::from_millis(500))),
            lost_after: lease,
            sessions: regions.into_iter().map(session).collect(),
            outlooks: Mutex::default(),
            news: Level::default(),
        })
    }

    /// Grows when somebody says something else than before, is heard again or wishes something: decide anew. Figures that
    /// change with every look, and looks that have only become older, are no news.
    pub fn news(&self) -> &Level {
        &self.news
    }

    /// What every agent said and when it was heard, on this machine's clock.
    pub fn agents(&self) -> BTreeMap<Region, Shared<AgentSight>> {
        let sight = |(region, session): (&Region, &Session)| (region.clone(), session.lock().sight.clone());
        self.sessions.iter().map(sight).collect()
    }

    /// When the region's agent was heard last.
    pub fn last_heard(&self, region: &Region) -> Option<Mono> {
        self.sessions.get(region).and_then(|s| s.lock().sight.last_heard)
    }

    /// What every observer but the controller said of the other places.
    pub fn outlooks(&self) -> BTreeMap<Witness, Shared<Outlook>> {
        self.said().iter().map(|(witness, said)| (witness.clone(), said.outlook.clone())).collect()
    }

    /// An observer was heard; a report that a newer one of the same process has overtaken is dropped.
    pub fn observed(&self, report: ObserverReport) {
        let now = self.clock.mono();
        let mut all = self.said();
        let said = all.entry(Witness::Observer(report.observer)).or_default();
        if said.instance == report.instance && report.sequence <= said.sequence {
            return;
        }
        (said.instance, said.sequence) = (report.instance, report.sequence);
        let news = said.learn(outlook(now, report.ports, report.health), self.silent_after);
        drop(all);
        if news {
            self.news.step();
        }
    }

    fn said(&self) -> MutexGuard<'_, BTreeMap<Witness, Said>> {
        self.outlooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An agent was heard. Returns false for one that a newer heartbeat has overtaken: nothing may be granted to it.
    pub fn heartbeat(&self, heartbeat: Heartbeat) -> Result<bool, Unwelcome> {
        let now = self.clock.mono();
        let session = self.session(&heartbeat.region)?;
        let mut inner = session.lock();
        inner.meet(&heartbeat.region, &heartbeat.instance, &heartbeat.place, now, self.lost_after)?;
        if heartbeat.sequence <= inner.sequence {
            return Ok(false);
        }
        (inner.sequence, inner.speaks) = (heartbeat.sequence, heartbeat.speaks);
        let mut news = !heartbeat.wishes.is_empty();
        let sight = &mut *inner.sight;
        sight.last_heard = Some(now);
        learn_sentinels(sight, &heartbeat, now);
        for seen in heartbeat.sees {
            let began = Mono(now.0.saturating_sub(seen.age_ms));
            news |= sight.seen.get(&seen.target).is_none_or(|(before, _)| before.is_another(&seen.state));
            sight.seen.insert(seen.target, (seen.state, began));
        }
        drop(inner);
        let outlook = outlook(now, heartbeat.ports, heartbeat.health);
        let mut said = self.said();
        news |= said.entry(Witness::Agent(heartbeat.region)).or_default().learn(outlook, self.silent_after);
        drop(said);
        session.beats.step();
        if news {
            self.news.step();
        }
        Ok(true)
    }

    /// An agent asks for work: what is due now, or what becomes due within `wait`.
    pub async fn work(
        &self,
        region: &Region,
        instance: &str,
        place: &str,
        wait: Duration,
    ) -> Result<Vec<Task>, Unwelcome> {
        let session = self.session(region)?;
        let end = self.clock.mono() + wait;
        loop {
            let (now, added) = (self.clock.mono(), session.added.get());
            let next = {
                let mut inner = session.lock();
                inner.meet(region, instance, place, now, self.lost_after)?;
                let due = inner.tasks.due(instance, now);
                if !due.is_empty() || now >= end {
                    return Ok(due);
                }
                inner.tasks.next_due()
            };
            let pause = next.map_or(end, |at| at.min(end)).since(now);
            tokio::select! {
                biased;
                () = session.added.passes(added) => {}
                () = self.clock.sleep(pause) => {}
            }
        }
    }

    /// A task has ended.
    pub fn result(&self, result: TaskResult) -> Result<(), Unwelcome> {
        let mut inner = self.session(&result.region)?.lock();
        inner.may_answer(&result)?;
        inner.tasks.end(&result.id, result.answer);
        Ok(())
    }

    /// The newest version of the protocol that the region's agent understands, once it was heard.
    pub fn speaks(&self, region: &Region) -> Option<u32> {
        self.sessions.get(region).map(|s| s.lock().speaks).filter(|speaks| *speaks > 0)
    }

    /// The agent understands what was added in that version; else a text that says what it understands.
    fn understands(&self, region: &Region, since: u32) -> Result<(), String> {
        match self.speaks(region) {
            Some(speaks) if speaks < since => {
                Err(format!("the agent of {region} speaks version {speaks} of the protocol, and this needs {since}"))
            }
            _ => Ok(()),
        }
    }

    /// The agent was heard lately; else a text that says how long it is silent.
    fn hears(&self, region: &Region, within: Duration) -> Result<(), String> {
        let silent = self.last_heard(region).map(|at| self.clock.mono().since(at));
        match silent {
            Some(silent) if silent <= within => Ok(()),
            Some(silent) => Err(format!("the agent of {region} is silent for {}", show_duration(silent))),
            None => Err(format!("the agent of {region} was not heard since the controller started")),
        }
    }

    /// Returns when the region's agent was heard by this controller, or when nobody need wait for its first word any more:
    /// until a lease has passed since the controller began, its silence says nothing.
    async fn first_word(&self, region: &Region) {
        let Some(session) = self.sessions.get(region) else { return };
        let end = self.began + self.lost_after;
        loop {
            let beats = session.beats.get();
            let left = end.since(self.clock.mono());
            if self.last_heard(region).is_some() || left.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                () = session.beats.passes(beats) => {}
                () = self.clock.sleep(left) => {}
            }
        }
    }

    fn add(&self, region: &Region, job: Job) -> Option<(String, oneshot::Receiver<Answer>)> {
        let session = self.sessions.get(region)?;
        let (id, answer) = session.lock().tasks.add(&self.life, job);
        session.added.step();
        Some((id, answer))
    }

    fn withdraw(&self, region: &Region, id: &str) -> Delivery {
        self.sessions.get(region).map_or(Delivery::Withdrawn, |s| s.lock().tasks.withdraw(id))
    }

    fn session(&self, region: &Region) -> Result<&Session, Unwelcome> {
        self.sessions.get(region).ok_or_else(|| Unwelcome::UnknownRegion {
            region: region.clone(),
            known: self.sessions.keys().map(Region::as_str).collect::<Vec<_>>().join(", "),
        })
    }
}

/// One that says nothing of sentinels undoes nothing: the writer may have stopped.
fn learn_sentinels(sight: &mut AgentSight, heartbeat: &Heartbeat, now: Mono) {
    let named = heartbeat.sentinels.iter().map(|(component, newest)| (component.clone(), (*newest, now)));
    sight.sentinels.extend(named);
    if heartbeat.sentinels.is_empty() && heartbeat.sentinel.is_some() {
        // An older agent writes on where a newer one did: what that one named is no longer the newest.
        sight.sentinels.clear();
        (sight.sentinel, sight.steady_from, sight.told) = (heartbeat.sentinel, heartbeat.steady_from, Some(now));
    }
}

fn outlook(now: Mono, ports: Vec<PortSeen>, health: Vec<HealthSeen>) -> Outlook {
    let ago = |age| Mono(now.0.saturating_sub(age));
    let opinion =
        |h: HealthSeen| (h.question, Opinion::reported(h.health, ago(h.for_ms), ago(h.age_ms), h.says, h.took_ms));
    let port = |p: PortSeen| {
        let at = ago(p.age_ms);
        (p.target, PortSight { answer: p.answer, at })
    };
    let ports = ports.into_iter().map(port).collect();
    Outlook { heard: Some(now), ports, health: health.into_iter().map(opinion).collect() }
}

fn answer<'a>((target, port): (&'a Target, &PortSight)) -> (&'a Target, PortAnswer) {
    (target, port.answer)
}

fn word<'a>((question, opinion): (&'a Question, &Opinion)) -> (&'a Question, Health) {
    (question, opinion.health)
}

impl Said {
    /// Takes in what it says now; returns whether that is news: another answer, or it is heard again.
    fn learn(&mut self, outlook: Outlook, silent_after: Duration) -> bool {
        let before = std::mem::replace(&mut self.outlook, outlook.into());
        let now = &self.outlook;
        let silent = before.heard.zip(now.heard).is_none_or(|(then, now)| now.since(then) > silent_after);
        let same_ports = before.ports.iter().map(answer).eq(now.ports.iter().map(answer));
        let same_health = before.health.iter().map(word).eq(now.health.iter().map(word));
        silent || !same_ports || !same_health
    }
}

impl Session {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// An open task is answered by a process that spoke for the region and may have been given it, where that speaks.
    fn may_answer(&self, result: &TaskResult) -> Result<(), Unwelcome> {
        let TaskResult { region, instance, place, id, .. } = result;
        if instance.is_empty() || !self.tasks.is_open(id) {
            return Ok(());
        }
        if !place.is_empty() && !self.place.is_empty() && *place != self.place {
            return Err(Unwelcome::Elsewhere { region: region.clone(), place: self.place.clone() });
        }
        let known = self.instance.as_ref() == Some(instance) || self.replaced.contains(instance);
        if known { Ok(()) } else { Err(Unwelcome::Stranger { region: region.clone() }) }
    }

    /// A new instance takes over; one that was taken over is refused as long as the new one is heard. An agent that was
    /// started twice by mistake and ended again must not leave its region without one.
    fn meet(
        &mut self,
        region: &Region,
        instance: &str,
        place: &str,
        now: Mono,
        lost_after: Duration,
    ) -> Result<(), Unwelcome> {
        if self.instance.as_deref() == Some(instance) {
            return Ok(());
        }
        // A copy of a machine, or one that was put back: the lease of the first may still be good there.
        let held = self.sight.last_heard.is_some_and(|at| now.since(at) <= granters_lease(lost_after));
        if held && !place.is_empty() && !self.place.is_empty() && place != self.place {
            return Err(Unwelcome::Elsewhere { region: region.clone(), place: self.place.clone() });
        }
        if self.replaced.iter().any(|i| i == instance) {
            if self.sight.last_heard.is_none_or(|at| now.since(at) <= lost_after) {
                return Err(Unwelcome::Replaced { region: region.clone() });
            }
            self.replaced.retain(|i| i != instance);
        }
        tracing::info!(%region, instance, "an agent has come");
        self.replaced.extend(self.instance.replace(instance.to_owned()));
        if self.replaced.len() > REPLACED {
            self.replaced.pop_front();
        }
        self.sequence = 0;
        self.sight.met = Some(now);
        place.clone_into(&mut self.place);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
