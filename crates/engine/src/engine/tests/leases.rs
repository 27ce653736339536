//! A lease that an earlier plan gave out, and a controller whose plan has a shorter one.

use super::scene::{Scene, Stage};
use pilotlight_core::lease::granters_lease;
use std::time::Duration;
use tokio::time::{Instant, advance};

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_secs(3);

#[tokio::test(start_paused = true)]
async fn a_shorter_lease_in_the_plan_waits_out_the_longer_one_that_may_be_out() {
    let mut stage = Stage::new(Scene::RegionLost);
    stage.plan.policy.lease = LONG;
    stage.life().await.kill().await;
    stage.plan.policy.lease = SHORT;
    // Nobody renews from now on.
    stage.break_it();
    // Two controllers after another: the first is gone before the longer lease was waited out, so the second begins anew.
    for _ in 0..2 {
        let life = stage.life().await;
        advance(granters_lease(SHORT) * 2).await;
        let sight = life.engine.granter().sight(&stage.unit());
        assert_ne!(sight, pilotlight_core::lease::LeaseSight::Lapsed, "east may still hold what the old plan gave it");
        life.kill().await;
    }
    let life = stage.life().await;
    let began = Instant::now();
    life.engine.granter().lapsed(&stage.unit()).await;
    assert!(began.elapsed() >= granters_lease(LONG), "{:?}", began.elapsed());
    // What the store says of it is changed just afterwards.
    advance(Duration::from_secs(1)).await;
    tokio::task::yield_now().await;
    life.kill().await;
    let life = stage.life().await;
    let began = Instant::now();
    life.engine.granter().lapsed(&stage.unit()).await;
    let took = began.elapsed();
    assert!(took >= granters_lease(SHORT) && took < granters_lease(SHORT) * 2, "waited out once: {took:?}");
    life.kill().await;
}
