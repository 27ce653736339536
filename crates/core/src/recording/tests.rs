//! The same decisions from the same lines, other ones from another plan.

use super::*;
use crate::fixture::{looks, standby, target, unit, usual};
use crate::lease::LeaseSight;
use crate::shared::Shared;
use crate::verdict::{AgentSight, PortAnswer, PortSight};
use std::time::Duration;

fn at(ms: u64) -> Mono {
    Mono(Duration::from_millis(ms))
}

/// East is lost at 10 s; its lease is over 3.2 s later.
fn scene(plan: &Plan, ms: u64) -> Scene {
    let lost = ms.saturating_sub(10_000);
    let agent = |region: &str, role, heard: u64| {
        let seen = [(target("database", region), (looks(role).into(), at(heard)))].into();
        Shared::from(AgentSight { last_heard: Some(at(heard)), seen, ..AgentSight::default() })
    };
    let mut west = agent("west", standby("east", lost == 0), ms);
    west.seen.values_mut().for_each(|(s, _)| {
        s.lag = serde_json::from_str(r#"{"received_bytes": 500, "quality": "exact", "age_ms": 0}"#).unwrap();
    });
    let answer = if lost == 0 { PortAnswer::Answers } else { PortAnswer::Refused };
    let sight = Sight {
        now: at(ms),
        agents: [("east".into(), agent("east", Role::Writer, ms - lost)), ("west".into(), west)].into(),
        ports: [(target("database", "east"), PortSight { answer, at: at(ms) })].into(),
        health: BTreeMap::new(),
        outlooks: BTreeMap::new(),
        lease: if lost < 3_200 { LeaseSight::Held { left: Duration::from_secs(1) } } else { LeaseSight::Lapsed },
        candidate: None,
        changed: None,
    };
    let judgement = verdict(plan, &unit(), Some(&"east".into()), &sight);
    let decision = decide(plan, &unit(), &judgement, &History::default(), Wall(ms));
    Scene {
        at: Wall(ms),
        unit: unit(),
        writer: Some("east".into()),
        sight,
        history: History::default(),
        verdict: judgement.verdict,
        decision: words(&decision),
    }
}

fn recorded(plan: &Plan) -> Vec<Scene> {
    (0..30).map(|n| scene(plan, 5_000 + n * 500)).collect()
}

#[test]
fn the_same_plan_decides_the_same_again() {
    let plan = usual();
    let scenes = recorded(&plan);
    let turns = replay(&plan, &scenes);
    for (scene, turn) in scenes.iter().zip(&turns) {
        assert_eq!((scene.verdict, &scene.decision), (turn.verdict, &turn.decision));
    }
    let shown: Vec<(u64, Verdict, bool)> = changes(&turns).iter().map(|t| (t.at.0, t.verdict, t.starts)).collect();
    assert_eq!(
        shown,
        [(5_000, Verdict::Healthy, false), (11_500, Verdict::Suspect, false), (13_500, Verdict::RegionLost, true),]
    );
    assert_eq!(differences(&turns, &replay(&plan, &scenes)), []);
}

#[test]
fn a_changed_policy_shows_where_it_decides_otherwise() {
    let plan = usual();
    let scenes = recorded(&plan);
    let mut careful = plan.clone();
    careful.policy.max_lag_bytes = Some(499);
    let found = differences(&replay(&plan, &scenes), &replay(&careful, &scenes));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].from, found[0].to), (Wall(13_500), Wall(19_500)));
    assert!(found[0].first.contains("starts a failover to west"), "{found:#?}");
    assert!(found[0].second.contains("had not received 500 bytes"), "{found:#?}");
}

#[test]
fn how_long_something_lasts_is_counted_anew() {
    let plan = usual();
    let mut scenes = recorded(&plan);
    for scene in &mut scenes {
        scene.sight.agents.get_mut(&Region::from("east")).unwrap().last_heard = Some(scene.sight.now);
        let looks = scene.sight.agents.get_mut(&Region::from("east")).unwrap().seen.values_mut();
        looks.for_each(|(s, when)| (s.role, *when) = (Some(Role::Unresponsive), scene.sight.now));
    }
    let mut patient = plan;
    patient.policy.unhealthy_for = Some(Duration::from_secs(10));
    let turns = replay(&patient, &scenes);
    let first = turns.iter().find(|t| t.starts).expect("it starts in the end");
    assert_eq!(first.at, Wall(15_000), "ten seconds after the first line");
}

#[test]
fn lines_are_read_as_they_were_written() {
    let plan = usual();
    let head = Head { format: FORMAT, application: "payments".into(), plan: crate::plan::SAMPLE.to_owned() };
    for line in [Line::Head(head), Line::Scene(Box::new(scene(&plan, 12_000)))] {
        let text = serde_json::to_string(&line).unwrap();
        assert!(!text.contains('\n'));
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
    }
}

/// The disk was full for ten minutes, in which the writer was well.
#[test]
fn what_was_not_recorded_is_not_counted_as_lasting() {
    let mut patient = usual();
    patient.policy.unhealthy_for = Some(Duration::from_secs(60));
    let hangs = |ms: u64, same_for: u64| {
        let mut scene = scene(&patient, ms);
        scene.sight.agents.get_mut(&Region::from("east")).unwrap().last_heard = Some(scene.sight.now);
        let looks = scene.sight.agents.get_mut(&Region::from("east")).unwrap().seen.values_mut();
        looks.for_each(|(s, when)| (s.role, *when) = (Some(Role::Unresponsive), scene.sight.now));
        scene.history.same_for = Duration::from_millis(same_for);
        let judgement = verdict(&patient, &unit(), Some(&"east".into()), &scene.sight);
        scene.verdict = judgement.verdict;
        scene.decision = words(&decide(&patient, &unit(), &judgement, &scene.history, scene.at));
        scene
    };
    let scenes = [hangs(20_000, 0), hangs(20_500, 500), hangs(620_000, 1_000), hangs(620_500, 1_500)];
    for (scene, turn) in scenes.iter().zip(&replay(&patient, &scenes)) {
        assert_eq!((scene.verdict, &scene.decision), (turn.verdict, &turn.decision), "at {}", scene.at.0);
    }
}
