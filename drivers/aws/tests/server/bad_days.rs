//! Bad days that every driver of data and of what runs may meet: another account, a thing that is in another region than the plan
//! says, or was deleted, a copy far behind. Moves by hand and runs that were left in their middle stand with each driver.

use crate::aurora::Group;
use crate::ground::{EAST, Ground, WEST, context};
use pilotlight_aws::{AuroraDriver, AutoscalingDriver, EcsDriver, EksDriver, ElastiCacheDriver, RdsDriver, S3Driver};
use pilotlight_core::effect::{Effect, FenceAssurance};
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{FailureKind, Outcome, Severity};
use pilotlight_core::plan::aws::{
    AuroraMember, AuroraPlan, AutoscalingPlan, EcsPlan, EcsService, EksNodeGroup, EksPlan, ElastiCacheMember,
    ElastiCachePlan, RdsInstance, RdsPlan, S3Bucket, S3Plan,
};
use pilotlight_driver::Driver;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_another_account_are_named() {
    let Some(ground) = Ground::find().await else { return };
    let region = Region::from(WEST);
    let found = ground.access_of("210987654321").identity(&region).await.unwrap_err();
    assert_eq!((found.code.as_str(), found.severity), ("PL-0363", Severity::Blocker));
    assert!(found.message.contains("123456789012") && found.message.contains("210987654321"), "{}", found.message);
    assert!(ground.access_of("123456789012").identity(&region).await.is_ok());
    ground.server.tell("faults", json!({"kind": "deny", "service": "sts", "times": 9})).await.unwrap();
    let denied = ground.access_of("123456789012").identity(&region).await.unwrap_err();
    assert_eq!(denied.code, "PL-0362", "{denied:?}");
}

fn both<T: Clone>(one: T) -> BTreeMap<Region, T> {
    [EAST, WEST].map(|region| (Region::from(region), one.clone())).into()
}

/// Everything is made in the east only, and the plan says that it is in the west, too.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_another_region_than_the_plan_says_is_named_before_and_refused_during() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("only");
    ground
        .seed(json!({
            "rds": [{"instances": [[EAST, name]]}],
            "ecs": [{"region": EAST, "cluster": name, "service": name, "tasks": 1}],
            "groups": [{"region": EAST, "name": name, "least": 1, "most": 2}],
        }))
        .await;
    let (own, access) = (|| name.clone(), || ground.access());
    let rds = RdsInstance { instance: own(), address: None, open_groups: vec![], closed_groups: vec![] };
    let rds = RdsPlan { regions: both(rds), ..RdsPlan::default() };
    let aurora = AuroraPlan {
        global_cluster: own(),
        regions: both(AuroraMember { cluster: own(), ..AuroraMember::default() }),
        ..AuroraPlan::default()
    };
    let cache = ElastiCacheMember { group: own(), address: None };
    let cache = ElastiCachePlan { global_datastore: own(), may_detach: false, regions: both(cache) };
    let bucket = |bucket: String| S3Bucket { bucket, rule: "everything".to_owned() };
    let buckets = [(EAST, format!("{name}-east")), (WEST, format!("{name}-west"))];
    let s3 = S3Plan { existing_copied: true, regions: buckets.map(|(r, b)| (r.into(), bucket(b))).into() };
    let service = EcsService { cluster: own(), service: own() };
    let (active_provider, standby_provider) = (None, None);
    let ecs = EcsPlan { active: 2, standby: 1, active_provider, standby_provider, regions: both(service) };
    let group = AutoscalingPlan { active: 2, standby: 1, active_max: None, standby_max: None, regions: both(own()) };
    let nodes = EksNodeGroup { cluster: own(), node_group: own() };
    let nodes = EksPlan { active: 2, standby: 1, active_max: None, standby_max: None, regions: both(nodes) };
    let it = || "it".into();
    let switch = Effect::Switch {
        component: it(),
        from: EAST.into(),
        to: WEST.into(),
        allow_loss: true,
        least: FenceAssurance::None,
    };
    let promote = Effect::Promote { component: it(), region: WEST.into() };
    let grow = Effect::SetCapacity { component: it(), region: WEST.into(), instances: 2 };
    let drivers: [(Box<dyn Driver>, &Effect); 7] = [
        (Box::new(AuroraDriver::new(it(), aurora, access())), &switch),
        (Box::new(RdsDriver::new(it(), rds, access())), &promote),
        (Box::new(ElastiCacheDriver::new(it(), cache, access())), &switch),
        (Box::new(S3Driver::new(it(), s3, access())), &switch),
        (Box::new(EcsDriver::new(it(), ecs, access())), &grow),
        (Box::new(AutoscalingDriver::new(it(), group, access())), &grow),
        (Box::new(EksDriver::new(it(), nodes, access())), &grow),
    ];
    for (number, (driver, effect)) in drivers.iter().enumerate() {
        let found = driver.preflight(effect).await.unwrap();
        let is = |f: &pilotlight_core::outcome::Finding| f.code == "PL-0364" && f.severity == Severity::Blocker;
        assert!(found.iter().any(is), "{number}: {found:?}");
        let refused = driver.apply(effect, &context(1, &format!("gone-{number}"))).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Rejected, "{number}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aurora_copy_far_behind_or_deleted_is_named() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, false).await;
    let codes = async || {
        let found = group.driver.preflight(&Group::switch(true)).await.unwrap();
        found.into_iter().map(|f| f.code).collect::<Vec<_>>()
    };
    let behind = json!({"region": WEST, "name": group.cluster(WEST), "seconds": 900.0});
    ground.server.tell("lag", behind).await.unwrap();
    assert_eq!(codes().await, ["PL-0367"]);
    for (rpo, told) in [(3_600, false), (30, true)] {
        let found = group.plain_for(Duration::from_secs(rpo)).preflight(&Group::switch(true)).await.unwrap();
        let behind = found.iter().any(|f| f.code == "PL-0367" && f.message.contains("more than the RPO of"));
        assert_eq!(behind, told, "with an RPO of {rpo} s: {found:?}");
    }
    ground.server.tell("by-hand/forget-clusters", json!({"name": group.cluster(WEST)})).await.unwrap();
    assert!(codes().await.contains(&"PL-0364".to_owned()));
    let refused = group.done(&Group::switch(true), &context(1, "gone")).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected, "{refused}");
}

/// The controller that asked is gone, and its journal with it: another run finds the move under way, and asks for no second one.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_an_earlier_run_left_under_way_is_gone_on_with() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, false).await;
    let begun = group.driver.apply(&Group::switch(false), &context(1, "switch")).await.unwrap();
    assert!(matches!(begun, Outcome::Accepted { .. }), "{begun:?}");
    let since = ground.now().await;
    let outcome = group.done(&Group::switch(false), &context(2, "again")).await.unwrap();
    assert!(matches!(outcome, Outcome::Done { .. } | Outcome::Skipped { .. }), "{outcome:?}");
    let calls = [ground.calls(since, EAST).await, ground.calls(since, WEST).await].concat();
    assert!(!calls.contains(&"SwitchoverGlobalCluster".to_owned()), "{calls:?}");
}
