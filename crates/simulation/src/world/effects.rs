//! What effects do to the world, and how long that takes. They are applied where drivers run: past the guard.

use super::World;
use super::events::{Event, Job};
use super::waits::Phase;
use crate::bug::Bug;
use crate::database::{Entry, Lies, Server, What};
use crate::exchange::{Done, Reply, Seen};
use crate::laws::Law;
use crate::place::Place;
use crate::setup::Promise;
use crate::timeline::nanos;
use pilotlight_core::candidate::Waits;
use pilotlight_core::effect::{Effect, FenceAssurance, HandOver};
use pilotlight_core::id::{Region, RunId};
use pilotlight_core::observation::{Capacity, Role, State, Target};
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_driver::Context;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

/// Looking again whether something can go on.
const AGAIN: Duration = Duration::from_millis(20);

impl World {
    pub(super) fn observe(&mut self, target: Target, reply: Reply<Seen>) {
        let takes = self.chance.time(Duration::from_micros(500), Duration::from_millis(6));
        self.after(takes, Event::Looked { target, reply });
    }

    /// Whether a server's processes are stopped is seen without its answer.
    pub(super) fn looked(&mut self, target: &Target, reply: Reply<Seen>) {
        self.dirty.insert(reply.process);
        let region = target.region.as_ref().and_then(Place::of);
        let state = match (target.component.as_str(), region) {
            ("database", Some(region)) => self.database(region).look(),
            ("payments", Some(region)) => State { capacity: Some(self.capacity(region)), ..State::default() },
            ("name", _) if self.name.published => {
                State { shares: Some(self.name.shares.clone()), epoch: None, ..State::default() }
            }
            _ => State::default(),
        };
        let ends = region.filter(|_| state.waiting.is_some()).and_then(|region| self.database(region).ends());
        reply.send(Box::new(Ok((state, ends))));
    }

    fn capacity(&mut self, region: Place) -> Capacity {
        let instances = self.instances[region.index() - 1];
        let ready = if self.now() >= instances.ready_at { instances.desired } else { 0 };
        Capacity { desired: instances.desired, ready }
    }

    /// A driver is told to do something.
    pub(super) fn apply(&mut self, place: Place, effect: Effect, context: Context, reply: Reply<Done>) {
        if !matches!(effect, Effect::WriteSentinel { .. }) {
            self.note(|| format!("{} begins {} of {}: {}", place.name(), context.key, context.epoch, word(&effect)));
        }
        if let Effect::Fence { .. } = effect {
            self.laws.fences.retain(|fence| fence.key != context.key);
            self.laws.begun_fences.insert(context.key.clone());
        }
        // The authority compares epochs itself, so an order that it refuses is no effect: looked at where it takes one.
        if !matches!(effect, Effect::Route { .. }) {
            self.check_epoch(place, &context);
        }
        self.laws.under_way.insert(context.key.clone(), (place, context.epoch));
        let life = if place == Place::East || place == Place::West { self.database(place).life } else { 0 };
        let until = self.now() + nanos(context.deadline);
        let job = Job { place, effect, context, reply, life, until, phase: Phase::default() };
        let takes = match &job.effect {
            Effect::Fence { .. } => self.some_ms(4, 60),
            Effect::Checkpoint { .. } => self.some_ms(5, 100),
            Effect::StopWrites { .. } => self.begin_stop(place),
            Effect::ResumeWrites { .. } => self.begin_start(place, &job.context),
            Effect::Promote { .. } => self.begin_promotion(place),
            Effect::Rejoin { .. } => self.some_ms(40, 300),
            Effect::CaptureRescue { .. } => self.some_ms(10, 100),
            Effect::SetCapacity { .. } => self.some_ms(5, 50),
            // After a move; no copy waits for it, and the run has not ended before.
            Effect::Command { region: Some(_), .. } if self.setup.lasting => self.some_ms(1_000, 4_800),
            Effect::Command { .. } => self.some_ms(5, 200),
            _ => self.some_ms(1, 6),
        };
        self.after(takes, Event::JobGoesOn(Box::new(job)));
    }

    /// No effect where a newer run has done something.
    fn check_epoch(&mut self, place: Place, context: &Context) {
        let run = context.key.as_str().split('/').next().unwrap_or_default();
        let epoch = self.disk.epoch(&run.into()).unwrap_or(context.epoch.0);
        let newest = self.laws.newest.entry(place).or_default();
        if epoch < *newest {
            let what = format!("{} of epoch {epoch} in {}, where epoch {newest} was", context.key, place.name());
            return self.broke(Law::NoOldEpoch, what);
        }
        *newest = epoch;
    }

