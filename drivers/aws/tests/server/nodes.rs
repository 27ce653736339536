//! Node groups of EKS: the battery of capacity, what AWS gives up on, and what is found before a move.

use crate::capacity::Running;
use crate::drive::{done, look};
use crate::ground::{EAST, Ground, WEST, context};
use pilotlight_aws::EksDriver;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{FailureKind, Finding, Outcome, Severity};
use pilotlight_core::plan::aws::{EksNodeGroup, EksPlan};
use pilotlight_driver::Driver;
use pilotlight_driver::battery::capacity;
use pilotlight_driver::guard::Guarded;
use serde_json::{Value, json};

fn driver(ground: &Ground, name: &str) -> EksDriver {
    let group = EksNodeGroup { cluster: name.to_owned(), node_group: "general".to_owned() };
    let regions = [(Region::from(EAST), group.clone()), (Region::from(WEST), group)].into();
    let plan = EksPlan { active: 4, standby: 1, active_max: Some(20), standby_max: Some(3), regions };
    EksDriver::new("app".into(), plan, ground.access())
}

/// A cluster of that name with a node group; answers the name of the group of its instances.
async fn seed(ground: &Ground, region: &str, name: &str, least: u32) -> String {
    let one = json!({"region": region, "cluster": name, "group": "general", "least": least, "most": 3});
    let made = ground.seed(json!({"nodes": [one]})).await;
    made["nodes"][region].as_str().unwrap().to_owned()
}

fn size(region: &str, instances: u32) -> Effect {
    Effect::SetCapacity { component: "app".into(), region: region.into(), instances }
}

async fn by_hand(ground: &Ground, region: &str, name: &str, more: Value) {
    let mut body = json!({"region": region, "cluster": name, "node_group": "general"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ground.server.tell("by-hand/node-group", body).await.unwrap();
}

fn codes(found: &[Finding]) -> Vec<(&str, Severity)> {
    found.iter().map(|f| (f.code.as_str(), f.severity)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn node_groups_keep_the_laws_of_capacity() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("nodes");
    let group = seed(&ground, EAST, &name, 0).await;
    let folder = tempfile::tempdir().unwrap();
    let driver = Box::new(Guarded::open(driver(&ground, &name), folder.path()).unwrap());
    let bench = Running::of(&ground, driver, format!("region={EAST}&group={group}"), folder);
    capacity(&bench).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_grows_with_its_limit_and_shrinks_again_as_awscli_sees_it() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("grow");
    seed(&ground, WEST, &name, 1).await;
    let driver = driver(&ground, &name);
    let words = ["eks", "describe-nodegroup", "--cluster-name", &name, "--nodegroup-name", "general"];
    for (instances, most) in [(4, 20), (1, 3)] {
        let step = format!("to-{instances}");
        done(&driver, &size(WEST, instances), &context(1, &step)).await.unwrap();
        let seen = look(&driver, "app", WEST).await;
        assert_eq!(seen.capacity.unwrap().ready, instances);
        assert_eq!(seen.facts["status"], "ACTIVE");
        let said = ground.awscli(WEST, &words);
        let wanted = json!({"minSize": instances, "maxSize": most, "desiredSize": instances});
        assert_eq!(said["nodegroup"]["scalingConfig"], wanted);
        let again = driver.apply(&size(WEST, instances), &context(1, "again")).await.unwrap();
        assert!(matches!(again, Outcome::Skipped { .. }), "{again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_eks_gives_up_on_fails_the_step_with_its_reason() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("unwell");
    seed(&ground, WEST, &name, 1).await;
    let driver = driver(&ground, &name);
    by_hand(&ground, WEST, &name, json!({"fails": "the role of the nodes was deleted"})).await;
    let refused = done(&driver, &size(WEST, 4), &context(1, "fails")).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected, "{refused}");
    assert!(refused.to_string().contains("the role of the nodes was deleted"), "{refused}");

    ground.server.tell("phases", json!({"node-update": 200, "instance": 9000})).await.unwrap();
    // While AWS changes the group another change is refused, and may be tried again.
    let accepted = driver.apply(&size(WEST, 4), &context(2, "grow")).await.unwrap();
    let Outcome::Accepted { handle } = accepted else { panic!("{accepted:?}") };
    let busy = driver.apply(&size(WEST, 3), &context(3, "busy")).await.unwrap_err();
    assert_eq!(busy.kind, FailureKind::Transient, "{busy}");
    let issues = json!([{"code": "InsufficientFreeAddresses", "message": "no address is left in subnet-1"}]);
    by_hand(&ground, WEST, &name, json!({"status": "DEGRADED", "issues": issues})).await;
    let context = context(2, "grow");
    let mut answer = driver.resume(&handle, &context).await;
    while let Ok(Outcome::Accepted { handle }) = &answer {
        answer = driver.resume(handle, &context).await;
    }
    let refused = answer.unwrap_err();
    assert!(refused.to_string().contains("no address is left in subnet-1"), "{refused}");
    assert!(look(&driver, "app", WEST).await.facts["issues"].contains("InsufficientFreeAddresses"));

    let found = driver.preflight(&size(WEST, 4)).await.unwrap();
    assert!(codes(&found).contains(&("PL-0940", Severity::Blocker)), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_move_would_stumble_over_is_found_before() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("before");
    let driver = driver(&ground, &name);
    let found = driver.preflight(&size(WEST, 4)).await.unwrap();
    assert_eq!(codes(&found), [("PL-0364", Severity::Blocker)], "{found:?}");
    assert!(found[0].message.contains("EKS cluster"), "{found:?}");
    for region in [EAST, WEST] {
        seed(&ground, region, &name, 1).await;
    }
    assert_eq!(driver.preflight(&size(WEST, 4)).await.unwrap(), []);
    let newer = json!({"region": EAST, "cluster": name, "version": "1.33"});
    ground.server.tell("by-hand/cluster-version", newer).await.unwrap();
    let skew = driver.preflight(&size(WEST, 4)).await.unwrap();
    assert_eq!(codes(&skew), [("PL-0941", Severity::Warning)], "{skew:?}");
    assert!(skew[0].message.contains("1.33 in us-east-1"), "{skew:?}");
    assert_eq!(driver.preflight(&size(WEST, 1)).await.unwrap(), [], "what shrinks is not compared");

    ground.server.tell("regions/us-east-1", json!({"control": "refuse"})).await.unwrap();
    let alone = driver.preflight(&size(WEST, 4)).await.unwrap();
    assert_eq!(codes(&alone), [("PL-0361", Severity::Note)], "{alone:?}");
}
