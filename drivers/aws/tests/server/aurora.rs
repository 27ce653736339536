//! Aurora Global Database: the battery of replicated data, and the bad days.

use crate::drive;
use crate::ground::{EAST, Ground, WEST, context};
use async_trait::async_trait;
use pilotlight_aws::{Access, AuroraDriver};
use pilotlight_core::effect::{Effect, FenceAssurance};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{Role, Target};
use pilotlight_core::outcome::{Failure, FailureKind, Outcome, Severity};
use pilotlight_core::plan::aws::{AuroraMember, AuroraPlan, SnapshotBefore};
use pilotlight_core::position::LagQuality;
use pilotlight_driver::battery::{Bench, DataBench, Pair, replicated};
use pilotlight_driver::guard::Guarded;
use pilotlight_driver::{Context, Driver};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// A global cluster of its own, with the driver behind a guard.
pub(crate) struct Group<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) name: String,
    pub(crate) driver: Guarded<AuroraDriver>,
    _folder: tempfile::TempDir,
}

async fn seed(ground: &Ground, name: &str) {
    let member = |region: &str| json!([region, format!("{name}-{region}")]);
    ground.seed(json!({"aurora": [{"group": name, "members": [member(EAST), member(WEST)]}]})).await;
}

impl<'a> Group<'a> {
    pub(crate) async fn make(ground: &'a Ground, may_detach: bool) -> Group<'a> {
        Group::make_with(ground, may_detach, SnapshotBefore::Rejoin).await
    }

    async fn make_with(ground: &'a Ground, may_detach: bool, snapshot: SnapshotBefore) -> Group<'a> {
        let name = ground.fresh("pay");
        seed(ground, &name).await;
        let of = |r: &str| {
            let groups = |word: &str| if may_detach { vec![format!("sg-{word}")] } else { Vec::new() };
            let (open_groups, closed_groups) = (groups("open"), groups("closed"));
            let member = AuroraMember { cluster: format!("{name}-{r}"), address: None, open_groups, closed_groups };
            (Region::from(r), member)
        };
        let regions = [of(EAST), of(WEST)].into();
        let plan = AuroraPlan { global_cluster: name.clone(), may_detach, snapshot, regions };
        let folder = tempfile::tempdir().unwrap();
        // Before a detach it is waited a minute for what may have been done.
        let access = if may_detach { ground.access_in_a_hurry() } else { ground.access() };
        let driver = AuroraDriver::new(Component::from("database"), plan, access);
        Group { ground, name, driver: Guarded::open(driver, folder.path()).unwrap(), _folder: folder }
    }

    /// A driver that has not looked yet.
    fn plain(&self) -> AuroraDriver {
        self.plain_in(&self.name)
    }

    /// The same for a plan with this RPO.
    pub(crate) fn plain_for(&self, rpo: Duration) -> AuroraDriver {
        self.plain_by(&self.name, self.ground.access().with_rpo(rpo))
    }

    /// The same of a global cluster of that name.
    fn plain_in(&self, global_cluster: &str) -> AuroraDriver {
        self.plain_by(global_cluster, self.ground.access())
    }

    fn plain_by(&self, global_cluster: &str, access: Access) -> AuroraDriver {
        let member = |r: &str| AuroraMember {
            cluster: self.cluster(r),
            address: None,
            open_groups: Vec::new(),
            closed_groups: Vec::new(),
        };
        let regions = [EAST, WEST].map(|r| (Region::from(r), member(r))).into();
        let plan = AuroraPlan {
            global_cluster: global_cluster.to_owned(),
            may_detach: false,
            regions,
            ..AuroraPlan::default()
        };
        AuroraDriver::new(Component::from("database"), plan, access)
    }

    pub(crate) fn cluster(&self, region: &str) -> String {
        format!("{}-{region}", self.name)
    }

    pub(crate) async fn write(&self, region: &str) -> Result<u64, String> {
        let body = json!({"region": region, "name": self.cluster(region)});
        Ok(self.ground.server.tell("write", body).await?["number"].as_u64().unwrap())
    }

    pub(crate) async fn held(&self, region: &str) -> BTreeSet<u64> {
        let asked = self.ground.server.ask(&format!("held?region={region}&name={}", self.cluster(region))).await;
        let numbers = asked.unwrap_or_default()["numbers"].as_array().cloned().unwrap_or_default();
        numbers.iter().filter_map(serde_json::Value::as_u64).collect()
    }

    pub(crate) async fn role(&self, region: &str) -> Option<Role> {
        let target = Target { component: "database".into(), region: Some(region.into()) };
        self.driver.observe(&target).await.unwrap().role
    }

    pub(crate) fn switch(allow_loss: bool) -> Effect {
        Group::switch_with(allow_loss, FenceAssurance::None)
    }

    fn switch_with(allow_loss: bool, least: FenceAssurance) -> Effect {
        Effect::Switch { component: "database".into(), from: EAST.into(), to: WEST.into(), allow_loss, least }
    }

    /// Applies and follows to the end.
    pub(crate) async fn done(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        drive::done(&self.driver, effect, context).await
    }
}

impl Bench for Group<'_> {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }
}

#[async_trait]
impl DataBench for Group<'_> {
    /// As at the beginning, under the same names: a battery may ask for another pair.
    async fn pair(&self) -> Pair {
        if self.role(EAST).await != Some(Role::Writer) {
            let body = json!({"name": self.name});
            self.ground.server.tell("by-hand/forget-clusters", body).await.unwrap();
            seed(self.ground, &self.name).await;
        }
        Pair { component: "database".into(), writer: EAST.into(), standby: WEST.into() }
    }