    /// An effect is over, or looks whether it can be.
    pub(super) fn go_on(&mut self, mut job: Job) {
        if let Effect::WaitFor { waits, .. } = &job.effect {
            let waits = waits.clone();
            let done = self.wait_for(&mut job, &waits);
            return self.end_or_go_on(job, done);
        }
        let done = match &job.effect {
            Effect::Fence { .. } => Some(self.fence(&job)),
            Effect::Checkpoint { .. } => Some(self.checkpoint(&job)),
            Effect::StopWrites { .. } => self.stop(&job),
            Effect::ResumeWrites { .. } if self.recovers(&job) => None,
            Effect::ResumeWrites { .. } => Some(self.started(&job)),
            Effect::AwaitPosition { position, .. } => self.await_position(&job, position),
            Effect::Promote { .. } => Some(self.promoted(&job)),
            Effect::Rejoin { upstream, .. } => Some(self.rejoin(&job, upstream)),
            Effect::CaptureRescue { upstream, .. } => Some(self.capture(&job, upstream)),
            Effect::KeepRescue { .. } => Some(Ok(Outcome::Skipped { why: "it is kept".to_owned() })),
            Effect::WriteSentinel { .. } => Some(self.sentinel(&job)),
            Effect::SetCapacity { instances, .. } => Some(self.set_capacity(job.place, *instances)),
            Effect::Route { shares, .. } => Some(self.route(&job, &shares.clone())),
            Effect::Command { .. } => Some(self.command(&job)),
            Effect::Verify { .. } => Some(self.verify()),
            Effect::WaitFor { .. } => None,
            Effect::Switch { .. }
            | Effect::Notify { .. }
            | Effect::AwaitLapse { .. }
            | Effect::ClassifyRescue { .. }
            | Effect::ApplyRescue { .. }
            | Effect::Shift { .. }
            | Effect::Watch { .. }
            | Effect::Soak { .. }
            | Effect::Grant { .. } => Some(Err(Failure::unsupported("there is nothing here that does this"))),
        };
        self.end_or_go_on(job, done);
    }

    fn end_or_go_on(&mut self, job: Job, done: Option<Done>) {
        let Some(done) = done else { return self.after(AGAIN, Event::JobGoesOn(Box::new(job))) };
        if !matches!(job.effect, Effect::WriteSentinel { .. }) {
            self.note(|| format!("{} ends {}: {done:?}", job.place.name(), job.context.key));
        }
        self.laws.under_way.remove(&job.context.key);
        self.dirty.insert(job.reply.process);
        job.reply.send(done);
    }

    fn fence(&mut self, job: &Job) -> Done {
        let lies = self.bug == Some(Bug::FenceLies);
        let copy = self.database(job.place);
        let position = Some(copy.position());
        if copy.fenced && matches!(copy.server, Server::Down { .. }) {
            return Ok(Outcome::Skipped { why: "it is fenced already".to_owned() });
        }
        if !lies {
            copy.kill();
            copy.fenced = true;
            self.hang_up(job.place, true);
        }
        let output = Output { assurance: Some(FenceAssurance::Proven), position, ..Output::default() };
        Ok(Outcome::Done { output })
    }

    fn checkpoint(&mut self, job: &Job) -> Done {
        if self.database(job.place).is_primary() {
            Ok(Outcome::done())
        } else {
            Err(Failure::rejected("it is no writer"))
        }
    }

    /// From here on it takes no writes.
    fn begin_stop(&mut self, place: Place) -> Duration {
        let copy = self.database(place);
        if copy.is_primary() && !copy.frozen {
            copy.stopping = true;
        }
        self.some_ms(30, 150)
    }

