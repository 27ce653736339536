//! Two regions in a fake world, their agents and a controller, each on a runtime of its own so that it can be killed.

use super::damage::Damage;
use super::ports::FakePorts;
use super::process::Process;
use super::wait::until;
use crate::api::view::{ErrorBody, MoveReply, MoveRequest, RunsView, StatusView};
use crate::{Assemble, ControllerParts, Door, Hub, Listen, RemoteAgent, ServeError, ServerParts, Standing, serve};
use pilotlight_agent::{
    AgentParts, FileNotes, GuardRuns, HttpWay, ObserverParts, fresh_instance, observe, run as run_agent,
};
use pilotlight_core::effect::{Capability, Descriptor, FenceAssurance, Guard, Pace};
use pilotlight_core::id::{Component, Region, RunId};
use pilotlight_core::observation::Role;
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::{Guarantee, OnWriterDeath, Plan, RejoinMode, SAMPLE};
use pilotlight_core::run::{Condition, RunResult, RunView};
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_driver::fake::{FakeDriver, Violation, World};
use pilotlight_driver::gate::Gate;
use pilotlight_driver::guard::{Guarded, Ledger, OpenError};
use pilotlight_engine::granter::Granter;
use pilotlight_engine::journal::Journal;
use pilotlight_engine::lead::Lead;
use pilotlight_engine::router::Router;
use pilotlight_engine::store::Store;
use pilotlight_engine::{Engine, EngineParts};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(super) const LEASE: Duration = Duration::from_millis(1_000);
pub(super) const TOKEN: &str = "the-token";
pub(super) const AGENT_TOKEN: &str = "the-agents-token";

pub(super) struct Lab {
    pub(super) world: World,
    pub(super) plan: Plan,
    pub(super) client: reqwest::Client,
    pub(super) address: SocketAddr,
    /// What agents dial.
    pub(super) controllers: Vec<String>,
    /// Set: what ended failovers wrote cannot be read.
    pub(super) damaged: Damage,
    pub(super) given: Given,
    /// What stands beside every agent's database that is started from now on.
    pub(super) gates: Vec<Arc<dyn Gate>>,
    folder: TempDir,
    controller: Option<Process>,
    agents: BTreeMap<String, Process>,
}

/// What a controller is given beside its plan.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) orders: crate::Orders,
    /// What its driver says that a fence of the database is worth.
    pub(super) fence: FenceAssurance,
    /// Writes of the database end with the lease by themselves: its writer goes on without one.
    pub(super) confirms: bool,
    pub(super) tokens: crate::Tokens,
    pub(super) bounds: crate::Bounds,
}

impl Default for Given {
    fn default() -> Self {
        let (orders, fence, tokens) = (crate::Orders::default(), FenceAssurance::Proven, super::door::tokens());
        Self { orders, fence, confirms: false, tokens, bounds: crate::Bounds::default() }
    }
}

