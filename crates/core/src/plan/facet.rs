//! What a component's settings say in words that hold for every technology.
//!
//! Border: this is the only place outside of reading a plan where core looks at [`Kind`]. Verdicts, derivation and agents
//! ask here, so that a new technology adds a line here and nothing there.

use super::{ComponentPlan, ConnectionFence, ExecPlan, Guarantee, Kind, Plan};
use crate::id::{Component, Region, Unit};
use std::time::Duration;

/// How many instances a component runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instances {
    /// Where the traffic is.
    pub active: u32,
    /// Where it is not.
    pub standby: u32,
}

impl Plan {
    /// The guarantee has the unit's writer wait for a candidate, so that nobody else is promoted by itself.
    pub fn waits_for_candidate(&self, unit: &Unit) -> bool {
        let waits = self.policy.guarantee != Guarantee::BestEffort;
        waits && self.in_unit(unit).filter(|(_, c)| c.is_replicated()).all(|(_, c)| c.waits())
    }

    /// The component whose writer's agent writes sentinels, where there is just one.
    pub fn only_with_sentinels(&self) -> Option<&Component> {
        let mut with = self.components.iter().filter(|(_, c)| c.sentinel().is_some());
        with.next().filter(|_| with.next().is_none()).map(|(name, _)| name)
    }
}

impl ComponentPlan {
    /// The regions that hold a copy of its data, by name; empty when it is not replicated data.
    pub fn copies(&self) -> Vec<&Region> {
        match &self.kind {
            Kind::Postgres(p) => p.regions.keys().collect(),
            Kind::Aws(a) => a.copies(),
            Kind::Process(_) | Kind::Dns(_) | Kind::Exec(_) | Kind::Webhook(_) => Vec::new(),
        }
    }

    /// It is replicated data.
    pub fn is_replicated(&self) -> bool {
        match &self.kind {
            Kind::Postgres(p) => !p.regions.is_empty(),
            Kind::Aws(a) => !a.copies().is_empty(),
            Kind::Process(_) | Kind::Dns(_) | Kind::Exec(_) | Kind::Webhook(_) => false,
        }
    }

    /// The region holds a copy of its data.
    pub fn has_copy(&self, region: &Region) -> bool {
        match &self.kind {
            Kind::Postgres(p) => p.regions.contains_key(region),
            Kind::Aws(a) => a.copies().contains(&region),
            Kind::Process(_) | Kind::Dns(_) | Kind::Exec(_) | Kind::Webhook(_) => false,
        }
    }

    /// It can run in the region.
    fn runs_in(&self, region: &Region) -> bool {
        match &self.kind {
            Kind::Process(p) => p.regions.contains_key(region),
            _ => self.capacity().is_some_and(|(regions, _)| regions.contains(&region)),
        }
    }

    /// How often its writer's agent writes a sentinel; `None` when it writes none.
    pub fn sentinel(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Postgres(p) => Some(p.sentinel).filter(|every| !every.is_zero()),
            Kind::Process(_) | Kind::Dns(_) | Kind::Exec(_) | Kind::Webhook(_) | Kind::Aws(_) => None,
        }
    }

    /// Something of ours stands between its clients and its server.
    pub fn fences_connections(&self) -> bool {
        self.connection_fence() != ConnectionFence::None
    }

    /// What stands between its clients and its server.
    pub fn connection_fence(&self) -> ConnectionFence {
        match &self.kind {
            Kind::Postgres(p) => p.connection_fence,
            Kind::Process(_) | Kind::Dns(_) | Kind::Exec(_) | Kind::Webhook(_) | Kind::Aws(_) => ConnectionFence::None,
        }
    }

    /// Its writer can be made to wait for a candidate before it acknowledges.
    pub fn waits(&self) -> bool {
        matches!(&self.kind, Kind::Postgres(_))
    }

    /// How long one attempt to make a copy of it follow may take: it may copy a whole database anew, a TB at 50 MB/s.
    pub fn rejoin_within(&self) -> Duration {
        match &self.kind {
            Kind::Postgres(p) => p.rejoin_within,
            Kind::Process(_) | Kind::Dns(_) | Kind::Exec(_) | Kind::Webhook(_) | Kind::Aws(_) => {
                Duration::from_secs(6 * 3_600)
            }
        }
    }

    /// How long a planned move in one call may take beside the move itself, for what is made before it.
    pub fn prepares_within(&self) -> Duration {
        match &self.kind {
            Kind::Aws(a) if a.keeps_first() => Duration::from_secs(3_600),
            Kind::Postgres(_) | Kind::Process(_) | Kind::Dns(_) | Kind::Exec(_) | Kind::Webhook(_) | Kind::Aws(_) => {
                Duration::ZERO
            }
        }
    }

    /// What people can do where nothing can silence a copy of it that takes writes and should not.
    pub fn to_silence(&self) -> Option<&'static str> {
        match &self.kind {
            Kind::Aws(a) => a.to_silence(),
            Kind::Postgres(_) | Kind::Process(_) | Kind::Dns(_) | Kind::Exec(_) | Kind::Webhook(_) => None,
        }
    }

    /// Whether rows are kept that a lost writer acknowledged and never sent: its agent must keep it ready for that.
    pub fn keeps_rows(&self) -> bool {
        matches!(&self.kind, Kind::Postgres(p) if p.rescue.rows)
    }

    /// The regions it can run in and how many instances, when it is something that runs.
    pub fn capacity(&self) -> Option<(Vec<&Region>, Instances)> {
        match &self.kind {
            Kind::Process(p) => Some((p.regions.keys().collect(), Instances { active: p.active, standby: p.standby })),
            Kind::Aws(a) => a.capacity(),
            Kind::Postgres(_) | Kind::Dns(_) | Kind::Exec(_) | Kind::Webhook(_) => None,
        }
    }

    /// The regions it can lead traffic to, when it is something that leads traffic.
    pub fn routes(&self) -> Vec<&Region> {
        match &self.kind {
            Kind::Dns(d) => d.answers.keys().collect(),
            Kind::Aws(a) => a.routes(),
            Kind::Postgres(_) | Kind::Process(_) | Kind::Exec(_) | Kind::Webhook(_) => Vec::new(),
        }
    }

    /// The user's command, when it is one.
    pub fn hook(&self) -> Option<&ExecPlan> {
        match &self.kind {
            Kind::Exec(e) => Some(e),
            Kind::Postgres(_) | Kind::Process(_) | Kind::Dns(_) | Kind::Webhook(_) | Kind::Aws(_) => None,
        }
    }
    /// It is looked at and acted upon through a provider's API, so it needs no agent.
    pub fn is_managed(&self) -> bool {
        matches!(self.kind, Kind::Aws(_))
    }
}

impl Plan {
    /// Whether an agent is to be heard from the region. Where everything is a provider's, nobody runs one.
    pub fn expects_agent(&self, region: &Region) -> bool {
        self.components.values().any(|c| {
            let placed = c.has_copy(region) || c.runs_in(region);
            let commands = c.hook().is_some_and(|h| h.region.as_ref() == Some(region));
            (placed && !c.is_managed()) || commands
        }) || !self.components.values().any(ComponentPlan::is_managed)
    }
}
