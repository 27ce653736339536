//! PostgreSQL streaming replication: one server in one region, driven by that region's agent beside it.
//!
//! Border: this is the only place that knows LSNs, timelines, signal files and the programs of PostgreSQL. It acts on its
//! own server only; of the others it reads, and asks for a checkpoint before a rewind.
//!
//! Invariants:
//! - a fence answers only when no process of the data directory is left; it never asks the server to stop nicely, since
//!   a frozen replica can hold up a nice stop for ever;
//! - a running writer has `standby.signal` in its directory, so whoever starts it without Pilotlight gets it read-only;
//! - a fence overtakes and ends whatever else is being done to the server;
//! - `Down` means that no process of the directory is left: backends that outlive their postmaster go on acknowledging.

pub mod cluster;
mod compared;
mod configuration;
mod control;
mod directory;
mod durable;
mod elsewhere;
mod fence;
mod forecast;
mod gate;
mod held;
mod lag;
mod look;
mod lsn;
mod marker;
mod options;
mod preflight;
mod processes;
mod programs;
mod promote;
mod reads;
mod rebuild;
mod rejoin;
pub mod rescue;
mod rewind;
mod room;
mod sentinel;
mod session;
mod spaces;
mod start;
mod stop;
mod tls;
mod underway;
mod upstream;
mod waits;
mod way;
mod work;

pub use gate::{GateParts, PostgresGate};
pub use waits::Confirmed;

