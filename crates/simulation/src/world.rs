//! One world: places, machines, processes, databases, clients, and the loop that lets one thing happen after the other.
//!
//! All that is random comes from streams of the seed, all that waits waits on the [`Timeline`], and processes of ours run
//! one at a time until they have nothing left to do. So a seed is a world, byte for byte.

mod clients;
mod commits;
mod effects;
mod events;
mod faults;
mod letters;
mod old_store;
mod people;
mod replication;
mod settle;
mod waits;

use crate::agent::Folder;
use crate::bug::Bug;
use crate::chance::Chance;
use crate::database::Database;
use crate::exchange::{Exchange, Letter, Order};
use crate::fault::{Fault, Rare};
use crate::laws::{Broken, Law, Laws};
use crate::place::{MEMBERS, Network, Place, REGIONS};
use crate::process::{Dirty, Process};
use crate::setup::{Promise, Setup};
use crate::storage::Disk;
use crate::timeline::{Machine, Nanos, ProcessClock, Timeline, nanos};
use crate::{agent, controller};
use clients::{Client, Write};
use commits::GateSite;
use events::{Agenda, Event};
use faults::Progress;
use old_store::OldStore;
use pilotlight_core::id::{Region, RunId};
use pilotlight_core::plan::Plan;
use pilotlight_driver::guard::MemoryLog;
use pilotlight_server::Offstage;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// What a world is made from besides its seed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A planted bug.
    pub bug: Option<Bug>,
    /// Keep a log of everything that happens.
    pub log: bool,
    /// Other faults than the seed's.
    pub faults: Option<Vec<Fault>>,
    /// Another guarantee than the seed's.
    pub promise: Option<Promise>,
}

/// What became of a world.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// The first law that was broken.
    pub broken: Option<Broken>,
    /// What was asked for in [`Options::log`].
    pub log: Vec<String>,
    /// The faults it had.
    pub faults: Vec<Fault>,
    /// What was installed.
    pub setup: Option<Setup>,
    /// Terms of leaders, where there were several controllers.
    pub terms: u64,
    /// Things that happened.
    pub events: u64,
    /// Failovers that ran to their end.
    pub failovers: u64,
    /// Moves of any kind that ran to their end.
    pub moves: u64,
    /// Candidates that were admitted while a run went on.
    pub admitted_in_runs: u64,
    /// Broken laws that the guarantee does not promise to keep.
    pub excused: u64,
    /// Runs that a person ended, long after the last fault.
    pub aborted: u64,
    /// Virtual time.
    pub lasted: Duration,
}

/// A process of ours and where it runs.
struct Site {
    process: Option<Process>,
    paused: bool,
}

/// A controller's place.
#[derive(Default)]
struct ControllerSite {
    running: Option<Running>,
    /// Faults between it and the store.
    cut: Arc<AtomicU32>,
    /// What it knows of its own effects.
    guard: MemoryLog,
}

/// A controller of one life.
struct Running {
    process: usize,
    front: Offstage,
    /// Letters that arrived while it was paused.
    inbox: Vec<(Place, Letter)>,
}

/// A region's agent.
struct AgentSite {
    process: Option<usize>,
    folder: Folder,
    lives: u32,
    /// What this life of it was told last.
    last: agent::LastHeard,
    /// When it last began to run, after a start or a pause.
    runs_since: Nanos,
    /// Its machine is paused as a whole until then, or was a moment ago.
    machine_excused: Nanos,
    /// When the machine stood still as a whole, oldest first; the last without an end when it still does.
    pauses: Vec<(Nanos, Option<Nanos>)>,
}

/// The DNS authority, which is kept by a process of its own and never fails here.
#[derive(Default)]
struct Name {
    shares: BTreeMap<Region, u32>,
    published: bool,
    epoch: u64,
}

/// Instances of the application in a region.
#[derive(Clone, Copy)]
struct Instances {
    desired: u32,
    ready_at: Nanos,
}

