//! A region without the writer that takes users: when it counts as lost, and what follows.

use super::*;
use crate::placement::Placement;
use crate::plan::Shares;
use crate::verdict::Hold;

fn shares(of: &[(&str, u32)]) -> Shares {
    of.iter().map(|(region, share)| ((*region).into(), *share)).collect()
}

fn active() -> Plan {
    let mut plan = usual();
    plan.shares = Some(shares(&[("east", 60), ("west", 40)]));
    plan
}

/// West is silent for longer than a lease, and its port was dialled since.
fn west_gone(answer: PortAnswer) -> Sight {
    let mut sight = calm().silent("west", 3_500);
    sight.ports.insert(target("database", "west"), PortSight { answer, at: at(NOW - 100) });
    sight
}

fn at_rest() -> History {
    History { led: active().shares, ..History::default() }
}

fn lost(sight: &Sight) -> Vec<Region> {
    verdict(&active(), &unit(), Some(&"east".into()), sight).lost
}

fn drain() -> Intent {
    let target = Placement { writer: "east".into(), traffic: shares(&[("east", 100)]) };
    Intent { unit: unit(), verb: Verb::Drain, mode: Mode::Graceful, target }
}

#[test]
fn only_a_silence_that_somebody_bears_out_and_nobody_contradicts_is_a_loss() {
    assert_eq!(lost(&west_gone(PortAnswer::Refused)), [Region::from("west")]);
    assert_eq!(lost(&west_gone(PortAnswer::Unreachable)), [Region::from("west")]);
    let short = Sight { ..west_gone(PortAnswer::Refused).silent("west", 2_000) };
    for (what, sight) in [
        ("heard", calm()),
        ("silent for less than a lease", short),
        ("its port answers", west_gone(PortAnswer::Answers)),
        ("nobody has dialled it since", calm().silent("west", 3_500)),
        ("never heard", west_gone(PortAnswer::Refused).never("west")),
    ] {
        assert!(lost(&sight).is_empty(), "{what}");
    }
    let judged = verdict(&active(), &unit(), Some(&"east".into()), &west_gone(PortAnswer::Refused));
    assert_eq!(judged.verdict, Verdict::Healthy, "the writer is well");
    let says: Vec<String> = judged.evidence.iter().map(|e| e.says.clone()).collect();
    assert!(says.iter().any(|s| s.contains("agent of west silent")), "{says:?}");
    assert!(says.iter().any(|s| s.contains("in west refuses connections")), "{says:?}");
    let plain = verdict(&usual(), &unit(), Some(&"east".into()), &west_gone(PortAnswer::Refused));
    assert!(plain.lost.is_empty() && plain.silent.is_empty(), "a plan without shares asks nothing of it");
}

#[test]
fn the_policy_says_who_drains_a_lost_region_and_it_happens_once() {
    let sight = west_gone(PortAnswer::Refused);
    let mut plan = active();
    assert_eq!(decided(&plan, &sight, &at_rest()), Decision::Start(drain()));
    let cooling = LastFailover {
        run: RunId::new("r0"),
        at: Wall(9_999_000),
        counted: Duration::ZERO,
        acknowledged: false,
        failed: true,
        unread: None,
    };
    let barred = History { last_failover: Some(cooling), ..at_rest() };
    assert_eq!(decided(&plan, &sight, &barred), Decision::Start(drain()), "no writer moves");
    let drained = History { led: Some(shares(&[("east", 100), ("west", 0)])), ..at_rest() };
    assert_eq!(decided(&plan, &sight, &drained), Decision::Hold(Reason::Healthy), "it takes nothing any more");
    let unseen = History { led: None, ..at_rest() };
    assert_eq!(decided(&plan, &sight, &unseen), Decision::Hold(Reason::Healthy), "nobody knows where users are led");
    let hold = Hold { file: "h".into(), by: String::new(), since: None, why: String::new() };
    let held = History { hold: Some(hold.clone()), ..at_rest() };
    assert_eq!(decided(&plan, &sight, &held), Decision::Hold(Reason::Held { hold }));
    let failed = History { failed_drain: Some(Wall(10_000_000 - 60_000)), ..at_rest() };
    let left = REJOIN_PAUSE - Duration::from_secs(60);
    let region = Region::from("west");
    assert_eq!(decided(&plan, &sight, &failed), Decision::Hold(Reason::DrainFailed { region: region.clone(), left }));
    let moving = History { running: Some(RunId::new("r1")), ..at_rest() };
    assert_eq!(decided(&plan, &sight, &moving), Decision::Hold(Reason::RunMoving { run: RunId::new("r1") }));
    plan.policy.mode = DecisionMode::ApproveFirst;
    assert_eq!(decided(&plan, &sight, &at_rest()), Decision::Ask(drain()));
    plan.policy.mode = DecisionMode::Manual;
    let by_hand = decided(&plan, &sight, &at_rest());
    assert_eq!(by_hand, Decision::Hold(Reason::DrainByHand { region }));
    let Decision::Hold(reason) = by_hand else { unreachable!() };
    assert_eq!(reason.code(), Some(crate::code::SHARE_LOST));
}

#[test]
fn a_controller_that_hears_too_few_drains_nobody() {
    let mut plan = active();
    plan.policy.observers = ["a", "b", "c"].map(Into::into).to_vec();
    let decision = decided(&plan, &west_gone(PortAnswer::Refused), &at_rest());
    assert!(matches!(decision, Decision::Hold(Reason::Minority { .. })), "{decision:?}");
}

#[test]
fn a_lost_writer_is_failed_over_and_its_share_goes_with_it() {
    let plan = active();
    let Decision::Start(intent) = decided(&plan, &gone(), &at_rest()) else { panic!("a failover") };
    assert_eq!((intent.verb, intent.target.writer.as_str()), (Verb::Failover, "west"));
    assert_eq!(intent.target.traffic, shares(&[("west", 100)]));
    let waits = History { running: Some(RunId::new("drain-1")), gives_way: true, ..at_rest() };
    let decision = decided(&plan, &gone(), &waits);
    assert!(matches!(decision, Decision::End { .. }), "a drain that waits gives way: {decision:?}");
}

#[test]
fn of_three_regions_the_lost_one_is_drained_and_who_was_drained_before_stays_so() {
    let mut plan = usual();
    plan.regions.push("north".into());
    plan.shares = Some(shares(&[("east", 50), ("north", 25), ("west", 25)]));
    let mut sight = west_gone(PortAnswer::Refused);
    sight.agents.insert("north".into(), AgentSight { last_heard: Some(at(NOW - 200)), ..AgentSight::default() }.into());
    let led = |of| History { led: Some(shares(of)), ..History::default() };
    let traffic = |decision| match decision {
        Decision::Start(Intent { verb: Verb::Drain, target, .. }) => target.traffic,
        other => panic!("a drain: {other:?}"),
    };
    let all = led(&[("east", 50), ("north", 25), ("west", 25)]);
    assert_eq!(traffic(decided(&plan, &sight, &all)), shares(&[("east", 67), ("north", 33)]));
    let before = led(&[("east", 67), ("north", 0), ("west", 33)]);
    assert_eq!(traffic(decided(&plan, &sight, &before)), shares(&[("east", 100)]));
}