use async_trait::async_trait;
use directory::Directory;
use lag::Heard;
use lsn::Place;
use marker::Marker;
use pilotlight_core::effect::{Capability, Descriptor, Effect, FenceAssurance, Guard, Pace};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{Role, State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::plan::{PostgresPlan, PostgresServer};
use pilotlight_core::position::{Order, Position};
use pilotlight_core::rescue::{Answer, Question};
use pilotlight_driver::clock::Clock;
use pilotlight_driver::{Context, Driver};
use programs::Programs;
use reads::Reads;
use session::Session;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use waits::Marks;
use work::Desk;

/// How often [`Driver::watch`] looks whether the postmaster lives. One look reads three small files of /proc.
const WATCH_INTERVAL: Duration = Duration::from_millis(20);

const CAPABILITIES: [Capability; 5] =
    [Capability::Replicated, Capability::Fence, Capability::Sentinel, Capability::Confirmed, Capability::Rescue];

/// What every [`PostgresDriver`] says of itself; for callers that reach one through its agent.
pub fn descriptor() -> Descriptor {
    Descriptor {
        capabilities: BTreeSet::from(CAPABILITIES),
        guard: Guard::Enforced,
        fence_assurance: FenceAssurance::Proven,
        atomic_switch: false,
        told_to_follow: false,
        needs_agent: true,
        pace: Pace::Seconds,
    }
}

/// What a [`PostgresDriver`] is made of.
pub struct PostgresParts {
    /// The component's name in the plan.
    pub component: Component,
    /// The region whose server this is.
    pub region: Region,
    /// The component's section of the plan: this server and its peers.
    pub plan: PostgresPlan,
    /// Folder of the agent: fence markers, server log, WAL kept before a rewind.
    pub state_dir: PathBuf,
    /// The password behind [`PostgresPlan::password`].
    pub password: Option<String>,
    /// The passphrase behind `rescue.passphrase`: rescue bundles are encrypted with it.
    pub passphrase: Option<String>,
    /// How its writes are confirmed.
    pub confirmed: Confirmed,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// The server of one region.
pub struct PostgresDriver {
    component: Component,
    region: Region,
    plan: PostgresPlan,
    own: PostgresServer,
    state_dir: PathBuf,
    password: Option<String>,
    passphrase: Option<String>,
    memory: rescue::Memory,
    confirmed: Confirmed,
    /// Where the writer's end was when.
    marks: Mutex<Marks>,
    clock: Arc<dyn Clock>,
    programs: Programs,
    /// For looks.
    look: Session,
    /// For what changes something.
    write: Session,
    /// What the upstream last said of its end and its clock.
    heard: Mutex<Heard>,
    /// Which system its directory is noted to hold.
    noted: held::Noted,
    /// Of which server it is kept how it was started.
    kept: options::Kept,
    desk: Desk,
    room: room::Seen,
    reads: Reads,
}

/// The plan names no server for the region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plan has no PostgreSQL server of component {component} in region {region}")]
pub struct NoSuchServer {
    component: Component,
    region: Region,
}

impl PostgresDriver {
    /// A driver that has not touched anything yet.
    pub fn new(parts: PostgresParts) -> Result<Self, NoSuchServer> {
        let PostgresParts { component, region, plan, state_dir, password, passphrase, confirmed, clock } = parts;
        let Some(own) = plan.regions.get(&region).cloned() else { return Err(NoSuchServer { component, region }) };
        let programs =
            Programs { bin_dir: own.bin_dir.clone(), run_as: own.run_as.clone(), password: password.clone() };
        let host = beside(&own);
        let config = upstream::config(&plan, &host, own.port, password.as_deref());
        let (look, write) = (Session::new(config.clone()), Session::new(config));
        let (heard, desk) = (Mutex::default(), Desk::new(clock.clone()));
        let memory = rescue::Memory::default();
        let marks = Mutex::default();
        Ok(Self {
            component,
            region,
            plan,
            own,
            state_dir,
            password,
            passphrase,
            memory,
            confirmed,
            marks,
            clock,
            programs,
            look,
            write,
            heard,
            noted: held::Noted::default(),
            kept: options::Kept::default(),
            desk,
            room: room::Seen::default(),
            reads: Reads::default(),
        })
    }

    /// The data directory as it is now: it may have been replaced since the last call.
    fn directory(&self) -> Directory {
        Directory::new(&self.own.data_dir, self.programs.owner())
    }

    fn marker(&self) -> Option<Marker> {
        Marker::read(&self.state_dir, &self.component)
    }
}

/// The server's address from beside it: there the loopback is the surest way, unless the server does not listen there. A disk
/// that hangs does not say, and is not waited for.
pub fn beside(server: &PostgresServer) -> String {
    let path = server.data_dir.clone();
    let pid_file = reads::patiently(move || Directory::new(&path, None).pid_file()).flatten();
    match pid_file.map(|file| file.listen) {
        Some(listen) if ["*", "0.0.0.0", "::", "localhost", "127.0.0.1"].contains(&listen.as_str()) => {
            "127.0.0.1".to_owned()
        }
        _ => server.host.clone(),
    }
}

#[async_trait]
impl Driver for PostgresDriver {
    fn describe(&self) -> Descriptor {
        descriptor()
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        self.is_mine(&target.component, target.region.as_ref())?;
        let state = self.look_at_it().await;
        let answers = matches!(state.role, Some(Role::Writer | Role::Standby { .. }));
        Ok(State { findings: self.of_room(answers).await, ..state })
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        if let Some(component) = effect.component() {
            self.is_mine(component, effect.region())?;
        }
        self.disk_answers().await?;
        self.findings(effect).await
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        let unsupported = || Failure::unsupported(format!("a PostgreSQL server cannot do {effect:?}"));
        if !effect.capability().is_some_and(|c| CAPABILITIES.contains(&c)) {
            return Err(unsupported());
        }
        if let Some(component) = effect.component() {
            self.is_mine(component, effect.region())?;
        }
        match effect {
            // Both stay off the desk: a fence may not wait for anything, and a sentinel may not hold up anything.
            Effect::Fence { .. } => self.fence(context).await,
            Effect::WriteSentinel { sentinel, .. } => self.write_sentinel(*sentinel, context).await,
            Effect::KeepRescue { .. } => self.keep_slot(context).await,
            _ => {
                self.disk_answers().await?;
                let work = self.desk.take(context).await?;
                match effect {
                    Effect::Checkpoint { .. } => self.checkpoint(&work).await,
                    Effect::StopWrites { .. } => self.stop_writes(context, &work).await,
                    Effect::ResumeWrites { .. } => self.resume_writes(&work).await,
                    Effect::AwaitPosition { position, .. } => self.await_position(position, &work).await,
                    Effect::Promote { .. } => self.promote(context, &work).await,
                    Effect::Rejoin { upstream, .. } => self.rejoin(upstream, context, &work).await,
                    Effect::WaitFor { waits, .. } => self.wait_for(waits, &work).await,
                    Effect::CaptureRescue { upstream, waived_by, .. } => {
                        self.capture_rescue(upstream, waived_by.as_deref(), &work).await
                    }
                    Effect::ClassifyRescue { upstream, bundle, .. } => {
                        self.classify_rescue(upstream, bundle, &work).await
                    }
                    Effect::ApplyRescue { upstream, bundle, by, .. } => {
                        self.apply_rescue(upstream, bundle, by, &work).await
                    }
                    _ => Err(unsupported()),
                }
            }
        }
    }

    async fn rescue(&self, target: &Target, question: &Question) -> Result<Answer, Failure> {
        self.is_mine(&target.component, target.region.as_ref())?;
        self.tell_rescue(question).await
    }

    async fn watch(&self, _: &Target) {
        let now = async || self.directory_and_server().await.1.map(|proc| proc.pid);
        let first = now().await;
        while now().await == first {
            self.clock.sleep(WATCH_INTERVAL).await;
        }
    }

    async fn compare(&self, _: &Target, first: &Position, second: &Position) -> Result<Order, Failure> {
        let (Some(first), Some(second)) = (Place::read(first), Place::read(second)) else { return Ok(Order::Unknown) };
        let (path, owner) = (self.own.data_dir.clone(), self.programs.owner());
        let order = move || {
            let directory = Directory::new(&path, owner);
            lsn::order(&first, &second, |timeline| directory.history(timeline))
        };
        Ok(self.reads.read(order).await)
    }
}

impl PostgresDriver {
    fn is_mine(&self, component: &Component, region: Option<&Region>) -> Result<(), Failure> {
        if component == &self.component && region.is_none_or(|r| r == &self.region) {
            return Ok(());
        }
        let region = region.map_or("no region", Region::as_str);
        let (own, here) = (&self.component, &self.region);
        Err(Failure::rejected(format!("this is {own} in {here}, not {component} in {region}")))
    }
}
