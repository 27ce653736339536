//! An agent that runs under another plan than the controller.

use super::lab::Lab;
use crate::api::view::{DecisionView, StatusView};
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::Guarantee;

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
