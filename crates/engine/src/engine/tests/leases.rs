//! A lease that an earlier plan gave out, and a controller whose plan has a shorter one.

use super::scene::{Scene, Stage};
use crate::lead::Lead;
use pilotlight_core::leader::Term;
use pilotlight_core::lease::granters_lease;
use pilotlight_driver::clock::Clock;
use std::sync::Arc;
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

/// It was frozen meanwhile: whoever has the older plan led and granted the longer lease since, or nobody did.
#[tokio::test(start_paused = true)]
async fn who_leads_no_more_does_not_say_that_the_longer_lease_is_over() {
    for another_led in [true, false] {
        let mut stage = Stage::new(Scene::RegionLost);
        let lead = |stage: &Stage, term| {
            let now = stage.clock.mono();
            Lead::won(Term(term), Arc::new(stage.clock), now, Duration::from_secs(3_600))
        };
        stage.plan.policy.lease = LONG;
        stage.life_of(lead(&stage, 1)).await.kill().await;
        stage.plan.policy.lease = SHORT;
        let frozen = lead(&stage, 2);
        let life = stage.life_of(frozen.clone()).await;
        if another_led {
            stage.plan.policy.lease = LONG;
            stage.life_of(lead(&stage, 3)).await.kill().await;
        } else {
            frozen.end();
        }
        stage.break_it();
        stage.clock.sleep(granters_lease(LONG) * 2).await;
        life.kill().await;
        stage.plan.policy.lease = SHORT;
        let life = stage.life_of(lead(&stage, 4)).await;
        let began = Instant::now();
        life.engine.granter().lapsed(&stage.unit()).await;
        let took = began.elapsed();
        assert!(took >= granters_lease(LONG), "another led: {another_led}: waited out only {took:?}");
        life.kill().await;
    }
}
