//! Effects: everything Pilotlight can do to the world, as data.
//!
//! They are journaled, shown by a dry run, sent to agents and simulated, so they carry names, never handles. A driver
//! turns one into deeds. Nothing here says how: what differs between technologies is said by [`Descriptor`].

mod descriptor;

pub use descriptor::{Descriptor, Pace};

use crate::candidate::Waits;
use crate::id::{BundleId, Component, Region, StepId, Unit};
use crate::observation::Sentinel;
use crate::position::Position;
use crate::time::as_ms;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What to do. `component` and `region` name what it is done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Effect {
    /// Makes sure the copy acknowledges nothing any more, by force. Its output holds the [`FenceAssurance`].
    Fence { component: Component, region: Region },
    /// Waits until the lease that `region` may hold on `unit` has provably run out. Done by the engine itself.
    /// `attested_by` names the person who says that every copy of the unit there is off: the lease of a writer that nobody
    /// was to replace bounds nothing.
    AwaitLapse {
        unit: Unit,
        region: Region,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attested_by: Option<String>,
    },
    /// Names `region` as the one that may hold the unit's lease from now on. Done by the engine itself.
    Grant { unit: Unit, region: Region },
    /// Shortens a following stop: asks the copy to write out what it holds in memory. Users notice nothing.
    Checkpoint { component: Component, region: Region },
    /// Ends writing in an orderly way. Its output holds the hand-over position.
    StopWrites { component: Component, region: Region },
    /// Takes back a [`Effect::StopWrites`] as long as nobody else was promoted.
    ResumeWrites { component: Component, region: Region },
    /// Waits until the copy holds and shows everything up to the position.
    AwaitPosition { component: Component, region: Region, position: HandOver },
    /// Makes the copy the writer.
    Promote { component: Component, region: Region },
    /// Source and target change places in one call of the provider (see [`Descriptor::atomic_switch`]). No way is taken
    /// whose fence is less sure than `least`.
    Switch {
        component: Component,
        from: Region,
        to: Region,
        allow_loss: bool,
        #[serde(default, skip_serializing_if = "FenceAssurance::is_none")]
        least: FenceAssurance,
    },
    /// Makes the copy follow `upstream`: as it is, by rewinding it, or by building it anew.
    Rejoin { component: Component, region: Region, upstream: Region },
    /// Keeps what the copy holds and `upstream` does not in a rescue bundle, and verifies it. `waived_by` names the person
    /// who lets the copy be rewound even if that cannot be done.
    CaptureRescue {
        component: Component,
        region: Region,
        upstream: Region,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waived_by: Option<String>,
    },
    /// Compares the changes of a bundle that lies in `region` with what the writer in `upstream` holds.
    ClassifyRescue { component: Component, region: Region, upstream: Region, bundle: BundleId },
    /// Applies to the writer in `upstream` what it lacks of a bundle that lies in `region`. Overwrites nothing.
    ApplyRescue { component: Component, region: Region, upstream: Region, bundle: BundleId, by: String },
    /// Keeps the writer able to tell rows that were lost. Sent by the copy's own agent, never part of a runbook.
    KeepRescue { component: Component, region: Region },
    /// Writes a sentinel row. Sent by the writer's agent to its own database, never part of a runbook.
    WriteSentinel { component: Component, region: Region, sentinel: Sentinel },
    /// Makes the writer wait for these before it acknowledges anything. Done when no session can acknowledge without it,
    /// and a candidate among them holds everything that was acknowledged before. Sent by the writer's own agent only.
    WaitFor { component: Component, region: Region, waits: Waits },
    /// Runs this many instances.
    SetCapacity { component: Component, region: Region, instances: u32 },
    /// Publishes the share of traffic per region, in per cent. Never empty, never all zero.
    Route { component: Component, shares: BTreeMap<Region, u32> },
    /// Leads traffic on all these roads by `shares` and watches; too many bad answers lead it back to `former`, and then it
    /// has failed. Done by the engine itself, out of [`Effect::Route`] and [`Effect::Watch`].
    Shift {
        roads: Vec<Component>,
        shares: BTreeMap<Region, u32>,
        former: BTreeMap<Region, u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        watch: Option<Watch>,
    },
    /// Asks probes for a while; fails as soon as too many answers are bad. Changes nothing.
    Watch { watch: Watch },
    /// Waits until the copy has kept up for so long without a break. Done by the engine itself.
    Soak {
        component: Component,
        region: Region,
        #[serde(with = "as_ms")]
        for_ms: Duration,
        most_bytes: u64,
    },
    /// Runs a program of the user's. `region` names the agent that runs it; none means the controller.
    Command { region: Option<Region>, command: CommandLine },
    /// Asks whether something works; changes nothing.
    Verify { region: Option<Region>, probe: Probe },
    /// Tells people.
    Notify { component: Component, message: String },
}

