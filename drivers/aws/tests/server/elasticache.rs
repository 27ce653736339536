//! ElastiCache Global Datastore: the battery of replicated data, and the bad days.

use crate::drive;
use crate::ground::{EAST, Ground, WEST, context};
use async_trait::async_trait;
use pilotlight_aws::ElastiCacheDriver;
use pilotlight_core::effect::{Effect, FenceAssurance};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{Role, State};
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use pilotlight_core::plan::aws::{ElastiCacheMember, ElastiCachePlan};
use pilotlight_driver::battery::{Bench, DataBench, Pair, replicated};
use pilotlight_driver::guard::Guarded;
use pilotlight_driver::{Context, Driver};
use serde_json::json;
use std::collections::BTreeSet;

/// A global datastore of its own, with the driver behind a guard.
struct Bed<'a> {
    ground: &'a Ground,
    name: String,
    datastore: String,
    driver: Guarded<ElastiCacheDriver>,
    _folder: tempfile::TempDir,
}

impl<'a> Bed<'a> {
    async fn make(ground: &'a Ground, may_detach: bool) -> Bed<'a> {
        let name = ground.fresh("cart");
        let made = ground.seed(json!({"caches": [{"name": name, "groups": [[EAST, name], [WEST, name]]}]})).await;
        let datastore = made["caches"][&name].as_str().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let member = |_: &str| ElastiCacheMember { group: name.clone(), address: None };
        let regions = [EAST, WEST].map(|r| (Region::from(r), member(r))).into();
        let plan = ElastiCachePlan { global_datastore: datastore.clone(), may_detach, regions };
        // Before a detach it is waited a minute for what may have been done.
        let access = if may_detach { ground.access_in_a_hurry() } else { ground.access() };
        let driver = ElastiCacheDriver::new(Component::from("cart"), plan, access);
        let driver = Guarded::open(driver, folder.path()).unwrap();
        let bed = Bed { ground, name, datastore, driver, _folder: folder };
        bed.until(WEST, |s| matches!(s.role, Some(Role::Standby { streaming: true, .. }))).await;
        bed
    }

    async fn look(&self, region: &str) -> State {
        drive::look(&self.driver, "cart", region).await
    }

    async fn until(&self, region: &str, is: impl Fn(&State) -> bool) {
        drive::until(&self.driver, "cart", region, is).await;
    }

    fn switch(allow_loss: bool) -> Effect {
        Bed::switch_with(allow_loss, FenceAssurance::None)
    }

    fn switch_with(allow_loss: bool, least: FenceAssurance) -> Effect {
        Effect::Switch { component: "cart".into(), from: EAST.into(), to: WEST.into(), allow_loss, least }
    }

    async fn done(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        drive::done(&self.driver, effect, context).await
    }

    async fn codes(&self) -> Vec<String> {
        let found = self.driver.preflight(&Bed::switch(false)).await.unwrap();
        found.into_iter().map(|f| f.code).collect()
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
        Pair { component: "cart".into(), writer: EAST.into(), standby: WEST.into() }
    }

    async fn write(&self, region: &Region) -> Result<u64, String> {
        let body = json!({"store": "cache", "region": region.as_str(), "name": self.name});
        Ok(self.ground.server.tell("write", body).await?["number"].as_u64().unwrap())
    }

    async fn held(&self, region: &Region) -> BTreeSet<u64> {
        let asked = self.ground.server.ask(&format!("held?store=cache&region={region}&name={}", self.name)).await;
        let numbers = asked.unwrap_or_default()["numbers"].as_array().cloned().unwrap_or_default();
        numbers.iter().filter_map(serde_json::Value::as_u64).collect()
    }

    async fn kill(&self, _region: &Region) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticache_keeps_the_laws_of_replicated_data() {
    let Some(ground) = Ground::find().await else { return };
    let bed = Bed::make(&ground, false).await;
    replicated(&bed).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_region_is_left_without_calling_it_and_follows_when_it_is_back() {
    let Some(ground) = Ground::find().await else { return };
    let bed = Bed::make(&ground, false).await;
    bed.write(&EAST.into()).await.unwrap();
    let server = &ground.server;
    server.tell("regions/us-east-1", json!({"control": "hang", "data": "down"})).await.unwrap();
    let planned = bed.driver.apply(&Bed::switch(false), &context(1, "planned")).await.unwrap_err();
    assert_eq!(planned.kind, FailureKind::Unreachable, "{planned}");
    let since = ground.now().await;
    let outcome = bed.done(&Bed::switch(true), &context(2, "switch")).await.unwrap();
    assert_eq!(outcome.output().unwrap().assurance, Some(FenceAssurance::ProviderAttested));
    assert_eq!(ground.calls(since, EAST).await, Vec::<String>::new());
    bed.write(&WEST.into()).await.unwrap();
    server.tell("regions/us-east-1", json!({"control": "up", "data": "up"})).await.unwrap();
    let rejoin = Effect::Rejoin { component: "cart".into(), region: EAST.into(), upstream: WEST.into() };
    bed.done(&rejoin, &context(3, "rejoin")).await.unwrap();
    assert!(matches!(bed.look(EAST).await.role, Some(Role::Standby { streaming: true, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_unknown_and_a_detach_is_the_last_way_where_it_is_allowed() {
    let Some(ground) = Ground::find().await else { return };
    let bed = Bed::make(&ground, false).await;
    let fault = |kind: &str| json!({"kind": kind, "service": "elasticache", "action": "FailoverGlobalReplicationGroup", "times": 1});
    ground.server.tell("faults", fault("lose-reply")).await.unwrap();
    let lost = bed.driver.apply(&Bed::switch(true), &context(1, "lost")).await.unwrap_err();
    assert_eq!(lost.kind, FailureKind::OutcomeUnknown, "{lost}");
    let since = ground.now().await;
    bed.done(&Bed::switch(true), &context(1, "lost-again")).await.unwrap();
    let calls = ground.calls(since, WEST).await;
    assert!(!calls.contains(&"FailoverGlobalReplicationGroup".to_owned()), "{calls:?}");

    let bed = Bed::make(&ground, true).await;
    ground.server.tell("faults", fault("error")).await.unwrap();
    let ordered = Bed::switch_with(true, FenceAssurance::ProviderAttested);
    let failed = bed.driver.apply(&ordered, &context(1, "ordered")).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::OutcomeUnknown, "{failed}");
    assert!(matches!(bed.look(WEST).await.role, Some(Role::Standby { .. })), "nothing was detached");

    // What AWS answers with a fault of its own may have been done.
    let bed = Bed::make(&ground, true).await;
    let since = ground.now().await;
    ground.server.tell("faults", fault("done-then-error")).await.unwrap();
    let outcome = bed.done(&Bed::switch(true), &context(1, "done")).await.unwrap();
    assert_eq!(outcome.output().unwrap().assurance, Some(FenceAssurance::ProviderAttested));
    let calls = ground.calls(since, WEST).await;
    assert!(!calls.contains(&"DisassociateGlobalReplicationGroup".to_owned()), "{calls:?}");

    for may_detach in [false, true] {
        let bed = Bed::make(&ground, may_detach).await;
        ground.server.tell("faults", fault("error")).await.unwrap();
        let answer = bed.done(&Bed::switch(true), &context(1, "broken")).await;
        match may_detach {
            false => assert_eq!(answer.unwrap_err().kind, FailureKind::OutcomeUnknown),
            true => {
                let Ok(Outcome::Warned { output, .. }) = &answer else { panic!("{answer:?}") };
                assert_eq!(output.assurance, Some(FenceAssurance::None));
                // This is what the warning is about: both write.
                bed.write(&EAST.into()).await.unwrap();
                bed.write(&WEST.into()).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_name_what_a_move_would_stumble_over() {
    let Some(ground) = Ground::find().await else { return };
    let bed = Bed::make(&ground, false).await;
    assert_eq!(bed.codes().await, Vec::<String>::new());
    let body = json!({"store": "cache", "region": WEST, "name": bed.name, "seconds": 600.0});
    ground.server.tell("lag", body).await.unwrap();
    assert_eq!(bed.codes().await, ["PL-0367"]);
    // AWS's own client moves it, past us.
    let shown = ground.awscli(
        WEST,
        &[
            "elasticache",
            "failover-global-replication-group",
            "--global-replication-group-id",
            &bed.datastore,
            "--primary-region",
            WEST,
            "--primary-replication-group-id",
            &bed.name,
        ],
    );
    assert_eq!(shown["GlobalReplicationGroup"]["Status"], "modifying", "{shown}");
    bed.until(WEST, |s| s.role == Some(Role::Writer)).await;
    assert_eq!(bed.codes().await, ["PL-0365"]);
    let skipped = bed.driver.apply(&Bed::switch(false), &context(1, "late")).await.unwrap();
    assert!(matches!(skipped, Outcome::Skipped { .. }), "{skipped:?}");
}
