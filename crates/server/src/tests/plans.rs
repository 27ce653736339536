//! An agent that runs under another plan than the controller.

use super::lab::Lab;
use super::wait::until;
use crate::api::view::{Action, ControlRequest, DecisionView, MoveReply, StatusView};
use pilotlight_core::effect::Effect;
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::Guarantee;
use pilotlight_core::run::{Condition, RunView};
use pilotlight_driver::fake::Misbehaviour;
use std::time::Duration;

fn differs(status: &StatusView, region: &str) -> bool {
    let found = status.regions.iter().find(|r| r.region.as_str() == region).and_then(|r| r.plan.as_ref());
    found.is_some_and(|plan| plan.agent.as_ref() != Some(&plan.controller) && !plan.differs.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_writer_stays_and_nothing_moves_until_the_plans_are_the_same_again() {
    let mut lab = Lab::up(|_| ()).await;
    lab.plan.policy.guarantee = Guarantee::Strict;
    lab.kill_agent("east");
    lab.start_agent("east");
    lab.until("the writer's agent has come with another plan", |s| differs(s, "east") && s.is_well("east")).await;
    let (status, refused) = lab.start_move(Verb::Switchover, Some("west"), false).await.unwrap_err();
    assert_eq!((status, refused.code.as_str()), (409, "PL-0981"), "{refused:?}");
    assert!(refused.message.contains("policy.guarantee is `strict` for the agent"), "{refused:?}");
    lab.lose("east");
    let held = |s: &StatusView| {
        s.is("region lost")
            && matches!(&s.units[0].decision, DecisionView::Start { refused: Some(r), .. } if r.code == "PL-0981")
    };
    lab.until("a failover is refused by name", held).await;
    assert_eq!(lab.runs().await, vec![]);
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_goes_on_only_when_the_plans_are_the_same_again() {
    let mut lab = Lab::up(|_| ()).await;
    // Slow enough to be met on the way, on a busy machine too.
    lab.world.on_effect(|e| matches!(e, Effect::Checkpoint { .. }), 1, Misbehaviour::Delay(Duration::from_secs(6)));
    let MoveReply::Started { run } = lab.start_move(Verb::Switchover, Some("west"), false).await.unwrap() else {
        panic!("a dry run was not asked for")
    };
    let path = format!("/v1/runs/{run}/control");
    let control = |action, step| ControlRequest { action, step, by: "ada".to_owned(), why: String::new() };
    lab.send::<RunView>(&path, &control(Action::Pause, None)).await.unwrap();
    let waits = async || match lab.run(&run).await.condition {
        Condition::Waiting { .. } => Ok(()),
        other => Err(format!("{other:?}")),
    };
    until("it waits", waits).await;
    let ours = std::mem::replace(&mut lab.plan.policy.guarantee, Guarantee::Strict);
    lab.kill_agent("west");
    lab.start_agent("west");
    lab.until("an agent has come with another plan", |s| differs(s, "west")).await;
    let step = lab.run(&run).await.steps.last().unwrap().id.clone();
    for (action, step) in [(Action::Resume, None), (Action::Skip, Some(step))] {
        let (status, refused) = lab.send::<RunView>(&path, &control(action, step)).await.unwrap_err();
        assert_eq!((status, refused.code.as_str()), (409, "PL-0981"), "{action:?}: {refused:?}");
    }
    lab.plan.policy.guarantee = ours;
    lab.kill_agent("west");
    lab.start_agent("west");
    lab.until("it has the controller's plan", |s| !differs(s, "west")).await;
    lab.send::<RunView>(&path, &control(Action::Resume, None)).await.unwrap();
    lab.until("west is well", |s| s.is_well("west")).await;
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_change_of_plan_with_the_controller_first_writers_stay_and_moves_wait_for_the_agents() {
    let mut lab = Lab::up(|_| ()).await;
    lab.plan.policy.guarantee = Guarantee::Strict;
    lab.kill_controller();
    lab.start_controller();
    lab.until("agents are heard", |s| differs(s, "east") && differs(s, "west") && s.is_well("east")).await;
    for region in ["east", "west"] {
        lab.kill_agent(region);
        lab.start_agent(region);
    }
    lab.until("all have the new one", |s| !differs(s, "east") && !differs(s, "west") && s.is_well("east")).await;
    lab.start_move(Verb::Switchover, Some("west"), true).await.expect("nothing stands in its way");
    lab.no_rule_was_broken();
}