/// The position an [`Effect::AwaitPosition`] waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandOver {
    /// What that earlier step hands over; replaced by [`HandOver::At`] before the effect leaves the engine.
    From(StepId),
    /// A known position.
    At(Position),
}

/// A program to run, given as an argument list or as text for a shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandLine {
    /// Program and arguments. For a shell text: `["sh", "-eu", "-c", TEXT]`.
    pub argv: Vec<String>,
    /// Added to the environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// May be run twice without harm; else a crash in the middle leaves the outcome unknown.
    #[serde(default)]
    pub idempotent: bool,
}

/// A question to the world with a yes or no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "probe", rename_all = "kebab-case")]
pub enum Probe {
    /// An HTTP request. Succeeds on `status` (default: any 2xx) and, if given, when the body contains `body_contains`.
    Http {
        url: String,
        #[serde(default)]
        method: HttpMethod,
        #[serde(default)]
        status: Option<u16>,
        #[serde(default)]
        body_contains: Option<String>,
        #[serde(with = "as_ms")]
        timeout_ms: Duration,
    },
    /// A TCP connection.
    Tcp {
        address: String,
        #[serde(with = "as_ms")]
        timeout_ms: Duration,
    },
    /// A statement that must return at least one row, the first column of the first row being `expect` if given.
    Sql {
        dsn: String,
        query: String,
        #[serde(default)]
        expect: Option<String>,
        #[serde(with = "as_ms")]
        timeout_ms: Duration,
    },
    /// A name that must lead somewhere: to one of `expect`, if any are given. Asked of `server`, else where names are asked
    /// anyway.
    Dns {
        name: String,
        #[serde(default)]
        server: Option<SocketAddr>,
        #[serde(default)]
        expect: Vec<IpAddr>,
        #[serde(with = "as_ms")]
        timeout_ms: Duration,
    },
    /// A program of the user's that must end with exit code 0. It must change nothing: it is run again and again.
    Exec {
        command: CommandLine,
        #[serde(with = "as_ms")]
        timeout_ms: Duration,
    },
}

impl Probe {
    /// The time it may take.
    pub fn timeout(&self) -> Duration {
        match self {
            Probe::Http { timeout_ms, .. }
            | Probe::Tcp { timeout_ms, .. }
            | Probe::Sql { timeout_ms, .. }
            | Probe::Dns { timeout_ms, .. }
            | Probe::Exec { timeout_ms, .. } => *timeout_ms,
        }
    }

    /// The texts that say what is asked, for who replaces a part of them.
    pub fn places(&mut self) -> Vec<&mut String> {
        match self {
            Probe::Http { url: place, .. }
            | Probe::Tcp { address: place, .. }
            | Probe::Sql { dsn: place, .. }
            | Probe::Dns { name: place, .. } => vec![place],
            Probe::Exec { command, .. } => command.argv.iter_mut().collect(),
        }
    }
}

/// What is asked while a share of the traffic is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The questions.
    pub probes: Vec<Watched>,
    /// How often each is asked.
    #[serde(with = "as_ms")]
    pub every_ms: Duration,
    /// For how long.
    #[serde(with = "as_ms")]
    pub for_ms: Duration,
    /// Per cent of bad answers that are borne.
    pub max_errors: u32,
}

/// One question of a [`Watch`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// How people call it.
    pub name: String,
    /// The question.
    pub probe: Probe,
    /// A good answer that took longer is a bad one.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::position::option_ms")]
    pub latency_ms: Option<Duration>,
}

