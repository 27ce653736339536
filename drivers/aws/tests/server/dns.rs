//! Route 53: the battery of traffic, failover records, changes that take a while, and strangers under the name.

use crate::drive;
use crate::ground::{EAST, Ground, WEST, context};
use async_trait::async_trait;
use pilotlight_aws::Route53Driver;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::{Failure, FailureKind, Outcome, Severity};
use pilotlight_core::plan::aws::{AnswerTo, RecordPolicy, RecordType, Route53Answer, Route53Plan};
use pilotlight_driver::Driver;
use pilotlight_driver::battery::{Bench, TrafficBench, traffic};
use pilotlight_driver::guard::Guarded;
use serde_json::{Value, json};
use std::time::Duration;

struct Name<'a> {
    ground: &'a Ground,
    zone: String,
    name: String,
    checks: Vec<String>,
    driver: Guarded<Route53Driver>,
    _folder: tempfile::TempDir,
}

impl<'a> Name<'a> {
    async fn make(ground: &'a Ground, policy: RecordPolicy, checked: bool) -> Name<'a> {
        let zone = format!("{}.example.com", ground.fresh("zone"));
        let labels = if checked { vec![format!("{zone}-east"), format!("{zone}-west")] } else { vec![] };
        let made = ground.seed(json!({"zones": [zone], "checks": labels})).await;
        let checks: Vec<String> = labels.iter().map(|l| made["checks"][l].as_str().unwrap().to_owned()).collect();
        let answer = |region: &str, value: &str, check: usize| {
            let to = AnswerTo::Value(value.to_owned());
            (Region::from(region), Route53Answer { to, health_check: checks.get(check).cloned() })
        };
        let plan = Route53Plan {
            zone: made["zones"][&zone].as_str().unwrap().to_owned(),
            name: format!("pay.{zone}"),
            record: RecordType::A,
            policy,
            ttl_seconds: 60,
            switch: None,
            answers: [answer(EAST, "192.0.2.1", 0), answer(WEST, "192.0.2.2", 1)].into(),
        };
        let (zone, name, folder) = (plan.zone.clone(), plan.name.clone(), tempfile::tempdir().unwrap());
        let driver = Route53Driver::new("name".into(), plan, ground.access());
        let driver = Guarded::open(driver, folder.path()).unwrap();
        Name { ground, zone, name, checks, driver, _folder: folder }
    }

    async fn led_to(&self) -> Vec<String> {
        self.ground.answered(&self.name).await
    }

    /// A field of each region's record, as AWS's own client shows it.
    fn shown(&self, field: &str) -> [Value; 2] {
        let words = ["route53", "list-resource-record-sets", "--hosted-zone-id", &self.zone];
        let shown = self.ground.awscli("us-east-1", &words);
        let sets: Vec<&Value> = shown["ResourceRecordSets"].as_array().unwrap().iter().collect();
        let of = |region: &str| {
            let name = format!("{}.", self.name);
            let one = sets.iter().find(|s| s["Name"] == name.as_str() && s["SetIdentifier"] == region);
            one.unwrap_or_else(|| panic!("no record of {region}: {shown}"))[field].clone()
        };
        [of(EAST), of(WEST)]
    }

    async fn done(&self, region: &str, epoch: u64) -> Result<Outcome, Failure> {
        let route = Effect::Route { component: "name".into(), shares: [(Region::from(region), 100)].into() };
        drive::done(&self.driver, &route, &context(epoch, region)).await
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
        // The battery begins with a name that leads somewhere.
        self.done(WEST, 1).await.unwrap();
        ("name".into(), EAST.into(), WEST.into())
    }

    async fn users_go_to(&self) -> Vec<Region> {
        self.led_to().await.iter().map(Region::new).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn route53_keeps_the_laws_of_traffic() {
    let Some(ground) = Ground::find().await else { return };
    let name = Name::make(&ground, RecordPolicy::Weighted, false).await;
    traffic(&name).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn failover_records_move_in_one_batch_and_health_moves_traffic_without_any_call() {
    let Some(ground) = Ground::find().await else { return };
    let name = Name::make(&ground, RecordPolicy::Failover, true).await;
    name.done(EAST, 1).await.unwrap();
    assert_eq!(name.led_to().await, [EAST]);
    // Nobody calls Route 53: the check of the serving region turns bad, and users are led away.
    ground.server.tell(&format!("health/{}", name.checks[0]), json!({"status": "fail"})).await.unwrap();
    ground.server.tell("regions/us-east-1", json!({"control": "hang"})).await.unwrap();
    let until = tokio::time::Instant::now() + Duration::from_secs(90);
    while name.led_to().await != [WEST] {
        assert!(tokio::time::Instant::now() < until, "users still go to {:?}", name.led_to().await);
    }
    ground.server.tell("regions/us-east-1", json!({"control": "up"})).await.unwrap();
    // The records say so only when they are changed: the parts are exchanged.
    assert_eq!(name.shown("Failover"), [json!("PRIMARY"), json!("SECONDARY")]);
    name.done(WEST, 2).await.unwrap();
    assert_eq!(name.shown("Failover"), [json!("SECONDARY"), json!("PRIMARY")]);
    assert_eq!(name.led_to().await, [WEST]);
    let target = Target { component: "name".into(), region: None };
    let shares = name.driver.observe(&target).await.unwrap().shares.unwrap();
    assert_eq!(shares[&Region::from(WEST)], 100);
    let split = Effect::Route { component: "name".into(), shares: [(EAST.into(), 50), (WEST.into(), 50)].into() };
    assert_eq!(name.driver.apply(&split, &context(3, "split")).await.unwrap_err().kind, FailureKind::Rejected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_of_a_change_is_unknown_and_the_look_finds_it_done() {
    let Some(ground) = Ground::find().await else { return };
    let name = Name::make(&ground, RecordPolicy::Weighted, false).await;
    let fault = json!({"kind": "lose-reply", "service": "route53", "action": "ChangeResourceRecordSets", "times": 1});
    ground.server.tell("faults", fault).await.unwrap();
    let lost = name.done(EAST, 1).await.unwrap_err();
    assert_eq!(lost.kind, FailureKind::OutcomeUnknown, "{lost}");
    let again = name.done(EAST, 1).await.unwrap();
    assert!(matches!(again, Outcome::Skipped { .. }), "{again:?}");
    assert_eq!(name.led_to().await, [EAST]);
    assert_eq!(name.shown("Weight"), [json!(100), json!(0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_of_route53_is_kept_by_ourselves() {
    let Some(ground) = Ground::find().await else { return };
    let name = Name::make(&ground, RecordPolicy::Weighted, false).await;
    name.done(EAST, 1).await.unwrap();
    ground.server.tell("rates", json!({"route53": 5})).await.unwrap();
    let since = ground.now().await;
    let target = Target { component: "name".into(), region: None };
    for looks in 0..12 {
        assert!(name.driver.observe(&target).await.is_ok(), "look {looks}");
    }
    let calls: Value = ground.server.ask(&format!("calls?since={since}")).await.unwrap();
    let throttled = calls.as_array().unwrap().iter().filter(|c| c["fault"] == "throttle").count();
    assert_eq!(throttled, 0, "{calls}");
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_name_strangers_health_checks_and_the_control_plane() {
    let Some(ground) = Ground::find().await else { return };
    let name = Name::make(&ground, RecordPolicy::Failover, true).await;
    name.done(EAST, 1).await.unwrap();
    ground.server.tell(&format!("health/{}", name.checks[1]), json!({"status": "fail"})).await.unwrap();
    let until = tokio::time::Instant::now() + Duration::from_secs(90);
    let route = Effect::Route { component: "name".into(), shares: [(Region::from(WEST), 100)].into() };
    loop {
        let found = name.driver.preflight(&route).await.unwrap();
        let codes: Vec<&str> = found.iter().map(|f| f.code.as_str()).collect();
        assert!(codes.contains(&"PL-0373"), "{codes:?}");
        if codes.contains(&"PL-0372") {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "{found:?}");
    }
    // AWS's own client reads the same.
    let seen = ground.awscli(EAST, &["route53", "get-health-check-status", "--health-check-id", &name.checks[1]]);
    let words = seen["HealthCheckObservations"].as_array().unwrap();
    let is_bad = |w: &Value| w["StatusReport"]["Status"].as_str().unwrap().starts_with("Failure");
    assert!(!words.is_empty() && words.iter().all(is_bad), "{seen}");
}

/// An unhealthy region is no reason to hold still, and one whose health may not be looked at is none either; it is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_health_check_that_may_not_be_looked_at_is_named() {
    let Some(ground) = Ground::find().await else { return };
    let name = Name::make(&ground, RecordPolicy::Failover, true).await;
    name.done(EAST, 1).await.unwrap();
    let route = Effect::Route { component: "name".into(), shares: [(Region::from(WEST), 100)].into() };
    for action in ["GetHealthCheck", "GetHealthCheckStatus"] {
        let deny = json!({"kind": "deny", "service": "route53", "action": action, "times": 9_999});
        ground.server.tell("faults", deny).await.unwrap();
        let found = name.driver.preflight(&route).await.unwrap();
        let denied: Vec<_> = found.iter().filter(|f| f.code == "PL-0362").collect();
        assert!(!denied.is_empty() && denied.iter().all(|f| f.severity == Severity::Warning), "{action}: {found:?}");
        assert!(denied.iter().all(|f| f.message.contains(action)), "{action}: {found:?}");
        ground.server.no_faults().await.unwrap();
    }
}

/// What it says then is what a run that waits shows; a record that is in the way is no matter of the control plane.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_meets_no_answer_names_the_page_that_says_what_to_do() {
    let Some(ground) = Ground::find().await else { return };
    let name = Name::make(&ground, RecordPolicy::Failover, true).await;
    name.done(EAST, 1).await.unwrap();
    let code = |failure: &Failure| failure.coded().0.map(|code| code.to_string());
    for action in ["ListResourceRecordSets", "ChangeResourceRecordSets"] {
        let fault = json!({"kind": "drop", "service": "route53", "action": action, "times": 9_999});
        ground.server.tell("faults", fault).await.unwrap();
        let failure = name.done(WEST, 2).await.unwrap_err();
        assert_eq!(code(&failure).as_deref(), Some("PL-0373"), "{action}: {failure}");
        ground.server.no_faults().await.unwrap();
    }
    let denied = json!({"kind": "deny", "service": "route53", "action": "ChangeResourceRecordSets", "times": 1});
    ground.server.tell("faults", denied).await.unwrap();
    let failure = name.done(WEST, 3).await.unwrap_err();
    assert_eq!((code(&failure), failure.kind), (None, FailureKind::Rejected), "{failure}");
}
