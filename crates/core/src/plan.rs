//! The plan: one YAML document that describes the application, checked.
//!
//! [`Plan::read`] is the only way to get a [`Plan`]; it collects every fault of the document before it answers, each
//! with its place. What the keys mean for users stands in docs/plan.md, which is made from the tables in this folder.
//!
//! The way of a text: `document` makes a tree with places, `reader` holds it against the tables (`shape`), the sections
//! build the types below and check their own settings, `contradiction` checks what spans sections.

mod accord;
mod address;
mod alarms;
pub mod aws;
mod components;
mod contradiction;
mod controller;
mod document;
mod failback;
mod fault;
mod health;
mod meaning;
mod measure;
mod objectives;
mod paths;
mod policy;
mod probe;
mod proof;
mod reader;
mod reference;
mod root;
mod scalar;
mod schema;
mod shape;
mod shares;
mod value;

pub use accord::{Accord, Difference};
pub use address::Endpoint;
pub use alarms::AlarmPlan;
pub use components::component_kinds;
pub use components::literal::names_secret;
pub use controller::{EtcdPlan, S3Plan, StorePlan};
pub use failback::{FailbackPlan, ShiftOrder};
pub use fault::{Fault, Faults};
pub use health::{ALARMS, HealthPlan};
pub use meaning::{Meaning, meaning, promise};
pub use policy::{DecisionMode, RejoinMode};
pub use proof::Proof;
pub use reference::reference;
pub use schema::schema;
pub use shares::{Shares, Writes, show_shares, taking};

pub mod facet;

use crate::effect::{CommandLine, FenceAssurance, Probe};
use crate::id::{Application, Component, HealthCheck, Observer, Region, Unit};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A plan without a fault.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// `application`.
    pub application: Application,
    /// `objectives`.
    pub objectives: Objectives,
    /// `home`: the region the service belongs to when nothing is wrong (default: the first region).
    pub home: Region,
    /// `regions`, in the order of the document.
    pub regions: Vec<Region>,
    /// `shares`: per cent of the traffic that each region takes at rest; without it, home takes all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<Shares>,
    /// `controller`.
    pub controller: Controller,
    /// `policy`.
    pub policy: Policy,
    /// `components`, by name.
    pub components: BTreeMap<Component, ComponentPlan>,
    /// `aws`: how AWS is reached.
    pub aws: aws::AwsPlan,
    /// `health`: what is asked of services again and again, by name.
    pub health: BTreeMap<HealthCheck, HealthPlan>,
    /// `alarms`: alarms of CloudWatch and what each stands for, by name.
    pub alarms: BTreeMap<String, AlarmPlan>,
    /// `failback`: how the service is taken home; as every planned move when it is absent.
    pub failback: Option<FailbackPlan>,
    /// `verify`: what must work at the end of a move, in order.
    pub verify: Vec<Proof>,
    /// `measure`: what the outside client does.
    pub measure: Option<Measure>,
}

/// What is promised.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Objectives {
    /// From the first failed to the first good request.
    pub rto: Duration,
    /// The time whose acknowledged changes may be lost.
    pub rpo: Duration,
    /// Maximum tolerable period of disruption: after it the business is harmed for good. At least `rto + wrt`.
    pub mtpd: Option<Duration>,
    /// Work recovery time: what people need after the first good request until work is back to normal.
    pub wrt: Option<Duration>,
    /// Mean time to repair that the team counts on; shown beside the measured one.
    pub mttr: Option<Duration>,
}

/// The controllers and how agents reach them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Controller {
    /// `controller.members`, by name; else the one that `listen`, `url` and `state` describe.
    pub members: Vec<Member>,
    /// `controller.store`.
    pub store: StorePlan,
    /// `controller.leader_lease`; see [`Plan::leader_lease`].
    pub leader_lease: Option<Duration>,
    /// `controller.token`: shared secret of operators and DNS authority, and of agents without a token of their own.
    pub token: SecretRef,
    /// `controller.agent_token`: opens what agents and observers need, and nothing else.
    pub agent_token: Option<SecretRef>,
    /// `controller.region_tokens`: of one region's agent each, and of nobody else.
    pub region_tokens: BTreeMap<Region, SecretRef>,
    /// `controller.observer_token`: opens what observers need, and nothing else.
    pub observer_token: Option<SecretRef>,
    /// `controller.dns_token`: what the DNS authority is told by; opens nothing here.
    pub dns_token: Option<SecretRef>,
    /// `controller.tls`; without it the addresses must be loopback.
    pub tls: Option<Tls>,
    /// `controller.recording`: how much is kept of what was seen.
    pub recording: Recording,
}

/// How much a controller keeps of what it saw and decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recording {
    /// All files together, in bytes; 0 keeps nothing.
    pub size: u64,
    /// The age at which a file goes.
    pub keep: Duration,
    /// How often a line is written while nothing changes.
    pub every: Duration,
}

impl Default for Recording {
    fn default() -> Self {
        Self { size: 16 << 20, keep: Duration::from_secs(7 * 86_400), every: Duration::from_secs(10) }
    }
}

