//! Calls find their driver, and the lack of one is said.

use super::Router;
use pilotlight_core::effect::{CommandLine, Effect};
use pilotlight_core::id::{Component, EffectKey, Epoch, Region};
use pilotlight_core::observation::{Role, Target};
use pilotlight_core::outcome::{FailureKind, Outcome};
use pilotlight_driver::fake::{FakeDriver, Misbehaviour, World};
use pilotlight_driver::{Context, Driver};
use std::sync::Arc;
use std::time::Duration;

fn context(step: &str) -> Context {
    Context {
        unit: "payments".into(),
        epoch: Epoch(2),
        key: EffectKey::new(&"run".into(), &step.into(), 1),
        deadline: Duration::from_secs(1),
        cancel: Default::default(),
    }
}

fn database() -> (World, Component) {
    (World::new().with_database("database", &["east", "west"]), "database".into())
}

#[tokio::test(start_paused = true)]
async fn a_component_has_a_driver_for_each_region() {
    let ((east, name), (west, _)) = (database(), database());
    let router = Router::new()
        .component(&name, Some(&"east".into()), Arc::new(FakeDriver::everything(&east)))
        .component(&name, Some(&"west".into()), Arc::new(FakeDriver::everything(&west)));
    let fence = Effect::Fence { component: name.clone(), region: "east".into() };
    router.apply(&fence, &context("fence")).await.unwrap();
    assert_eq!((east.calls(), west.calls()), (1, 0));
    let target = Target { component: name, region: Some("west".into()) };
    assert!(matches!(router.observe(&target).await.unwrap().role, Some(Role::Standby { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_component_of_all_regions_has_one_driver() {
    let (world, name) = database();
    let router = Router::new().component(&name, None, Arc::new(FakeDriver::everything(&world)));
    let target = Target { component: name, region: Some("west".into()) };
    assert!(router.observe(&target).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn commands_go_to_their_region_or_stay_here() {
    let (there, here) = (World::new(), World::new());
    let router = Router::new()
        .region(&"west".into(), Arc::new(FakeDriver::everything(&there)))
        .here(Arc::new(FakeDriver::everything(&here)));
    let run = |region: Option<Region>| Effect::Command {
        region,
        command: CommandLine { argv: vec!["true".into()], env: Default::default(), idempotent: true },
    };
    router.apply(&run(Some("west".into())), &context("a")).await.unwrap();
    assert_eq!((there.calls(), here.calls()), (1, 0));
    router.apply(&run(None), &context("b")).await.unwrap();
    assert_eq!((there.calls(), here.calls()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_handle_finds_its_way_back() {
    let ((world, name), other) = (database(), World::new());
    let router = Router::new()
        .component(&name, None, Arc::new(FakeDriver::everything(&world)))
        .here(Arc::new(FakeDriver::everything(&other)));
    world.on_next(Misbehaviour::Accept { polls: 1 });
    let fence = Effect::Fence { component: name, region: "east".into() };
    let mut handles = Vec::new();
    let mut outcome = router.apply(&fence, &context("fence")).await.unwrap();
    while let Outcome::Accepted { handle } = outcome {
        outcome = router.resume(&handle, &context("fence")).await.unwrap();
        handles.push(handle);
    }
    assert_eq!(handles.len(), 2, "{handles:?}");
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert_eq!(router.resume("nobody's", &context("x")).await.unwrap_err().kind, FailureKind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn where_no_driver_is_set_up_it_is_said() {
    let target = Target { component: "ghost".into(), region: Some("east".into()) };
    let failure = Router::new().observe(&target).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unsupported);
    assert!(failure.message.contains("component ghost in east"), "{failure}");
}