    fn stop(&mut self, job: &Job) -> Option<Done> {
        let late = self.now() >= job.until;
        let copy = self.database(job.place);
        let handed = Output { position: Some(copy.position()), ..Output::default() };
        match copy.server {
            Server::Down { .. } if copy.fenced => return Some(Ok(Outcome::Done { output: handed })),
            Server::Primary if !copy.frozen && copy.life == job.life => copy.stopping = true,
            Server::Primary if !late => return None,
            Server::Primary => return Some(Err(Failure::unknown("it does not stop"))),
            other => return Some(Err(Failure::rejected(format!("it is {other:?}, not the writer")))),
        }
        // An orderly stop sends everything to whoever is connected.
        if copy.sender.is_some_and(|s| s.confirmed < copy.wal.len()) && !late {
            self.pump(job.place);
            return None;
        }
        if copy.flushed < copy.wal.len() {
            return None;
        }
        copy.server = Server::Down { clean: true };
        (copy.fenced, copy.stopping) = (true, false);
        copy.life += 1;
        let output = Output { position: Some(copy.position()), ..Output::default() };
        self.hang_up(job.place, true);
        Some(Ok(Outcome::Done { output }))
    }

    /// Starts the server on a writer's directory.
    fn begin_start(&mut self, place: Place, context: &Context) -> Duration {
        if self.database(place).fenced && context.key.as_str().starts_with("local-") {
            let what = format!("{} starts what is fenced, by its agent's own decision", place.name());
            self.broke(Law::WriterHoldsLease, what);
        }
        if self.restart_needs_lease(place) {
            self.check_lease(place, "is started as the writer");
        }
        let copy = self.database(place);
        let still = matches!(copy.server, Server::Down { .. } | Server::Orphans);
        if still && copy.lies == Lies::AsWriter {
            copy.kill();
            copy.server = Server::Busy;
            self.hang_up(place, true);
        }
        if self.database(place).slow > 0 {
            let recovered = self.now() + nanos(self.some_ms(700, 4_000));
            self.database(place).recovered = recovered;
        }
        self.some_ms(60, 350)
    }

    /// A recovery that takes long; called off, the server is ended.
    fn recovers(&mut self, job: &Job) -> bool {
        let now = self.now();
        let copy = self.database(job.place);
        let recovers = copy.server == Server::Busy && copy.lies == Lies::AsWriter && copy.recovered > now;
        if recovers && job.context.cancel.is_cancelled() {
            copy.kill();
        }
        recovers && copy.server == Server::Busy
    }

    fn started(&mut self, job: &Job) -> Done {
        let copy = self.database(job.place);
        match copy.server {
            Server::Primary if !copy.frozen => return Ok(Outcome::Skipped { why: "it takes writes".to_owned() }),
            Server::Busy if copy.lies == Lies::AsWriter => {}
            Server::Down { .. } => return Err(Failure::transient("it was ended while it started")),
            other => return Err(Failure::rejected(format!("it is {other:?} and was not stopped"))),
        }
        copy.server = Server::Primary;
        (copy.fenced, copy.stopping) = (false, false);
        self.check_way_back(job);
        if self.becomes_heir(job.place) {
            self.laws.heir = Some(job.place);
        }
        self.check_one_writer(job.place);
        Ok(Outcome::done())
    }

    fn await_position(&mut self, job: &Job, position: &HandOver) -> Option<Done> {
        let HandOver::At(wanted) = position else {
            return Some(Err(Failure::rejected("no position to wait for")));
        };
        let late = self.now() >= job.until || job.context.cancel.is_cancelled();
        let copy = self.database(job.place);
        if copy.has_reached(wanted) {
            return Some(Ok(Outcome::done()));
        }
        late.then(|| Err(Failure::transient("it does not hold everything yet")))
    }

    fn begin_promotion(&mut self, place: Place) -> Duration {
        let copy = self.database(place);
        copy.starts_to_be_promoted();
        if copy.server == Server::Standby && !copy.frozen {
            copy.receiver = None;
            copy.server = Server::Busy;
            // It waits for nobody until its agent has found a candidate.
            (copy.waits, copy.proven) = (Waits::default(), None);
            self.laws.heir = Some(place);
            self.check_lease(place, "is promoted");
        }
        self.some_ms(30, 250)
    }