pub(crate) struct World {
    plan: Arc<Plan>,
    timeline: Timeline,
    chance: Chance,
    agenda: Agenda,
    exchange: Exchange,
    /// Emptied; only its memory is kept.
    orders: Vec<Order>,
    sites: Vec<Site>,
    dirty: Dirty,
    machines: [usize; 5],
    setup: Setup,
    controllers: [ControllerSite; 2],
    /// Leaders that a fault has stopped, by its number.
    stopped: BTreeMap<usize, Place>,
    gates: [GateSite; 2],
    /// Names given to standbys.
    names: u64,
    disk: Disk,
    old_store: OldStore,
    agents: [AgentSite; 2],
    databases: [Database; 2],
    instances: [Instances; 2],
    powered: [bool; 5],
    network: Network,
    name: Name,
    clients: Vec<Client>,
    writes: Vec<Write>,
    entries: u32,
    streams: u64,
    laws: Laws,
    faults: Vec<Fault>,
    progress: Progress,
    /// Faults that make WAL come in drops, by the region of the standby.
    trickles: [u32; 2],
    bug: Option<Bug>,
    log: Option<Vec<String>>,
    events: u64,
    /// How many events there were since time went on.
    at_once: u64,
    /// The newest record of the run that held the unit when it was last looked at, and whether the run was under way.
    looked: Option<((RunId, u64, bool), bool)>,
    quiet_since: Option<Nanos>,
    unquiet_since: Option<Nanos>,
    aborted: u64,
    failovers: u64,
    moves: u64,
}

/// So many things cannot happen at one moment.
const AT_ONCE: u64 = 20_000;
/// A world that is not at rest by then has broken the law that runs end.
const LONGEST: Nanos = 300_000_000_000;