impl Watch {
    /// How often each probe is asked in all, at least once.
    pub fn rounds(&self) -> u32 {
        let rounds = self.for_ms.as_millis() / self.every_ms.as_millis().max(1);
        u32::try_from(rounds).unwrap_or(u32::MAX).max(1)
    }
}

/// The request a probe makes. A `POST` has an empty body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// Reads.
    #[default]
    Get,
    /// Writes: proves the path to the writer.
    Post,
}

/// How sure it is that a fenced copy acknowledges nothing. Ordered: later is surer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FenceAssurance {
    /// Nothing is known.
    #[default]
    None,
    /// Only new traffic is led elsewhere.
    TrafficOnly,
    /// Its connections were cut.
    ConnectionsCut,
    /// A person says so, by name, and nothing that was seen speaks against it. Never good enough without that person.
    PersonAttested,
    /// The provider says so.
    ProviderAttested,
    /// Its lease has run out by the arithmetic of `lease`; holds if the holder keeps to it.
    Lapsed,
    /// Seen on the spot: no process is left that could acknowledge.
    Proven,
}

impl FenceAssurance {
    /// Nothing is known, or nothing is asked for.
    pub fn is_none(&self) -> bool {
        *self == FenceAssurance::None
    }
}

impl std::fmt::Display for FenceAssurance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            FenceAssurance::None => "none",
            FenceAssurance::TrafficOnly => "traffic only",
            FenceAssurance::ConnectionsCut => "connections cut",
            FenceAssurance::PersonAttested => "person attested",
            FenceAssurance::ProviderAttested => "provider attested",
            FenceAssurance::Lapsed => "lapsed",
            FenceAssurance::Proven => "proven",
        })
    }
}

/// What makes an effect with an old epoch fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// Whoever carries it out compares the epoch (agent, our DNS).
    Enforced,
    /// The provider compares a condition (RFC 2136 prerequisite, resourceVersion, If-Match).
    Conditional,
    /// Only the caller compares: the controller lets go of it when its lead ends; what had left may still arrive.
    CallerChecked,
}

/// A set of effects a driver understands, each with a battery of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Has one writer and copies: checkpoint, stop-writes, resume-writes, await-position, promote, rejoin, switch.
    Replicated,
    /// fence.
    Fence,
    /// capture-rescue, classify-rescue, apply-rescue, keep-rescue; answers questions about bundles.
    Rescue,
    /// wait-for; whom the copy waits for is part of the observed state.
    Confirmed,
    /// write-sentinel; the newest one is part of the observed state.
    Sentinel,
    /// route.
    Traffic,
    /// set-capacity.
    Capacity,
    /// command.
    Command,
    /// verify, watch.
    Probe,
    /// notify.
    Message,
}

impl Effect {
    /// While it is under way, and once it is done, `writer` has the unit as before and users are led as before, or are again
    /// when the run takes it back.
    pub fn keeps_writer(&self, writer: &Region) -> bool {
        match self {
            Effect::Fence { region, .. } => region != writer,
            Effect::Checkpoint { .. }
            | Effect::Rejoin { .. }
            | Effect::CaptureRescue { .. }
            | Effect::ClassifyRescue { .. }
            | Effect::ApplyRescue { .. }
            | Effect::KeepRescue { .. }
            | Effect::WriteSentinel { .. }
            | Effect::SetCapacity { .. }
            | Effect::Shift { .. }
            | Effect::Watch { .. }
            | Effect::Soak { .. }
            | Effect::Command { .. }
            | Effect::Verify { .. }
            | Effect::Notify { .. } => true,
            Effect::AwaitLapse { .. }
            | Effect::Grant { .. }
            | Effect::StopWrites { .. }
            | Effect::ResumeWrites { .. }
            | Effect::AwaitPosition { .. }
            | Effect::Promote { .. }
            | Effect::Switch { .. }
            | Effect::WaitFor { .. }
            | Effect::Route { .. } => false,
        }
    }