    fn promoted(&mut self, job: &Job) -> Done {
        let timeline = self.laws.reign.0 + 1;
        let early = self.bug == Some(Bug::EarlyPromotion);
        let copy = self.database(job.place);
        match (copy.server, copy.lies) {
            (Server::Primary, _) => return Ok(Outcome::Skipped { why: "it is the writer already".to_owned() }),
            (Server::Busy, Lies::AsStandby { .. }) if copy.life == job.life => {}
            _ if copy.life != job.life => return Err(Failure::unknown("it was ended while it was promoted")),
            _ => return Err(Failure::transient("it is no standby that runs")),
        }
        copy.server = Server::Primary;
        if early {
            copy.wal.pop();
            copy.flushed = copy.wal.len();
        }
        (copy.lies, copy.fenced, copy.stopping, copy.timeline) = (Lies::AsWriter, false, false, timeline);
        let output = Output { position: Some(copy.position()), ..Output::default() };
        self.laws.reign = (timeline, Some(job.place));
        self.note(|| format!("{} is the writer of timeline {timeline}", job.place.name()));
        self.check_one_writer(job.place);
        let run = job.context.key.as_str();
        if run.starts_with("switchover") || run.starts_with("failback") {
            self.check_hand_over(job.place);
        }
        let run = RunId::from(run.split('/').next().unwrap_or_default());
        let (automatic, told) = (self.disk.is_automatic(&run), self.told_of(&run));
        self.check_loss(job.place, automatic, told);
        Ok(Outcome::Done { output })
    }

    /// A planned move: everything that was acknowledged is here.
    fn check_hand_over(&mut self, new: Place) {
        let copy = &self.databases[new.index() - 1];
        let old = &self.databases[new.other().index() - 1];
        let here = copy.common(old);
        let lost = old.wal[here..].iter().find_map(|e| match e.what {
            What::Write(write) if self.writes[write as usize].decided.is_some() => Some(write),
            _ => None,
        });
        if let Some(write) = lost {
            let what = format!("write {write} was acknowledged and is not on {}", new.name());
            self.broke(Law::HandOverLosesNothing, what);
        }
    }

    /// What nobody can take the place of may be started again without one. Its agent's answer may be old: then it is started
    /// beside another writer, which only what waits for somebody survives.
    fn restart_needs_lease(&mut self, place: Place) -> bool {
        let region = place.region();
        let unopposed = |writer: Option<&Region>, candidate: bool| writer == Some(&region) && !candidate;
        if self.setup.promise == Promise::BestEffort {
            return true;
        }
        let told = self.agent(place).last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let told = told.is_some_and(|view| unopposed(view.writer.as_ref(), view.candidate.is_some()));
        let truly = self.disk.unit(|unit| unopposed(unit.writer.as_ref(), unit.candidate.is_some()));
        let waits = !self.database(place).waits.for_nobody();
        !(truly == Some(true) || told && waits)
    }

    /// The region was granted the lease, and by no clock has it ended.
    fn check_lease(&mut self, place: Place, what: &str) {
        if self.laws.granted_until[place.index()] < self.now() {
            let what = format!("{} {what} without a lease", place.name());
            let excused = self.is_machine_excused(place);
            self.broke_unless(excused, Law::WriterHoldsLease, what);
        }
    }

    fn rejoin(&mut self, job: &Job, upstream: &Region) -> Done {
        let Some(upstream) = Place::of(upstream) else { return Err(Failure::rejected("no such region")) };
        let broken = self.network.is_broken(job.place, upstream);
        let waits = self.setup.promise != Promise::BestEffort;
        let source = &self.databases[upstream.index() - 1];
        let copy = &self.databases[job.place.index() - 1];
        if copy.life != job.life {
            return Err(Failure::unknown("it was ended meanwhile"));
        }
        if job.context.cancel.is_cancelled() {
            return Err(Failure::transient("nobody waits for it any more; nothing was changed"));
        }
        if copy.could_acknowledge() || copy.server == Server::Busy {
            return Err(Failure::rejected("it is no standby; fence it first"));
        }
        if broken || !source.is_primary() || source.frozen || source.stopping {
            return Err(Failure::transient("its upstream is no writer that answers"));
        }
        let (own, named) = (copy.writes_beyond(source), copy.name.is_some() || !waits);
        if named && copy.receiver.is_some() && copy.lies == (Lies::AsStandby { upstream }) {
            return Ok(Outcome::Skipped { why: "it follows already".to_owned() });
        }
        self.keep_unasked(job.place, &own);
        self.rewind(job.place, upstream);
        if waits {
            // A name that nobody has used.
            self.names += 1;
            self.database(job.place).name = Some(self.names);
        }
        self.follows_soon(job.place);
        Ok(Outcome::done())
    }

