//! Roles of regions: their keys are asked for once and kept, not asked for with each call.

use crate::drive;
use crate::ground::{EAST, Ground, WEST, context};
use pilotlight_aws::{Access, EcsDriver, SnsDriver};
use pilotlight_core::effect::Effect;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{FailureKind, Severity};
use pilotlight_core::plan::aws::{AwsPlan, AwsRegion, EcsPlan, EcsService, SnsPlan};
use pilotlight_driver::Driver;
use pilotlight_driver::clock::SystemClock;
use serde_json::json;
use std::process::Command;
use std::sync::Arc;

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

/// A service where the plan has a region, a name whose calls go to us-east-1, and a topic in a region that is none of the plan's.
#[tokio::test(flavor = "multi_thread")]
async fn one_role_acts_everywhere_and_a_region_s_own_goes_before_it() {
    let Some(ground) = Ground::find().await else { return };
    let arn = |account: &str| Some(format!("arn:aws:iam::{account}:role/pilotlight"));
    let own = AwsRegion { role: arn("222222222222"), ..AwsRegion::default() };
    let plan = AwsPlan {
        endpoint: Some(ground.server.endpoint()),
        account: Some("123456789012".to_owned()),
        role: arn("123456789012"),
        regions: [
            (Region::from(WEST), own),
            (Region::from("ohio"), AwsRegion { name: Some("us-east-2".into()), ..AwsRegion::default() }),
        ]
        .into(),
        ..AwsPlan::default()
    };
    let access = || Access::with_keys(plan.clone(), Arc::new(SystemClock), "test", "test");
    // An account that the server meets for the first time takes it longer than a look may take.
    let first = access();
    for region in [EAST, WEST] {
        for _ in 0..20 {
            let found = first.identity(&region.into()).await.err();
            if found.is_none_or(|f| f.code != "PL-0361") {
                break;
            }
        }
    }
    let access = access();
    let since = ground.now().await;
    for region in [EAST, "ohio", "eu-west-1"] {
        let said = access.identity(&region.into()).await.unwrap();
        assert!(said.contains("assumed-role/pilotlight") && said.contains("123456789012"), "{region}: {said}");
    }
    let found = access.identity(&WEST.into()).await.unwrap_err();
    assert_eq!((found.code.as_str(), found.severity), ("PL-0363", Severity::Blocker), "{found:?}");
    assert!(found.message.contains("222222222222"), "{found:?}");
    for region in [EAST, "us-east-2", "eu-west-1", WEST] {
        let calls = ground.calls(since, region).await;
        let ends = [calls.first(), calls.last()].map(|call| call.map(String::as_str));
        assert_eq!(ends, [Some("AssumeRole"), Some("GetCallerIdentity")], "{region}: {calls:?}");
    }

    // The topic of people is in a region that no plan names, and is told by the role, too.
    let deny = json!({"kind": "deny", "service": "sts", "action": "AssumeRole", "times": 9_999});
    ground.server.tell("faults", deny).await.unwrap();
    let topic =
        ground.seed(json!({"topics": [["eu-central-1", "people"]]})).await["topics"][0].as_str().unwrap().to_owned();
    let people = SnsDriver::new("people".into(), SnsPlan { topic }, access);
    let tell = Effect::Notify { component: "people".into(), message: "it begins".into() };
    let since = ground.now().await;
    let refused = people.apply(&tell, &context(1, "tell")).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected, "{refused}");
    let calls = ground.calls(since, "eu-central-1").await;
    assert!(!calls.is_empty() && calls.iter().all(|call| call == "AssumeRole"), "{calls:?}");
}

/// Set for a second life of this program, whose keys come from a profile.
const SECOND_LIFE: &str = "PILOTLIGHT_TEST_KEYS_OF_A_PROFILE";
const PROFILE: &str = "[default]
role_arn = arn:aws:iam::123456789012:role/operator
source_profile = base
[profile base]
aws_access_key_id = test
aws_secret_access_key = test
";

/// The SDK reads profiles through variables of the process, so whoever asks is a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_profile_do_not_need_the_home_region() {
    const SELF: &str = "roles::keys_of_a_profile_do_not_need_the_home_region";
    if let Ok(endpoint) = std::env::var(SECOND_LIFE) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plan = AwsPlan { endpoint: Some(endpoint), ..AwsPlan::default() };
        let regions = [Region::from(WEST), Region::from(EAST)];
        let access = Access::new(plan, Arc::new(SystemClock)).with_keys_in(regions.iter());
        access.identity(&WEST.into()).await.unwrap();
        return;
    }
    let Some(ground) = Ground::find().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("config");
    std::fs::write(&profile, PROFILE).unwrap();
    for (west, asked) in [("up", [1, 0]), ("refuse", [1, 1])] {
        ground.server.tell(&format!("regions/{WEST}"), json!({"control": west})).await.unwrap();
        let since = ground.now().await;
        let mut life = Command::new(std::env::current_exe().unwrap());
        life.args([SELF, "--exact", "--nocapture"]).env_clear().env(SECOND_LIFE, ground.server.endpoint());
        life.env("AWS_CONFIG_FILE", &profile).env("AWS_SHARED_CREDENTIALS_FILE", folder.path().join("none"));
        life.env("AWS_ENDPOINT_URL", ground.server.endpoint()).env("AWS_EC2_METADATA_DISABLED", "true");
        let said = life.output().unwrap();
        let assumed = async |region| ground.calls(since, region).await.iter().filter(|c| *c == "AssumeRole").count();
        assert_eq!([assumed(WEST).await, assumed(EAST).await], asked, "{west}: {said:?}");
        assert_eq!(said.status.success(), west == "up", "its call goes to a region that is silent: {said:?}");
    }
}
