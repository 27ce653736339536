//! S3 replication: the battery of replicated data, the direction turned round, and the bad days.

use crate::drive;
use crate::ground::{EAST, Ground, WEST, context};
use async_trait::async_trait;
use pilotlight_aws::S3Driver;
use pilotlight_core::effect::{Effect, FenceAssurance};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{Role, State, Target};
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use pilotlight_core::plan::aws::{S3Bucket, S3Plan};
use pilotlight_driver::battery::{Bench, DataBench, Pair, replicated};
use pilotlight_driver::guard::Guarded;
use pilotlight_driver::{Context, Driver};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Two buckets of their own, with the driver behind a guard.
struct Buckets<'a> {
    ground: &'a Ground,
    east: String,
    west: String,
    driver: Guarded<S3Driver>,
    _folder: tempfile::TempDir,
}

impl<'a> Buckets<'a> {
    async fn make(ground: &'a Ground) -> Buckets<'a> {
        let (east, west) = (ground.fresh("files-east"), ground.fresh("files-west"));
        ground.seed(json!({"buckets": [{"regions": [[EAST, east], [WEST, west]]}]})).await;
        let folder = tempfile::tempdir().unwrap();
        let place = |bucket: &str| S3Bucket { bucket: bucket.to_owned(), rule: "everything".into() };
        let regions = [(Region::from(EAST), place(&east)), (Region::from(WEST), place(&west))].into();
        let plan = S3Plan { existing_copied: true, regions };
        let driver = S3Driver::new(Component::from("files"), plan, ground.access());
        let driver = Guarded::open(driver, folder.path()).unwrap();
        Buckets { ground, east, west, driver, _folder: folder }
    }

    fn name(&self, region: &str) -> &str {
        if region == EAST { &self.east } else { &self.west }
    }

    async fn look(&self, region: &str) -> State {
        drive::look(&self.driver, "files", region).await
    }

    async fn until(&self, region: &str, is: impl Fn(&State) -> bool) {
        drive::until(&self.driver, "files", region, is).await;
    }

    fn switch(allow_loss: bool) -> Effect {
        Effect::Switch {
            component: "files".into(),
            from: EAST.into(),
            to: WEST.into(),
            allow_loss,
            least: FenceAssurance::None,
        }
    }

    fn rejoin() -> Effect {
        Effect::Rejoin { component: "files".into(), region: EAST.into(), upstream: WEST.into() }
    }

    async fn done(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        drive::done(&self.driver, effect, context).await
    }

    async fn codes(&self) -> Vec<String> {
        let found = self.driver.preflight(&Buckets::switch(false)).await.unwrap();
        found.into_iter().map(|f| f.code).collect()
    }

    async fn tell(&self, what: &str, body: Value) {
        self.ground.server.tell(what, body).await.unwrap();
    }

    async fn region(&self, control: &str, data: &str) {
        self.tell(&format!("regions/{EAST}"), json!({"control": control, "data": data})).await;
    }

    /// The bucket's rule as AWS's own client shows it.
    fn rule(&self, region: &str) -> Value {
        let words = ["s3api", "get-bucket-replication", "--bucket", self.name(region)];
        self.ground.awscli(region, &words)["ReplicationConfiguration"]["Rules"][0].clone()
    }

    /// AWS's own client changes the bucket's rule, past us.
    fn by_hand(&self, region: &str, change: impl Fn(&mut Value)) {
        let mut rule = self.rule(region);
        change(&mut rule);
        let configuration = json!({"Role": "arn:aws:iam::123456789012:role/copy", "Rules": [rule]}).to_string();
        let words = ["s3api", "put-bucket-replication", "--bucket", self.name(region)];
        self.ground.awscli(region, &[&words[..], &["--replication-configuration", &configuration]].concat());
    }
}

impl Bench for Buckets<'_> {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }
}

