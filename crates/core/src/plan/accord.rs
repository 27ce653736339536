//! The accord: what of a plan agent and controller must have in common, said by each agent with every heartbeat.
//!
//! In it stands what both sides act upon and what "one writer" rests on: the promise (`policy.guarantee`, `policy.beyond_rpo`,
//! `objectives.rpo`), the lease and how often it is renewed, the regions in their order, and each component that agents hold:
//! its unit, the regions of its copies and instances, whether its clients are fenced. Not in it: what one side alone acts
//! upon, what a provider runs, and addresses, by which one place may reach a server otherwise than another.
//!
//! Two accords are compared part by part, and only by parts that both have: a later version may say more.

use super::{ComponentPlan, Plan};
use crate::id::{Region, Unit};
use crate::time::show_duration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The parts of a plan that both sides must have in common, as text, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Accord(BTreeMap<String, String>);

/// A part that is another there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which, for example `policy.guarantee`.
    pub part: String,
    /// What the agent runs under.
    pub agent: String,
    /// What the controller runs under.
    pub controller: String,
}

impl Accord {
    /// The accord of a plan.
    pub fn of(plan: &Plan) -> Self {
        let policy = &plan.policy;
        let held = || plan.components.iter().filter(|(_, c)| is_held(c));
        let mut parts: BTreeMap<String, String> = [
            ("objectives.rpo", show_duration(plan.objectives.rpo)),
            ("policy.guarantee", word(&policy.guarantee)),
            ("policy.beyond_rpo", word(&policy.beyond_rpo)),
            ("policy.lease", show_duration(policy.lease)),
            ("policy.renew", show_duration(policy.renew)),
            ("regions", list(plan.regions.iter().map(Region::as_str))),
            ("components", list(held().map(|(name, _)| name.as_str()))),
        ]
        .map(|(name, said)| (name.to_owned(), said))
        .into();
        parts.extend(held().map(|(name, component)| (format!("components.{name}"), told(component))));
        Self(parts)
    }

    /// A short name for all of it: equal accords have the same, and others hardly ever. For people; nothing is decided by it.
    pub fn digest(&self) -> String {
        // FNV-1a: the same in every release, which the standard library's hash does not promise.
        let bytes = self.0.iter().flat_map(|(name, said)| [name.as_bytes(), b"=", said.as_bytes(), b"\n"]).flatten();
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("{hash:016x}")
    }

    /// Where the agent's differs from the controller's, which this is.
    pub fn against(&self, agent: &Accord) -> Vec<Difference> {
        let differs = |(part, ours): (&String, &String)| {
            let theirs = agent.0.get(part).filter(|theirs| *theirs != ours)?;
            Some(Difference { part: part.clone(), agent: theirs.clone(), controller: ours.clone() })
        };
        self.0.iter().filter_map(differs).collect()
    }
}

impl Difference {
    /// Whether the unit rests on it: one of a component concerns the units that it belongs to on either side.
    pub fn concerns(&self, unit: &Unit) -> bool {
        let of_unit = of_unit(unit);
        !self.part.starts_with("components.")
            || self.agent.starts_with(&of_unit)
            || self.controller.starts_with(&of_unit)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, agent, controller } = self;
        write!(f, "{part} is `{agent}` for the agent and `{controller}` for the controller")
    }
}

/// Agents have copies or instances of it.
fn is_held(component: &ComponentPlan) -> bool {
    !component.is_managed() && (component.is_replicated() || component.capacity().is_some())
}

fn told(component: &ComponentPlan) -> String {
    let regions = |regions: Vec<&Region>| list(regions.into_iter().map(Region::as_str));
    let mut told = of_unit(&component.unit);
    if component.is_replicated() {
        told.push_str(&format!(" copies in {}", regions(component.copies())));
    }
    if let Some((places, _)) = component.capacity() {
        told.push_str(&format!(" instances in {}", regions(places)));
    }
    if component.fences_connections() {
        told.push_str(", clients fenced");
    }
    told
}

fn of_unit(unit: &Unit) -> String {
    format!("unit {unit}:")
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// The word of the plan for it.
fn word(choice: &impl Serialize) -> String {
    match serde_json::to_value(choice) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("a choice of the plan is one word: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::plan::{ConnectionFence, Guarantee, Kind};
    use std::time::Duration;

    fn parts(changed: impl FnOnce(&mut Plan)) -> Vec<String> {
        let ours = fixture::usual();
        let mut theirs = ours.clone();
        changed(&mut theirs);
        let (ours, theirs) = (Accord::of(&ours), Accord::of(&theirs));
        let differs = ours.against(&theirs);
        assert_eq!(differs.is_empty(), ours.digest() == theirs.digest(), "{differs:?}");
        differs.into_iter().map(|d| d.part).collect()
    }

    #[test]
    fn each_part_that_both_must_have_in_common_is_compared() {
        assert_eq!(parts(|_| ()), Vec::<String>::new());
        assert_eq!(parts(|p| p.policy.guarantee = Guarantee::Strict), ["policy.guarantee"]);
        assert_eq!(parts(|p| p.policy.lease = Duration::from_secs(4)), ["policy.lease"]);
        assert_eq!(parts(|p| p.policy.renew = Duration::from_millis(600)), ["policy.renew"]);
        assert_eq!(parts(|p| p.objectives.rpo = Duration::from_secs(1)), ["objectives.rpo"]);
        assert_eq!(parts(|p| p.regions.reverse()), ["regions"], "candidates are offered in this order");
        let other_unit = |p: &mut Plan| p.components.get_mut(&"payments".into()).unwrap().unit = "other".into();
        assert_eq!(parts(other_unit), ["components.payments"]);
        let gone = |p: &mut Plan| drop(p.components.remove(&"payments".into()));
        assert_eq!(parts(gone), ["components"], "what one side alone has is told by the list");
    }

    #[test]
    fn a_copy_less_and_another_fence_are_seen_and_an_address_is_not() {
        let database = |change: fn(&mut super::super::PostgresPlan)| {
            parts(move |p| match &mut p.components.get_mut(&"database".into()).unwrap().kind {
                Kind::Postgres(database) => change(database),
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(database(|d| drop(d.regions.remove(&"west".into()))), ["components.database"]);
        assert_eq!(database(|d| d.connection_fence = ConnectionFence::Proxy), ["components.database"]);
        let other_way = |d: &mut super::super::PostgresPlan| d.regions.get_mut(&"west".into()).unwrap().port += 1;
        assert!(database(other_way).is_empty());
    }

    #[test]
    fn a_later_version_may_say_more() {
        let ours = Accord::of(&fixture::usual());
        let mut theirs = ours.clone();
        theirs.0.insert("policy.later".to_owned(), "yes".to_owned());
        assert!(ours.against(&theirs).is_empty() && theirs.against(&ours).is_empty());
        assert_ne!(ours.digest(), theirs.digest());
        let json = serde_json::to_string(&ours).unwrap();
        assert_eq!(serde_json::from_str::<Accord>(&json).unwrap(), ours);
    }

    #[test]
    fn a_component_concerns_its_units_and_a_promise_all() {
        let of = |part: &str, agent: &str, controller: &str| {
            let (part, agent, controller) = (part.to_owned(), agent.to_owned(), controller.to_owned());
            Difference { part, agent, controller }
        };
        let moved = of("components.db", "unit one: copies in east", "unit two: copies in east");
        assert!(moved.concerns(&"one".into()) && moved.concerns(&"two".into()) && !moved.concerns(&"on".into()));
        assert!(of("policy.guarantee", "strict", "bounded").concerns(&"on".into()));
    }
}