impl Lab {
    /// A world in order, its plan and nothing running yet.
    pub(super) fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let world = World::new()
            .with_database("database", &["east", "west"])
            .with_process("payments", &[("east", 2), ("west", 1)])
            .with_traffic("name", "east");
        world.remember_keys(false);
        let mut plan = Plan::read(SAMPLE, "sample.yaml").unwrap();
        plan.policy.lease = LEASE;
        plan.policy.renew = Duration::from_millis(150);
        plan.policy.rejoin = RejoinMode::Automatic;
        plan.policy.on_writer_death = OnWriterDeath::Failover;
        plan.policy.guarantee = Guarantee::Bounded;
        // The fake loses what it has not sent; the tests of hurdles stand in core.
        plan.policy.max_lag_bytes = None;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (client, folder) = (reqwest::Client::new(), tempfile::tempdir().unwrap());
        plan.controller.members[0].url = format!("http://{address}");
        plan.controller.members[0].state = folder.path().join("controller");
        let controllers = vec![format!("http://{address}")];
        Self {
            world,
            plan,
            client,
            address,
            controllers,
            damaged: Damage::default(),
            given: Given::default(),
            gates: Vec::new(),
            folder,
            controller: None,
            agents: BTreeMap::new(),
        }
    }

    /// Everything runs and is well.
    pub(super) async fn up(configure: impl FnOnce(&mut Plan)) -> Self {
        let mut lab = Self::new();
        configure(&mut lab.plan);
        lab.start_controller();
        lab.start_agent("east");
        lab.start_agent("west");
        let waits = lab.plan.policy.guarantee != Guarantee::BestEffort;
        let opposed = |s: &StatusView| !waits || s.units[0].candidate.is_some();
        lab.until("all is well", |s| s.is_well("east") && s.knows_exposure() && opposed(s)).await;
        lab
    }

    pub(super) fn start_controller(&mut self) {
        let (world, plan, address) = (self.world.clone(), self.plan.clone(), self.address);
        let folder = self.folder.path().join("controller");
        let (damaged, given) = (self.damaged.clone(), self.given.clone());
        self.controller = Some(Process::start(|shutdown| async move {
            // The kernel lets go of a killed controller's lock and port a moment later.
            let parts = until("the controller can start", async || {
                let listener = TcpListener::bind(address).map_err(|e| e.to_string())?;
                alone(&world, &plan, &folder, (&damaged, &given), Listen::On(listener), shutdown.clone())
            });
            serve(parts.await).await.unwrap();
        }));
    }

    pub(super) fn kill_controller(&mut self) {
        self.controller = None;
    }

    /// Somebody removes the database of the controller, which does not run.
    pub(super) fn forget_the_store(&self) {
        for entry in std::fs::read_dir(self.folder.path().join("controller")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pilotlight.db")) {
                // The one that was killed may still be letting go of its log.
                let removed = std::fs::remove_file(path);
                assert!(
                    removed.as_ref().map_or_else(|e| e.kind() == std::io::ErrorKind::NotFound, |()| true),
                    "{removed:?}"
                );
            }
        }
    }

    pub(super) fn start_agent(&mut self, region: &str) {
        self.start_agent_of(region, AGENT_TOKEN);
    }

    pub(super) fn start_agent_of(&mut self, region: &str, token: &str) {
        let (folder, world) = (self.folder.path().join(region), self.world.clone());
        let (plan, client, region_id) = (Arc::new(self.plan.clone()), self.client_of_agents(), Region::from(region));
        let (controllers, token, confirms) = (self.controllers.clone(), token.to_owned(), self.given.confirms);
        let gates = BTreeMap::from([(Component::from("database"), self.gates.clone())]);
        let process = Process::start(|shutdown| async move {
            let opened = || std::future::ready(local(&world, &plan, &region_id, &folder).map_err(|e| e.to_string()));
            let (ledger, router) = until("the agent can start", opened).await;
            let parts = AgentParts {
                gates,
                region: region_id,
                descriptors: descriptors(&plan, confirms),
                plan,
                driver: Arc::new(router),
                ledger,
                clock: Arc::new(SystemClock),
                port_look: Arc::new(FakePorts(world)),
                way: Arc::new(HttpWay::new(client, &controllers, token)),
                notes: Arc::new(FileNotes::open(&folder).unwrap()),
                instance: fresh_instance(),
                place: String::new(),
                guard: GuardRuns::OnItsThread,
                shutdown,
            };
            run_agent(parts).await.unwrap();
        });
        self.agents.insert(region.to_owned(), process);
    }

    pub(super) fn start_observer(&mut self, name: &str) {
        let (world, plan, client) = (self.world.clone(), Arc::new(self.plan.clone()), self.client_of_agents());
        let observer = name.into();
        let process = Process::start(|shutdown| async move {
            let clock = Arc::new(SystemClock);
            let (port_look, token) = (Arc::new(FakePorts(world)), TOKEN.to_owned());
            observe(ObserverParts { observer, plan, clock, port_look, client, token, shutdown }).await.unwrap();
        });
        self.agents.insert(format!("observer {name}"), process);
    }

    pub(super) fn kill_observer(&mut self, name: &str) {
        self.agents.remove(&format!("observer {name}"));
    }

    pub(super) fn kill_agent(&mut self, region: &str) {
        self.agents.remove(region);
    }

    /// A client whose connections live on the runtime of whoever uses it first, so agents get their own.
    fn client_of_agents(&self) -> reqwest::Client {
        reqwest::Client::new()
    }

    /// The whole region: agent and world.
    pub(super) fn lose(&mut self, region: &str) {
        self.kill_agent(region);
        self.world.lose(region);
    }

    pub(super) async fn ask<A: DeserializeOwned>(&self, path: &str) -> Result<A, String> {
        self.ask_at(self.address, path).await
    }

    pub(super) async fn ask_at<A: DeserializeOwned>(&self, address: SocketAddr, path: &str) -> Result<A, String> {
        let url = format!("http://{address}{path}");
        let response = self.client.get(url).bearer_auth(TOKEN).send().await.map_err(|e| e.to_string())?;
        read(response).await.map_err(|(status, body)| format!("{status}: {body:?}"))
    }

    pub(super) async fn refused_at(&self, address: SocketAddr, path: &str) -> (u16, ErrorBody) {
        let url = format!("http://{address}{path}");
        let response = self.client.get(url).bearer_auth(TOKEN).send().await.unwrap();
        read::<serde_json::Value>(response).await.unwrap_err()
    }

    pub(super) async fn send<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<A, (u16, ErrorBody)> {
        self.send_at(self.address, path, body).await
    }

    pub(super) async fn send_at<A: DeserializeOwned>(
        &self,
        address: SocketAddr,
        path: &str,
        body: &impl Serialize,
    ) -> Result<A, (u16, ErrorBody)> {
        let url = format!("http://{address}{path}");
        read(self.client.post(url).bearer_auth(TOKEN).json(body).send().await.unwrap()).await
    }

    pub(super) async fn status(&self) -> Result<StatusView, String> {
        self.ask("/v1/status").await
    }

    pub(super) async fn runs(&self) -> Vec<(Verb, Condition)> {
        let view: RunsView = self.ask("/v1/runs").await.unwrap();
        view.runs.into_iter().rev().map(|r| (r.verb, r.condition)).collect()
    }

    /// Waits until the status is so; panics with the last one.
    pub(super) async fn until(&self, what: &str, so: impl Fn(&StatusView) -> bool) -> StatusView {
        until(what, async || {
            let status = self.status().await?;
            if so(&status) { Ok(status) } else { Err(format!("{status:#?}")) }
        })
        .await
    }

    /// Waits until so many runs have ended, all well; returns their verbs.
    pub(super) async fn until_ended(&self, number: usize) -> Vec<Verb> {
        until("the runs end", async || {
            let runs = self.runs().await;
            // A lost region warns: what was to be done there could not be done.
            let well = [RunResult::Done, RunResult::DoneWithWarnings].map(|result| Condition::Ended { result });
            let ended: Vec<Verb> = runs.iter().filter(|(_, c)| well.contains(c)).map(|(v, _)| *v).collect();
            if ended.len() == number && runs.len() == number {
                return Ok(ended);
            }
            let decided = self.status().await.map(|status| status.units[0].decision.clone());
            Err(format!("{runs:#?}, {decided:?}"))
        })
        .await
    }

    /// Waits until the first run has ended, whatever follows it.
    pub(super) async fn until_ended_first(&self) -> Verb {
        until("the first run ends", async || match self.runs().await.first() {
            Some((verb, Condition::Ended { .. })) => Ok(*verb),
            other => Err(format!("{other:?}")),
        })
        .await
    }

    /// As when the lease of the writer is over.
    pub(super) async fn until_nobody_writes(&self) {
        until("nobody writes", async || match self.world.writers("database").as_slice() {
            [] => Ok(()),
            writers => Err(format!("{writers:?}")),
        })
        .await;
    }

    pub(super) async fn until_role(&self, region: &str, so: impl Fn(&Role) -> bool) {
        until("the copy is so", async || {
            let role = self.world.copy("database", region).unwrap().role;
            if so(&role) { Ok(()) } else { Err(format!("the copy in {region} is {role:?}")) }
        })
        .await;
    }

    pub(super) async fn run(&self, run: &RunId) -> RunView {
        self.ask(&format!("/v1/runs/{run}")).await.unwrap()
    }

    pub(super) async fn start_move(
        &self,
        verb: Verb,
        target: Option<&str>,
        dry_run: bool,
    ) -> Result<MoveReply, (u16, ErrorBody)> {
        let request = asked(verb, target, dry_run);
        self.send("/v1/moves", &request).await
    }

    /// A failover to west by somebody who says that the writer in a region is off.
    pub(super) async fn start_failover_past(&self, region: &str) -> Result<MoveReply, (u16, ErrorBody)> {
        let off = Some(region.into());
        let request = MoveRequest { writer_is_off: off, ..asked(Verb::Failover, Some("west"), true) };
        self.send("/v1/moves", &request).await
    }

    /// The fake knows one newest epoch for the whole world; an agent hears of a run that does nothing in its own region at
    /// its next heartbeat only, and what it does there by itself meanwhile is no old order.
    pub(super) fn no_rule_was_broken(&self) {
        let own =
            |v: &Violation| matches!(v, Violation::StaleEpochApplied { key, .. } if key.as_str().starts_with("local-"));
        let broken: Vec<Violation> = self.world.violations().into_iter().filter(|v| !own(v)).collect();
        assert_eq!(broken, vec![]);
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

async fn read<A: DeserializeOwned>(response: reqwest::Response) -> Result<A, (u16, ErrorBody)> {
    let status = response.status();
    let text = response.text().await.unwrap();
    if status.is_success() {
        let text = if text.is_empty() { "null" } else { &text };
        return Ok(serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}")));
    }
    Err((status.as_u16(), serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))))
}

