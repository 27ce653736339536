//! RDS read replicas: the batteries of replicated data and of fencing, and the bad days.

use crate::drive;
use crate::ground::{EAST, Ground, WEST, context};
use async_trait::async_trait;
use pilotlight_aws::RdsDriver;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{Role, State};
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use pilotlight_core::plan::aws::{RdsInstance, RdsPlan};
use pilotlight_driver::battery::{Bench, DataBench, Pair, fence, replicated};
use pilotlight_driver::guard::Guarded;
use pilotlight_driver::{Context, Driver};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// Instances of their own, with the driver behind a guard.
pub(crate) struct Bed<'a> {
    pub(crate) ground: &'a Ground,
    name: String,
    driver: Guarded<RdsDriver>,
    _folder: tempfile::TempDir,
}

impl<'a> Bed<'a> {
    pub(crate) async fn make(ground: &'a Ground, closable: bool) -> Bed<'a> {
        Self::make_with(ground, closable, RdsPlan::default()).await
    }

    /// With what else the plan says.
    pub(crate) async fn make_with(ground: &'a Ground, closable: bool, plan: RdsPlan) -> Bed<'a> {
        let name = ground.fresh("db");
        ground.seed(json!({"rds": [{"instances": [[EAST, name], [WEST, name]]}]})).await;
        let folder = tempfile::tempdir().unwrap();
        let instance = |_: &str| RdsInstance {
            instance: name.clone(),
            address: None,
            open_groups: vec!["sg-open".to_owned()],
            closed_groups: if closable { vec!["sg-closed".to_owned()] } else { Vec::new() },
        };
        let plan = RdsPlan { regions: [EAST, WEST].map(|r| (Region::from(r), instance(r))).into(), ..plan };
        let driver = RdsDriver::new(Component::from("database"), plan, ground.access());
        let driver = Guarded::open(driver, folder.path()).unwrap();
        let bed = Bed { ground, name, driver, _folder: folder };
        bed.until(WEST, |s| matches!(s.role, Some(Role::Standby { streaming: true, .. }))).await;
        bed
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// As at the beginning, under the same names: a battery may ask for another pair.
    async fn renew(&self) {
        if self.look(EAST).await.role == Some(Role::Writer) {
            return;
        }
        let body = json!({"name": self.name});
        self.ground.server.tell("by-hand/forget-instances", body).await.unwrap();
        self.ground.seed(json!({"rds": [{"instances": [[EAST, self.name], [WEST, self.name]]}]})).await;
        self.until(WEST, |s| matches!(s.role, Some(Role::Standby { streaming: true, .. }))).await;
    }

    pub(crate) async fn look(&self, region: &str) -> State {
        drive::look(self.driver(), "database", region).await
    }

    pub(crate) async fn until(&self, region: &str, is: impl Fn(&State) -> bool) -> State {
        drive::until(self.driver(), "database", region, is).await
    }

    pub(crate) async fn done(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        drive::done(self.driver(), effect, context).await
    }

    pub(crate) async fn codes(&self, effect: &Effect) -> Vec<String> {
        self.driver().preflight(effect).await.unwrap().into_iter().map(|f| f.code).collect()
    }
}

impl Bench for Bed<'_> {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }
}

#[async_trait]
impl DataBench for Bed<'_> {
    async fn pair(&self) -> Pair {
        self.renew().await;
        Pair { component: "database".into(), writer: EAST.into(), standby: WEST.into() }
    }

    async fn write(&self, region: &Region) -> Result<u64, String> {
        let body = json!({"region": region.as_str(), "name": self.name()});
        Ok(self.ground.server.tell("write", body).await?["number"].as_u64().unwrap())
    }

    async fn held(&self, region: &Region) -> BTreeSet<u64> {
        let asked = self.ground.server.ask(&format!("held?region={region}&name={}", self.name())).await;
        let numbers = asked.unwrap_or_default()["numbers"].as_array().cloned().unwrap_or_default();
        numbers.iter().filter_map(serde_json::Value::as_u64).collect()
    }

    async fn kill(&self, region: &Region) {
        let body = json!({"region": region.as_str(), "name": self.name()});
        self.ground.server.tell("by-hand/stop-instance", body).await.unwrap();
    }
}

pub(crate) fn promote() -> Effect {
    Effect::Promote { component: "database".into(), region: WEST.into() }
}

fn stop() -> Effect {
    Effect::StopWrites { component: "database".into(), region: EAST.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn rds_keeps_the_laws_of_replicated_data() {
    let Some(ground) = Ground::find().await else { return };
    let bed = Bed::make(&ground, true).await;
    replicated(&bed).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn rds_keeps_the_laws_of_fencing() {
    let Some(ground) = Ground::find().await else { return };
    let bed = Bed::make(&ground, true).await;
    fence(&bed).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_calls_only_the_targets_region_and_the_old_instance_is_kept() {
    let Some(ground) = Ground::find().await else { return };
    let bed = Bed::make(&ground, true).await;
    let sent = bed.write(&EAST.into()).await.unwrap();
    let server = &ground.server;
    server.tell("regions/us-east-1", json!({"control": "hang", "data": "down"})).await.unwrap();
    let since = ground.now().await;
    bed.done(&promote(), &context(2, "promote")).await.unwrap();
    assert_eq!(ground.calls(since, EAST).await, Vec::<String>::new());
    let lost = !bed.held(&WEST.into()).await.contains(&sent);
    bed.write(&WEST.into()).await.unwrap();
    // Both write now: nothing stopped the old one. It is fenced, renamed, and a replica takes its name.
    server.tell("regions/us-east-1", json!({"control": "up", "data": "up"})).await.unwrap();
    assert_eq!(bed.look(EAST).await.role, Some(Role::Writer));
    let rejoin = Effect::Rejoin { component: "database".into(), region: EAST.into(), upstream: WEST.into() };
    let early = bed.driver().apply(&rejoin, &context(3, "early")).await.unwrap_err();
    assert_eq!(early.kind, FailureKind::Rejected, "{early}");
    let fence = Effect::Fence { component: "database".into(), region: EAST.into() };
    bed.done(&fence, &context(3, "fence")).await.unwrap();
    assert_eq!(bed.codes(&rejoin).await, ["PL-0948"], "one more is kept, and paid for");
    let outcome = bed.done(&rejoin, &context(3, "rejoin")).await.unwrap();
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert_eq!(bed.codes(&rejoin).await, Vec::<String>::new(), "what follows already is kept as it is");
    let kept = format!("{}-before-3", bed.name());
    let held = server.ask(&format!("held?region={EAST}&name={kept}")).await.unwrap();
    assert!(held["numbers"].as_array().unwrap().contains(&json!(sent)), "{held} lacks {sent} (lost here: {lost})");
    let seen = bed.look(EAST).await;
    assert!(matches!(seen.role, Some(Role::Standby { streaming: true, .. })), "{seen:?}");
    assert_eq!(bed.codes(&promote()).await, ["PL-0365"], "moved already");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_whose_reply_is_lost_goes_on_from_what_aws_shows() {
    let Some(ground) = Ground::find().await else { return };
    let bed = Bed::make(&ground, true).await;
    for action in ["ModifyDBInstance", "RebootDBInstance"] {
        let fault = json!({"kind": "lose-reply", "service": "rds", "action": action, "times": 1});
        ground.server.tell("faults", fault).await.unwrap();
        let context = context(1, action);
        let lost = bed.done(&stop(), &context).await.unwrap_err();
        assert_eq!(lost.kind, FailureKind::OutcomeUnknown, "{lost}");
    }
    let since = ground.now().await;
    let outcome = bed.done(&stop(), &context(1, "again")).await.unwrap();
    assert!(outcome.output().unwrap().position.is_some(), "{outcome:?}");
    let calls = ground.calls(since, EAST).await;
    assert!(!calls.contains(&"ModifyDBInstance".to_owned()), "it was closed already: {calls:?}");
    assert_eq!(bed.codes(&stop()).await, ["PL-0377"], "a writer that is shut is a run left half done");
    let resume = Effect::ResumeWrites { component: "database".into(), region: EAST.into() };
    bed.done(&resume, &context(1, "resume")).await.unwrap();
    bed.write(&EAST.into()).await.unwrap();
    // Somebody else writes: now it stays shut.
    bed.done(&stop(), &context(1, "third")).await.unwrap();
    bed.done(&promote(), &context(1, "promote")).await.unwrap();
    let refused = bed.driver().apply(&resume, &context(1, "late")).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected, "{refused}");
}

/// AWS answers a reboot at once; until it shows, sessions from before are acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_not_done_before_the_reboot_was_seen() {
    let Some(ground) = Ground::find().await else { return };
    ground.server.tell("phases", json!({"reboot-shown": 100})).await.unwrap();
    let bed = Bed::make(&ground, true).await;
    bed.write(&EAST.into()).await.unwrap();
    let outcome = bed.done(&stop(), &context(1, "stop")).await.unwrap();
    assert!(outcome.output().unwrap().position.is_some(), "{outcome:?}");
    bed.write(&EAST.into()).await.unwrap_err();
}

/// Somebody's change is under way when the promotion comes: it is asked for when that is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_being_modified_is_promoted_afterwards() {
    let Some(ground) = Ground::find().await else { return };
    let bed = Bed::make(&ground, false).await;
    ground.server.tell("phases", json!({"modify": 800})).await.unwrap();
    let name = bed.name();
    ground.awscli(WEST, &["rds", "modify-db-instance", "--no-deletion-protection", "--db-instance-identifier", name]);
    assert_eq!(bed.look(WEST).await.facts["instance"], "modifying");
    let since = ground.now().await;
    let outcome = bed.done(&promote(), &context(1, "promote")).await.unwrap();
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    let calls = ground.calls(since, WEST).await;
    assert!(calls.contains(&"PromoteReadReplica".to_owned()), "{calls:?}");
    bed.write(&WEST.into()).await.unwrap();
}

/// A replica usually keeps no backups; as a writer it keeps them as long as the one before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_takes_over_how_long_backups_are_kept() {
    let Some(ground) = Ground::find().await else { return };
    let bed = Bed::make(&ground, true).await;
    let name = bed.name();
    let shown = |region: &str| {
        let words = ["rds", "describe-db-instances", "--db-instance-identifier", name];
        ground.awscli(region, &words)["DBInstances"][0].clone()
    };
    let none = ["rds", "modify-db-instance", "--backup-retention-period", "0", "--db-instance-identifier", name];
    ground.awscli(WEST, &none);
    bed.until(WEST, |s| s.facts["instance"] == "available").await;
    assert_eq!(bed.codes(&promote()).await, ["PL-0931"]);
    let arn = shown(WEST)["DBInstanceArn"].as_str().unwrap().to_owned();
    let tag = ["--tags", "Key=pilotlight:backup-retention,Value=21"];
    ground.awscli(WEST, &[&["rds", "add-tags-to-resource", "--resource-name", &arn], &tag[..]].concat());
    assert_eq!(bed.codes(&promote()).await, Vec::<String>::new());
    bed.done(&promote(), &context(2, "promote")).await.unwrap();
    assert_eq!(shown(WEST)["BackupRetentionPeriod"], 21);
    // What the old writer had is kept for the way back.
    let fence = Effect::Fence { component: "database".into(), region: EAST.into() };
    bed.done(&fence, &context(3, "fence")).await.unwrap();
    let rejoin = Effect::Rejoin { component: "database".into(), region: EAST.into(), upstream: WEST.into() };
    bed.done(&rejoin, &context(3, "rejoin")).await.unwrap();
    let kept = json!({"Key": "pilotlight:backup-retention", "Value": "7"});
    assert!(shown(EAST)["TagList"].as_array().unwrap().contains(&kept), "{}", shown(EAST));
}

/// A move makes an instance that nobody set up: who logs in by IAM, selects by tag or reads logs must find it as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_replica_is_like_the_old_instance() {
    let Some(ground) = Ground::find().await else { return };
    let bed = Bed::make(&ground, true).await;
    let name = bed.name();
    let shown = |region: &str, name: &str| {
        let words = ["rds", "describe-db-instances", "--db-instance-identifier", name];
        ground.awscli(region, &words)["DBInstances"][0].clone()
    };
    let parameters = ground.fresh("people");
    ground.awscli(
        EAST,
        &split(
            "rds create-db-parameter-group --db-parameter-group-family postgres15 --description p",
            &["--db-parameter-group-name", &parameters],
        ),
    );
    ground.awscli(
        EAST,
        &split(
            "rds create-option-group --engine-name postgres --major-engine-version 13",
            &["--option-group-name", &parameters, "--option-group-description", "people's"],
        ),
    );
    let set = "rds modify-db-instance --enable-iam-database-authentication --max-allocated-storage 400 \
               --monitoring-interval 60 --monitoring-role-arn arn:aws:iam::123456789012:role/watches \
               --enable-performance-insights --performance-insights-retention-period 93 \
               --performance-insights-kms-key-id arn:aws:kms:us-east-1:123456789012:key/insights \
               --copy-tags-to-snapshot --ca-certificate-identifier rds-ca-rsa4096-g1 --apply-immediately";
    let logs = r#"{"EnableLogTypes":["postgresql","upgrade"]}"#;
    ground.awscli(
        EAST,
        &split(
            set,
            &[
                "--db-instance-identifier",
                name,
                "--db-parameter-group-name",
                &parameters,
                "--option-group-name",
                &parameters,
                "--cloudwatch-logs-export-configuration",
                logs,
            ],
        ),
    );
    bed.until(EAST, |s| s.facts["instance"] == "available").await;
    let arn = shown(EAST, name)["DBInstanceArn"].as_str().unwrap().to_owned();
    let tags = ["--tags", "Key=backup,Value=shop", "Key=team,Value=people"];
    ground.awscli(EAST, &[&["rds", "add-tags-to-resource", "--resource-name", &arn], &tags[..]].concat());

    bed.done(&promote(), &context(2, "promote")).await.unwrap();
    let fence = Effect::Fence { component: "database".into(), region: EAST.into() };
    bed.done(&fence, &context(3, "fence")).await.unwrap();
    let rejoin = Effect::Rejoin { component: "database".into(), region: EAST.into(), upstream: WEST.into() };
    let outcome = bed.done(&rejoin, &context(3, "rejoin")).await.unwrap();
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");

    let (old, new) = (shown(EAST, &format!("{name}-before-3")), shown(EAST, name));
    assert_ne!(new["ReadReplicaSourceDBInstanceIdentifier"], serde_json::Value::Null, "{new}");
    for (key, wanted) in [
        ("IAMDatabaseAuthenticationEnabled", json!(true)),
        ("MaxAllocatedStorage", json!(400)),
        ("MonitoringInterval", json!(60)),
        ("MonitoringRoleArn", json!("arn:aws:iam::123456789012:role/watches")),
        ("PerformanceInsightsEnabled", json!(true)),
        ("PerformanceInsightsRetentionPeriod", json!(93)),
        ("PerformanceInsightsKMSKeyId", json!("arn:aws:kms:us-east-1:123456789012:key/insights")),
        ("EnabledCloudwatchLogsExports", json!(["postgresql", "upgrade"])),
        ("CopyTagsToSnapshot", json!(true)),
        ("CACertificateIdentifier", json!("rds-ca-rsa4096-g1")),
        ("DeletionProtection", json!(true)),
        ("DBInstanceClass", json!("db.r6g.large")),
    ] {
        assert_eq!((&old[key], &new[key]), (&wanted, &wanted), "{key}");
    }
    assert_eq!(new["DBParameterGroups"][0]["DBParameterGroupName"], json!(parameters), "{new}");
    assert_eq!(new["OptionGroupMemberships"][0]["OptionGroupName"], json!(parameters), "{new}");
    let tags: BTreeSet<String> = new["TagList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| format!("{}={}", t["Key"], t["Value"]).replace('"', ""))
        .collect();
    let wanted = ["backup=shop", "pilotlight:backup-retention=7", "team=people"];
    assert_eq!(tags, wanted.map(str::to_owned).into(), "the people's, and none that says how far the old one had come");
}

fn split<'a>(words: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    words.split_whitespace().chain(more.iter().copied()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_name_what_a_move_would_stumble_over() {
    let Some(ground) = Ground::find().await else { return };
    let bed = Bed::make(&ground, false).await;
    assert_eq!(bed.codes(&promote()).await, Vec::<String>::new());
    assert_eq!(bed.codes(&stop()).await, ["PL-0376"]);
    let refused = bed.driver().apply(&stop(), &context(1, "stop")).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected, "{refused}");
    assert_eq!(bed.look(EAST).await.role, Some(Role::Writer));