    /// The component it is done to, if it is done to one.
    pub fn component(&self) -> Option<&Component> {
        match self {
            Effect::Fence { component, .. }
            | Effect::Checkpoint { component, .. }
            | Effect::StopWrites { component, .. }
            | Effect::ResumeWrites { component, .. }
            | Effect::AwaitPosition { component, .. }
            | Effect::Promote { component, .. }
            | Effect::Switch { component, .. }
            | Effect::Rejoin { component, .. }
            | Effect::CaptureRescue { component, .. }
            | Effect::ClassifyRescue { component, .. }
            | Effect::ApplyRescue { component, .. }
            | Effect::KeepRescue { component, .. }
            | Effect::WriteSentinel { component, .. }
            | Effect::WaitFor { component, .. }
            | Effect::SetCapacity { component, .. }
            | Effect::Soak { component, .. }
            | Effect::Route { component, .. }
            | Effect::Notify { component, .. } => Some(component),
            Effect::AwaitLapse { .. }
            | Effect::Grant { .. }
            | Effect::Shift { .. }
            | Effect::Watch { .. }
            | Effect::Command { .. }
            | Effect::Verify { .. } => None,
        }
    }

    /// The region it is done in, if it is done in one.
    pub fn region(&self) -> Option<&Region> {
        match self {
            Effect::Fence { region, .. }
            | Effect::AwaitLapse { region, .. }
            | Effect::Grant { region, .. }
            | Effect::Checkpoint { region, .. }
            | Effect::StopWrites { region, .. }
            | Effect::ResumeWrites { region, .. }
            | Effect::AwaitPosition { region, .. }
            | Effect::Promote { region, .. }
            | Effect::Rejoin { region, .. }
            | Effect::CaptureRescue { region, .. }
            | Effect::ClassifyRescue { region, .. }
            | Effect::ApplyRescue { region, .. }
            | Effect::KeepRescue { region, .. }
            | Effect::WriteSentinel { region, .. }
            | Effect::WaitFor { region, .. }
            | Effect::Soak { region, .. }
            | Effect::SetCapacity { region, .. } => Some(region),
            Effect::Switch { to, .. } => Some(to),
            Effect::Command { region, .. } | Effect::Verify { region, .. } => region.as_ref(),
            Effect::Route { .. } | Effect::Shift { .. } | Effect::Watch { .. } | Effect::Notify { .. } => None,
        }
    }

    /// The capability a driver needs for it; `None` for what the engine does itself.
    pub fn capability(&self) -> Option<Capability> {
        Some(match self {
            Effect::AwaitLapse { .. } | Effect::Grant { .. } | Effect::Shift { .. } | Effect::Soak { .. } => {
                return None;
            }
            Effect::Fence { .. } => Capability::Fence,
            Effect::WaitFor { .. } => Capability::Confirmed,
            Effect::Checkpoint { .. }
            | Effect::StopWrites { .. }
            | Effect::ResumeWrites { .. }
            | Effect::AwaitPosition { .. }
            | Effect::Promote { .. }
            | Effect::Switch { .. }
            | Effect::Rejoin { .. } => Capability::Replicated,
            Effect::CaptureRescue { .. }
            | Effect::ClassifyRescue { .. }
            | Effect::ApplyRescue { .. }
            | Effect::KeepRescue { .. } => Capability::Rescue,
            Effect::WriteSentinel { .. } => Capability::Sentinel,
            Effect::SetCapacity { .. } => Capability::Capacity,
            Effect::Route { .. } => Capability::Traffic,
            Effect::Command { .. } => Capability::Command,
            Effect::Verify { .. } | Effect::Watch { .. } => Capability::Probe,
            Effect::Notify { .. } => Capability::Message,
        })
    }

    /// Doing it twice is the same as doing it once. Only an opaque command can be otherwise.
    pub fn is_idempotent(&self) -> bool {
        match self {
            Effect::Command { command, .. } => command.idempotent,
            _ => true,
        }
    }

    /// After it there is only a way forward.
    pub fn is_point_of_no_return(&self) -> bool {
        matches!(self, Effect::Promote { .. } | Effect::Switch { .. })
    }

    /// It needs no way back because it leaves nothing behind.
    pub fn leaves_nothing(&self) -> bool {
        matches!(
            self,
            Effect::Checkpoint { .. }
                | Effect::AwaitPosition { .. }
                | Effect::Verify { .. }
                | Effect::Watch { .. }
                | Effect::Soak { .. }
                | Effect::Notify { .. }
        )
    }
}