/// One controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its name; `controller` where there is one.
    pub name: String,
    /// `listen`.
    pub listen: SocketAddr,
    /// `url`: what agents and the command line dial; `https://` needs `tls`.
    pub url: String,
    /// `state`: folder of its journal and store, or of its own notes where those are shared.
    pub state: PathBuf,
}

/// Files in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// What callers trust.
    pub ca: PathBuf,
    /// The server's certificate chain.
    pub certificate: PathBuf,
    /// The server's key.
    pub key: PathBuf,
}

/// Where a secret is; never the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretRef {
    /// `{env: NAME}`.
    Env(String),
    /// `{file: PATH}`: the first line.
    File(PathBuf),
}

/// Who decides, on what, how fast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// `policy.mode`.
    pub mode: DecisionMode,
    /// `policy.guarantee`.
    pub guarantee: Guarantee,
    /// `policy.beyond_rpo`.
    pub beyond_rpo: BeyondRpo,
    /// `policy.lease`: how long a silent agent's region may go on writing.
    pub lease: Duration,
    /// `policy.renew`: how often the lease is renewed (default: lease / 6).
    pub renew: Duration,
    /// `policy.least_fence`: the least assurance that may promote without a person.
    pub least_fence: FenceAssurance,
    /// `policy.on_postmaster_death`.
    pub on_writer_death: OnWriterDeath,
    /// `policy.cool_down`: no second automatic failover for so long, unless acknowledged.
    pub cool_down: Duration,
    /// `policy.withdraw_after`: a prepared failover ends once the writer has worked for so long.
    pub withdraw_after: Duration,
    /// `policy.max_lag_bytes`: a candidate further behind in receiving is not promoted automatically.
    pub max_lag_bytes: Option<u64>,
    /// `policy.max_replay_bytes`: a candidate with more to replay is not promoted automatically.
    pub max_replay_bytes: Option<u64>,
    /// `policy.unhealthy_for`: a writer that is seen not to work for so long is failed over.
    pub unhealthy_for: Option<Duration>,
    /// `policy.observers`: places that look besides the agents and the controller.
    pub observers: Vec<Observer>,
    /// `policy.hold_file`, see [`Plan::hold_file`].
    pub hold_file: Option<PathBuf>,
    /// `policy.rejoin`: make a returned region a standby without asking.
    pub rejoin: RejoinMode,
}

/// What one writer rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// The candidate alone: nothing is acknowledged that it does not hold.
    Strict,
    /// The candidate, or a gate that confirms only while the lease is valid.
    Bounded,
    /// The agent's lease: holds as long as the agent of the old writer runs or its region is dead.
    BestEffort,
}

/// What happens to writes while the candidate is further behind than the RPO, under [`Guarantee::Bounded`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BeyondRpo {
    /// They wait for the candidate.
    Stall,
    /// They go on; people are told.
    Expose,
}

/// What the agent does when its database server has died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnWriterDeath {
    /// Start it again in place, so often within ten minutes, then give it up.
    Restart {
        /// How often.
        attempts: u32,
    },
    /// Give it up at once.
    Failover,
}

/// A part of the application.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComponentPlan {
    /// What it moves with (default: the application's one unit).
    pub unit: Unit,
    /// `writes`: which instances write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writes: Option<Writes>,
    /// Its technology and settings.
    pub kind: Kind,
}

/// The technologies, by the word in `kind:`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kind {
    /// PostgreSQL streaming replication.
    Postgres(PostgresPlan),
    /// A program that agents keep running.
    Process(ProcessPlan),
    /// A name in the built-in authoritative DNS.
    Dns(DnsPlan),
    /// Commands of the user's before and after the moves.
    Exec(ExecPlan),
    /// Notes to people.
    Webhook(WebhookPlan),
    /// What AWS runs.
    #[serde(untagged)]
    Aws(aws::AwsComponent),
}

/// `kind: postgres`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostgresPlan {
    /// Database that holds the sentinel table and is used for administration.
    pub database: String,
    /// Superuser of administration, replication and rewind.
    pub user: String,
    /// Its password, if the server asks for one.
    pub password: Option<SecretRef>,
    /// `tls`: how regions speak to each other's servers.
    pub tls: Option<PostgresTls>,
    /// `sentinel`: how often the writer's agent writes a sentinel; zero means never.
    pub sentinel: Duration,
    /// What becomes of changes that were lost.
    pub rescue: RescuePlan,
    /// `connection_fence`: what cuts clients off when the lease is over.
    pub connection_fence: ConnectionFence,
    /// `rebuild`: who makes a copy anew.
    pub rebuild: Rebuild,
    /// `rejoin_within`: how long one attempt to make a copy follow may take.
    pub rejoin_within: Duration,
    /// One server per region.
    pub regions: BTreeMap<Region, PostgresServer>,
}

