//! What runs inside a region, beside its databases and processes: it looks, carries out what the controller asks for,
//! keeps the lease, opens the gates of its writer with it, and silences a writer that has none when the lease is over.
//!
//! Border: the agent knows no technology. It is given one driver (a router over the region's guarded drivers), the plan
//! and a way to the controller; what to do by itself is decided by [`pilotlight_core::local`].
//!
//! The tasks, all spawned in [`run`] and nowhere else:
//!
//! | task | what it does | blocks on |
//! |---|---|---|
//! | `heartbeat` | presence, looks and lease renewal; never waits for a look | controller |
//! | `look` (one per target) | observes by timer, by signal and after each effect | driver |
//! | `outlook` (one per copy elsewhere) | dials its port by timer | network |
//! | `checkup` (one per health check) | asks its probe by timer | network |
//! | `upkeep` (one per target) | the agent's own decision on its copy | driver |
//! | `work` | asks for tasks, runs them, reports | controller, driver |
//! | `candidate` (one per unit) | what the writer waits for, and whom the store may promote | driver |
//! | `rescue` (one per database with rows to rescue) | keeps the writer ready to tell lost rows | driver |
//! | `sentinel` (one per database) | writes sentinels while the copy here is the writer | driver |
//! | `lease guard` (one per copy) | its own thread and runtime: closes the gates, or fences, when the lease is over | its own fence |
//! | `lease file` | notes the lease, so that a restarted agent knows what is left of it | disk |
//! | `heard` | notes what is new in an answer before it is obeyed | disk |
//!
//! Invariant: no effect that makes a writer is applied without a valid lease ([`hands`]).
//! Invariant: nothing between the end of a lease and the kill waits for the network, a look, another effect or the fence of
//! another copy.
//! An orderly end of the agent leaves databases and processes as they are: the next agent adopts them.

mod candidate;
mod gates;
mod hands;
mod heard;
mod heartbeat;
mod lease;
mod link;
mod look;
mod observe;
mod outlook;
mod picture;
mod ready;
mod rescue;
mod sentinel;
mod upkeep;
mod work;

pub use heard::Heard;
pub use lease::{FileNotes, GuardRuns, Notes};
pub use link::{HttpWay, Way, WayError};
pub use observe::{ObserverParts, observe};

use gates::Gates;
use hands::Hands;
use heard::Hearing;
use lease::Leases;
use outlook::{Outlook, wakes};
use picture::Picture;
use pilotlight_core::effect::Descriptor;
use pilotlight_core::id::{Component, Region};
use pilotlight_core::plan::{Accord, ComponentPlan, Plan};
use pilotlight_core::shared::Shared;
use pilotlight_core::verdict::Witness;
use pilotlight_driver::Driver;
use pilotlight_driver::checkup::Checkup;
use pilotlight_driver::clock::Clock;
use pilotlight_driver::gate::Gate;
use pilotlight_driver::guard::Ledger;
use pilotlight_driver::port::PortLook;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What an agent is made of.
pub struct AgentParts {
    /// The region it stands for.
    pub region: Region,
    /// The plan.
    pub plan: Arc<Plan>,
    /// Does and sees everything in the region; refuses old epochs and knows keys.
    pub driver: Arc<dyn Driver>,
    /// The memory of the guard around `driver`.
    pub ledger: Arc<Ledger>,
    /// What each component of the region can do.
    pub descriptors: BTreeMap<Component, Descriptor>,
    /// What lets writes of each component be acknowledged, all to be opened together.
    pub gates: BTreeMap<Component, Vec<Arc<dyn Gate>>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Dials the ports of the other regions.
    pub port_look: Arc<dyn PortLook>,
    /// The way to the controller; [`HttpWay`] outside of simulations.
    pub way: Arc<dyn Way>,
    /// What outlives this process of its leases and of what it heard; [`FileNotes`] outside of simulations.
    pub notes: Arc<dyn Notes>,
    /// Names this process; see [`fresh_instance`].
    pub instance: String,
    /// Where it runs; see [`place`].
    pub place: String,
    /// Where the lease guards run.
    pub guard: GuardRuns,
    /// Ends the agent.
    pub shutdown: CancellationToken,
}

/// Why an agent ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The thread of a lease guard could not be started.
    #[error("cannot start the lease guards")]
    Guard(#[source] std::io::Error),
    /// A task that must run for ever has ended. The agent must not go on without it.
    #[error("the agent's task `{0}` has ended")]
    TaskEnded(String),
}

/// What every task shares.
pub(crate) struct Agent {
    pub(crate) region: Region,
    pub(crate) instance: String,
    pub(crate) place: String,
    pub(crate) plan: Arc<Plan>,
    pub(crate) accord: Shared<Accord>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) picture: Arc<Picture>,
    pub(crate) hearing: Hearing,
    pub(crate) outlook: Arc<Outlook>,
    pub(crate) checkup: Arc<Checkup>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) gates: Gates,
    pub(crate) hands: Arc<Hands>,
    pub(crate) way: Arc<dyn Way>,
    pub(crate) shutdown: CancellationToken,
}