    /// Keeps what only this disk holds; the upstream says where the histories part.
    fn capture(&mut self, job: &Job, upstream: &Region) -> Done {
        let Some(upstream) = Place::of(upstream) else { return Err(Failure::rejected("no such region")) };
        let source = &self.databases[upstream.index() - 1];
        let copy = &self.databases[job.place.index() - 1];
        if self.network.is_broken(job.place, upstream) || !source.is_primary() || source.frozen {
            return Err(Failure::transient("the upstream does not say where the histories part"));
        }
        if copy.could_acknowledge() {
            return Err(Failure::rejected("it still writes; fence it first"));
        }
        let own = copy.writes_beyond(source);
        self.keep(&own);
        Ok(Outcome::done())
    }

    /// Goes back to where both histories were one. What only this disk held is gone with it.
    pub(super) fn rewind(&mut self, place: Place, upstream: Place) {
        let source = &self.databases[upstream.index() - 1];
        let copy = &self.databases[place.index() - 1];
        let (common, timeline) = (copy.common(source), source.timeline);
        let copy = self.database(place);
        copy.wal.truncate(common);
        copy.flushed = common;
        copy.life += 1;
        copy.timeline = timeline;
        (copy.server, copy.lies) = (Server::Standby, Lies::AsStandby { upstream });
        (copy.fenced, copy.stopping, copy.frozen, copy.receiver) = (false, false, false, None);
        self.note(|| format!("{} goes back to entry {common} and follows {}", place.name(), upstream.name()));
    }

    fn sentinel(&mut self, job: &Job) -> Done {
        let Effect::WriteSentinel { sentinel, .. } = job.effect else { return Err(Failure::rejected("no sentinel")) };
        self.entries += 1;
        let number = self.entries;
        let copy = self.database(job.place);
        if !copy.is_primary() || copy.frozen || copy.stopping {
            return Err(Failure::transient("it takes no writes"));
        }
        copy.wal.push(Entry { number, what: What::Sentinel(sentinel) });
        copy.flushed = copy.wal.len();
        let now = self.now();
        self.laws.sentinels[job.place.index()].push(now);
        self.pump(job.place);
        Ok(Outcome::done())
    }

    fn set_capacity(&mut self, place: Place, desired: u32) -> Done {
        let ready_at = self.now() + nanos(self.some_ms(20, 300));
        let instances = &mut self.instances[place.index() - 1];
        if instances.desired == desired {
            return Ok(Outcome::Skipped { why: "so many run already".to_owned() });
        }
        (instances.desired, instances.ready_at) = (desired, ready_at);
        Ok(Outcome::done())
    }

    fn route(&mut self, job: &Job, shares: &BTreeMap<Region, u32>) -> Done {
        let epoch = job.context.epoch.0;
        if job.place != Place::Control && self.network.is_broken(job.place, Place::Control) {
            return Err(Failure::transient("the authority does not answer"));
        }
        if epoch < self.name.epoch {
            return Err(Failure::rejected("the authority has seen a newer epoch"));
        }
        self.name.epoch = epoch;
        self.check_epoch(Place::Outside, &job.context);
        if self.bug == Some(Bug::NameWithdrawn) && self.name.published {
            self.name.shares.clear();
            self.check_name();
        }
        self.name.shares.clone_from(shares);
        self.name.published = true;
        self.check_name();
        Ok(Outcome::done())
    }

    fn check_name(&mut self) {
        if self.name.shares.values().sum::<u32>() == 0 {
            self.broke(Law::NameNeverEmpty, "the name leads nobody anywhere".to_owned());
        }
    }

    /// What may not run twice for one step, unless a person says so.
    fn command(&mut self, job: &Job) -> Done {
        let key = job.context.key.as_str();
        let step = key.rsplit_once('/').map_or(key, |(step, _)| step).to_owned();
        let times = self.laws.done.entry(step.clone()).or_default();
        *times += 1;
        if *times > 1 {
            let what = format!("{step} ran {times} times");
            let excused = self.forgot_records_of(key.split('/').next().unwrap_or_default());
            self.broke_unless(excused, Law::DoneOnce, what);
        }
        Ok(Outcome::done())
    }

    /// A payment through the name.
    fn verify(&mut self) -> Done {
        let led = self.name.shares.iter().find(|(_, share)| **share > 0).and_then(|(r, _)| Place::of(r));
        let broken = led.is_none_or(|place| self.network.is_broken(Place::Control, place));
        let works = led.is_some_and(|place| self.database(place).look().role == Some(Role::Writer));
        if works && !broken {
            return Ok(Outcome::done());
        }
        Err(Failure::transient("no payment gets through"))
    }
}

fn word(effect: &Effect) -> String {
    let text = format!("{effect:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}
