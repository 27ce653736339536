//! A name that an object moves: the battery of traffic, no call to Route 53's region or to home, and what would be in the way.

use crate::drive;
use crate::ground::{EAST, Ground, WEST, context};
use async_trait::async_trait;
use pilotlight_aws::Route53Driver;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::{Component, Region};
use pilotlight_core::outcome::{Failure, FailureKind, Outcome, Severity};
use pilotlight_core::plan::aws::{AnswerTo, RecordPolicy, RecordType, Route53Answer, Route53Plan, Route53Switch};
use pilotlight_driver::Driver;
use pilotlight_driver::battery::{Bench, TrafficBench, traffic};
use pilotlight_driver::guard::Guarded;
use serde_json::json;
use std::time::Duration;

struct Name<'a> {
    ground: &'a Ground,
    name: String,
    bucket: String,
    check: String,
    driver: Guarded<Route53Driver>,
    _folder: tempfile::TempDir,
}

impl<'a> Name<'a> {
    async fn make(ground: &'a Ground) -> Name<'a> {
        let zone = format!("{}.example.com", ground.fresh("zone"));
        let (bucket, name) = (ground.fresh("switch"), format!("pay.{zone}"));
        let id = ground.seed(json!({"zones": [zone]})).await["zones"][&zone].as_str().unwrap().to_owned();
        let switch = json!({
            "zone": id, "name": name, "region": WEST, "bucket": bucket, "object": "away", "home": EAST,
            "answers": {EAST: "192.0.2.1", WEST: "192.0.2.2"},
        });
        let made = ground.seed(json!({"switches": [switch]})).await;
        let check = made["switches"][&bucket].as_str().unwrap().to_owned();
        let answer = |region: &str, value: &str, health_check: Option<String>| {
            (Region::from(region), Route53Answer { to: AnswerTo::Value(value.to_owned()), health_check })
        };
        let plan = Route53Plan {
            zone: id,
            name: name.clone(),
            record: RecordType::A,
            policy: RecordPolicy::Failover,
            ttl_seconds: 60,
            answers: [answer(EAST, "192.0.2.1", Some(check.clone())), answer(WEST, "192.0.2.2", None)].into(),
            switch: Some(Route53Switch {
                home: EAST.into(),
                bucket: bucket.clone(),
                object: "away".to_owned(),
                takes: Duration::from_secs(2),
            }),
        };
        let folder = tempfile::tempdir().unwrap();
        let driver = Guarded::open(Route53Driver::new("name".into(), plan, ground.access()), folder.path()).unwrap();
        Name { ground, name, bucket, check, driver, _folder: folder }
    }

    async fn led_to(&self) -> Vec<String> {
        self.ground.answered(&self.name).await
    }

    async fn done(&self, region: &str, epoch: u64) -> Result<Outcome, Failure> {
        let route = Effect::Route { component: "name".into(), shares: [(Region::from(region), 100)].into() };
        drive::done(&self.driver, &route, &context(epoch, region)).await
    }

    async fn found(&self) -> Vec<(Severity, String)> {
        let route = Effect::Route { component: "name".into(), shares: [(Region::from(WEST), 100)].into() };
        let found = self.driver.preflight(&route).await.unwrap();
        found.into_iter().map(|f| (f.severity, f.message)).collect()
    }
}

impl Bench for Name<'_> {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }
}

