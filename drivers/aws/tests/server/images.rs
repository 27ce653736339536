//! The images of an ECS service: there, in the region's own registry, and the same by digest as where it serves.

use crate::ground::{EAST, Ground, WEST};
use pilotlight_aws::EcsDriver;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::plan::aws::{EcsPlan, EcsService};
use pilotlight_driver::Driver;
use serde_json::json;

/// A service of one name in both regions, whose images are these references with `{}` for a registry's host.
async fn service(ground: &Ground, name: &str, east: &str, west: &str) -> EcsDriver {
    let place = |region: &str, image: &str| {
        let image = format!("123456789012.dkr.ecr.{image}");
        json!({"region": region, "cluster": name, "service": name, "tasks": 1, "image": image})
    };
    ground.seed(json!({"ecs": [place(EAST, east), place(WEST, west)]})).await;
    driver_of(ground, name)
}

/// Of the services of that name that are there.
fn driver_of(ground: &Ground, name: &str) -> EcsDriver {
    let service = EcsService { cluster: name.to_owned(), service: name.to_owned() };
    let plan = EcsPlan {
        active: 6,
        standby: 1,
        active_provider: None,
        standby_provider: None,
        regions: [(Region::from(EAST), service.clone()), (Region::from(WEST), service)].into(),
    };
    EcsDriver::new("app".into(), plan, ground.access())
}

async fn push(ground: &Ground, region: &str, repository: &str, tag: &str, content: &str) {
    let image = json!({"region": region, "repository": repository, "tag": tag, "content": content});
    ground.seed(json!({"images": [image]})).await;
}

async fn found(driver: &EcsDriver, instances: u32) -> Vec<Finding> {
    let grow = Effect::SetCapacity { component: "app".into(), region: WEST.into(), instances };
    driver.preflight(&grow).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_the_target_lacks_or_has_otherwise_is_found_before_a_move() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("shop");
    let host = |region: &str| format!("{region}.amazonaws.com/{name}:1.2");
    let driver = service(&ground, &name, &host(EAST), &host(WEST)).await;
    push(&ground, EAST, &name, "1.2", "first").await;
    let missing = found(&driver, 6).await;
    let [one] = missing.as_slice() else { panic!("{missing:?}") };
    assert_eq!((one.code.as_str(), one.severity), ("PL-0894", Severity::Blocker));
    assert!(one.message.contains(&format!("{name}:1.2")) && one.message.contains(WEST), "{}", one.message);
    assert_eq!(found(&driver, 1).await, [], "a smaller service pulls nothing");

    push(&ground, WEST, &name, "1.2", "second").await;
    let differs = found(&driver, 6).await;
    let [one] = differs.as_slice() else { panic!("{differs:?}") };
    assert_eq!((one.code.as_str(), one.severity), ("PL-0896", Severity::Warning));
    assert!(one.message.matches("sha256:").count() == 2, "{}", one.message);

    let same = ground.fresh("same");
    let host = |region: &str| format!("{region}.amazonaws.com/{same}:1.2");
    let driver = service(&ground, &same, &host(EAST), &host(WEST)).await;
    for region in [EAST, WEST] {
        push(&ground, region, &same, "1.2", "one for both").await;
    }
    assert_eq!(found(&driver, 6).await, []);
    // Without the other region the target's own images are looked at all the same.
    ground.server.tell("regions/us-east-1", json!({"control": "refuse"})).await.unwrap();
    let alone = found(&driver, 6).await;
    ground.server.tell("regions/us-east-1", json!({"control": "up"})).await.unwrap();
    assert!(alone.iter().all(|f| f.severity == Severity::Note) && alone.len() == 1, "{alone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_out_of_the_registry_of_the_region_that_is_lost_is_a_blocker() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("far");
    let host = format!("{EAST}.amazonaws.com/{name}:1");
    let driver = service(&ground, &name, &host, &host).await;
    push(&ground, EAST, &name, "1", "only there").await;
    let far = found(&driver, 6).await;
    let [one] = far.as_slice() else { panic!("{far:?}") };
    assert_eq!((one.code.as_str(), one.severity), ("PL-0895", Severity::Blocker));
    // Images of nobody's account are not ours to look at.
    let public = ground.fresh("public");
    ground
        .seed(json!({"ecs": [
            {"region": EAST, "cluster": public, "service": public, "tasks": 1},
            {"region": WEST, "cluster": public, "service": public, "tasks": 1},
        ]}))
        .await;
    assert_eq!(found(&driver_of(&ground, &public), 6).await, []);
}