    async fn write(&self, region: &Region) -> Result<u64, String> {
        Group::write(self, region.as_str()).await
    }

    async fn held(&self, region: &Region) -> BTreeSet<u64> {
        Group::held(self, region.as_str()).await
    }

    async fn kill(&self, region: &Region) {
        let body = json!({"region": region.as_str(), "name": self.cluster(region.as_str())});
        self.ground.server.tell("by-hand/stop-instance", body).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aurora_keeps_the_laws_of_replicated_data() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, false).await;
    replicated(&group).await.assert_kept();
}

/// AWS's own client asks for both kinds of move and reads them from the server that the driver is tested against.
#[tokio::test(flavor = "multi_thread")]
async fn awscli_moves_a_global_cluster_and_sees_what_the_driver_sees() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, false).await;
    let seen = || ground.awscli(WEST, &["rds", "describe-global-clusters"])["GlobalClusters"].clone();
    let of_ours = || {
        let all = seen();
        let ours = all.as_array().unwrap().iter().find(|g| g["GlobalClusterIdentifier"] == group.name.as_str());
        ours.cloned().expect("it is listed")
    };
    for (call, asked_in, to, more, word) in [
        ("switchover-global-cluster", EAST, WEST, &[][..], "switching-over"),
        ("failover-global-cluster", EAST, EAST, &["--allow-data-loss"][..], "failing-over"),
    ] {
        let target = format!("arn:aws:rds:{to}:123456789012:cluster:{}", group.cluster(to));
        let words =
            ["rds", call, "--global-cluster-identifier", &group.name, "--target-db-cluster-identifier", &target];
        let said = ground.awscli(asked_in, &[&words[..], more].concat());
        assert_eq!(said["GlobalCluster"]["Status"], word, "{call}: {said}");
        let until = tokio::time::Instant::now() + Duration::from_secs(90);
        let writer = loop {
            let ours = of_ours();
            let members = ours["GlobalClusterMembers"].as_array().unwrap();
            let writers: Vec<&str> =
                members.iter().filter(|m| m["IsWriter"] == true).filter_map(|m| m["DBClusterArn"].as_str()).collect();
            assert_eq!(writers.len(), 1, "{ours}");
            if ours["Status"] == "available" {
                break writers[0].to_owned();
            }
            assert!(tokio::time::Instant::now() < until, "{call} does not end: {ours}");
        };
        assert_eq!(writer, target, "{call}");
        assert_eq!(group.role(to).await, Some(Role::Writer), "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_region_is_left_without_calling_it() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, false).await;
    let server = &ground.server;
    for _ in 0..5 {
        group.write(EAST).await.unwrap();
    }
    server.tell("regions/us-east-1", json!({"control": "hang", "data": "down"})).await.unwrap();
    let since = ground.now().await;
    let planned = group.driver.apply(&Group::switch(false), &context(1, "planned")).await.unwrap_err();
    assert_ne!(planned.kind, FailureKind::Unsupported, "{planned}");
    let before_failover = ground.now().await;
    let outcome = group.done(&Group::switch(true), &context(2, "switch")).await.unwrap();
    let Outcome::Done { output } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(output.assurance, Some(FenceAssurance::ProviderAttested));
    assert_eq!(group.role(WEST).await, Some(Role::Writer));
    assert_eq!(ground.calls(before_failover, EAST).await, Vec::<String>::new());
    assert!(!ground.calls(since, WEST).await.is_empty());
    group.write(WEST).await.unwrap();
    // The region comes back: AWS makes its copy follow again, and Rejoin waits for that.
    server.tell("regions/us-east-1", json!({"control": "up", "data": "up"})).await.unwrap();
    let rejoin = Effect::Rejoin { component: "database".into(), region: EAST.into(), upstream: WEST.into() };
    group.done(&rejoin, &context(3, "rejoin")).await.unwrap();
    assert!(matches!(group.role(EAST).await, Some(Role::Standby { streaming: true, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_unknown_and_the_same_effect_looks_first() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, false).await;
    let fault = json!({"kind": "lose-reply", "service": "rds", "action": "FailoverGlobalCluster", "times": 1});
    ground.server.tell("faults", fault).await.unwrap();
    let context = context(1, "switch");
    let lost = group.driver.apply(&Group::switch(true), &context).await.unwrap_err();
    assert_eq!(lost.kind, FailureKind::OutcomeUnknown, "{lost}");
    let since = ground.now().await;
    let outcome = group.done(&Group::switch(true), &context).await.unwrap();
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    let again = ground.calls(since, WEST).await;
    assert!(!again.contains(&"FailoverGlobalCluster".to_owned()), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_move_waits_for_its_snapshot_and_a_lost_reply_makes_no_second_one() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make_with(&ground, false, SnapshotBefore::Changes).await;
    let findings = async |effect: &Effect| {
        let found = group.driver.preflight(effect).await.unwrap();
        found.into_iter().map(|f| f.code).filter(|c| c == "PL-0950").count()
    };
    assert_eq!((findings(&Group::switch(false)).await, findings(&Group::switch(true)).await), (1, 0));
    let lose = json!({"kind": "lose-reply", "service": "rds", "action": "CreateDBClusterSnapshot", "times": 1});
    ground.server.tell("faults", lose).await.unwrap();
    let context = context(7, "switch");
    let since = ground.now().await;
    let lost = group.done(&Group::switch(false), &context).await.unwrap_err();
    assert_eq!(lost.kind, FailureKind::OutcomeUnknown, "{lost}");
    assert_eq!(group.role(EAST).await, Some(Role::Writer), "nothing moves before it is there");
    group.write(EAST).await.unwrap();
    let busy = json!({"kind": "busy", "code": "InvalidDBClusterStateFault", "service": "rds",
                      "action": "SwitchoverGlobalCluster", "times": 1});
    ground.server.tell("faults", busy).await.unwrap();
    let outcome = group.done(&Group::switch(false), &context).await.unwrap();
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    let calls = ground.calls(since, EAST).await;
    let at = |action: &str| calls.iter().enumerate().filter(|(_, c)| *c == action).map(|(n, _)| n).collect::<Vec<_>>();
    let (made, looked, moved) =
        (at("CreateDBClusterSnapshot"), at("DescribeDBClusterSnapshots"), at("SwitchoverGlobalCluster"));
    assert!(made.len() == 1 && moved.len() == 2 && looked[0] < made[0] && made[0] < moved[0], "{calls:?}");
    let name = format!("{}-at-7", group.cluster(EAST));
    let words = ["rds", "describe-db-cluster-snapshots", "--db-cluster-snapshot-identifier", &name];
    let kept = &ground.awscli(EAST, &words)["DBClusterSnapshots"][0];
    assert!(
        kept["Status"] == "available" && kept["TagList"][0] == json!({"Key": "pilotlight:run", "Value": "run"}),
        "{kept}"
    );

    // A failover asks nothing of the region it leaves, so it makes none.
    let group = Group::make_with(&ground, false, SnapshotBefore::Changes).await;
    ground.server.tell("regions/us-east-1", json!({"control": "hang", "data": "down"})).await.unwrap();
    let since = ground.now().await;
    group.done(&Group::switch(true), &crate::ground::context(8, "switch")).await.unwrap();
    assert_eq!(ground.calls(since, EAST).await, Vec::<String>::new());
    assert!(!ground.calls(since, WEST).await.contains(&"CreateDBClusterSnapshot".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_calls_are_repeated_inside_the_deadline() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, false).await;
    let fault =
        |times: u32| json!({"kind": "throttle", "service": "rds", "action": "SwitchoverGlobalCluster", "times": times});
    ground.server.tell("faults", fault(3)).await.unwrap();
    let outcome = group.done(&Group::switch(false), &context(1, "switch")).await.unwrap();
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    let group = Group::make(&ground, false).await;
    ground.server.tell("faults", fault(1_000)).await.unwrap();
    let short = Context { deadline: Duration::from_secs(5), ..context(1, "switch") };
    let refused = group.driver.apply(&Group::switch(false), &short).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Transient, "{refused}");
    assert_eq!(group.role(EAST).await, Some(Role::Writer));
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_are_refused_and_named() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, true).await;
    let fault = json!({"kind": "deny", "service": "rds", "action": "FailoverGlobalCluster", "times": 9});
    ground.server.tell("faults", fault).await.unwrap();
    let denied = group.driver.apply(&Group::switch(true), &context(1, "switch")).await.unwrap_err();
    assert_eq!(denied.kind, FailureKind::Rejected, "{denied}");
    assert!(denied.message.contains("FailoverGlobalCluster"), "{denied}");
    assert!(denied.hint.is_some());
    assert!(matches!(group.role(WEST).await, Some(Role::Standby { .. })), "nothing was detached");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_global_calls_a_copy_is_detached_only_where_the_plan_allows_it() {
    let Some(ground) = Ground::find().await else { return };
    let fault = || json!({"kind": "error", "service": "rds", "action": "FailoverGlobalCluster", "times": 1});
    let group = Group::make(&ground, false).await;
    ground.server.tell("faults", fault()).await.unwrap();
    let failed = group.driver.apply(&Group::switch(true), &context(1, "switch")).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::OutcomeUnknown, "{failed}");
    assert!(matches!(group.role(WEST).await, Some(Role::Standby { .. })));

    let group = Group::make(&ground, true).await;
    let written = group.write(EAST).await.unwrap();
    ground.server.tell("faults", fault()).await.unwrap();
    let outcome = group.done(&Group::switch(true), &context(1, "switch")).await.unwrap();
    let Outcome::Warned { output, warning } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(output.assurance, Some(FenceAssurance::None));
    assert!(warning.contains("nothing stops the old writer"), "{warning}");
    assert_eq!(group.role(WEST).await, Some(Role::Writer));
    assert!(group.held(WEST).await.contains(&written) || group.held(WEST).await.is_empty());
    // This is what the warning is about: both write.
    group.write(EAST).await.unwrap();
    group.write(WEST).await.unwrap();
}

/// AWS may have done what it answers with a fault of its own, and what is busy may be free a moment later.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_detached_while_the_whole_move_may_still_come() {
    let Some(ground) = Ground::find().await else { return };
    let long = Context { deadline: Duration::from_secs(1_800), ..context(1, "switch") };
    let busy = |times: u32| {
        json!({"kind": "busy", "code": "InvalidGlobalClusterStateFault", "service": "rds",
               "action": "FailoverGlobalCluster", "times": times})
    };
    let done = json!({"kind": "done-then-error", "service": "rds", "action": "FailoverGlobalCluster", "times": 1});
    for fault in [done, busy(2)] {
        let group = Group::make(&ground, true).await;
        let since = ground.now().await;
        ground.server.tell("faults", fault.clone()).await.unwrap();
        let outcome = group.done(&Group::switch(true), &long).await.unwrap();
        assert_eq!(outcome.output().unwrap().assurance, Some(FenceAssurance::ProviderAttested), "{fault}");
        let calls = ground.calls(since, WEST).await;
        assert!(!calls.contains(&"RemoveFromGlobalCluster".to_owned()), "{calls:?}");
    }
    // Busy for as long as it is asked, and nothing moves there.
    let group = Group::make(&ground, true).await;
    ground.server.tell("faults", busy(1_000)).await.unwrap();
    let outcome = group.done(&Group::switch(true), &long).await.unwrap();
    assert!(matches!(outcome, Outcome::Warned { .. }), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_detached_under_an_order_that_asks_for_a_fence() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, true).await;
    let fault = json!({"kind": "error", "service": "rds", "action": "FailoverGlobalCluster", "times": 1});
    ground.server.tell("faults", fault).await.unwrap();
    let ordered = Group::switch_with(true, FenceAssurance::ProviderAttested);
    let failed = group.driver.apply(&ordered, &context(1, "switch")).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::OutcomeUnknown, "{failed}");
    assert!(failed.hint.is_some_and(|hint| hint.contains("nothing was detached")));
    assert!(matches!(group.role(WEST).await, Some(Role::Standby { streaming: true, .. })));
    // AWS's whole move is as sure as the order asks for.
    let outcome = group.done(&ordered, &context(1, "switch-again")).await.unwrap();
    assert_eq!(outcome.output().unwrap().assurance, Some(FenceAssurance::ProviderAttested));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_is_no_writer_where_its_global_cluster_is_not_seen() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, false).await;
    let driver = group.plain_in("another");
    let role = drive::look(&driver, "database", WEST).await.role;
    assert_eq!(role, Some(Role::Standby { upstream: Some(EAST.into()), streaming: false }));
    let refused = driver.apply(&Group::switch(true), &context(1, "switch")).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lag_is_shown_also_after_the_writer_was_lost() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, false).await;
    let lag = json!({"region": WEST, "name": group.cluster(WEST), "seconds": 900.0});
    ground.server.tell("lag", lag).await.unwrap();
    let behind = drive::look(&group.driver, "database", WEST).await.lag.unwrap();
    assert_eq!((behind.seconds_ms, behind.quality), (Some(Duration::from_secs(900)), LagQuality::ProviderMetric));
    assert_eq!(drive::look(&group.driver, "database", EAST).await.lag, None, "the writer has none");
    ground.server.tell("regions/us-east-1", json!({"control": "hang", "data": "down"})).await.unwrap();
    let last = drive::look(&group.plain(), "database", WEST).await.lag.unwrap();
    assert_eq!(last.seconds_ms, Some(Duration::from_secs(900)));
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_name_what_a_move_would_stumble_over() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, false).await;
    let codes =
        |findings: Vec<pilotlight_core::outcome::Finding>| findings.into_iter().map(|f| f.code).collect::<Vec<_>>();
    let found = codes(group.driver.preflight(&Group::switch(false)).await.unwrap());
    assert_eq!(found, Vec::<String>::new());
    // Without it nothing fails over by itself.
    let deny = json!({"kind": "deny", "service": "monitoring", "times": 9_999});
    ground.server.tell("faults", deny).await.unwrap();
    let [unseen] = group.plain().preflight(&Group::switch(false)).await.unwrap().try_into().unwrap();
    assert_eq!((unseen.code.as_str(), unseen.severity), ("PL-0362", Severity::Warning), "{unseen:?}");
    ground.server.no_faults().await.unwrap();
    // Moved by hand, past us.
    let arn = format!("arn:aws:rds:us-west-2:123456789012:cluster:{}", group.cluster(WEST));
    let rds = json!({"global_cluster": group.name, "target": arn});
    ground.server.tell("by-hand/switchover", rds).await.unwrap();
    let until = tokio::time::Instant::now() + Duration::from_secs(90);
    while group.role(WEST).await != Some(Role::Writer) {
        assert!(tokio::time::Instant::now() < until, "the switch by hand does not end");
    }
    // In the way of a planned move; a failover enters it.
    for (allow_loss, severity) in [(false, Severity::Blocker), (true, Severity::Warning)] {
        let found = group.driver.preflight(&Group::switch(allow_loss)).await.unwrap();
        assert!(found.iter().any(|f| f.code == "PL-0365" && f.severity == severity), "{found:?}");
    }
    let skipped = group.driver.apply(&Group::switch(false), &context(1, "late")).await.unwrap();
    assert!(matches!(skipped, Outcome::Skipped { .. }), "{skipped:?}");
    // A region that hangs is named, and costs no more than a few seconds.
    ground.server.tell("regions/us-west-2", json!({"control": "hang"})).await.unwrap();
    let found = codes(group.driver.preflight(&Group::switch(false)).await.unwrap());
    assert_eq!(found, ["PL-0361"]);
}
