//! Global Accelerator: the battery of traffic, dials that are raised before any is lowered, and what is not of the plan.

use crate::drive;
use crate::ground::{EAST, Ground, WEST, context};
use async_trait::async_trait;
use pilotlight_aws::AcceleratorDriver;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use pilotlight_core::plan::aws::AcceleratorPlan;
use pilotlight_driver::Driver;
use pilotlight_driver::battery::{Bench, TrafficBench, traffic};
use pilotlight_driver::guard::Guarded;
use serde_json::{Value, json};

/// Where the control plane is called.
const PLANE: &str = "us-west-2";

struct Accelerator<'a> {
    ground: &'a Ground,
    plan: AcceleratorPlan,
    driver: Guarded<AcceleratorDriver>,
    _folder: tempfile::TempDir,
}

impl<'a> Accelerator<'a> {
    async fn make(ground: &'a Ground) -> Accelerator<'a> {
        let name = ground.fresh("addresses");
        let made = ground.seed(json!({"accelerators": [{"name": name, "regions": [EAST, WEST]}]})).await;
        let made = &made["accelerators"][&name];
        let group = |region: &str| (Region::from(region), made["groups"][region].as_str().unwrap().to_owned());
        let listener = made["listener"].as_str().unwrap().to_owned();
        let plan = AcceleratorPlan { listener, regions: [group(EAST), group(WEST)].into() };
        let folder = tempfile::tempdir().unwrap();
        let driver = AcceleratorDriver::new("addresses".into(), plan.clone(), ground.access());
        let driver = Guarded::open(driver, folder.path()).unwrap();
        Accelerator { ground, plan, driver, _folder: folder }
    }

    fn route(region: &str) -> Effect {
        Effect::Route { component: "addresses".into(), shares: [(Region::from(region), 100)].into() }
    }

    async fn led_to(&self) -> Vec<String> {
        let led = self.ground.server.ask(&format!("led-to?listener={}", self.plan.listener)).await.unwrap();
        led.as_array().unwrap().iter().map(|r| r.as_str().unwrap().to_owned()).collect()
    }

    async fn done(&self, effect: &Effect, epoch: u64, step: &str) -> Result<Outcome, Failure> {
        drive::done(&self.driver, effect, &context(epoch, step)).await
    }

    async fn codes(&self) -> Vec<String> {
        let found = self.driver.preflight(&Accelerator::route(WEST)).await.unwrap();
        found.into_iter().map(|f| f.code).collect()
    }

    /// The group of a region changed past us, through the same API.
    async fn by_hand(&self, region: &str, change: Value) {
        let mut body = json!({"EndpointGroupArn": self.plan.regions[&Region::from(region)]});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        self.ground.server.tell("by-hand/endpoint-group", body).await.unwrap();
    }
}

impl Bench for Accelerator<'_> {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }
}

