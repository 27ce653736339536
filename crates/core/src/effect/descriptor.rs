//! What a driver says of itself: derivation reads this and never the kind of a component.

use super::{Capability, FenceAssurance, Guard};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How long its effects take when all is well; deadlines follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// Milliseconds to seconds: processes, our DNS.
    #[default]
    Seconds,
    /// Minutes: what a provider starts, promotes or spreads over the world.
    Minutes,
}

/// What a driver says of itself; derivation reads this and never the kind of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// What it can do.
    pub capabilities: BTreeSet<Capability>,
    /// What refuses old epochs.
    pub guard: Guard,
    /// The best its fence can give when the region answers.
    pub fence_assurance: FenceAssurance,
    /// Stop, hand over and promote are one call.
    pub atomic_switch: bool,
    /// That call leaves the old side as it was: it takes writes until [`super::Effect::Rejoin`] tells it to follow, and what it
    /// took until then still arrives. Nobody is fenced by the call. Of no meaning without `atomic_switch`.
    #[serde(default)]
    pub told_to_follow: bool,
    /// Done by an agent inside the region (else by the controller through an API).
    pub needs_agent: bool,
    /// How long its effects take.
    #[serde(default)]
    pub pace: Pace,
}

impl Descriptor {
    /// A driver of one capability that fences nothing and leaves old epochs to its caller; it needs no agent.
    pub fn caller_checked(capability: Capability) -> Self {
        Self {
            capabilities: BTreeSet::from([capability]),
            guard: Guard::CallerChecked,
            fence_assurance: FenceAssurance::None,
            atomic_switch: false,
            told_to_follow: false,
            needs_agent: false,
            pace: Pace::Seconds,
        }
    }

    /// What a fence gives that is no part of a move: what a provider attests of its one call, nothing outside of it can.
    pub fn fence_alone(&self) -> FenceAssurance {
        match self.atomic_switch {
            true => self.fence_assurance.min(FenceAssurance::ConnectionsCut),
            false => self.fence_assurance,
        }
    }

    /// Whether a runbook has to tell the old side to follow: no call of the provider does it.
    pub fn needs_rejoin(&self) -> bool {
        !self.atomic_switch || self.told_to_follow
    }

    /// Whether it has the capability.
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}
