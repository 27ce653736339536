//! Whose token opens what.
//!
//! | token | opens |
//! |---|---|
//! | `controller.token` | everything |
//! | `controller.agent_token` | what agents and observers need, for regions without a token of their own |
//! | `controller.region_tokens` | what the agent of that region needs, for that region alone |
//! | `controller.observer_token` | what observers need |
//!
//! Invariant: a region with a token of its own is spoken for by that one and by the operators' alone; who shows it says where it
//! runs.

use axum::http::{HeaderMap, header};
use pilotlight_core::id::Region;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The secrets of a controller.
#[derive(Clone)]
pub struct Tokens {
    /// Opens everything.
    pub operators: String,
    /// Of agents and observers that have none of their own.
    pub agents: Option<String>,
    /// Of one region's agent each.
    pub regions: BTreeMap<Region, String>,
    /// Of observers.
    pub observers: Option<String>,
}

/// What whoever sent a request may do.
#[derive(Debug, Clone)]
pub(crate) struct Bearer {
    everything: bool,
    /// It has the token that several share.
    shares: bool,
    observes: bool,
    /// Whose own token it has.
    own: BTreeSet<Region>,
    /// Regions that what is shared does not speak for.
    taken: Arc<BTreeSet<Region>>,
}

impl Tokens {
    /// One secret for all.
    pub fn one(token: String) -> Self {
        Self { operators: token, agents: None, regions: BTreeMap::new(), observers: None }
    }

    /// What the token in the headers opens.
    pub(crate) fn bearer(&self, headers: &HeaderMap) -> Bearer {
        let header = headers.get(header::AUTHORIZATION).map(|v| v.as_bytes()).unwrap_or_default();
        let sent = header.strip_prefix(b"Bearer ").unwrap_or_default();
        let opens = |token: &String| bool::from(sent.ct_eq(token.as_bytes()));
        let shares = self.agents.as_ref().is_some_and(opens);
        Bearer {
            everything: opens(&self.operators),
            shares,
            observes: self.observers.as_ref().map_or(shares, opens),
            own: self.regions.iter().filter(|(_, token)| opens(token)).map(|(region, _)| region.clone()).collect(),
            taken: Arc::new(self.regions.keys().cloned().collect()),
        }
    }
}

impl Bearer {
    /// It opens the path, whatever the message says.
    pub(crate) fn opens(&self, path: &str) -> bool {
        let agents = self.shares || !self.own.is_empty();
        self.everything || path.starts_with("/v1/agent/") && agents || path == "/v1/observe" && self.observes
    }

    /// Why it does not speak for the agent of that region in that place.
    pub(crate) fn speaks_for(&self, region: &Region, place: &str) -> Result<(), String> {
        if self.everything || self.shares && !self.taken.contains(region) {
            return Ok(());
        }
        let named = || self.own.iter().map(Region::as_str).collect::<Vec<_>>().join(", ");
        match (self.own.contains(region), place.is_empty()) {
            (true, false) => Ok(()),
            (true, true) => {
                Err(format!("an agent with the token of {region} says where it runs, and this one does not"))
            }
            (false, _) if self.own.is_empty() => {
                Err(format!("region {region} has a token of its own, and this is another"))
            }
            (false, _) => Err(format!("the token is the one of {}, and the message speaks for {region}", named())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(token: &str) -> Bearer {
        let tokens = Tokens {
            operators: "all".to_owned(),
            agents: Some("shared".to_owned()),
            regions: [("east".into(), "of-east".to_owned())].into(),
            observers: Some("eyes".to_owned()),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        tokens.bearer(&headers)
    }

    #[test]
    fn each_token_opens_what_its_holder_needs() {
        let paths = ["/v1/agent/heartbeat", "/v1/observe", "/v1/status", "/v1/moves"];
        let opens = |token: &str| paths.map(|path| bearer(token).opens(path));
        assert_eq!(opens("all"), [true, true, true, true]);
        assert_eq!(opens("shared"), [true, false, false, false], "observers have a token of their own");
        assert_eq!(opens("of-east"), [true, false, false, false]);
        assert_eq!(opens("eyes"), [false, true, false, false]);
        assert_eq!([opens("wrong"), opens("")], [[false; 4]; 2]);
    }

    #[test]
    fn a_region_with_a_token_of_its_own_is_spoken_for_by_no_other_and_only_from_a_place() {
        let speaks = |token: &str, region: &str, place: &str| bearer(token).speaks_for(&region.into(), place);
        assert_eq!(speaks("of-east", "east", "here"), Ok(()));
        assert!(speaks("of-east", "east", "").unwrap_err().contains("says where it runs"));
        assert!(speaks("of-east", "west", "here").unwrap_err().contains("the one of east"));
        assert!(speaks("shared", "east", "here").unwrap_err().contains("a token of its own"));
        assert_eq!(speaks("shared", "west", ""), Ok(()), "it has none of its own");
        assert_eq!(speaks("all", "east", ""), Ok(()));
    }
}
