//! Traffic that goes home by shares: each watched, and back to the one before when too much fails.

use super::scene::{Life, Scene, Stage};
use crate::engine::Control;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::{Region, RunId};
use pilotlight_core::run::{Condition, RunResult, StepStatus};
use pilotlight_driver::fake::Misbehaviour;
use std::collections::BTreeMap;
use std::time::Duration;

const BOTH: [Scene; 2] = [Scene::Home, Scene::HomeTrafficFirst];

/// What the sample's `verify` asks.
const PAY: &str = "http://pay.demo.test:8080/health";

fn shares(of: &[(&str, u32)]) -> BTreeMap<Region, u32> {
    of.iter().map(|(r, s)| (Region::from(*r), *s)).collect()
}

/// Every share that was published, in order.
fn published(stage: &Stage) -> Vec<u32> {
    let west = Region::from("west");
    let of = |e: &Effect| match e {
        Effect::Route { shares, .. } => Some(shares.get(&west).copied().unwrap_or_default()),
        _ => None,
    };
    stage.world.journal().iter().filter_map(|a| of(&a.effect)).collect()
}

#[tokio::test(start_paused = true)]
async fn traffic_follows_in_shares_or_goes_ahead_in_them() {
    for scene in BOTH {
        let stage = Stage::new(scene);
        let life = stage.life().await;
        let run = stage.start(&life).await;
        let view = life.settled(&run).await;
        assert_eq!(view.condition, Condition::Ended { result: RunResult::Done }, "{view:#?}");
        assert_eq!(published(&stage)[..2], [50, 100], "{scene:?}");
        let at = |is: fn(&Effect) -> bool| stage.world.journal().iter().position(|a| is(&a.effect)).unwrap();
        let promoted = at(|e| matches!(e, Effect::Promote { .. }));
        let shifted = at(|e| matches!(e, Effect::Route { .. }));
        assert_eq!(promoted < shifted, scene == Scene::Home, "{scene:?}");
        let soaked = view.steps.iter().find(|s| s.id.as_str() == "soak-database-west").unwrap();
        assert!(soaked.output.as_ref().is_some_and(|o| o.text.contains("kept up for 5")), "{soaked:#?}");
        stage.check_settled(&view, "undisturbed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_that_is_served_badly_goes_back_and_waits_for_a_person() {
    for scene in BOTH {
        let stage = Stage::new(scene);
        // Well with half of the traffic, not with all.
        stage.world.on_effect(
            |e| matches!(e, Effect::Route { shares, .. } if shares.get(&Region::from("west")) == Some(&100)),
            1,
            Misbehaviour::DelayReply(Duration::from_secs(1)),
        );
        let life = stage.life().await;
        let run = stage.start(&life).await;
        life.until(&run, "leads all of the traffic", |_| published(&stage).contains(&100)).await;
        stage.world.probe_works(PAY, false);
        let view = life.settled(&run).await;
        let Condition::Waiting { why } = &view.condition else { panic!("{scene:?}: {view:#?}") };
        assert!(why[0].contains("traffic is back at east 50 %, west 50 %"), "{scene:?}: {why:?}");
        assert_eq!(stage.world.shares("name"), shares(&[("east", 50), ("west", 50)]), "{scene:?}");
        stage.world.probe_works(PAY, true);
        life.engine.control(&run, Control::Resume, "ada").await.unwrap();
        let view = life.settled(&run).await;
        assert_eq!(view.condition, Condition::Ended { result: RunResult::Done }, "{scene:?}: {view:#?}");
        stage.check_settled(&view, "resumed");
    }
}

#[tokio::test(start_paused = true)]
async fn traffic_first_can_be_taken_back_as_a_whole() {
    let stage = Stage::new(Scene::HomeTrafficFirst);
    stage.world.probe_works(PAY, false);
    let life = stage.life().await;
    let run = stage.start(&life).await;
    let view = life.settled(&run).await;
    assert!(view.steps.iter().any(|s| s.id.as_str() == "shift-50-west" && s.status == StepStatus::Failed), "{view:#?}");
    life.engine.control(&run, Control::Abort, "ada").await.unwrap();
    let ended = |v: &pilotlight_core::run::RunView| matches!(v.condition, Condition::Ended { .. });
    life.until(&run, "ends", ended).await;
    assert_eq!(stage.world.shares("name"), shares(&[("east", 100)]));
    assert_eq!(stage.world.writers("database"), [Region::from("east")]);
    stage.check("taken back");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_does_not_keep_up_moves_nothing() {
    let mut stage = Stage::new(Scene::Home);
    stage.world.set_lag("database", "west", 0, 2);
    stage.plan.failback.as_mut().unwrap().max_lag_bytes = 1;
    let life = stage.life().await;
    for _ in 0..5 {
        stage.world.write("database", "east").unwrap();
    }
    let run = stage.start(&life).await;
    let view = life.settled(&run).await;
    let soak = view.steps.iter().find(|s| s.id.as_str() == "soak-database-west").unwrap();
    assert!(soak.note.as_deref().unwrap_or_default().contains("2 bytes behind, 1 are allowed"), "{soak:#?}");
    let hint = soak.failure.as_ref().and_then(|f| f.hint.as_deref()).unwrap_or_default();
    assert!(hint.contains("ask for the move again"), "{soak:#?}");
    assert_eq!(view.condition, Condition::Ended { result: RunResult::Undone }, "{view:#?}");
    assert_eq!(stage.world.writers("database"), [Region::from("east")]);
}

fn leads_west(share: u32) -> impl Fn(&Effect) -> bool + Send + Sync + 'static {
    move |e| matches!(e, Effect::Route { shares, .. } if shares.get(&Region::from("west")) == Some(&share))
}

/// All of the traffic is served badly, and the way back to half of it does not go smoothly.
async fn badly_served(scene: Scene, way_back: Misbehaviour) -> (Stage, Life, RunId) {
    let stage = Stage::new(scene);
    stage.world.on_effect(leads_west(100), 1, Misbehaviour::DelayReply(Duration::from_secs(1)));
    let life = stage.life().await;
    let run = stage.start(&life).await;
    life.until(&run, "leads all of the traffic", |_| published(&stage).contains(&100)).await;
    stage.world.probe_works(PAY, false);
    stage.world.on_effect(leads_west(50), 1, way_back);
    (stage, life, run)
}

/// It says where traffic is, and a person can try the share again.
async fn is_back_and_goes_on(scene: Scene, stage: &Stage, life: &Life, run: &RunId) {
    let view = life.settled(run).await;
    let Condition::Waiting { why } = &view.condition else { panic!("{scene:?}: {view:#?}") };
    assert!(why[0].contains("traffic is back at east 50 %, west 50 %"), "{scene:?}: {why:?}");
    assert_eq!(stage.world.shares("name"), shares(&[("east", 50), ("west", 50)]), "{scene:?}");
    stage.world.probe_works(PAY, true);
    life.engine.control(run, Control::Resume, "ada").await.unwrap();
    let view = life.settled(run).await;
    assert_eq!(view.condition, Condition::Ended { result: RunResult::Done }, "{scene:?}: {view:#?}");
    stage.check_settled(&view, "resumed");
}

#[tokio::test(start_paused = true)]
async fn a_way_back_whose_answer_is_lost_or_takes_long_is_waited_for() {
    // A provider spreads it for longer than the least that going back may take.
    for way_back in [Misbehaviour::LoseReply, Misbehaviour::Accept { polls: 25 }] {
        for scene in BOTH {
            let (stage, life, run) = badly_served(scene, way_back.clone()).await;
            is_back_and_goes_on(scene, &stage, &life, &run).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_dies_on_the_way_back_leaves_nothing_stuck() {
    for scene in BOTH {
        let (stage, life, run) = badly_served(scene, Misbehaviour::HangAfter).await;
        let half = shares(&[("east", 50), ("west", 50)]);
        life.until(&run, "is led back", |_| published(&stage).contains(&100) && stage.world.shares("name") == half)
            .await;
        life.kill().await;
        let life = stage.life().await;
        assert_eq!(life.engine.recover().await.unwrap(), std::slice::from_ref(&run), "{scene:?}");
        is_back_and_goes_on(scene, &stage, &life, &run).await;
    }
}
