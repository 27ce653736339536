//! How far a copy of the data has come. Opaque here: only the driver that made a position can compare it.

use crate::time::as_ms;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A point in a component's history of changes, in the driver's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which history: PostgreSQL's `system identifier/timeline`, Redis's replication id. Different lineages are never
    /// ordered by their values.
    pub lineage: String,
    /// The point itself: an LSN such as `0/3000148`, an offset, a count, a time.
    pub value: String,
    /// What `value` is: `lsn`, `offset`, `objects`, `seconds`.
    pub unit: String,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.unit, self.value, self.lineage)
    }
}

/// What a driver answers when asked how two positions stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The first lies before the second in the same history.
    Before,
    /// The same point.
    Equal,
    /// The first lies after the second in the same history.
    After,
    /// The histories have forked; neither contains the other.
    Diverged,
    /// Cannot be said from what is known.
    Unknown,
}

/// How good a figure of lag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LagQuality {
    /// Both sides were read.
    Exact,
    /// The true lag is at most this.
    UpperBound,
    /// What the provider publishes, with its delay.
    ProviderMetric,
}

/// How far a copy is behind its source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lag {
    /// Bytes of change not yet there, where the technology knows them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub received_bytes: Option<u64>,
    /// Bytes of change there but not yet visible (replay lag), where the technology knows them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replay_bytes: Option<u64>,
    /// Age of the newest change that is visible on the copy.
    #[serde(skip_serializing_if = "Option::is_none", default, with = "option_ms")]
    pub seconds_ms: Option<Duration>,
    /// How good the figures are.
    pub quality: LagQuality,
    /// How old the figures themselves are.
    #[serde(with = "as_ms")]
    pub age_ms: Duration,
}

/// Serde of an optional duration as whole milliseconds.
pub mod option_ms {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::time::Duration;

    /// Writes whole milliseconds or null.
    pub fn serialize<S: Serializer>(d: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        d.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)).serialize(s)
    }

    /// Reads whole milliseconds or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(d)?.map(Duration::from_millis))
    }
}