fn descriptors(plan: &Plan, confirms: bool) -> BTreeMap<Component, Descriptor> {
    use Capability::{Confirmed, Fence, Replicated, Rescue, Sentinel};
    let of = |capabilities: &[Capability]| Descriptor {
        capabilities: capabilities.iter().copied().collect(),
        guard: Guard::Enforced,
        fence_assurance: FenceAssurance::Proven,
        atomic_switch: false,
        told_to_follow: false,
        needs_agent: true,
        pace: Pace::Seconds,
    };
    let describe = |name: &Component| match name.as_str() {
        "database" if confirms => of(&[Replicated, Fence, Sentinel, Rescue, Confirmed]),
        "database" => of(&[Replicated, Fence, Sentinel, Rescue]),
        "payments" => of(&[Capability::Capacity]),
        "name" => Descriptor { needs_agent: false, ..of(&[Capability::Traffic]) },
        "people" => Descriptor { needs_agent: false, ..of(&[Capability::Message]) },
        _ => of(&[Capability::Command, Capability::Probe]),
    };
    plan.components.keys().map(|name| (name.clone(), describe(name))).collect()
}

/// What an agent drives: the fake behind the real guard.
fn local(world: &World, plan: &Plan, region: &Region, folder: &Path) -> Result<(Arc<Ledger>, Router), OpenError> {
    let ledger = Arc::new(Ledger::open(&folder.join("guard"))?);
    let guarded = || Arc::new(Guarded::with(FakeDriver::unguarded(world), ledger.clone()));
    let mut router = Router::new().region(region, guarded());
    for name in plan.components.keys() {
        router = router.component(name, Some(region), guarded());
    }
    Ok((ledger, router))
}

