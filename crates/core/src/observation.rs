//! What was seen, by whom and when. Decisions are made from these and from nothing else.

use crate::candidate::Waiting;
use crate::effect::FenceAssurance;
use crate::id::{Component, Epoch, Region};
use crate::outcome::Finding;
use crate::placement::Placement;
use crate::position::{Lag, Position};
use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What to look at: a component, in one region unless it spans them (a DNS name).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The component.
    pub component: Component,
    /// Its copy in this region.
    pub region: Option<Region>,
}

/// What a copy of replicated data is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "role")]
pub enum Role {
    /// Accepts writes.
    Writer,
    /// Follows `upstream` (if it is known which) and `streaming` says whether changes arrive now.
    Standby { upstream: Option<Region>, streaming: bool },
    /// Not running; `clean` when it was shut down in an orderly way or is a standby's data.
    Down { clean: bool, was_writer: bool },
    /// Runs, or part of it runs, but it does not answer.
    Unresponsive,
    /// Was the writer and was fenced; acknowledges nothing.
    Fenced { assurance: FenceAssurance },
    /// Could not be seen.
    Unknown,
}

impl Role {
    /// Whether the copy is a writer's, whatever became of it since; `None` where that was not seen.
    pub fn is_a_writers(&self) -> Option<bool> {
        match self {
            Role::Writer | Role::Fenced { .. } => Some(true),
            Role::Down { was_writer, .. } => Some(*was_writer),
            Role::Standby { .. } => Some(false),
            Role::Unresponsive | Role::Unknown => None,
        }
    }

    /// As the end of a sentence: "is a standby".
    pub fn says(&self) -> String {
        match self {
            Role::Writer => "is a writer".to_owned(),
            Role::Standby { streaming: true, .. } => "is a standby".to_owned(),
            Role::Standby { streaming: false, .. } => "is a standby that receives nothing".to_owned(),
            Role::Down { was_writer: true, clean: true } => "is down, and was a writer when it was stopped".to_owned(),
            Role::Down { was_writer: true, clean: false } => "is down, and was a writer when it crashed".to_owned(),
            Role::Down { was_writer: false, .. } => "is down".to_owned(),
            Role::Unresponsive => "runs but does not answer".to_owned(),
            Role::Fenced { assurance } => format!("is fenced ({assurance})"),
            Role::Unknown => "could not be seen".to_owned(),
        }
    }
}

/// Instances of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// How many are asked for.
    pub desired: u32,
    /// How many work.
    pub ready: u32,
}

/// A row written only to see how far the copies are: number and time of the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentinel {
    /// Counts up by one.
    pub number: u64,
    /// When it was written, on the writer's clock.
    pub written: Wall,
}

/// What an agent says of the sentinels that it writes to one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// The newest.
    pub sentinel: Sentinel,
    /// The first one whose time can be held against its: the writer's wall clock was not set since.
    pub steady_from: u64,
}

/// A look at one target. Fields that do not apply to its technology are absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    /// Replicated data: what the copy is.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Replicated data: how far it has come.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<Position>,
    /// Replicated data: how far it is behind.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lag: Option<Lag>,
    /// Replicated data: the newest sentinel that can be read here.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sentinel: Option<Sentinel>,
    /// Replicated data, a writer: what it waits for before it acknowledges.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waiting: Option<Waiting>,
    /// Replicated data, a standby: the name under which it follows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub follows_as: Option<String>,
    /// Capacity: instances.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub capacity: Option<Capacity>,
    /// Traffic: the shares published now, in per cent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shares: Option<BTreeMap<Region, u32>>,
    /// The newest epoch the guard of this target has seen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub epoch: Option<Epoch>,
    /// What a person should mend before it stands in the way, where the look shows it. Nothing is decided from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Further evidence for people: `timeline`, `pid`, `receiver`, `says` (see [`State::says`]), `data: none` where there
    /// is nothing that could be started and never was, `data: gone` where there is nothing any more,
    /// [`GATE_APART`]. One is read by the agent too: `postmaster: dead` with [`Role::Unresponsive`] says that the main process
    /// is gone and parts of it are left.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