#[async_trait]
impl DataBench for Buckets<'_> {
    async fn pair(&self) -> Pair {
        Pair { component: "files".into(), writer: EAST.into(), standby: WEST.into() }
    }

    async fn write(&self, region: &Region) -> Result<u64, String> {
        let body = json!({"store": "objects", "region": region.as_str(), "name": self.name(region.as_str())});
        Ok(self.ground.server.tell("write", body).await?["number"].as_u64().unwrap())
    }

    async fn held(&self, region: &Region) -> BTreeSet<u64> {
        let bucket = self.name(region.as_str());
        let asked = self.ground.server.ask(&format!("held?store=objects&region={region}&name={bucket}")).await;
        let numbers = asked.unwrap_or_default()["numbers"].as_array().cloned().unwrap_or_default();
        numbers.iter().filter_map(Value::as_u64).collect()
    }

    async fn kill(&self, _region: &Region) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_the_laws_of_replicated_data() {
    let Some(ground) = Ground::find().await else { return };
    let buckets = Buckets::make(&ground).await;
    replicated(&buckets).await.assert_kept();
    // Turned round, and nothing else of the rules is changed.
    let (east, west) = (buckets.rule(EAST), buckets.rule(WEST));
    assert_eq!((&east["Status"], &west["Status"]), (&json!("Disabled"), &json!("Enabled")));
    assert_eq!(west["Destination"]["ReplicationTime"]["Time"]["Minutes"], 15, "{west}");
    assert_eq!(west["SourceSelectionCriteria"]["SseKmsEncryptedObjects"]["Status"], "Enabled", "{west}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_planned_move_leaves_in_the_old_bucket_still_arrives_before_its_rule_ends() {
    let Some(ground) = Ground::find().await else { return };
    let buckets = Buckets::make(&ground).await;
    buckets.done(&Buckets::switch(false), &context(1, "switch")).await.unwrap();
    // A client that has not been led away yet, and a copy that takes its time.
    buckets.tell("lag", json!({"store": "objects", "name": buckets.west, "seconds": 50.0})).await;
    let late = buckets.write(&EAST.into()).await.unwrap();
    let rejoin = buckets.driver.apply(&Buckets::rejoin(), &context(1, "rejoin")).await.unwrap();
    assert!(matches!(rejoin, Outcome::Accepted { .. }), "{rejoin:?}");
    assert_eq!(buckets.rule(EAST)["Status"], "Enabled", "its rule was ended while an object waited");
    let end = buckets.done(&Buckets::rejoin(), &context(1, "rejoin-on")).await.unwrap();
    assert!(matches!(end, Outcome::Done { .. }), "{end:?}");
    assert!(buckets.held(&WEST.into()).await.contains(&late));
    assert_eq!(buckets.rule(EAST)["Status"], "Disabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_region_is_left_without_calling_it_and_what_only_it_held_comes_when_it_is_back() {
    let Some(ground) = Ground::find().await else { return };
    let buckets = Buckets::make(&ground).await;
    buckets.look(EAST).await;
    buckets.until(WEST, |s| matches!(s.role, Some(Role::Standby { streaming: true, .. }))).await;
    buckets.tell("lag", json!({"store": "objects", "name": buckets.west, "seconds": 1000.0})).await;
    let kept = buckets.write(&EAST.into()).await.unwrap();
    buckets.region("hang", "down").await;
    let target = Target { component: "files".into(), region: Some(EAST.into()) };
    assert_eq!(buckets.driver.observe(&target).await.unwrap_err().kind, FailureKind::Unreachable);
    // Nobody says any more that changes arrive, so nothing speaks against the loss.
    assert!(matches!(buckets.look(WEST).await.role, Some(Role::Standby { streaming: false, .. })));
    let planned = buckets.driver.apply(&Buckets::switch(false), &context(1, "planned")).await.unwrap_err();
    assert_eq!(planned.kind, FailureKind::Unreachable, "{planned}");
    let since = ground.now().await;
    buckets.driver.preflight(&Buckets::switch(true)).await.unwrap();
    let outcome = buckets.done(&Buckets::switch(true), &context(2, "switch")).await.unwrap();
    let output = outcome.output().unwrap();
    assert_eq!(output.assurance, Some(FenceAssurance::TrafficOnly));
    assert!(output.text.contains("nothing stops who writes there"), "{}", output.text);
    assert_eq!(ground.calls(since, EAST).await, Vec::<String>::new());
    assert!(!buckets.held(&WEST.into()).await.contains(&kept));
    let new = buckets.write(&WEST.into()).await.unwrap();
    buckets.region("up", "up").await;
    buckets.tell("lag", json!({"store": "objects", "name": buckets.west, "seconds": 0.0})).await;
    buckets.done(&Buckets::rejoin(), &context(3, "rejoin")).await.unwrap();
    assert!(buckets.held(&WEST.into()).await.contains(&kept), "what only the lost region held never came");
    buckets.until(EAST, |s| matches!(s.role, Some(Role::Standby { streaming: true, .. }))).await;
    let until = tokio::time::Instant::now() + Duration::from_secs(90);
    while !buckets.held(&EAST.into()).await.contains(&new) {
        assert!(tokio::time::Instant::now() < until, "the old bucket is not copied to");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_unknown_and_a_planned_move_waits_for_a_copy_far_behind() {
    let Some(ground) = Ground::find().await else { return };
    let buckets = Buckets::make(&ground).await;
    buckets.tell("lag", json!({"store": "objects", "name": buckets.west, "seconds": 600.0})).await;
    let waits = buckets.driver.apply(&Buckets::switch(false), &context(1, "near")).await.unwrap();
    let Outcome::Accepted { handle } = waits else { panic!("{waits:?}") };
    assert_eq!(buckets.rule(WEST)["Status"], "Disabled");
    buckets.tell("lag", json!({"store": "objects", "name": buckets.west, "seconds": 0.0})).await;
    buckets
        .tell("faults", json!({"kind": "lose-reply", "service": "s3", "action": "PutBucketReplication", "times": 1}))
        .await;
    let lost = buckets.driver.resume(&handle, &context(1, "near")).await.unwrap_err();
    assert_eq!(lost.kind, FailureKind::OutcomeUnknown, "{lost}");
    let again = buckets.driver.apply(&Buckets::switch(false), &context(1, "again")).await.unwrap();
    assert!(matches!(again, Outcome::Skipped { .. }), "{again:?}");
    buckets
        .tell("faults", json!({"kind": "deny", "service": "s3", "action": "PutBucketReplication", "times": 1}))
        .await;
    let denied = buckets.done(&Buckets::rejoin(), &context(1, "denied")).await.unwrap_err();
    assert_eq!(denied.kind, FailureKind::Rejected, "{denied}");
    assert!(denied.message.contains("PutBucketReplication"), "{denied}");
    // Operations that S3 gave up are told at the end, because nobody will copy them.
    buckets.tell("fail-copies", json!({"name": buckets.east, "count": 1})).await;
    buckets.write(&EAST.into()).await.unwrap();
    let end = buckets.done(&Buckets::rejoin(), &context(1, "rejoin")).await.unwrap();
    let Outcome::Warned { warning, .. } = &end else { panic!("{end:?}") };
    assert!(warning.contains("only it has them"), "{warning}");
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_name_what_a_move_would_stumble_over() {
    let Some(ground) = Ground::find().await else { return };
    let buckets = Buckets::make(&ground).await;
    assert_eq!(buckets.codes().await, Vec::<String>::new());
    buckets.tell("lag", json!({"store": "objects", "name": buckets.west, "seconds": 600.0})).await;
    assert_eq!(buckets.codes().await, ["PL-0367"]);
    buckets.tell("lag", json!({"store": "objects", "name": buckets.west, "seconds": 0.0})).await;
    buckets.tell("fail-copies", json!({"name": buckets.east, "count": 2})).await;
    buckets.write(&EAST.into()).await.unwrap();
    assert_eq!(buckets.codes().await, ["PL-0893"]);
    buckets.by_hand(WEST, |rule| {
        rule["DeleteMarkerReplication"]["Status"] = "Disabled".into();
        rule["Filter"]["Prefix"] = "a/".into();
        rule.as_object_mut().unwrap().remove("SourceSelectionCriteria");
        rule["Destination"] = json!({"Bucket": rule["Destination"]["Bucket"]});
    });
    assert_eq!(buckets.codes().await, ["PL-0892", "PL-0892", "PL-0892", "PL-0892", "PL-0892", "PL-0893"]);
    buckets.by_hand(WEST, |rule| rule["ID"] = "another".into());
    assert_eq!(buckets.codes().await, ["PL-0891", "PL-0893"]);
    let refused = buckets.driver.apply(&Buckets::switch(true), &context(1, "no-rule")).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected, "{refused}");
    let words =
        ["s3api", "put-bucket-versioning", "--bucket", &buckets.east, "--versioning-configuration", "Status=Suspended"];
    ground.awscli(EAST, &words);
    assert!(buckets.codes().await.contains(&"PL-0890".to_owned()));
    let gone = S3Bucket { bucket: ground.fresh("gone"), rule: "everything".into() };
    let east = S3Bucket { bucket: buckets.east.clone(), rule: "everything".into() };
    let plan = S3Plan { existing_copied: true, regions: [(EAST.into(), east), (WEST.into(), gone)].into() };
    let driver = S3Driver::new("files".into(), plan, ground.access());
    let found = driver.preflight(&Buckets::switch(false)).await.unwrap();
    assert_eq!(found[0].code, "PL-0364", "{found:?}");
}
