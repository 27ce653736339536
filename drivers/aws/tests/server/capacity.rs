//! ECS services and Auto Scaling groups: the battery of capacity, throttling, and what is not there.

use crate::drive;
use crate::ground::{EAST, Ground, WEST, context};
use async_trait::async_trait;
use pilotlight_aws::{AutoscalingDriver, EcsDriver};
use pilotlight_core::effect::Effect;
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::{FailureKind, Outcome, Severity};
use pilotlight_core::plan::aws::{AutoscalingPlan, EcsPlan, EcsService};
use pilotlight_driver::Driver;
use pilotlight_driver::battery::{Bench, CapacityBench, capacity};
use pilotlight_driver::guard::Guarded;
use serde_json::json;

fn ecs_plan(name: &str) -> EcsPlan {
    let service = EcsService { cluster: name.to_owned(), service: name.to_owned() };
    EcsPlan {
        active: 6,
        standby: 1,
        active_provider: None,
        standby_provider: None,
        regions: [(Region::from(EAST), service.clone()), (Region::from(WEST), service)].into(),
    }
}

pub(crate) struct Running<'a> {
    ground: &'a Ground,
    driver: Box<dyn Driver>,
    question: String,
    killing: Option<serde_json::Value>,
    _folder: tempfile::TempDir,
}

impl<'a> Running<'a> {
    /// Of something whose instances nobody can kill from here.
    pub(crate) fn of(ground: &'a Ground, driver: Box<dyn Driver>, question: String, folder: tempfile::TempDir) -> Self {
        Running { ground, driver, question, killing: None, _folder: folder }
    }
}

impl Bench for Running<'_> {
    fn driver(&self) -> &dyn Driver {
        &*self.driver
    }
}

#[async_trait]
impl CapacityBench for Running<'_> {
    async fn process(&self) -> (Component, Region) {
        ("app".into(), EAST.into())
    }

    async fn running(&self) -> u32 {
        let said = self.ground.server.ask(&format!("running?{}", self.question)).await.unwrap();
        said["running"].as_u64().unwrap().try_into().unwrap()
    }

    async fn kill_one(&self) -> bool {
        let Some(body) = self.killing.clone() else { return false };
        self.ground.server.tell("lose-tasks", body).await.unwrap();
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ecs_keeps_the_laws_of_capacity() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("web");
    ground.seed(json!({"ecs": [{"region": EAST, "cluster": name, "service": name, "tasks": 0}]})).await;
    let folder = tempfile::tempdir().unwrap();
    let driver = EcsDriver::new("app".into(), ecs_plan(&name), ground.access());
    let bench = Running {
        ground: &ground,
        driver: Box::new(Guarded::open(driver, folder.path()).unwrap()),
        question: format!("region={EAST}&cluster={name}&service={name}"),
        killing: Some(json!({"region": EAST, "cluster": name, "service": name, "count": 1})),
        _folder: folder,
    };
    capacity(&bench).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn autoscaling_keeps_the_laws_of_capacity() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("group");
    ground.seed(json!({"groups": [{"region": EAST, "name": name, "least": 0, "most": 2}]})).await;
    let folder = tempfile::tempdir().unwrap();
    let (active_max, standby_max) = (Some(20), Some(3));
    let regions = [(Region::from(EAST), name.clone())].into();
    let plan = AutoscalingPlan { active: 4, standby: 1, active_max, standby_max, regions };
    let driver = AutoscalingDriver::new("app".into(), plan, ground.access());
    let driver = Box::new(Guarded::open(driver, folder.path()).unwrap());
    let bench = Running::of(&ground, driver, format!("region={EAST}&group={name}"), folder);
    capacity(&bench).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn spot_is_left_for_on_demand_where_the_traffic_is_and_taken_again_after() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("spot");
    ground.seed(json!({"ecs": [{"region": WEST, "cluster": name, "service": name, "tasks": 1}]})).await;
    let plan = EcsPlan {
        active_provider: Some("FARGATE".to_owned()),
        standby_provider: Some("FARGATE_SPOT".to_owned()),
        ..ecs_plan(&name)
    };
    let driver = EcsDriver::new("app".into(), plan, ground.access());
    let target = Target { component: "app".into(), region: Some(WEST.into()) };
    for (instances, provider) in [(6, "FARGATE"), (1, "FARGATE_SPOT")] {
        let set = Effect::SetCapacity { component: "app".into(), region: WEST.into(), instances };
        let context = context(1, provider);
        let mut answer = driver.apply(&set, &context).await.unwrap();
        while let Outcome::Accepted { handle } = &answer {
            answer = driver.resume(handle, &context).await.unwrap();
        }
        let seen = driver.observe(&target).await.unwrap();
        assert_eq!(seen.facts.get("provider").map(String::as_str), Some(provider));
        assert_eq!(seen.capacity.unwrap().ready, instances);
        // AWS's own client sees the same.
        let shown = ground.awscli(WEST, &["ecs", "describe-services", "--cluster", &name, "--services", &name]);
        let service = &shown["services"][0];
        assert_eq!(
            (&service["desiredCount"], &service["runningCount"]),
            (&json!(instances), &json!(instances)),
            "{shown}"
        );
        assert_eq!(service["capacityProviderStrategy"][0]["capacityProvider"], provider, "{shown}");
    }
}