/// The fact of a writer whose gate may confirm and cannot: why (`PL-0337`).
pub const GATE_APART: &str = "gate apart";

impl State {
    /// What stands behind the role, in the words of whoever looked: why it is not known, why nobody answers.
    pub fn says(&self) -> Option<&str> {
        self.facts.get("look").or_else(|| self.facts.get("says")).map(String::as_str)
    }

    /// The newest timeline whose log is there, of a copy that lies still.
    pub fn timeline(&self) -> Option<u32> {
        self.facts.get("timeline")?.parse().ok()
    }

    /// Nothing is there that could be started: its place is empty, or not there.
    pub fn has_no_data(&self) -> bool {
        self.is_gone() || self.facts.get("data").is_some_and(|d| d == "none")
    }

    /// The same, where something was seen before: it may only be away, so nothing is built there before a person says so.
    pub fn is_gone(&self) -> bool {
        self.facts.get("data").is_some_and(|d| d == "gone")
    }

    /// It shows something else that is decided upon, not only other figures.
    pub fn is_another(&self, than: &State) -> bool {
        let kind = |s: &State| (s.capacity, s.epoch);
        kind(self) != kind(than)
            || self.role != than.role
            || self.follows_as != than.follows_as
            || self.waiting != than.waiting
            || self.shares != than.shares
    }

    /// A sentence about the copy, with what stands behind it.
    pub fn because(&self, sentence: impl Into<String>) -> String {
        let sentence = sentence.into();
        match self.says() {
            Some(says) => format!("{sentence}: {says}"),
            None => sentence,
        }
    }

    /// A copy follows, and neither lacks nor has yet to replay more than this; else why not.
    pub fn keeps_up(&self, most_bytes: u64) -> Result<(), String> {
        if !matches!(self.role, Some(Role::Standby { streaming: true, .. })) {
            return Err("it receives no changes".to_owned());
        }
        let lag = self.lag.as_ref().ok_or("it does not say how far it is behind")?;
        let known = lag.received_bytes.or(lag.replay_bytes).ok_or("it does not say how far it is behind")?;
        match known.max(lag.replay_bytes.unwrap_or_default()) {
            behind if behind > most_bytes => Err(format!("it is {behind} bytes behind, {most_bytes} are allowed")),
            _ => Ok(()),
        }
    }
}

/// What must be seen before a step may start, or after it before the next may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "see", rename_all = "kebab-case")]
pub enum Condition {
    /// The copy is the writer.
    IsWriter { target: Target },
    /// The copy acknowledges nothing: down, fenced or a standby.
    IsNotWriter { target: Target },
    /// The copy acknowledges nothing and does not come up as a writer by itself: fenced, or a standby's data. Stronger than
    /// `IsNotWriter`: a writer that is down may be started again by its agent. A fence that achieved less than `least` is
    /// none.
    IsFenced {
        target: Target,
        #[serde(default)]
        least: FenceAssurance,
    },
    /// The copy follows and changes arrive.
    IsStreaming { target: Target },
    /// The copy follows this region and changes arrive.
    Follows { target: Target, upstream: Region },
    /// At least so many instances work.
    HasCapacity { target: Target, ready: u32 },
    /// Exactly these shares are published.
    IsRouted { target: Target, placement: Placement },
}

/// The answer of [`Condition::holds`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// Seen.
    Yes,
    /// Seen to be otherwise; says what was seen.
    No(String),
    /// Not enough was seen to say.
    Unknown(String),
}

impl Condition {
    /// What to look at.
    pub fn target(&self) -> &Target {
        match self {
            Condition::IsWriter { target }
            | Condition::IsNotWriter { target }
            | Condition::IsFenced { target, .. }
            | Condition::IsStreaming { target }
            | Condition::Follows { target, .. }
            | Condition::HasCapacity { target, .. }
            | Condition::IsRouted { target, .. } => target,
        }
    }