#[async_trait]
impl TrafficBench for Accelerator<'_> {
    async fn name(&self) -> (Component, Region, Region) {
        self.done(&Accelerator::route(WEST), 1, "first").await.unwrap();
        ("addresses".into(), EAST.into(), WEST.into())
    }

    async fn users_go_to(&self) -> Vec<Region> {
        self.led_to().await.iter().map(Region::new).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn global_accelerator_keeps_the_laws_of_traffic() {
    let Some(ground) = Ground::find().await else { return };
    let accelerator = Accelerator::make(&ground).await;
    traffic(&accelerator).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_is_raised_before_another_is_lowered_and_nobody_is_led_nowhere() {
    let Some(ground) = Ground::find().await else { return };
    let accelerator = Accelerator::make(&ground).await;
    accelerator.done(&Accelerator::route(EAST), 1, "home").await.unwrap();
    assert_eq!(accelerator.led_to().await, [EAST]);
    // The second of the two calls gets no further: whoever comes is still led somewhere.
    let fault = json!({"kind": "error", "service": "globalaccelerator", "action": "UpdateEndpointGroup", "after": 1, "times": 1});
    ground.server.tell("faults", fault).await.unwrap();
    let cut = accelerator.done(&Accelerator::route(WEST), 2, "cut").await.unwrap_err();
    assert_eq!(cut.kind, FailureKind::OutcomeUnknown, "{cut}");
    assert_eq!(accelerator.led_to().await, [EAST, WEST]);
    accelerator.done(&Accelerator::route(WEST), 2, "again").await.unwrap();
    assert_eq!(accelerator.led_to().await, [WEST]);
    let target = Target { component: "addresses".into(), region: None };
    let shares = accelerator.driver.observe(&target).await.unwrap().shares.unwrap();
    assert_eq!((shares[&Region::from(WEST)], shares[&Region::from(EAST)]), (100, 0));
    // AWS's own client sees the same dials.
    let words = ["globalaccelerator", "list-endpoint-groups", "--listener-arn", &accelerator.plan.listener];
    let shown = ground.awscli(PLANE, &words);
    let dial = |region: &str| {
        let mut groups = shown["EndpointGroups"].as_array().unwrap().iter();
        groups.find(|g| g["EndpointGroupRegion"] == region).unwrap()["TrafficDialPercentage"].as_f64()
    };
    assert_eq!((dial(WEST), dial(EAST)), (Some(100.0), Some(0.0)), "{shown}");
    // A lost reply: the look finds it done.
    let fault =
        json!({"kind": "lose-reply", "service": "globalaccelerator", "action": "UpdateEndpointGroup", "times": 2});
    ground.server.tell("faults", fault).await.unwrap();
    let lost = accelerator.done(&Accelerator::route(EAST), 3, "lost").await.unwrap_err();
    assert_eq!(lost.kind, FailureKind::OutcomeUnknown, "{lost}");
    ground.server.no_faults().await.unwrap();
    accelerator.done(&Accelerator::route(EAST), 3, "lost-again").await.unwrap();
    assert_eq!(accelerator.led_to().await, [EAST]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_control_plane_is_called_and_without_it_nothing_is_turned() {
    let Some(ground) = Ground::find().await else { return };
    let accelerator = Accelerator::make(&ground).await;
    let since = ground.now().await;
    accelerator.done(&Accelerator::route(EAST), 1, "home").await.unwrap();
    assert_eq!(ground.calls(since, EAST).await, Vec::<String>::new());
    ground.server.tell(&format!("regions/{PLANE}"), json!({"control": "refuse"})).await.unwrap();
    let down = accelerator.done(&Accelerator::route(WEST), 2, "down").await.unwrap_err();
    assert!(down.kind == FailureKind::Unreachable && down.message.starts_with("PL-0373: "), "{down}");
    assert!(accelerator.codes().await.contains(&"PL-0361".to_owned()));
    ground.server.tell(&format!("regions/{PLANE}"), json!({"control": "up"})).await.unwrap();
    assert_eq!(accelerator.led_to().await, [EAST]);
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_name_empty_weightless_and_strange_groups() {
    let Some(ground) = Ground::find().await else { return };
    let accelerator = Accelerator::make(&ground).await;
    // us-west-2 is a region of this plan, and the control plane's.
    assert_eq!(accelerator.codes().await, ["PL-0373"]);
    accelerator.by_hand(WEST, json!({"EndpointConfigurations": [{"EndpointId": "lb", "Weight": 0}]})).await;
    assert_eq!(accelerator.codes().await, ["PL-0373", "PL-0897"]);
    accelerator.by_hand(WEST, json!({"EndpointConfigurations": []})).await;
    assert_eq!(accelerator.codes().await, ["PL-0373", "PL-0897"]);
    let mut plan = accelerator.plan.clone();
    plan.regions.remove(&Region::from(EAST));
    let one = AcceleratorDriver::new("addresses".into(), plan, ground.access());
    let found = one.preflight(&Accelerator::route(WEST)).await.unwrap();
    assert!(found.iter().any(|f| f.message.contains("us-east-1, which the plan does not name")), "{found:?}");
    let refused = one.apply(&Accelerator::route(WEST), &context(1, "stranger")).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected, "{refused}");
}

/// What is known to have ended is not asked after until the deadline.
#[tokio::test(flavor = "multi_thread")]
async fn dials_that_somebody_turns_meanwhile_end_the_step() {
    let Some(ground) = Ground::find().await else { return };
    let accelerator = Accelerator::make(&ground).await;
    let driver = AcceleratorDriver::new("addresses".into(), accelerator.plan.clone(), ground.access_in_a_hurry());
    let context = context(1, "home");
    let mut answer = driver.apply(&Accelerator::route(EAST), &context).await;
    accelerator.by_hand(WEST, json!({"TrafficDialPercentage": 50.0})).await;
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(90);
    while let Ok(Outcome::Accepted { handle }) = &answer {
        assert!(tokio::time::Instant::now() < until, "it is asked after for ever");
        answer = driver.resume(handle, &context).await;
    }
    assert_eq!(answer.unwrap_err().kind, FailureKind::Rejected);
}