/// Runs until `shutdown` fires (`Ok`) or a task that must not end has ended.
pub async fn run(parts: AgentParts) -> Result<(), AgentError> {
    let (notes, guard) = (parts.notes.clone(), parts.guard);
    let agent = Arc::new(assemble(parts, notes.as_ref()));
    tracing::info!(region = %agent.region, instance = %agent.instance, "the agent has started");

    let mut tasks: JoinSet<String> = JoinSet::new();
    for (copy, ended) in lease::spawn_guards(&agent, guard).map_err(AgentError::Guard)? {
        tasks.spawn(async move {
            let _ = ended.await;
            format!("lease guard of {}", copy.component)
        });
    }
    for target in agent.picture.targets() {
        let (looker, keeper) = (agent.clone(), agent.clone());
        let (seen, kept) = (target.clone(), target.clone());
        tasks.spawn(async move {
            look::run(&looker, &seen).await;
            format!("look at {}", seen.component)
        });
        tasks.spawn(async move {
            tokio::join!(upkeep::run(&keeper, &kept), ready::check(&keeper, &kept));
            format!("upkeep of {}", kept.component)
        });
        if agent.plan.components.get(&target.component).is_some_and(ComponentPlan::keeps_rows) {
            let (keeper, kept) = (agent.clone(), target.clone());
            tasks.spawn(async move {
                rescue::run(&keeper, &kept).await;
                format!("rescue of {}", kept.component)
            });
        }
        if let Some(every) = agent.plan.components.get(&target.component).and_then(ComponentPlan::sentinel) {
            let writer = agent.clone();
            tasks.spawn(async move {
                sentinel::run(&writer, &target, every).await;
                format!("sentinels of {}", target.component)
            });
        }
    }
    for unit in agent.picture.units() {
        let keeper = agent.clone();
        tasks.spawn(async move {
            candidate::run(&keeper, &unit).await;
            format!("candidate of {unit}")
        });
    }
    let (beats, works, saves, hears) = (agent.clone(), agent.clone(), agent.clone(), agent.clone());
    let heard_notes = notes.clone();
    let looks = agent.outlook.clone().run(wakes(&agent.picture.beat), agent.shutdown.clone());
    tasks.spawn(async move {
        looks.await;
        "looks at other places".to_owned()
    });
    let checks = agent.checkup.clone().run(wakes(&agent.picture.beat), agent.shutdown.clone());
    tasks.spawn(async move {
        checks.await;
        "health checks".to_owned()
    });
    tasks.spawn(async move {
        heartbeat::run(&beats).await;
        "heartbeat".to_owned()
    });
    tasks.spawn(async move {
        work::run(&works).await;
        "work".to_owned()
    });
    tasks.spawn(async move {
        heard::keep(&hears, heard_notes.as_ref()).await;
        "notes of what was heard".to_owned()
    });
    tasks.spawn(async move {
        lease::save(&saves, notes.as_ref()).await;
        "lease file".to_owned()
    });
    supervise(&agent, tasks).await
}

async fn supervise(agent: &Agent, mut tasks: JoinSet<String>) -> Result<(), AgentError> {
    let first = tokio::select! {
        biased;
        () = agent.shutdown.cancelled() => None,
        ended = tasks.join_next() => ended,
    };
    let ended_early = first.filter(|_| !agent.shutdown.is_cancelled());
    agent.shutdown.cancel();
    while tasks.join_next().await.is_some() {}
    tracing::info!(region = %agent.region, "the agent has ended");
    match ended_early {
        None => Ok(()),
        Some(Ok(name)) => Err(AgentError::TaskEnded(name)),
        Some(Err(panic)) => Err(AgentError::TaskEnded(panic.to_string())),
    }
}

/// Names the machine, its boot and the agent's folder on it: an agent that is restarted there says the same, and no other does.
pub fn place(state_dir: &std::path::Path) -> String {
    let told = |name| lease::told_by_kernel(name).unwrap_or_default();
    let (host, boot) = (told("hostname"), told("random/boot_id"));
    let folder = state_dir.canonicalize().unwrap_or_else(|_| state_dir.to_owned());
    format!("{} of {host}, boot {boot}", folder.display())
}

/// A name for one agent process that no other has.
pub fn fresh_instance() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

fn assemble(parts: AgentParts, notes: &dyn Notes) -> Agent {
    let picture = Arc::new(Picture::new(&parts.plan, &parts.region, &parts.descriptors));
    let me = Witness::Agent(parts.region.clone());
    let checkup = Checkup::new(&parts.plan, &me, parts.clock.clone(), parts.port_look.clone());
    let outlook = Outlook::new(&parts.plan, Some(&parts.region), parts.clock.clone(), parts.port_look.clone());
    let leases = Arc::new(Leases::new(parts.clock.clone(), notes.load()));
    let hands = Arc::new(Hands::new(&parts, picture.clone(), leases.clone()));
    let gates = Gates::new(&parts.plan, parts.gates, &parts.descriptors);
    let hearing = Hearing::new(notes.heard(), &parts.plan);
    parts.way.has_heard(hearing.heard().term);
    Agent {
        region: parts.region,
        instance: parts.instance,
        place: parts.place,
        accord: Accord::of(&parts.plan).into(),
        plan: parts.plan,
        clock: parts.clock,
        driver: parts.driver,
        picture,
        hearing,
        outlook: Arc::new(outlook),
        checkup,
        leases,
        gates,
        hands,
        way: parts.way,
        shutdown: parts.shutdown,
    }
}
