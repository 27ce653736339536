//! What a service decides: it never counts for a lost region, and moves a healthy writer only where the plan says so.

use super::*;
use crate::fixture::{FENCED, probe, unit, usual};
use crate::health::Opinion;
use crate::plan::HealthPlan;
use crate::verdict::tests::calm;
use crate::verdict::{Sight, Witness, verdict};

fn plan(move_after: Option<u64>) -> Plan {
    let mut plan = usual();
    let check = HealthPlan {
        unit: unit(),
        probe: None,
        regions: ["east", "west"].map(|r| (r.into(), probe())).into(),
        every: Duration::from_secs(1),
        failures: 3,
        recoveries: 2,
        latency: None,
        from: Vec::new(),
        quorum: None,
        move_after: move_after.map(Duration::from_secs),
        alarms: BTreeMap::new(),
    };
    plan.health = BTreeMap::from([("front".into(), check)]);
    plan
}

/// Both observers think so of the front in that region, for that long.
fn thought(mut sight: Sight, region: &str, health: Health, seconds: u64) -> Sight {
    let question = Question { check: "front".into(), region: Some(region.into()) };
    let since = crate::time::Mono(sight.now.0.saturating_sub(Duration::from_secs(seconds)));
    let opinion = Opinion::reported(health, since, sight.now, "answered 503".into(), Duration::ZERO);
    let other = if region == "east" { "west" } else { "east" };
    let outlook = sight.outlooks.entry(Witness::Agent(other.into())).or_default();
    (outlook.heard, _) = (Some(sight.now), outlook.health.insert(question.clone(), opinion.clone()));
    sight.health.insert(question, opinion);
    sight
}

fn decided(plan: &Plan, sight: &Sight, history: &History) -> (Verdict, Decision) {
    let judgement = verdict(plan, &unit(), Some(&"east".into()), sight);
    (judgement.verdict, decide(plan, &unit(), &judgement, history, Wall(5_000_000)))
}

fn says(decision: &Decision) -> String {
    match decision {
        Decision::Hold(reason) => reason.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_sick_service_alone_moves_nothing() {
    let sick = thought(calm(), "east", Health::Unhealthy, 3_600);
    let (word, decision) = decided(&plan(None), &sick, &History::default());
    assert_eq!(word, Verdict::ServiceUnhealthy);
    assert!(says(&decision).starts_with("front in east is unhealthy and the writer is well"), "{decision:?}");
}

#[test]
fn its_evidence_says_who_says_what() {
    let judgement =
        verdict(&plan(None), &unit(), Some(&"east".into()), &thought(calm(), "east", Health::Unhealthy, 42));
    let evidence: Vec<String> = judgement.evidence.iter().map(ToString::to_string).collect();
    let says = "controller: front in east is unhealthy for 42.0 s, 2 of 2 say so; agent of west: answered 503";
    assert!(evidence.iter().any(|e| e == says), "{evidence:?}");
    assert_eq!(judgement.scope.to_string(), "service front in east");
}

#[test]
fn elsewhere_than_at_the_writer_it_is_only_shown() {
    let sick = thought(thought(calm(), "west", Health::Unhealthy, 60), "east", Health::Healthy, 60);
    let (word, decision) = decided(&plan(Some(1)), &sick, &History::default());
    assert_eq!((word, decision), (Verdict::Healthy, Decision::Hold(Reason::Healthy)));
}

#[test]
fn where_the_plan_says_so_the_writer_moves_with_it_and_loses_nothing() {
    let sick = |seconds| thought(calm(), "east", Health::Unhealthy, seconds);
    let plan = plan(Some(60));
    let (_, early) = decided(&plan, &sick(20), &History::default());
    assert_eq!(says(&early), "front in east is unhealthy; a switchover starts in 40.0 s if that lasts");
    let (_, due) = decided(&plan, &sick(60), &History::default());
    let Decision::Start(intent) = due else { panic!("{due:?}") };
    assert_eq!((intent.verb, intent.mode), (Verb::Switchover, Mode::Graceful));
    assert_eq!(intent.target, Placement::in_region(&"west".into()));
    let last = LastFailover {
        run: "switchover-1".into(),
        at: Wall(4_999_000),
        acknowledged: false,
        failed: false,
        unread: None,
        counted: Duration::ZERO,
    };
    let cooling = History { last_failover: Some(last), ..History::default() };
    assert!(says(&decided(&plan, &sick(60), &cooling).1).contains("moved the writer a short while ago"));
    let mut asks = plan;
    asks.policy.mode = DecisionMode::ApproveFirst;
    assert!(matches!(decided(&asks, &sick(60), &History::default()).1, Decision::Ask(_)));
    asks.policy.mode = DecisionMode::Manual;
    assert!(says(&decided(&asks, &sick(60), &History::default()).1).contains("leaves that to a person"));
}

#[test]
fn a_lost_writer_is_judged_without_its_services() {
    let mut dead = thought(calm(), "east", Health::Healthy, 60);
    let east = dead.agents.get_mut(&"east".into()).expect("there");
    east.seen.values_mut().next().expect("one look").0.role = Some(FENCED);
    let (word, decision) = decided(&plan(None), &dead, &History::default());
    assert_eq!(word, Verdict::WriterDead);
    let Decision::Start(intent) = decision else { panic!("{decision:?}") };
    assert_eq!(intent.verb, Verb::Failover);
}