/// `tls` of `kind: postgres`: files in PEM, at the same place on each machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostgresTls {
    /// The authority of every server's certificate.
    pub ca: PathBuf,
    /// What is shown to a server that asks for a certificate.
    pub identity: Option<Identity>,
}

/// A client's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Its chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Who makes a copy anew that can neither follow as it is nor be rewound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rebuild {
    /// The rejoin itself.
    #[default]
    Automatic,
    /// A person.
    ByHand,
}

/// `rescue`: how lost changes are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RescuePlan {
    /// `rows`: keeps rows, not only transactions.
    pub rows: bool,
    /// `only`: rows of these tables and no others; of all when there are none.
    pub only: Vec<String>,
    /// `except`: rows of all tables but these.
    pub except: Vec<String>,
    /// Encrypts bundles.
    pub passphrase: Option<SecretRef>,
    /// `max_slot`: how much of the log the writer keeps for rows, in bytes.
    pub max_slot: u64,
}

/// What stands between clients and a server, whatever the server's sessions have set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionFence {
    /// Nothing.
    #[default]
    None,
    /// A lease that the kernel keeps.
    Kernel,
    /// A proxy of our own.
    Proxy,
}

/// One PostgreSQL server as its own agent and its peers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostgresServer {
    /// Host name or address that the other regions use.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `PGDATA`.
    pub data_dir: PathBuf,
    /// Folder of `pg_ctl`; default: found by `pg_config` or in the usual places.
    pub bin_dir: Option<PathBuf>,
    /// Account that owns the server when the agent is root.
    pub run_as: Option<String>,
    /// Where the proxy listens, when [`ConnectionFence::Proxy`] is chosen.
    pub proxy: Option<SocketAddr>,
}

/// `kind: process`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProcessPlan {
    /// One command per region.
    pub regions: BTreeMap<Region, CommandLine>,
    /// Instances where the traffic is.
    pub active: u32,
    /// Instances where it is not.
    pub standby: u32,
    /// What makes an instance ready; without it: that it runs.
    pub ready: BTreeMap<Region, Probe>,
}

/// `kind: dns`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DnsPlan {
    /// The name users ask for, without a final dot.
    pub name: String,
    /// Time to live of the answers.
    pub ttl: Duration,
    /// Address of the authority for queries.
    pub server: SocketAddr,
    /// Base URL of its control interface.
    pub control_url: String,
    /// What to answer per region.
    pub answers: BTreeMap<Region, std::net::IpAddr>,
}

/// `kind: exec`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExecPlan {
    /// When it runs.
    pub when: Hook,
    /// The agent that runs it; without it the controller.
    pub region: Option<Region>,
    /// What runs.
    pub command: CommandLine,
    /// Time it may take.
    pub deadline: Duration,
}

/// The place of a user's command in every derived runbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// Before anything else.
    BeforeMove,
    /// When the new writer writes, before traffic is led there.
    BeforeRoute,
    /// When everything is verified.
    AfterMove,
}

/// `kind: webhook`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookPlan {
    /// Where a JSON object with `text` is posted (Slack-compatible).
    pub url: SecretRef,
}

/// The outside client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measure {
    /// URL whose host is the DNS name.
    pub url: String,
    /// Requests per second.
    pub rate: u32,
}

/// A plan with comments that has no fault: what `pilotlight init` writes, and a plan for tests.
pub const SAMPLE: &str = include_str!("plan/sample.yaml");

impl Plan {
    /// No plan is larger: who reads one from a file need not read on.
    pub const MAX_BYTES: usize = document::MAX_BYTES;

    /// Reads the text of a plan. `file` is only named in faults.
    pub fn read(text: &str, file: &str) -> Result<Plan, Faults> {
        root::read(text, file)
    }

    /// Reads the bytes of a plan, which need not be text.
    pub fn read_bytes(bytes: &[u8], file: &str) -> Result<Plan, Faults> {
        match std::str::from_utf8(bytes) {
            Ok(text) => root::read(text, file),
            Err(e) => Err(root::not_text(&bytes[..e.valid_up_to()], file)),
        }
    }

    /// The components of a unit.
    pub fn in_unit<'a>(&'a self, unit: &'a Unit) -> impl Iterator<Item = (&'a Component, &'a ComponentPlan)> {
        self.components.iter().filter(move |(_, c)| &c.unit == unit)
    }

    /// While this file exists on the machine of a controller, that controller starts nothing by itself.
    pub fn hold_file(&self, member: &Member) -> PathBuf {
        self.policy.hold_file.clone().unwrap_or_else(|| member.state.join("hold"))
    }

    /// How long a leader counts its lead: what was asked for, else half of the writer's lease, so that another renews that
    /// in time.
    pub fn leader_lease(&self) -> Duration {
        self.controller.leader_lease.unwrap_or(self.policy.lease / 2)
    }

    /// Every unit, by name.
    pub fn units(&self) -> std::collections::BTreeSet<&Unit> {
        self.components.values().map(|c| &c.unit).collect()
    }
}

#[cfg(test)]
mod tests;
