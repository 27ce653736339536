//! The calls that reached the server, by kind: the busiest second, and how many were refused for their rate.

use crate::demo::DemoError;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Calls of one kind in one region.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Kind {
    /// For example `ecs:UpdateService in us-west-2`.
    pub(super) name: String,
    /// All of them.
    pub(super) calls: u64,
    /// Refused because there were too many.
    pub(super) throttled: u64,
    /// Most in any second.
    pub(super) peak: u64,
    /// The sustained rate that AWS publishes for it, and how many at once; `None` where the test server holds none against it.
    pub(super) published: Option<(f64, f64)>,
}

/// Reads the server's answer to `GET rates`.
pub(super) fn read(told: Value) -> Result<Vec<Kind>, DemoError> {
    let read: Result<Vec<Kind>, _> = serde_json::from_value(told);
    read.map_err(|e| DemoError::Ended(format!("the server's calls: {e}")))
}

/// The busiest second of each action, whatever the region.
pub(super) fn peaks(kinds: &[Kind]) -> BTreeMap<&str, u64> {
    let mut peaks = BTreeMap::new();
    for kind in kinds {
        let action = kind.name.split(' ').next().unwrap_or_default();
        let most = peaks.entry(action).or_insert(0);
        *most = kind.peak.max(*most);
    }
    peaks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_region_of_an_action_is_told() {
        let kind = |name: &str, peak| Kind { name: name.to_owned(), calls: 9, throttled: 0, peak, published: None };
        let kinds = [kind("ecs:A in east", 3), kind("ecs:A in west", 7), kind("rds:B in west", 1)];
        assert_eq!(peaks(&kinds), BTreeMap::from([("ecs:A", 7), ("rds:B", 1)]));
    }
}
