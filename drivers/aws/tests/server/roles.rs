//! Roles of regions: their keys are asked for once and kept, not asked for with each call.

use crate::drive;
use crate::ground::{EAST, Ground, context};
use pilotlight_aws::EcsDriver;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{FailureKind, Severity};
use pilotlight_core::plan::aws::{AwsRegion, EcsPlan, EcsService};
use pilotlight_driver::Driver;
use serde_json::json;

/// A service in a region where a role acts, and the driver of it.
async fn service(ground: &Ground) -> (EcsDriver, pilotlight_aws::Access) {
    let name = ground.fresh("roles");
    ground.seed(json!({"ecs": [{"region": EAST, "cluster": name, "service": name, "tasks": 2}]})).await;
    let role = Some("arn:aws:iam::123456789012:role/pilotlight".to_owned());
    let access = ground.access_to([(Region::from(EAST), AwsRegion { role, ..AwsRegion::default() })].into());
    let service = EcsService { cluster: name.clone(), service: name };
    let regions = [(Region::from(EAST), service)].into();
    let plan = EcsPlan { active: 2, standby: 1, active_provider: None, standby_provider: None, regions };
    (EcsDriver::new("app".into(), plan, access.clone()), access)
}

/// No call of the driver leaves then, so nothing is in doubt.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_be_assumed_is_named_before_and_refused_during() {
    let Some(ground) = Ground::find().await else { return };
    let (driver, access) = service(&ground).await;
    let set = Effect::SetCapacity { component: "app".into(), region: EAST.into(), instances: 1 };
    let deny = json!({"kind": "deny", "service": "sts", "action": "AssumeRole", "times": 9_999});
    ground.server.tell("faults", deny).await.unwrap();
    let found = access.identity(&EAST.into()).await.unwrap_err();
    assert_eq!((found.code.as_str(), found.severity), ("PL-0362", Severity::Blocker), "{found:?}");
    assert!(found.message.contains("sts:AssumeRole"), "{found:?}");
    let since = ground.now().await;
    let refused = driver.apply(&set, &context(1, "set")).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected, "{refused}");
    let calls = ground.calls(since, EAST).await;
    assert!(calls.iter().all(|call| call == "AssumeRole"), "{calls:?}");
    // As soon as it may be assumed again, it is.
    ground.server.no_faults().await.unwrap();
    drive::done(&driver, &set, &context(2, "again")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_looks_assume_a_role_once() {
    let Some(ground) = Ground::find().await else { return };
    let (driver, _) = service(&ground).await;
    let since = ground.now().await;
    for _ in 0..5 {
        drive::look(&driver, "app", EAST).await;
    }
    let calls = ground.calls(since, EAST).await;
    let made = |action: &str| calls.iter().filter(|call| *call == action).count();
    assert_eq!((made("AssumeRole"), made("DescribeServices")), (1, 5), "{calls:?}");
}
