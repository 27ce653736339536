//! Names and numbers that must not be mixed up: each is a type of its own. Names are shared, not copied: every look and
//! every decision carries dozens.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text as it is; the plan check decides what a legal name looks like.
            pub fn new(text: impl Into<String>) -> Self {
                Self(Arc::from(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::new)
            }
        }
    };
}

name!(
    /// What the plan as a whole recovers, for example `payments`.
    Application
);
name!(
    /// A place that can be lost as one, for example `us-east-1` or `east`.
    Region
);
name!(
    /// A part of the application, for example `database`.
    Component
);
name!(
    /// A process that only looks, from a place of its own, for example `paris`.
    Observer
);
name!(
    /// A health check of the plan, for example `front`.
    HealthCheck
);
name!(
    /// The smallest thing that moves as one: epoch, lease and run are keyed by it.
    Unit
);
name!(
    /// A rescue bundle, for example `database-east-1-0_3000148-0_30A1B20`.
    BundleId
);
name!(
    /// One walk through a runbook, for example `failover-20261121-004512-7`.
    RunId
);
name!(
    /// A step of a runbook, unique within it, for example `promote-database`.
    StepId
);

/// A number that only grows, raised in the store before any effect of a run. Effects that carry an older one are
/// refused where they land.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a run that starts now.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Names one application of one effect: a driver that has seen the key before answers what it answered then.
///
/// Written `run/step/attempt`, undo as `run/step/undo-attempt`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EffectKey(String);

impl EffectKey {
    /// The key of an attempt of a step, counted from 1.
    pub fn new(run: &RunId, step: &StepId, attempt: u32) -> Self {
        Self(format!("{run}/{step}/{attempt}"))
    }

    /// The key of an attempt to undo a step.
    pub fn undo(run: &RunId, step: &StepId, attempt: u32) -> Self {
        Self(format!("{run}/{step}/undo-{attempt}"))
    }

    /// Where the keys of attempts to undo the same step begin, in their order; `None` of such a key itself.
    pub fn first_undo(&self) -> Option<Self> {
        let (step, attempt) = self.0.rsplit_once('/')?;
        (!attempt.starts_with("undo-")).then(|| Self(format!("{step}/undo-")))
    }

    /// The key of one part of an effect that consists of several: `run/step.part/attempt`.
    #[must_use]
    pub fn part(&self, part: &str) -> Self {
        match self.0.rsplit_once('/') {
            Some((step, attempt)) => Self(format!("{step}.{part}/{attempt}")),
            None => Self(format!("{}.{part}", self.0)),
        }
    }

    /// The key as text, safe to be used as a file name once `/` is replaced.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EffectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
