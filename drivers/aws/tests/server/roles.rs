//! Roles of regions: their keys are asked for once and kept, not asked for with each call.

use crate::drive;
use crate::ground::{EAST, Ground};
use pilotlight_aws::EcsDriver;
use pilotlight_core::id::Region;
use pilotlight_core::plan::aws::{AwsRegion, EcsPlan, EcsService};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn many_looks_assume_a_role_once() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("roles");
    ground.seed(json!({"ecs": [{"region": EAST, "cluster": name, "service": name, "tasks": 2}]})).await;
    let role = Some("arn:aws:iam::123456789012:role/pilotlight".to_owned());
    let access = ground.access_to([(Region::from(EAST), AwsRegion { role, ..AwsRegion::default() })].into());
    let service = EcsService { cluster: name.clone(), service: name };
    let regions = [(Region::from(EAST), service)].into();
    let plan = EcsPlan { active: 2, standby: 1, active_provider: None, standby_provider: None, regions };
    let driver = EcsDriver::new("app".into(), plan, access);
    let since = ground.now().await;
    for _ in 0..5 {
        drive::look(&driver, "app", EAST).await;
    }
    let calls = ground.calls(since, EAST).await;
    let made = |action: &str| calls.iter().filter(|call| *call == action).count();
    assert_eq!((made("AssumeRole"), made("DescribeServices")), (1, 5), "{calls:?}");
}