/// Six tasks run from the first moment to the last, so counts say nothing.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_a_deployment_that_gives_way_are_not_those_that_were_asked_for() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("rollout");
    let place = json!({"region": WEST, "cluster": name, "service": name, "tasks": 6});
    ground.seed(json!({"ecs": [place]})).await;
    let plan = EcsPlan { active_provider: Some("FARGATE".to_owned()), ..ecs_plan(&name) };
    let driver = EcsDriver::new("app".into(), plan, ground.access());
    drive::until(&driver, "app", WEST, |s| s.capacity.is_some_and(|c| c.ready == 6)).await;
    let set = Effect::SetCapacity { component: "app".into(), region: WEST.into(), instances: 6 };

    let fail = |why: Option<&str>| json!({"region": WEST, "cluster": name, "service": name, "why": why});
    ground.server.tell("fail-rollouts", fail(Some("tasks failed to start"))).await.unwrap();
    let refused = drive::done(&driver, &set, &context(1, "fails")).await.unwrap_err();
    assert!(
        refused.kind == FailureKind::Rejected && refused.to_string().contains("tasks failed to start"),
        "{refused}"
    );
    let seen = drive::look(&driver, "app", WEST).await;
    assert_eq!(seen.capacity.unwrap().ready, 6, "the ones before still serve");
    assert!(seen.facts["deployment"].starts_with("FAILED: "), "{seen:?}");
    let found = async |instances| {
        let set = Effect::SetCapacity { component: "app".into(), region: WEST.into(), instances };
        let of = driver.preflight(&set).await.unwrap().into_iter().find(|f| f.code == "PL-0952");
        of.map(|f| (f.severity, f.message))
    };
    let (severity, message) = found(6).await.unwrap();
    assert!(severity == Severity::Blocker && message.contains("tasks failed to start"), "{message}");
    assert_eq!(found(1).await.unwrap().0, Severity::Warning, "fewer tasks need no new ones");

    ground.server.tell("fail-rollouts", fail(None)).await.unwrap();
    let context = context(1, "again");
    let begun = driver.apply(&set, &context).await.unwrap();
    assert!(matches!(begun, Outcome::Accepted { .. }), "one that failed is begun anew: {begun:?}");
    let (severity, message) = found(6).await.unwrap();
    assert!(severity == Severity::Warning && message.contains("IN_PROGRESS"), "{message}");
    drive::done(&driver, &set, &context).await.unwrap();
    let seen = drive::look(&driver, "app", WEST).await;
    assert_eq!((seen.capacity.unwrap().ready, seen.facts.get("deployment")), (6, None));
    assert_eq!(found(6).await, None);
    let again = driver.apply(&set, &context).await.unwrap();
    assert!(matches!(again, Outcome::Skipped { .. }), "{again:?}");
}

