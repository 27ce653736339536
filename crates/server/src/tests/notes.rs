//! People hear of a run that needs one of them and of one that failed, once each, whichever controller notices.

use super::lab::Lab;
use super::wait::until;
use crate::api::view::{Action, ControlRequest, MoveReply};
use pilotlight_core::effect::Effect;
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::{DecisionMode, Plan, SAMPLE};
use pilotlight_core::run::{Condition, RunView};
use pilotlight_driver::fake::Misbehaviour;
use std::time::Duration;

pub(super) fn with_people(plan: &mut Plan) {
    let text = SAMPLE.replace("  # people:", "  people:").replace("  #   kind: webhook", "    kind: webhook");
    let text = text.replace("  #   url: { env: SLACK_URL }", "    url: { env: SLACK_URL }");
    let with = Plan::read(&text, "sample.yaml").expect("the sample with its webhook is a plan");
    plan.components = with.components;
}

impl Lab {
    fn notes_with(&self, word: &str) -> Vec<String> {
        self.world.notes().into_iter().filter(|n| n.contains(word)).collect()
    }

    pub(super) async fn until_told(&self, word: &str) -> String {
        until("people are told", async || {
            let told = self.notes_with(word);
            told.first().cloned().ok_or_else(|| format!("{:?}", self.world.notes()))
        })
        .await
    }
}

/// The writer's region is lost, and its failover waits for a person.
async fn lost_and_to_be_approved() -> Lab {
    let mut lab = Lab::up(|p| {
        p.policy.mode = DecisionMode::ApproveFirst;
        with_people(p);
    })
    .await;
    lab.lose("east");
    lab
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_is_told_once_also_by_the_next_controller() {
    let mut lab = lost_and_to_be_approved().await;
    let waits = |s: &crate::api::view::StatusView| {
        s.open_runs.first().filter(|r| matches!(r.condition, Condition::Waiting { .. })).map(|r| r.run.clone())
    };
    let status = lab.until("a run waits", |s| waits(s).is_some()).await;
    let run = waits(&status).unwrap();
    let told = lab.until_told("waits for a person").await;
    assert!(told.contains("waits for approval") && told.contains(run.as_str()), "{told}");
    // One that is killed between the note and its record tells again, and cannot know better.
    until("it is remembered", async || {
        let log = std::fs::read_to_string(lab.folder().join("controller/guard/guard.log")).unwrap();
        let remembers = |line: &str| line.starts_with("{\"answer\"") && line.contains(&format!("{run}/waits-"));
        log.lines().any(remembers).then_some(()).ok_or(log)
    })
    .await;

    lab.kill_controller();
    lab.start_controller();
    lab.until("the run waits again", |s| waits(s).is_some()).await;
    let step = lab.run(&run).await.steps.into_iter().find(|s| s.status.to_string() == "awaiting approval").unwrap().id;
    let approve =
        ControlRequest { action: Action::Approve, step: Some(step), by: "ada".to_owned(), why: String::new() };
    lab.send::<RunView>(&format!("/v1/runs/{run}/control"), &approve).await.unwrap();
    lab.until("west is well", |s| s.is_well("west")).await;
    assert_eq!(lab.notes_with("waits for a person").len(), 1, "{:?}", lab.world.notes());
    assert_eq!(lab.notes_with("has failed"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_a_person_ends_has_not_failed() {
    let lab = lost_and_to_be_approved().await;
    let waits = |s: &crate::api::view::StatusView| {
        s.open_runs.iter().any(|r| matches!(&r.condition, Condition::Waiting { why } if !why.is_empty()))
    };
    let run = lab.until("a run waits", waits).await.open_runs[0].run.clone();
    let end = ControlRequest { action: Action::Abort, step: None, by: "ada".to_owned(), why: String::new() };
    lab.send::<RunView>(&format!("/v1/runs/{run}/control"), &end).await.unwrap();
    let told = lab.until_told("was ended").await;
    assert!(told.contains("was ended by ada, and everything it did was taken back"), "{told}");
    assert_eq!(lab.notes_with("has failed"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_failed_is_told() {
    let lab = Lab::up(with_people).await;
    let stop = |e: &Effect| matches!(e, Effect::StopWrites { .. });
    lab.world.on_effect(stop, 1, Misbehaviour::Fail(FailureKind::Rejected));
    let MoveReply::Started { run } = lab.start_move(Verb::Switchover, Some("west"), false).await.unwrap() else {
        panic!("a dry run was not asked for")
    };
    let told = lab.until_told("has failed").await;
    assert!(told.contains("everything it did was taken back") && told.contains(run.as_str()), "{told}");
    lab.until("east is well", |s| s.is_well("east")).await;
    assert_eq!(lab.notes_with("has failed").len(), 1);
    assert_eq!(lab.notes_with("done, west serves users"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_goes_on_beyond_the_rpo_is_seen_and_told_until_a_copy_has_caught_up() {
    let lab = Lab::up(|p| {
        p.objectives.rpo = Duration::from_millis(400);
        with_people(p);
    })
    .await;
    lab.world.set_lag("database", "west", 1_000_000, 0);
    let status = lab.until("it is exposed", |s| s.units[0].exposed.first().is_some_and(|e| !e.over)).await;
    assert_eq!(status.units[0].exposed[0].writer, "east".into());
    let told = lab.until_told("PL-0960").await;
    assert!(told.contains("are in no other region"), "{told}");
    lab.world.set_lag("database", "west", 0, 0);
    lab.until("it is over", |s| s.units[0].exposed.first().is_some_and(|e| e.over && !e.lasted_ms.is_zero())).await;
    lab.until_told("it is over").await;
    assert_eq!(lab.notes_with("PL-0960").len(), 2, "{:?}", lab.world.notes());
}
