//! Tests of what derivation asks the facets of a kind, with kinds of a provider.

use super::*;
use crate::plan::aws::{AuroraMember, AuroraPlan, AwsComponent, ElastiCacheMember, ElastiCachePlan, SnapshotBefore};
use crate::plan::{ComponentPlan, Kind};
use std::time::Duration;

/// A provider's, whatever the fixtures know of its kind.
fn managed(d: &mut Descriptor) {
    provider(d);
    d.capabilities.insert(Capability::Replicated);
}

#[test]
fn what_nothing_can_silence_is_told_with_what_people_can_do_about_its_kind() {
    let places = ["east", "west"];
    let aurora = || {
        let member = |r: &&str| {
            let member =
                AuroraMember { cluster: "pay".to_owned(), address: None, open_groups: vec![], closed_groups: vec![] };
            ((*r).into(), member)
        };
        let regions = places.iter().map(member).collect();
        AwsComponent::Aurora(AuroraPlan { regions, ..AuroraPlan::default() })
    };
    let cache = || {
        let member = |r: &&str| ((*r).into(), ElastiCacheMember { group: "sessions".to_owned(), address: None });
        let (global_datastore, regions) = ("abcde-sessions".to_owned(), places.iter().map(member).collect());
        AwsComponent::ElastiCache(ElastiCachePlan { global_datastore, may_detach: true, regions })
    };
    for (kind, says) in [(Some(aurora()), "`closed_groups`"), (Some(cache()), "never joins again"), (None, "`kind`")] {
        let mut plan = usual();
        if let Some(kind) = kind {
            let kind = Kind::Aws(kind);
            plan.components.insert("database".into(), ComponentPlan { unit: unit(), writes: None, kind });
        }
        let alone = Scene::new(plan, Verb::Rejoin, "east").driver("database", managed);
        let alone = alone.role("database", "east", Role::Writer).role("database", "west", Role::Writer);
        let refusal = alone.refusal();
        assert!(refusal.code() == "PL-0215" && refusal.hint().contains(says), "{}", refusal.hint());
    }
}

#[test]
fn a_planned_switch_has_time_for_what_is_made_before_it() {
    let of = |snapshot, verb| {
        let mut plan = usual();
        let regions = ["east", "west"].map(|r| (r.into(), AuroraMember::default())).into();
        let kind = AwsComponent::Aurora(AuroraPlan { snapshot, regions, ..AuroraPlan::default() });
        let kind = Kind::Aws(kind);
        plan.components.insert("database".into(), ComponentPlan { unit: unit(), writes: None, kind });
        let scene = Scene::new(plan, verb, "west").driver("database", managed);
        let steps = Scene { consent: Consent::Given, ..scene }.runbook().steps;
        steps.iter().find(|s| s.id.as_str() == "switch-database-west").expect("it moves in one call").deadline_ms
    };
    let usual = of(SnapshotBefore::Rejoin, Verb::Switchover);
    assert_eq!(of(SnapshotBefore::Changes, Verb::Switchover), usual + Duration::from_secs(3_600));
    assert_eq!(of(SnapshotBefore::Changes, Verb::Failover), usual, "nothing is made before a failover");
}