    /// Compares what was seen with what must be seen.
    pub fn holds(&self, seen: &State) -> Holds {
        match (self, seen) {
            (Condition::HasCapacity { ready, .. }, State { capacity: Some(c), .. }) => {
                if c.ready >= *ready {
                    Holds::Yes
                } else {
                    Holds::No(format!("{} of {ready} instances ready", c.ready))
                }
            }
            (Condition::IsRouted { placement, .. }, State { shares: Some(shares), .. }) => {
                // A region that is published with no share gets as little as one that is not published.
                let some = |shares: &BTreeMap<Region, u32>| -> BTreeMap<Region, u32> {
                    shares.iter().filter(|(_, share)| **share > 0).map(|(r, share)| (r.clone(), *share)).collect()
                };
                if some(shares) == some(&placement.traffic) {
                    Holds::Yes
                } else {
                    Holds::No(format!("published shares are {shares:?}"))
                }
            }
            (_, State { role: Some(role), .. }) => match self.holds_for_role(role) {
                Holds::Unknown(why) if matches!(role, Role::Unknown | Role::Unresponsive) => {
                    Holds::Unknown(seen.because(why))
                }
                holds => holds,
            },
            _ => Holds::Unknown("nothing was seen that could answer".to_owned()),
        }
    }

    fn holds_for_role(&self, role: &Role) -> Holds {
        match (self, role) {
            (_, Role::Unknown) => Holds::Unknown("the role could not be seen".to_owned()),
            (Condition::IsFenced { least, .. }, Role::Fenced { assurance }) if assurance < least => {
                Holds::No(format!("it {}, and `{least}` is what this move rests on", role.says()))
            }
            (Condition::IsWriter { .. }, Role::Writer)
            | (Condition::IsNotWriter { .. }, Role::Standby { .. } | Role::Down { .. } | Role::Fenced { .. })
            | (
                Condition::IsFenced { .. },
                Role::Fenced { .. } | Role::Standby { .. } | Role::Down { was_writer: false, .. },
            )
            | (Condition::IsStreaming { .. }, Role::Standby { streaming: true, .. }) => Holds::Yes,
            (Condition::Follows { upstream, .. }, Role::Standby { upstream: seen, streaming: true }) => match seen {
                Some(seen) if seen == upstream => Holds::Yes,
                Some(seen) => Holds::No(format!("it follows {seen}")),
                None => Holds::Unknown("it could not be seen whom it follows".to_owned()),
            },
            (_, Role::Unresponsive) => Holds::Unknown("it runs but does not answer".to_owned()),
            (_, role) => Holds::No(format!("it {}", role.says())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_a_copy_is_a_writers_is_told_by_what_it_is_or_was() {
        let fenced = Role::Fenced { assurance: FenceAssurance::Proven };
        for (role, is_a_writers) in [
            (Role::Writer, Some(true)),
            (fenced, Some(true)),
            (Role::Down { clean: false, was_writer: true }, Some(true)),
            (Role::Down { clean: true, was_writer: false }, Some(false)),
            (Role::Standby { upstream: None, streaming: false }, Some(false)),
            (Role::Unresponsive, None),
            (Role::Unknown, None),
        ] {
            assert_eq!(role.is_a_writers(), is_a_writers, "{role:?}");
        }
    }

    #[test]
    fn roles_are_said_in_words() {
        let lost = Role::Down { clean: false, was_writer: true };
        assert_eq!(lost.says(), "is down, and was a writer when it crashed");
        assert_eq!(Role::Fenced { assurance: FenceAssurance::Proven }.says(), "is fenced (proven)");
        assert_eq!(Role::Standby { upstream: None, streaming: false }.says(), "is a standby that receives nothing");
        for role in
            [lost, Role::Writer, Role::Unresponsive, Role::Unknown, Role::Down { clean: true, was_writer: false }]
        {
            let says = role.says();
            assert!(!says.contains(['{', '_']) && says != format!("is {role:?}"), "{says}");
        }
    }
}
