//! Where things are, and where somebody wants them. Failover, switchover, failback and rejoin are all targets.

use crate::id::{Region, Unit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a unit's writer is and how traffic and capacity are spread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The region whose copies may be written.
    pub writer: Region,
    /// Share of traffic per region, in per cent; regions not named get none. Never all zero.
    pub traffic: BTreeMap<Region, u32>,
}

impl Placement {
    /// Writer and all traffic in one region.
    pub fn in_region(region: &Region) -> Self {
        Self { writer: region.clone(), traffic: BTreeMap::from([(region.clone(), 100)]) }
    }
}

/// Whether the source is expected to take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Stop writes, hand over, lose nothing; refused when the source cannot take part.
    Graceful,
    /// The source is lost or given up: fence it or wait out its lease, accept measured loss.
    Ungraceful,
}

/// What people call the move; follows from mode and direction, kept for texts and run ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Unplanned.
    Failover,
    /// Planned.
    Switchover,
    /// A switchover to the region the plan calls home.
    Failback,
    /// A region that returned becomes a standby again; the writer stays where it is.
    Rejoin,
    /// A region without the writer gives its share of the traffic to the others; the writer stays where it is.
    Drain,
    /// What a bundle holds is applied to the writer; nothing moves.
    Rescue,
}

impl std::fmt::Display for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Verb::Failover => "failover",
            Verb::Switchover => "switchover",
            Verb::Failback => "failback",
            Verb::Rejoin => "rejoin",
            Verb::Drain => "drain",
            Verb::Rescue => "rescue",
        })
    }
}

impl Verb {
    /// It moves the writer, or leads users.
    pub fn moves(self) -> bool {
        !matches!(self, Verb::Rejoin | Verb::Rescue)
    }

    /// What happens, in a few words. `back` is which regions follow again: a rejoin moves no writer.
    pub fn told(self, from: &Region, to: &Region, back: &[Region]) -> String {
        let back: Vec<&str> = back.iter().map(Region::as_str).collect();
        match self {
            Verb::Rejoin if back.is_empty() => format!("{self}, the writer stays in {to}"),
            Verb::Rejoin => format!("{self} of {}", back.join(" and ")),
            _ if from == to => format!("{self}, the writer stays in {to}"),
            _ => format!("{self} from {from} to {to}"),
        }
    }
}

/// A target placement and how to get there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What moves.
    pub unit: Unit,
    /// The word for it.
    pub verb: Verb,
    /// With or without the source.
    pub mode: Mode,
    /// Where it is to be afterwards.
    pub target: Placement,
}

impl Intent {
    /// What is wanted, before it is known from where: `failover to west`.
    pub fn aim(&self) -> String {
        let to = &self.target.writer;
        match self.verb {
            Verb::Rejoin => format!("rejoin, so that copies follow {to} again"),
            Verb::Rescue => format!("rescue of lost writes to {to}"),
            Verb::Drain => {
                let left: Vec<&str> = self.target.traffic.keys().map(Region::as_str).collect();
                format!("drain, so that {} takes all users", left.join(" and "))
            }
            verb => format!("{verb} to {to}"),
        }
    }
}
