//! Who takes over, where several regions could.

use super::*;
use crate::plan::Guarantee;

/// North is as west is, and comes first in the plan.
fn three() -> (Plan, Sight) {
    let mut plan = usual();
    plan.regions.insert(1, "north".into());
    let mut sight = gone();
    let mut north = sight.agents[&Region::from("west")].clone();
    let look = north.seen.pop_first().expect("one look").1;
    north.seen.insert(target("database", "north"), look);
    sight.agents.insert("north".into(), north);
    (plan, sight)
}

impl Sight {
    fn lags(mut self, region: &str, lag: Lag) -> Self {
        let agent = self.agents.get_mut(&Region::from(region)).expect("known");
        agent.seen.values_mut().next().expect("one look").0.lag = Some(lag);
        self
    }
}

/// Whom a failover goes to that names no region.
fn successor(plan: &Plan, sight: &Sight) -> String {
    let judgement = verdict(plan, &unit(), Some(&Region::from("east")), sight);
    judgement.successor(plan).expect("somebody can").region.to_string()
}

#[test]
fn the_least_behind_standby_is_chosen_and_none_is_said() {
    let (plan, sight) = three();
    assert_eq!(decided(&plan, &sight, &History::default()), Decision::Start(failover_to("north")), "the plan's order");
    let farther = sight.clone().lags("north", lag(Some(10), Some(20)));
    assert_eq!(decided(&plan, &farther, &History::default()), Decision::Start(failover_to("west")));
    let alone = sight.role("west", Role::Unresponsive).role("north", Role::Down { clean: true, was_writer: false });
    assert_eq!(decided(&plan, &alone, &History::default()), Decision::Hold(Reason::NoCandidate { given_up: None }));
}

#[test]
fn whom_the_writer_waits_for_goes_before_whoever_shows_less_lag() {
    for guarantee in [Guarantee::Bounded, Guarantee::Strict] {
        let (mut plan, sight) = three();
        (plan.policy.guarantee, plan.policy.mode) = (guarantee, DecisionMode::Manual);
        let waits = |sight: Sight| Sight { candidate: Some("west".into()), ..sight };
        for sight in [sight.clone(), sight.clone().lags("west", lag(Some(10), Some(20)))] {
            let manual = Decision::Hold(Reason::Manual { to: "west".into() });
            assert_eq!(decided(&plan, &waits(sight.clone()), &History::default()), manual, "{guarantee:?}");
            assert_eq!(successor(&plan, &waits(sight)), "west", "{guarantee:?}: the command goes where the text says");
        }
    }
    // Past the RPO too: what bars it is told, and the command that goes all the same goes there.
    let (mut plan, sight) = three();
    plan.policy.guarantee = Guarantee::Bounded;
    let late = Sight { candidate: Some("west".into()), ..sight }.lags("west", lag(Some(10), Some(60_000)));
    let held = decided(&plan, &late, &History::default());
    assert!(matches!(&held, Decision::Hold(Reason::PastRpo { region, .. }) if region.as_str() == "west"), "{held:?}");
    assert_eq!(successor(&plan, &late), "west");
}

#[test]
fn a_command_that_names_no_region_goes_where_the_policy_would() {
    let (mut plan, sight) = three();
    plan.policy.max_replay_bytes = Some(8_000);
    let slow = Lag { replay_bytes: Some(9_000), ..lag(Some(0), Some(20)) };
    let sight = sight.lags("north", slow.clone());
    assert_eq!(decided(&plan, &sight, &History::default()), Decision::Start(failover_to("west")));
    assert_eq!(successor(&plan, &sight), "west");
    // All have something in the way: a person goes on with the best of them, of whom it is told.
    let sight = sight.lags("west", slow);
    let held = decided(&plan, &sight, &History::default());
    assert!(
        matches!(&held, Decision::Hold(Reason::ReplayBehind { region, .. }) if region.as_str() == "north"),
        "{held:?}"
    );
    assert_eq!(successor(&plan, &sight), "north");
}
