//! What a region needs besides components: secrets, keys, certificates, quotas.

use crate::ground::{EAST, Ground, WEST};
use pilotlight_aws::{EcsDriver, Needing};
use pilotlight_core::effect::Effect;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::plan::aws::{AwsNeeds, AwsQuota, EcsPlan, EcsService};
use pilotlight_driver::Driver;
use serde_json::{Value, json};

fn codes(found: &[Finding]) -> Vec<(&str, Severity)> {
    found.iter().map(|f| (f.code.as_str(), f.severity)).collect()
}

fn needs(secret: &str) -> AwsNeeds {
    AwsNeeds { secrets: vec![secret.to_owned()], certificate_days: 30, ..AwsNeeds::default() }
}

/// A secret, a key and a certificate in a region; the certificate is valid for so many days.
async fn seed(ground: &Ground, region: &str, name: &str, days: u32) -> Value {
    let one = json!({"region": region, "secret": name, "key": format!("alias/{name}"), "days": days});
    ground.seed(json!({"needs": [one]})).await["needs"][region].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_good_and_what_is_not_has_a_name() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("need");
    let made = seed(&ground, WEST, &name, 90).await;
    let certificate = made["certificate"].as_str().unwrap().to_owned();
    let quota = |least| AwsQuota { service: "ec2".to_owned(), quota: "L-1216C47A".to_owned(), least };
    let of = json!({"region": WEST, "service": "ec2", "quota": "L-1216C47A", "value": 5});
    ground.server.tell("quotas", of).await.unwrap();
    let whole = AwsNeeds {
        keys: vec![format!("alias/{name}")],
        certificates: vec![certificate.clone()],
        quotas: vec![quota(5)],
        ..needs(&name)
    };
    let look = async |west: AwsNeeds| {
        let access = ground.access_needing([(EAST, AwsNeeds::default()), (WEST, west)]);
        access.needs(&WEST.into()).await
    };
    assert_eq!(look(whole.clone()).await, []);

    let short = look(AwsNeeds { quotas: vec![quota(6)], ..AwsNeeds::default() }).await;
    assert_eq!(codes(&short), [("PL-0374", Severity::Blocker)], "{short:?}");
    let granted = json!({"region": WEST, "service": "ec2", "quota": "L-1216C47A", "value": 64, "granted": true});
    ground.server.tell("quotas", granted).await.unwrap();
    assert_eq!(look(AwsNeeds { quotas: vec![quota(64)], ..AwsNeeds::default() }).await, []);
    let ends = look(AwsNeeds { certificates: vec![certificate], certificate_days: 120, ..AwsNeeds::default() }).await;
    assert_eq!(codes(&ends), [("PL-0944", Severity::Warning)], "{ends:?}");
    let nowhere = AwsNeeds { keys: vec!["alias/nobody".to_owned()], ..needs("nobody") };
    let missing = look(nowhere).await;
    assert_eq!(codes(&missing), [("PL-0364", Severity::Blocker); 2], "{missing:?}");

    let key = made["key"].as_str().unwrap();
    ground.awscli(WEST, &["kms", "disable-key", "--key-id", key]);
    ground.awscli(WEST, &["secretsmanager", "delete-secret", "--secret-id", &name]);
    let gone = look(whole.clone()).await;
    assert_eq!(codes(&gone), [("PL-0942", Severity::Blocker), ("PL-0943", Severity::Blocker)], "{gone:?}");

    // A right that is missing is named, and a region that is down is never a pass.
    let deny = json!({"service": "kms", "action": "DescribeKey", "kind": "deny", "times": 1});
    ground.server.tell("faults", deny).await.unwrap();
    let denied = look(AwsNeeds { keys: whole.keys.clone(), ..AwsNeeds::default() }).await;
    assert_eq!(codes(&denied), [("PL-0362", Severity::Blocker)], "{denied:?}");
    assert!(denied[0].message.contains("DescribeKey"), "{denied:?}");
    ground.server.tell("regions/us-west-2", json!({"control": "refuse"})).await.unwrap();
    let down = look(whole).await;
    assert_eq!(codes(&down), [("PL-0361", Severity::Blocker); 4], "{down:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_compared_with_its_copy() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("copied");
    let both = [Region::from(EAST), Region::from(WEST)];
    let access = ground.access_needing([(EAST, needs(&name)), (WEST, needs(&name))]);
    let secret = json!({"region": EAST, "secret": name, "copy": WEST});
    ground.seed(json!({"needs": [secret]})).await;
    assert_eq!(access.secrets_in_step(&both).await, []);
    assert_eq!(access.needs(&WEST.into()).await, []);

    let failed = json!({"region": EAST, "secret": name, "copy": WEST, "status": "Failed", "why": "the key is gone"});
    ground.server.tell("by-hand/secret-copy", failed).await.unwrap();
    let failed = access.secrets_in_step(&both).await;
    assert_eq!(codes(&failed), [("PL-0942", Severity::Blocker)], "{failed:?}");
    assert!(failed[0].message.contains("the key is gone"), "{failed:?}");

    ground.server.tell("regions/us-west-2", json!({"control": "refuse"})).await.unwrap();
    let alone = access.secrets_in_step(&both).await;
    assert_eq!(codes(&alone), [("PL-0942", Severity::Warning)], "{alone:?}");
    ground.server.tell("regions/us-west-2", json!({"control": "up"})).await.unwrap();

    // Two secrets of one name that nothing links.
    let apart = ground.fresh("apart");
    let access = ground.access_needing([(EAST, needs(&apart)), (WEST, needs(&apart))]);
    let secrets = [EAST, WEST].map(|region| json!({"region": region, "secret": apart}));
    ground.seed(json!({"needs": secrets})).await;
    assert_eq!(codes(&access.secrets_in_step(&both).await), [("PL-0942", Severity::Note)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_the_region_lacks_where_the_service_would_go() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("grows");
    let place = |region: &str| json!({"region": region, "cluster": name, "service": name, "tasks": 1});
    ground.seed(json!({"ecs": [place(EAST), place(WEST)]})).await;
    let service = EcsService { cluster: name.clone(), service: name.clone() };
    let plan = EcsPlan {
        active: 2,
        standby: 0,
        active_provider: None,
        standby_provider: None,
        regions: [(Region::from(EAST), service.clone()), (Region::from(WEST), service)].into(),
    };
    let access = ground.access_needing([(EAST, AwsNeeds::default()), (WEST, needs("nobody"))]);
    let driver = Needing::new(EcsDriver::new("app".into(), plan, access.clone()), access);
    let size =
        |region: &str, instances| Effect::SetCapacity { component: "app".into(), region: region.into(), instances };
    let since = ground.now().await;
    assert_eq!(codes(&driver.preflight(&size(WEST, 2)).await.unwrap()), [("PL-0364", Severity::Blocker)]);
    assert_eq!(codes(&driver.preflight(&size(WEST, 2)).await.unwrap()), [("PL-0364", Severity::Blocker)]);
    assert_eq!(driver.preflight(&size(EAST, 2)).await.unwrap(), []);
    let asked = ground.calls(since, WEST).await;
    assert_eq!(asked.iter().filter(|a| *a == "DescribeSecret").count(), 1, "{asked:?}");
}
