//! The fake is what other tests are judged by, so its judgements are tested first.

use super::{FakeDriver, Misbehaviour, Violation, World};
use crate::{Context, Driver};
use pilotlight_core::effect::{CommandLine, Effect, FenceAssurance, HandOver};
use pilotlight_core::id::{EffectKey, Epoch, RunId, StepId};
use pilotlight_core::observation::{Role, Sentinel, Target};
use pilotlight_core::outcome::{FailureKind, Outcome};
use pilotlight_core::position::Order;
use pilotlight_core::time::Wall;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn context(step: &str, epoch: u64) -> Context {
    Context {
        unit: "payments".into(),
        epoch: Epoch(epoch),
        key: EffectKey::new(&RunId::from("run"), &StepId::from(step), 1),
        deadline: Duration::from_secs(10),
        cancel: CancellationToken::new(),
    }
}

fn world() -> World {
    World::new()
        .with_database("db", &["east", "west"])
        .with_process("app", &[("east", 2), ("west", 0)])
        .with_traffic("name", "east")
}

fn at(region: &str) -> Target {
    Target { component: "db".into(), region: Some(region.into()) }
}

fn promote(region: &str) -> Effect {
    Effect::Promote { component: "db".into(), region: region.into() }
}

fn stop(region: &str) -> Effect {
    Effect::StopWrites { component: "db".into(), region: region.into() }
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_loses_nothing_and_breaks_no_rule() {
    let world = world();
    world.set_lag("db", "west", 2, 3);
    for _ in 0..10 {
        world.write("db", "east").unwrap();
    }
    assert_eq!(world.copy("db", "west").map(|c| (c.received, c.applied)), Some((8, 5)));
    let fake = FakeDriver::everything(&world);
    let stopped = fake.apply(&stop("east"), &context("stop", 1)).await.unwrap();
    let position = stopped.output().and_then(|o| o.position.clone()).unwrap();
    let wait = Effect::AwaitPosition {
        component: "db".into(),
        region: "west".into(),
        position: HandOver::At(position.clone()),
    };
    let reached = fake.apply(&wait, &context("await", 1)).await.unwrap();
    assert_eq!(reached.output().and_then(|o| o.position.clone()), Some(position));
    fake.apply(&promote("west"), &context("promote", 1)).await.unwrap();
    assert_eq!(world.write("db", "west"), Ok(11));
    assert_eq!(world.missing("db", "west"), []);
    let rejoin = Effect::Rejoin { component: "db".into(), region: "east".into(), upstream: "west".into() };
    fake.apply(&rejoin, &context("rejoin", 1)).await.unwrap();
    assert_eq!(
        fake.observe(&at("east")).await.unwrap().role,
        Some(Role::Standby { upstream: Some("west".into()), streaming: true })
    );
    assert_eq!(world.violations(), []);
}

#[tokio::test(start_paused = true)]
async fn promotion_beside_a_live_writer_is_seen() {
    let world = world();
    let fake = FakeDriver::everything(&world);
    world.cut("east");
    fake.apply(&promote("west"), &context("promote", 1)).await.unwrap();
    let regions = vec!["east".into(), "west".into()];
    assert_eq!(
        world.violations(),
        [
            Violation::PromotedBeforeFence {
                component: "db".into(),
                promoted: "west".into(),
                could_write: "east".into()
            },
            Violation::TwoWriters { component: "db".into(), regions },
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn losing_a_region_loses_what_was_not_received_and_forks_the_history() {
    let world = world();
    world.set_lag("db", "west", 1, 0);
    for _ in 0..5 {
        world.write("db", "east").unwrap();
    }
    let before = world.copy("db", "east").unwrap().position();
    world.lose("east");
    let fake = FakeDriver::everything(&world);
    assert_eq!(fake.observe(&at("east")).await.unwrap_err().kind, FailureKind::Unreachable);
    fake.apply(&promote("west"), &context("promote", 1)).await.unwrap();
    assert_eq!(world.missing("db", "west").len(), 1);
    let after = world.copy("db", "west").unwrap().position();
    assert_eq!(fake.compare(&at("west"), &before, &after).await, Ok(Order::Diverged));
    world.heal("east");
    assert_eq!(world.writers("db"), ["west".into()]);
    assert_eq!(world.violations(), []);
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_unknown_once_and_known_afterwards() {
    let world = world();
    let fake = FakeDriver::everything(&world);
    world.on_next(Misbehaviour::LoseReply);
    let first = fake.apply(&stop("east"), &context("stop", 1)).await.unwrap_err();
    assert_eq!(first.kind, FailureKind::OutcomeUnknown);
    assert!(matches!(fake.apply(&stop("east"), &context("stop", 1)).await, Ok(Outcome::Done { .. })));
    assert_eq!(world.journal().len(), 1);
    assert_eq!(world.violations(), []);
}

#[tokio::test(start_paused = true)]
async fn accepted_work_goes_on_in_another_process() {
    let world = world();
    world.on_effect(|e| matches!(e, Effect::Switch { .. }), 1, Misbehaviour::Accept { polls: 2 });
    let least = FenceAssurance::None;
    let (from, to) = ("east".into(), "west".into());
    let switch = Effect::Switch { component: "db".into(), from, to, allow_loss: false, least };
    let begun = FakeDriver::managed(&world).apply(&switch, &context("switch", 1)).await.unwrap();
    let Outcome::Accepted { handle } = begun else { panic!("expected a handle, got {begun:?}") };
    let other = FakeDriver::managed(&world);
    for _ in 0..2 {
        let poll = other.resume(&handle, &context("switch", 1)).await;
        assert_eq!(poll, Ok(Outcome::Accepted { handle: handle.clone() }));
        assert_eq!(world.writers("db"), ["east".into()]);
    }
    let end = other.resume(&handle, &context("switch", 1)).await.unwrap();
    assert!(matches!(end, Outcome::Done { .. }), "{end:?}");
    assert_eq!(other.resume(&handle, &context("switch", 1)).await, Ok(end));
    assert_eq!(world.writers("db"), ["west".into()]);
    assert_eq!(world.violations(), []);
}

#[tokio::test(start_paused = true)]
async fn old_epochs_are_refused_or_where_nobody_refuses_them_seen() {
    let world = world();
    let fake = FakeDriver::everything(&world);
    fake.apply(&stop("east"), &context("stop", 5)).await.unwrap();
    let old = fake.apply(&promote("west"), &context("promote", 4)).await.unwrap_err();
    assert_eq!(old.kind, FailureKind::Rejected);
    assert_eq!(world.violations(), []);
    FakeDriver::unguarded(&world).apply(&promote("west"), &context("promote", 4)).await.unwrap();
    assert!(matches!(world.violations()[..], [Violation::StaleEpochApplied { .. }]), "{:?}", world.violations());
}

#[tokio::test(start_paused = true)]
async fn delays_hangs_and_scripted_failures_come_where_they_were_ordered() {
    let world = world();
    let fake = FakeDriver::everything(&world);
    let shares = |n| Effect::Route { component: "name".into(), shares: BTreeMap::from([("west".into(), n)]) };
    world.on_call(1, Misbehaviour::Fail(FailureKind::Transient));
    world.on_call(2, Misbehaviour::Delay(Duration::from_secs(3)));
    world.on_call(3, Misbehaviour::DelayReply(Duration::from_secs(60)));
    world.on_call(4, Misbehaviour::Hang);
    assert!(fake.apply(&shares(10), &context("a", 1)).await.is_ok());
    assert_eq!(fake.apply(&shares(20), &context("b", 1)).await.unwrap_err().kind, FailureKind::Transient);
    assert_eq!(world.shares("name"), BTreeMap::from([("west".into(), 10)]));
    let began = tokio::time::Instant::now();
    assert!(fake.apply(&shares(30), &context("c", 1)).await.is_ok());
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    assert_eq!(fake.apply(&shares(40), &context("d", 1)).await.unwrap_err().kind, FailureKind::OutcomeUnknown);
    assert_eq!(world.shares("name"), BTreeMap::from([("west".into(), 40)]));
    let (effect, hung) = (shares(50), context("e", 1));
    assert!(tokio::time::timeout(Duration::from_secs(3600), fake.apply(&effect, &hung)).await.is_err());
    assert_eq!(world.shares("name"), BTreeMap::from([("west".into(), 40)]));
}

#[tokio::test(start_paused = true)]
async fn empty_shares_and_repeated_commands_are_seen() {
    let world = world();
    let fake = FakeDriver::everything(&world);
    let empty = Effect::Route { component: "name".into(), shares: BTreeMap::new() };
    assert_eq!(fake.apply(&empty, &context("route", 1)).await.unwrap_err().kind, FailureKind::Rejected);
    let command = CommandLine { argv: vec!["pay".into()], env: BTreeMap::new(), idempotent: false };
    let run = Effect::Command { region: None, command };
    fake.apply(&run, &context("hook", 1)).await.unwrap();
    let again = Context { key: EffectKey::new(&"run".into(), &"hook".into(), 2), ..context("hook", 1) };
    fake.apply(&run, &again).await.unwrap();
    assert!(
        matches!(world.violations()[..], [Violation::EmptyShares { .. }, Violation::CommandRanAgain { .. }]),
        "{:?}",
        world.violations()
    );
}

#[tokio::test(start_paused = true)]
async fn sentinels_travel_and_instances_take_their_time() {
    let world = world();
    let fake = FakeDriver::everything(&world);
    world.set_lag("db", "west", 0, 1);
    for number in 1..=3 {
        let sentinel = Sentinel { number, written: Wall(number) };
        let effect = Effect::WriteSentinel { component: "db".into(), region: "east".into(), sentinel };
        fake.apply(&effect, &context(&format!("sentinel-{number}"), 1)).await.unwrap();
    }
    let seen = fake.observe(&at("west")).await.unwrap();
    assert_eq!(seen.sentinel.map(|s| s.number), Some(2));
    assert_eq!(seen.lag.and_then(|l| l.replay_bytes), Some(1));
    world.start_takes(Duration::from_secs(5));
    let scale = Effect::SetCapacity { component: "app".into(), region: "west".into(), instances: 2 };
    fake.apply(&scale, &context("scale", 1)).await.unwrap();
    let app = Target { component: "app".into(), region: Some("west".into()) };
    assert_eq!(fake.observe(&app).await.unwrap().capacity.map(|c| c.ready), Some(0));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(fake.observe(&app).await.unwrap().capacity.map(|c| c.ready), Some(2));
}
