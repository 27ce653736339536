//! Drills: taken back by themselves, by whichever controller leads then, and not past a person's hold.

use super::lab::Lab;
use crate::api::view::{MoveReply, MoveRequest, RunsView};
use pilotlight_core::placement::Verb;
use pilotlight_core::run::RunView;
use std::time::Duration;

fn drill(verb: Verb, lasts: Duration) -> MoveRequest {
    MoveRequest {
        target: Some("west".into()),
        drill_ms: Some(lasts),
        why: "a test".to_owned(),
        ..MoveRequest::new(verb, "ada")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_is_taken_back_when_its_time_is_over_although_its_controller_died() {
    let mut lab = Lab::up(|_| ()).await;
    // Held until its controller is dead: however slow this machine is, it is not over as a drill before.
    let hold = lab.plan.hold_file(&lab.plan.controller.members[0]);
    std::fs::write(&hold, crate::hold::text("ada", "a look")).unwrap();
    let lasts = Duration::from_secs(2);
    let request = drill(Verb::Switchover, lasts);
    let reply: MoveReply = lab.send("/v1/moves", &request).await.unwrap();
    let MoveReply::Started { run } = reply else { panic!("a dry run was not asked for") };
    let status = lab.until("the drill goes on", |s| s.is_well("west") && s.units[0].drill.is_some()).await;
    let shown = status.units[0].drill.clone().unwrap();
    assert_eq!((shown.drill.run, shown.drill.from.as_str()), (run.clone(), "east"));
    let ended = lab.run(&run).await.ended.expect("it led away");
    assert_eq!(Duration::from_millis(shown.drill.until.0 - ended.0), lasts);
    lab.kill_controller();
    std::fs::remove_file(&hold).unwrap();
    lab.start_controller();
    let status = lab.until("it is taken back", |s| s.is_well("east")).await;
    assert_eq!(status.units[0].drill, None);
    let runs: RunsView = lab.ask("/v1/runs").await.unwrap();
    // Whoever reads the list later can tell it from a move that was meant.
    let away = runs.runs.iter().find(|r| r.run == run).expect("it is listed");
    assert_eq!(
        (away.told.as_str(), away.why.as_str()),
        ("drill: switchover from east to west", "a drill of 2.0 s, a test")
    );
    let shown: RunView = lab.ask(&format!("/v1/runs/{run}")).await.unwrap();
    assert_eq!((shown.told(), shown.cause.why), (away.told.clone(), away.why.clone()), "the report's words, too");
    let back = runs.runs.iter().find(|r| r.verb == Verb::Failback).expect("it was a failback");
    assert!(back.told.starts_with("failback from west"), "{back:?}");
    assert!(back.by == "pilotlight" && back.why.contains(run.as_str()), "{back:?}");
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_postpones_the_end_of_a_drill_and_status_says_so() {
    let lab = Lab::up(|_| ()).await;
    let hold = lab.plan.hold_file(&lab.plan.controller.members[0]);
    std::fs::write(&hold, crate::hold::text("ada", "lunch")).unwrap();
    let _: MoveReply = lab.send("/v1/moves", &drill(Verb::Switchover, Duration::ZERO)).await.unwrap();
    let held = |s: &crate::api::view::StatusView| s.units[0].drill.as_ref().is_some_and(|d| d.held.is_some());
    let status = lab.until("the drill is over and held", held).await;
    assert!(status.units[0].drill.as_ref().unwrap().held.as_ref().unwrap().contains("ada"), "{status:?}");
    assert!(status.is_well("west"));
    std::fs::remove_file(&hold).unwrap();
    lab.until("it is taken back", |s| s.is_well("east")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_planned_move_away_is_a_drill() {
    let lab = Lab::up(|_| ()).await;
    let refused = lab.send::<MoveReply>("/v1/moves", &drill(Verb::Failover, Duration::from_secs(1))).await;
    let (status, body) = refused.unwrap_err();
    assert_eq!(status, 400, "{body:?}");
    assert!(body.message.contains("no drill"), "{body:?}");
}