    let far = Bed::make(&ground, true).await;
    ground.server.tell("lag", json!({"region": WEST, "name": far.name(), "seconds": 900.0})).await.unwrap();
    assert_eq!(far.codes(&promote()).await, ["PL-0367"]);
    let seen = far.look(WEST).await;
    assert_eq!(seen.lag.unwrap().seconds_ms, Some(Duration::from_secs(900)));

    // AWS's own client sees what we see, and takes the replica away.
    let name = far.name();
    let shown = ground.awscli(WEST, &["rds", "describe-db-instances", "--db-instance-identifier", name]);
    let source = shown["DBInstances"][0]["ReadReplicaSourceDBInstanceIdentifier"].as_str().unwrap();
    assert!(source.contains(EAST), "{shown}");
    let delete = ["rds", "delete-db-instance", "--skip-final-snapshot", "--db-instance-identifier", name];
    ground.awscli(WEST, &["rds", "modify-db-instance", "--no-deletion-protection", "--db-instance-identifier", name]);
    far.until(WEST, |s| s.facts.get("instance").is_some_and(|i| i == "available")).await;
    ground.awscli(WEST, &delete);
    assert_eq!(far.codes(&promote()).await, ["PL-0364"]);
    let refused = far.driver().apply(&promote(), &context(1, "gone")).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected, "{refused}");
}