impl World {
    pub(crate) fn new(seed: u64, options: &Options) -> Self {
        let mut setup = Setup::of(seed);
        setup.promise = options.promise.unwrap_or(setup.promise);
        let mut chance = Chance::new(seed, 1);
        let timeline = Timeline::begin_anew();
        let steps_count = options.bug == Some(Bug::ClockStep);
        let mut machine = || {
            let drift_ppm = i64::try_from(chance.between(0, 9_800)).unwrap_or(0) - 4_900;
            let ahead = Duration::from_millis(chance.between(60_000, 90_000_000));
            timeline.add_machine(Machine { drift_ppm, ahead, unseen: 0, stopped_at: None, step_ms: 0, steps_count })
        };
        let machines = [machine(), machine(), machine(), machine(), machine()];
        let faults = match &options.faults {
            Some(faults) => faults.clone(),
            None => {
                let mut faults = crate::fault::schedule(&mut Chance::new(seed, 2), setup.fresh);
                Rare::of(seed).add_to(&mut Chance::new(seed, 8), &mut faults);
                Rare::of(seed).strike_promotions(&mut Chance::new(seed, 9), &mut faults);
                faults
            }
        };
        let agent = || AgentSite {
            process: None,
            folder: Folder::default(),
            lives: 0,
            last: agent::LastHeard::default(),
            runs_since: 0,
            machine_excused: 0,
            pauses: Vec::new(),
        };
        let mut world = Self {
            plan: setup.plan(),
            setup,
            chance,
            agenda: Agenda::EMPTY,
            exchange: Exchange::default(),
            orders: Vec::new(),
            sites: Vec::new(),
            dirty: Dirty::default(),
            machines,
            controllers: Default::default(),
            stopped: BTreeMap::new(),
            gates: Default::default(),
            names: 0,
            disk: Disk::new(Chance::new(seed, 3), options.bug),
            old_store: OldStore::default(),
            agents: [agent(), agent()],
            databases: [Database::new(Place::East, true), Database::new(Place::West, false)],
            instances: [Instances { desired: 0, ready_at: 0 }; 2],
            powered: [true; 5],
            network: Network::default(),
            name: Name::default(),
            clients: Vec::new(),
            writes: Vec::with_capacity(1_024),
            entries: 0,
            streams: 0,
            laws: Laws::default(),
            faults,
            progress: Progress::default(),
            trickles: [0; 2],
            bug: options.bug,
            log: options.log.then(Vec::new),
            events: 0,
            at_once: 0,
            looked: None,
            quiet_since: None,
            unquiet_since: None,
            aborted: 0,
            failovers: 0,
            moves: 0,
            timeline,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.laws.reign = (1, Some(Place::East));
        self.laws.heir = Some(Place::East);
        if !self.setup.fresh {
            self.settle_down();
        }
        self.start_controller(Place::Control);
        self.start_controller(Place::Spare);
        for place in REGIONS {
            self.start_agent(place);
        }
        self.begin_clients();
        for standby in REGIONS {
            self.after(Duration::from_millis(5), Event::Reconnect { standby, again: true });
        }
        for (number, fault) in self.faults.clone().into_iter().enumerate() {
            if self.is_by_the_clock(fault.when) {
                self.after(fault.at, Event::Fault(number));
            }
        }
        self.next_turn(0, self.faults.first().map_or(Duration::ZERO, |f| f.at));
        self.after(Duration::from_millis(1_500), Event::Check);
    }

    /// Lets everything happen.
    pub(crate) fn run(mut self) -> Story {
        loop {
            self.run_processes();
            if self.laws.broken.is_some() || self.is_at_rest() {
                break;
            }
            let sleep = self.timeline.next();
            let event = self.agenda.next();
            let sleeps = sleep.is_some_and(|sleep| event.is_none_or(|event| sleep < event));
            let Some((at, _)) = (if sleeps { sleep } else { event }) else { break };
            self.events += 1;
            self.at_once = if at > self.timeline.now() { 0 } else { self.at_once + 1 };
            self.timeline.set(at);
            if self.at_once > AT_ONCE {
                self.broke(Law::RunsEnd, "time stands still: something goes round in a circle".to_owned());
            }
            if at > LONGEST {
                let what = self.unsettled();
                self.laws.broke(Law::RunsEnd, at, what);
                break;
            }
            if sleeps {
                if let Some(process) = self.timeline.wake() {
                    self.dirty.insert(process);
                }
            } else if let Some(event) = self.agenda.take() {
                self.happen(event);
            }
        }
        self.end()
    }

    fn run_processes(&mut self) {
        if self.dirty.is_empty() {
            return;
        }
        let mut orders = std::mem::take(&mut self.orders);
        while let Some(number) = self.dirty.first() {
            let site = &self.sites[number];
            if let (Some(process), false) = (&site.process, site.paused) {
                process.run();
            }
            if self.exchange.take(&mut orders) {
                orders.drain(..).for_each(|order| self.take_order(order));
            }
        }
        self.orders = orders;
        if !self.disk.has_news() {
            return;
        }
        if let Some(what) = self.disk.broken() {
            self.broke(Law::JournalStands, what);
        }
        for run in self.disk.ended() {
            self.run_ended(&run);
        }
    }

    fn take_order(&mut self, order: Order) {
        match order {
            Order::Post { from, to, letter } => self.post(from, to, letter),
            Order::Answer { from, to, answer } => self.send_back(from, to, answer),
            Order::Gate { place, until } => self.tell_gate(place, until),
            Order::Observe { target, reply } => self.observe(target, reply),
            Order::Apply { place, effect, context, reply } => self.apply(place, *effect, *context, reply),
            Order::Dial { from, region, reply } => self.dial(from, region, reply),
            Order::Believes { place, until } => self.believes(place, until),
            Order::Fence { place, task, key } => self.fence_ordered(place, task, key),
            Order::Promote { place, key } => self.promotion_ordered(place, &key),
            Order::Heard(what) => self.note(|| what),
        }
    }

    fn now(&self) -> Nanos {
        self.timeline.now()
    }

    /// Something happens after so much true time.
    fn after(&mut self, d: Duration, event: Event) {
        self.at(self.now() + nanos(d), event);
    }

    fn at(&mut self, at: Nanos, event: Event) {
        let number = self.timeline.count();
        self.agenda.add(at, number, event);
    }

    /// A time by chance, in milliseconds.
    fn some_ms(&mut self, low: u64, high: u64) -> Duration {
        self.chance.time(Duration::from_millis(low), Duration::from_millis(high))
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        let now = self.timeline.now();
        if let Some(log) = &mut self.log {
            log.push(format!("{:>12.6} {}", now as f64 / 1e9, what()));
        }
    }

    fn broke(&mut self, law: Law, what: String) {
        if self.rests_on_the_store(law) {
            return self.broke_unless(true, law, what);
        }
        self.note(|| format!("BROKEN {}: {what}", law.name()));
        let now = self.now();
        self.laws.broke(law, now, what);
    }

    /// A law that does not hold where the guarantee says so.
    fn broke_unless(&mut self, excused: bool, law: Law, what: String) {
        if excused {
            self.laws.excused += 1;
            self.note(|| format!("excused {}: {what}", law.name()));
        } else {
            self.broke(law, what);
        }
    }

    fn database(&mut self, place: Place) -> &mut Database {
        &mut self.databases[place.index() - 1]
    }

    fn agent(&mut self, place: Place) -> &mut AgentSite {
        &mut self.agents[place.index() - 1]
    }

    fn clock(&self, place: Place, process: usize) -> ProcessClock {
        ProcessClock { timeline: self.timeline, machine: self.machines[place.index()], process }
    }

    fn new_site(&mut self) -> usize {
        self.sites.push(Site { process: None, paused: false });
        self.sites.len() - 1
    }

    fn controller(&mut self, member: Place) -> &mut ControllerSite {
        &mut self.controllers[usize::from(member != Place::Control)]
    }

    /// Where the controller is that leads and is not stopped.
    fn leader(&self) -> Option<Place> {
        let leads = |site: &ControllerSite| {
            site.running.as_ref().is_some_and(|r| !self.sites[r.process].paused && r.front.leading().is_some())
        };
        MEMBERS.into_iter().zip(&self.controllers).find(|(_, site)| leads(site)).map(|(place, _)| place)
    }

    fn start_controller(&mut self, member: Place) {
        if self.controller(member).running.is_some() || member != Place::Control && !self.setup.several {
            return;
        }
        let number = self.new_site();
        let (cut, guard) = (self.controller(member).cut.clone(), self.controller(member).guard.clone());
        let started = controller::start(&controller::Start {
            plan: self.plan.clone(),
            place: member,
            exchange: &self.exchange,
            clock: self.clock(member, number),
            disk: &self.disk,
            guard: &guard,
            cut,
            bug: self.bug,
        });
        self.sites[number].process = Some(started.process);
        self.controller(member).running = Some(Running { process: number, front: started.front, inbox: Vec::new() });
        self.dirty.insert(number);
        self.note(|| format!("the controller of {} starts", member.name()));
    }

    fn start_agent(&mut self, place: Place) {
        if self.agent(place).process.is_some() || !self.powered[place.index()] {
            return;
        }
        let number = self.new_site();
        if self.bug == Some(Bug::GuardForgets) {
            self.agent(place).folder.guard = MemoryLog::default();
        }
        let site = self.agent(place);
        site.lives += 1;
        site.last = agent::LastHeard::default();
        let (life, folder, last) = (site.lives, site.folder.clone(), site.last.clone());
        let process = agent::start(agent::Start {
            plan: self.plan.clone(),
            exchange: &self.exchange,
            clock: self.clock(place, number),
            place,
            folder: &folder,
            bug: self.bug,
            life,
            last,
        });
        self.sites[number].process = Some(process);
        self.dirty.insert(number);
        let now = self.now();
        let site = self.agent(place);
        (site.process, site.runs_since) = (Some(number), now);
        self.note(|| format!("agent of {} starts, life {life}", place.name()));
    }
}