/// Whoever sets a count outside of them, AWS's own autoscaling brings it back.
#[tokio::test(flavor = "multi_thread")]
async fn limits_of_autoscaling_that_a_move_would_run_into_are_named_before_it() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("limits");
    ground.seed(json!({"ecs": [{"region": WEST, "cluster": name, "service": name, "tasks": 1}]})).await;
    let driver = EcsDriver::new("app".into(), ecs_plan(&name), ground.access());
    let found = async |instances| {
        let set = Effect::SetCapacity { component: "app".into(), region: WEST.into(), instances };
        let found = driver.preflight(&set).await.unwrap();
        found.into_iter().map(|f| (f.code, f.severity, f.message)).collect::<Vec<_>>()
    };
    assert_eq!((found(6).await, found(1).await), (vec![], vec![]), "nothing scales it");
    let id = format!("service/{name}/{name}");
    let limit = |least: &str, most: &str, more: &[&str]| {
        let of =
            ["--service-namespace", "ecs", "--scalable-dimension", "ecs:service:DesiredCount", "--resource-id", &id];
        let to = ["--min-capacity", least, "--max-capacity", most];
        let words = [&["application-autoscaling", "register-scalable-target"], &of[..], &to[..], more].concat();
        ground.awscli(WEST, &words);
    };
    limit("2", "3", &[]);
    let [(code, severity, message)] = found(6).await.try_into().unwrap();
    assert_eq!((code.as_str(), severity), ("PL-0375", Severity::Blocker));
    assert!(message.contains("app in us-west-2 allows 3 tasks at most, and a move asks for 6"), "{message}");
    let [(code, severity, message)] = found(1).await.try_into().unwrap();
    assert_eq!((code.as_str(), severity), ("PL-0375", Severity::Warning));
    assert!(message.contains("wants 2 tasks at least, and a move leaves 1"), "{message}");
    let off = "DynamicScalingInSuspended=true,DynamicScalingOutSuspended=true,ScheduledScalingSuspended=true";
    limit("2", "3", &["--suspended-state", off]);
    assert_eq!((found(6).await, found(1).await), (vec![], vec![]), "all of it is suspended");
    let on = "DynamicScalingInSuspended=false,DynamicScalingOutSuspended=false,ScheduledScalingSuspended=false";
    limit("1", "6", &["--suspended-state", on]);
    assert_eq!((found(6).await, found(1).await), (vec![], vec![]), "it is where the plan may go");
    // A move goes without it.
    let deny = json!({"kind": "deny", "service": "application-autoscaling", "region": WEST, "times": 1});
    ground.server.tell("faults", deny).await.unwrap();
    let [(code, severity, message)] = found(6).await.try_into().unwrap();
    assert_eq!((code.as_str(), severity), ("PL-0362", Severity::Warning));
    assert!(message.contains("DescribeScalableTargets"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_there_is_named_before_and_refused_during() {
    let Some(ground) = Ground::find().await else { return };
    let driver = EcsDriver::new("app".into(), ecs_plan("nobody"), ground.access());
    let set = Effect::SetCapacity { component: "app".into(), region: WEST.into(), instances: 6 };
    let found = driver.preflight(&set).await.unwrap();
    assert_eq!(found.iter().map(|f| f.code.as_str()).collect::<Vec<_>>(), ["PL-0364"]);
    let refused = driver.apply(&set, &context(1, "set")).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected, "{refused}");
    ground.server.tell("regions/us-west-2", json!({"control": "refuse"})).await.unwrap();
    let found = driver.preflight(&set).await.unwrap();
    assert_eq!(found.iter().map(|f| f.code.as_str()).collect::<Vec<_>>(), ["PL-0361"]);
}

/// A move to where more runs than `active`, as a repeated one or a failback in a busy hour, makes nothing smaller.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_more_where_the_traffic_is_stays() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("busy");
    ground.seed(json!({"ecs": [{"region": EAST, "cluster": name, "service": name, "tasks": 9}]})).await;
    ground.seed(json!({"groups": [{"region": EAST, "name": name, "least": 7, "most": 8}]})).await;
    let regions = [(Region::from(EAST), name.clone())].into();
    let plan = AutoscalingPlan { active: 6, standby: 1, active_max: Some(20), standby_max: Some(3), regions };
    let drivers: [(Box<dyn Driver>, u32); 2] = [
        (Box::new(EcsDriver::new("app".into(), ecs_plan(&name), ground.access())), 9),
        (Box::new(AutoscalingDriver::new("app".into(), plan, ground.access())), 7),
    ];
    for (driver, runs) in &drivers {
        for (instances, left) in [(6, *runs), (1, 1)] {
            let set = Effect::SetCapacity { component: "app".into(), region: EAST.into(), instances };
            drive::done(&**driver, &set, &context(1, &format!("to-{instances}"))).await.unwrap();
            let capacity = drive::look(&**driver, "app", EAST).await.capacity.unwrap();
            assert_eq!((capacity.desired, capacity.ready), (left, left));
        }
    }
    // AWS's own client sees the same sizes.
    let words = ["autoscaling", "describe-auto-scaling-groups", "--auto-scaling-group-names", name.as_str()];
    let shown = ground.awscli(EAST, &words);
    let group = &shown["AutoScalingGroups"][0];
    let sizes = ["MinSize", "DesiredCapacity", "MaxSize"].map(|size| group[size].as_u64());
    assert_eq!(sizes, [Some(1), Some(1), Some(3)], "{shown}");
    assert_eq!(group["Instances"].as_array().map(Vec::len), Some(1), "{shown}");
}