/// The only controller, on SQLite.
fn alone(
    world: &World,
    plan: &Plan,
    folder: &Path,
    (damaged, given): (&Damage, &Given),
    listen: Listen,
    shutdown: CancellationToken,
) -> Result<ControllerParts, String> {
    let (journal, store) = pilotlight_engine::sqlite::open(folder).map_err(|e| e.to_string())?;
    let ledger = Arc::new(Ledger::open(&folder.join("guard")).map_err(|e| e.to_string())?);
    let shelf =
        Shelf { journal: Arc::new(damaged.over(journal)), store: Arc::new(store), ledger, given: given.clone() };
    let (name, url) = ("controller".to_owned(), String::new());
    let (lease, hold) = (plan.leader_lease(), plan.hold_file(&plan.controller.members[0]));
    let standing = Standing { name, url, store: None, lease, hold };
    Ok(ControllerParts {
        plan: Arc::new(plan.clone()),
        clock: Arc::new(SystemClock),
        door: Door { listen, tls: None, tokens: given.tokens.clone(), bounds: given.bounds },
        standing,
        assemble: assemble(world.clone(), plan.clone(), folder.to_owned(), shelf),
        shutdown,
    })
}

/// What a controller keeps, whoever shares it.
#[derive(Clone)]
pub(super) struct Shelf {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) store: Arc<dyn Store>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) given: Given,
}