#[async_trait]
impl TrafficBench for Name<'_> {
    async fn name(&self) -> (Component, Region, Region) {
        self.done(WEST, 1).await.unwrap();
        ("name".into(), EAST.into(), WEST.into())
    }

    async fn users_go_to(&self) -> Vec<Region> {
        self.led_to().await.iter().map(Region::new).collect()
    }

    fn splits(&self) -> bool {
        false
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_keeps_the_laws_of_traffic() {
    let Some(ground) = Ground::find().await else { return };
    traffic(&Name::make(&ground).await).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_moved_while_home_and_the_region_of_route53_refuse_every_call() {
    let Some(ground) = Ground::find().await else { return };
    let name = Name::make(&ground).await;
    assert_eq!(name.led_to().await, [EAST]);
    let found = name.found().await;
    assert!(matches!(&found[..], [(Severity::Warning, slow)] if slow.contains("longer than `takes`")), "{found:?}");
    ground.server.tell("regions/us-east-1", json!({"control": "refuse", "data": "down"})).await.unwrap();
    // What cannot be asked holds nothing up.
    assert!(name.found().await.iter().all(|(severity, _)| *severity == Severity::Warning));
    let Outcome::Warned { warning, .. } = name.done(WEST, 1).await.unwrap() else { panic!("no warning") };
    assert!(warning.contains("could not be asked"), "{warning}");
    let until = tokio::time::Instant::now() + Duration::from_secs(90);
    while name.led_to().await != [WEST] {
        assert!(tokio::time::Instant::now() < until, "users still go to {:?}", name.led_to().await);
    }
    // They do not come back by themselves when home is there again.
    ground.server.tell("regions/us-east-1", json!({"control": "up", "data": "up"})).await.unwrap();
    assert_eq!(name.led_to().await, [WEST]);
    let Outcome::Done { output: done } = name.done(EAST, 2).await.unwrap() else { panic!("it was not done") };
    assert!(format!("{done:?}").contains("have seen"), "{done:?}");
    assert_eq!(name.led_to().await, [EAST]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_unknown_and_what_would_be_in_the_way_is_found() {
    let Some(ground) = Ground::find().await else { return };
    let name = Name::make(&ground).await;
    let fault = json!({"kind": "lose-reply", "service": "s3", "action": "PutObject", "times": 1});
    ground.server.tell("faults", fault).await.unwrap();
    assert_eq!(name.done(WEST, 1).await.unwrap_err().kind, FailureKind::OutcomeUnknown);
    assert!(matches!(name.done(WEST, 1).await.unwrap(), Outcome::Skipped { .. }));
    ground.awscli("us-east-1", &["route53", "update-health-check", "--health-check-id", &name.check, "--no-inverted"]);
    let found = name.found().await;
    assert!(found.iter().any(|(s, m)| *s == Severity::Blocker && m.contains("not inverted")), "{found:?}");
    for key in ["away", "away.sample"] {
        ground.awscli(WEST, &["s3api", "delete-object", "--bucket", &name.bucket, "--key", key]);
    }
    ground.awscli(WEST, &["s3api", "delete-bucket", "--bucket", &name.bucket]);
    let found = name.found().await;
    assert!(found.iter().any(|(_, m)| m.contains("cannot be looked at")), "{found:?}");
}

/// The checkers read the object without credentials; what keeps everybody from that is found before a move and while users are away.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_not_everybody_can_read_is_found() {
    let Some(ground) = Ground::find().await else { return };
    let name = Name::make(&ground).await;
    let public = |found: Vec<(Severity, String)>| {
        let of = |(_, m): &(Severity, String)| m.contains("verybody can read");
        found.into_iter().filter(of).collect::<Vec<_>>()
    };
    assert_eq!(public(name.found().await), []);
    let bucket = ["--bucket", name.bucket.as_str()];
    ground.awscli(WEST, &[&["s3api", "delete-object", "--key", "away.sample"], &bucket[..]].concat());
    let found = public(name.found().await);
    assert!(matches!(&found[..], [(Severity::Warning, why)] if why.contains("is not there")), "{found:?}");
    ground.awscli(WEST, &[&["s3api", "put-object", "--key", "away.sample"], &bucket[..]].concat());
    assert_eq!(public(name.found().await), []);

    let closed = ["s3api", "put-public-access-block", "--public-access-block-configuration"];
    ground.awscli(WEST, &[&closed[..], &["RestrictPublicBuckets=true"], &bucket[..]].concat());
    let found = public(name.found().await);
    assert!(matches!(&found[..], [(Severity::Blocker, why)] if why.contains("lead nobody away")), "{found:?}");
    // It moves nobody: the step waits for the checkers, who do not see it.
    let route = Effect::Route { component: "name".into(), shares: [(Region::from(WEST), 100)].into() };
    name.driver.apply(&route, &context(1, WEST)).await.unwrap();
    let found = public(name.found().await);
    assert!(
        matches!(&found[..], [(Severity::Blocker, why)] if why.ends_with("lead nobody away") && why.contains("/away (403)")),
        "{found:?}"
    );
    assert_eq!(name.led_to().await, [EAST]);
    ground.awscli(WEST, &[&["s3api", "delete-public-access-block"], &bucket[..]].concat());
    assert_eq!(public(name.found().await), []);
}

/// A disabled check counts as healthy, and inverted as unhealthy: what is held so does not see the object.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_is_disabled_is_said_to_lead_where_it_leads() {
    let Some(ground) = Ground::find().await else { return };
    let name = Name::make(&ground).await;
    for (set, words, led) in
        [("--inverted", "so users are away", WEST), ("--no-inverted", "so users are at home", EAST)]
    {
        let words_of = ["route53", "update-health-check", "--health-check-id", &name.check, "--disabled", set];
        ground.awscli("us-east-1", &words_of);
        let found = name.found().await;
        assert!(found.iter().any(|(s, m)| *s == Severity::Blocker && m.contains(words)), "{found:?}");
        assert_eq!(name.led_to().await, [led]);
    }
}