pub(super) fn assemble(world: World, plan: Plan, folder: PathBuf, shelf: Shelf) -> Assemble {
    Box::new(move |lead| {
        let (world, plan, folder, shelf) = (world.clone(), plan.clone(), folder.clone(), shelf.clone());
        Box::pin(async move { parts(&world, &plan, &folder, shelf, lead).await })
    })
}

async fn parts(world: &World, plan: &Plan, folder: &Path, shelf: Shelf, lead: Lead) -> Result<ServerParts, ServeError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let hub = Hub::new(clock.clone(), &plan.regions, plan.policy.renew, plan.policy.lease);
    let mut descriptors = descriptors(plan, shelf.given.confirms);
    if let Some(database) = descriptors.get_mut(&Component::from("database")) {
        database.fence_assurance = shelf.given.fence;
    }
    let own = Arc::new(Guarded::with(FakeDriver::unguarded(world), shelf.ledger));
    let mut router = Router::new().here(own.clone());
    for region in &plan.regions {
        let remote = |d: &Descriptor| Arc::new(RemoteAgent::new(hub.clone(), region.clone(), d.clone()));
        for (name, descriptor) in descriptors.iter().filter(|(_, d)| d.needs_agent) {
            router = router.component(name, Some(region), remote(descriptor));
        }
        router = router.region(region, remote(&descriptors[&Component::from("warm-cache")]));
    }
    for (name, _) in descriptors.iter().filter(|(_, d)| !d.needs_agent) {
        router = router.component(name, None, own.clone());
    }
    let engine = EngineParts {
        store: shelf.store,
        journal: shelf.journal,
        driver: Arc::new(router),
        clock: clock.clone(),
        granter: Arc::new(Granter::new(clock, plan.policy.lease)),
        name: "controller".to_owned(),
        lead: lead.clone(),
    };
    Ok(ServerParts {
        engine: Engine::open(engine).await?,
        descriptors,
        hub,
        port_look: Arc::new(FakePorts(world.clone())),
        reports: Some(reports(folder)),
        recording: Some(crate::RecordingTo { folder: folder.join("observations"), plan_text: SAMPLE.to_owned() }),
        orders: shelf.given.orders,
        lead,
    })
}

pub(super) fn reports(folder: &Path) -> PathBuf {
    folder.join("reports")
}

/// A controller that cannot start on a port that is taken.
pub(super) async fn serve_on_taken_port(lab: &Lab) -> ServeError {
    let folder = lab.folder().join("second");
    let listen = Listen::At(lab.address);
    let parts =
        alone(&lab.world, &lab.plan, &folder, (&lab.damaged, &lab.given), listen, CancellationToken::new()).unwrap();
    serve(parts).await.unwrap_err()
}

/// What a person asks for.
fn asked(verb: Verb, target: Option<&str>, dry_run: bool) -> MoveRequest {
    MoveRequest { target: target.map(Region::from), dry_run, why: "a test".to_owned(), ..MoveRequest::new(verb, "ada") }
}
