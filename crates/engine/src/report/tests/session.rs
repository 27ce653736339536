//! A session of one failover and its way from records to the report.

use super::super::*;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::{Component, Region};
use pilotlight_core::measure::Sample;
use pilotlight_core::plan::Plan;
use pilotlight_core::run::{Approval, RunView};
use pilotlight_core::time::Mono;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

const START: u64 = 1_795_221_900_000;

fn wall(ms: u64) -> Wall {
    Wall(START + ms)
}

fn step(id: &str, phase: &str, effect: &Effect, from: u64, until: u64) -> serde_json::Value {
    json!({
        "id": id, "title": id, "why": "because", "phase": phase, "needs": [], "effect": effect, "status": "done",
        "attempts": 1, "started": wall(from), "ended": wall(until),
    })
}

fn run(verb: &str, mode: &str, from: &str, to: &str, span: (u64, u64), steps: &[serde_json::Value]) -> RunView {
    let value = json!({
        "run": format!("{verb}-1"), "unit": "payments", "epoch": 2, "application": "payments", "from": from,
        "intent": { "unit": "payments", "verb": verb, "mode": mode, "target": { "writer": to, "traffic": { to: 100 } } },
        "cause": { "by": "pilotlight", "automatic": true, "why": "region east is lost",
                   "evidence": ["agent of west: no changes arrive"], "exposure_ms": 120 },
        "started": wall(span.0), "ended": wall(span.1), "condition": { "is": "ended", "result": "done" },
        "past_return": true, "seq": 20, "steps": steps,
    });
    serde_json::from_value(value).unwrap()
}

fn runs() -> Vec<RunView> {
    let (database, entry) = (Component::from("database"), Component::from("entry"));
    let (east, west) = (Region::from("east"), Region::from("west"));
    let promote = Effect::Promote { component: database.clone(), region: west.clone() };
    let lapse = Effect::AwaitLapse { unit: "payments".into(), region: east.clone(), attested_by: None };
    let route = Effect::Route { component: entry, shares: [(west.clone(), 100)].into() };
    let rejoin = Effect::Rejoin { component: database, region: east, upstream: west };
    let failover = [
        step("lapse", "fence", &lapse, 3_000, 3_100),
        step("promote", "promote", &promote, 3_100, 3_200),
        step("route", "route", &route, 3_200, 3_220),
    ];
    vec![
        run("failover", "ungraceful", "east", "west", (3_000, 3_300), &failover),
        run("rejoin", "graceful", "west", "west", (3_310, 9_000), &[step("rejoin", "rejoin", &rejoin, 8_100, 8_900)]),
    ]
}

/// One request every 10 ms; those from 1.0 s to 3.5 s fail, numbers 95 to 99 are acknowledged and lost.
fn samples() -> Vec<Sample> {
    let sample = |id: u64| {
        let at = id * 10;
        let ok = !(1_000..3_500).contains(&at);
        let region = ok.then(|| Region::from(if at < 1_000 { "east" } else { "west" }));
        let mono = |ms| Mono(Duration::from_millis(500_000 + ms));
        Sample { id, start: mono(at), end: mono(at + 4), wall: wall(at), ok, region }
    };
    (0..1_000).map(sample).collect()
}

fn report(held: Option<&BTreeSet<u64>>) -> Report {
    report_of(&runs(), held)
}

fn report_of(runs: &[RunView], held: Option<&BTreeSet<u64>>) -> Report {
    let fault = Fault { at: wall(990), region: Some("east".into()), text: "east killed".to_owned() };
    report_with(runs, held, &[fault])
}

fn report_with(runs: &[RunView], held: Option<&BTreeSet<u64>>, faults: &[Fault]) -> Report {
    session_with(runs, held, faults, &samples())
}

fn session_with(runs: &[RunView], held: Option<&BTreeSet<u64>>, faults: &[Fault], samples: &[Sample]) -> Report {
    let text = include_str!("../../../../core/src/plan/sample.yaml");
    let mut plan = Plan::read(text, "sample.yaml").expect("the sample plan has no fault");
    plan.regions = vec!["east".into(), "west".into()];
    let session = Session {
        plan: &plan,
        title: "east lost".to_owned(),
        origin: Origin { wall: wall(0), mono: Mono(Duration::from_secs(500)) },
        writer: "east".into(),
        runs,
        faults,
        samples,
        held,
        environment: Default::default(),
        notes: vec![],
    };
    session.report()
}

#[test]
fn a_session_becomes_a_report() {
    let held: BTreeSet<u64> = (0..95).chain(350..1_000).collect();
    let report = report(Some(&held));
    let impact = report.moves[0].impact.as_ref().unwrap();
    assert_eq!(impact.outage, Some(Span { from_ms: 1_000, until_ms: 3_504 }));
    assert_eq!(report.rto.measured_ms, Some(2_504));
    assert_eq!(impact.parts.iter().map(|p| p.ms).sum::<u64>(), 2_504);
    assert_eq!(impact.lost.as_ref().unwrap().first, ["95", "96", "97", "98", "99"]);
    // The lost payments span 44 ms; of what others wrote the sentinels say that it was 120 ms at the most.
    assert_eq!((impact.lost_time_ms, report.rpo.measured_ms, report.rpo.at_most_ms), (Some(44), Some(44), Some(120)));
    assert_eq!((impact.failed, impact.dual_acked.count), (250, 0));
    let marks: Vec<(u64, Mark)> = report.moves[0].events.iter().filter_map(|e| Some((e.at_ms, e.mark?))).collect();
    let expected = [
        (990, Mark::Fault),
        (1_000, Mark::FirstFailed),
        (3_000, Mark::Verdict),
        (3_100, Mark::Fenced),
        (3_200, Mark::Promoted),
        (3_220, Mark::Routed),
        (3_504, Mark::FirstGood),
    ];
    assert_eq!(marks, expected);
    assert_eq!(report.moves[0].evidence[0].by, "agent of west");
    // The rejoin began while users still waited; what they felt belongs to the failover, whole.
    assert_eq!((report.moves[1].to.as_str(), report.moves[1].impact.is_none()), ("east", true));
}

#[test]
fn an_rpo_of_which_only_a_bound_is_known_is_not_called_missed() {
    let objective = |measured, at_most| Objective { objective_ms: 100, measured_ms: measured, at_most_ms: at_most };
    for (of, met) in [
        (objective(Some(0), Some(100)), Some(true)),
        (objective(Some(0), Some(101)), None),
        (objective(None, Some(101)), None),
        (objective(Some(101), Some(102)), Some(false)),
        (objective(Some(101), None), Some(false)),
        (objective(None, None), None),
    ] {
        assert_eq!(of.met(), met, "{of:?}");
    }
}

#[test]
fn lanes_follow_the_records() {
    let report = report(None);
    let told = |lane: &Lane| -> Vec<(u64, &'static str)> {
        lane.spans.iter().map(|s| (s.span.from_ms, s.state.word())).collect()
    };
    assert_eq!(told(&report.lanes[0]), [(0, "writer"), (990, "lost"), (8_100, "rejoining"), (8_900, "standby")]);
    assert_eq!(told(&report.lanes[1]), [(0, "standby"), (3_200, "writer")]);
    assert!(report.moves[0].impact.as_ref().unwrap().lost.is_none());
    let rpo = (report.rpo.measured_ms, report.rpo.at_most_ms);
    assert_eq!(rpo, (None, Some(120)), "without a look at the payments the sentinels still speak");
}

#[test]
fn a_writer_that_was_replaced_is_lost_also_where_nobody_wrote_a_fault_down() {
    let states = |first_seen: Option<u64>| -> Vec<(u64, &'static str)> {
        let mut runs = runs();
        runs[0].cause.first_seen = first_seen.map(wall);
        let lane = &report_with(&runs, None, &[]).lanes[0];
        lane.spans.iter().map(|s| (s.span.from_ms, s.state.word())).collect()
    };
    assert_eq!(states(Some(1_400)), [(0, "writer"), (1_400, "lost"), (8_100, "rejoining"), (8_900, "standby")]);
    assert_eq!(states(None), [(0, "writer"), (8_100, "rejoining"), (8_900, "standby")], "it was well when it was left");
}

#[test]
fn time_that_a_person_took_to_approve_is_a_part_of_its_own() {
    let mut runs = runs();
    let promote = runs[0].steps.iter_mut().find(|s| s.id.as_str() == "promote").unwrap();
    promote.needs = vec!["lapse".into()];
    promote.started = Some(wall(3_170));
    promote.approved = Some(Approval { by: "ada".to_owned(), at: wall(3_160) });
    let route = runs[0].steps.iter_mut().find(|s| s.id.as_str() == "route").unwrap();
    route.needs = vec!["promote".into()];
    // Another attempt that was allowed later is not what users waited for.
    route.approved = Some(Approval { by: "ada".to_owned(), at: wall(3_210) });
    let told = report_of(&runs, None);
    let parts = &told.moves[0].impact.as_ref().unwrap().parts;
    let named = |name: &str| parts.iter().find(|p| p.name == name).map(|p| p.ms);
    assert_eq!((named("approve"), named("promote")), (Some(60), Some(40)), "{parts:?}");
    assert!(told.moves[0].events.iter().any(|e| e.text == "Approved by ada: promote" && e.at_ms == 3_160));
}

/// A run alone, as the controller tells it: nobody measured, nobody wrote a fault down.
fn alone(run: &RunView) -> Report {
    let plan = Plan::read(include_str!("../../../../core/src/plan/sample.yaml"), "sample.yaml").unwrap();
    let plan = Plan { regions: vec!["east".into(), "west".into()], ..plan };
    let origin = Origin { wall: run.cause.first_seen.unwrap_or(run.started), mono: Mono::default() };
    Session::of_run(&plan, run, origin, &[], String::new()).report()
}

/// A failover and a rejoin as the controller writes them by itself.
pub(super) fn by_the_controller() -> [Report; 2] {
    let [mut failover, mut rejoin] = [runs().remove(0), runs().remove(1)];
    failover.cause.first_seen = Some(wall(1_400));
    rejoin.ended = Some(wall(8_900));
    [alone(&failover), alone(&rejoin)]
}

#[test]
fn a_failover_that_nobody_measured_begins_with_the_first_sign_of_trouble() {
    let mut run = runs().remove(0);
    run.cause.first_seen = Some(wall(1_400));
    let report = alone(&run);
    let first = &report.moves[0].events[0];
    assert_eq!((first.at_ms, first.mark, first.text.as_str()), (0, Some(Mark::FirstSign), "First sign of trouble"));
    let html = page(&report);
    assert!(html.contains("counted from 0: the first sign of trouble."), "{html}");
    // The new writer's band reaches the end of the picture: nobody lost sight of it.
    let bands = html.split("<title>writer</title>").nth(1).expect("there is a writer");
    let figure = |name: &str| -> f64 { bands.split(name).nth(1).unwrap().split('"').nth(1).unwrap().parse().unwrap() };
    assert!((figure(" x=") + figure(" width=") - 948.0).abs() < 0.2, "{bands}");
    run.cause.first_seen = None;
    assert!(page(&alone(&run)).contains("counted from 0: the run was started."));
}

#[test]
fn a_rejoin_takes_in_what_was_fenced_and_promises_nothing() {
    let mut whole = runs().remove(1);
    whole.ended = Some(wall(8_900));
    let report = alone(&whole);
    let told: Vec<(u64, &str)> = report.lanes[0].spans.iter().map(|s| (s.span.from_ms, s.state.word())).collect();
    assert_eq!(told, [(0, "fenced"), (4_790, "rejoining"), (5_590, "standby")], "also what it became in the very end");
    assert_eq!(report.lanes[1].spans.len(), 1);
    let html = page(&report);
    assert!(html.contains(">Done<") && html.contains("<title>standby</title>") && html.contains("</span>rejoining<"));
    assert!(!html.contains("Recovery time (RTO)") && !html.contains("not measured from outside"), "{html}");
    whole.condition = serde_json::from_value(json!({ "is": "ended", "result": "failed" })).unwrap();
    assert!(page(&alone(&whole)).contains(">Not done<"));
}

#[test]
fn an_exposure_is_no_witness() {
    let mut run = runs().remove(0);
    run.cause.evidence.push("PL-0960: east acknowledges beyond the RPO".to_owned());
    let evidence = &alone(&run).moves[0].evidence;
    assert_eq!((evidence[0].by.as_str(), evidence[1].by.as_str()), ("agent of west", "exposure (PL-0960)"));
    assert_eq!(evidence[1].says, "east acknowledges beyond the RPO");
}

#[test]
fn a_request_that_was_on_its_way_at_the_fault_is_told_so() {
    let first = |at| {
        let fault = Fault { at: wall(at), region: None, text: "east killed".to_owned() };
        let report = report_with(&runs(), None, &[fault]);
        let failed = report.moves[0].events.iter().find(|e| e.mark == Some(Mark::FirstFailed));
        failed.map(|e| (e.at_ms, e.text.ends_with("it was on its way at the fault")))
    };
    assert_eq!((first(990), first(1_002)), (Some((1_000, false)), Some((1_000, true))));
    assert_eq!(first(1_005), Some((1_000, false)), "it had failed before");
}

/// The session with other runs and other requests; `until` is where the log ends.
fn felt(runs: &[RunView], failed: &[(u64, u64)], until: u64) -> Report {
    let mut samples = samples();
    for sample in &mut samples {
        let at = sample.wall.0 - START;
        sample.ok = !failed.iter().any(|(from, until)| (*from..*until).contains(&at));
        sample.region = sample.ok.then(|| Region::from("west"));
    }
    samples.retain(|s| s.wall < wall(until));
    session_with(runs, None, &[], &samples)
}

#[test]
fn an_outage_that_one_attempt_does_not_end_is_told_whole_with_the_next() {
    let mut runs = runs();
    let second = RunView { started: wall(6_000), ended: Some(wall(6_300)), ..runs[0].clone() };
    runs[0].condition = serde_json::from_value(json!({ "is": "ended", "result": "failed" })).unwrap();
    runs[1] = second;
    let report = felt(&runs, &[(1_000, 6_500)], 10_000);
    let outages: Vec<Option<Span>> = report.moves.iter().map(|m| m.impact.as_ref().unwrap().outage).collect();
    assert_eq!(outages, [None, Some(Span { from_ms: 1_000, until_ms: 6_504 })]);
    assert_eq!(report.rto.measured_ms, Some(5_504), "from the first failed request, not from the second attempt");
}

#[test]
fn what_fails_when_the_next_move_begins_hides_no_outage() {
    let mut runs = runs();
    runs[1] = run("failback", "graceful", "west", "east", (6_000, 6_900), &[]);
    // Sent before the planned move, and failed in the middle of it: longer than the failover's own outage.
    let mut report = felt(&runs, &[(1_000, 3_500), (5_980, 6_500)], 10_000);
    let outage = |report: &Report, at: usize| report.moves[at].impact.as_ref().unwrap().outage;
    assert_eq!(outage(&report, 0), Some(Span { from_ms: 1_000, until_ms: 3_504 }));
    assert_eq!(outage(&report, 1), Some(Span { from_ms: 5_980, until_ms: 6_504 }));
    let mut late = samples();
    late.iter_mut().filter(|s| (5_990..6_000).contains(&(s.wall.0 - START))).for_each(|s| {
        (s.ok, s.end) = (false, s.start + Duration::from_secs(3));
    });
    report = session_with(&runs, None, &[], &late);
    assert_eq!(
        (outage(&report, 0), report.rto.measured_ms),
        (Some(Span { from_ms: 1_000, until_ms: 3_504 }), Some(2_504))
    );
}

#[test]
fn what_users_felt_is_told_of_a_run_that_leaves_the_writer_where_it_is() {
    let drain = run("drain", "graceful", "west", "west", (2_000, 2_900), &[]);
    let in_place = run("failover", "ungraceful", "west", "west", (1_500, 3_400), &[]);
    for alone in [&drain, &in_place] {
        let report = felt(std::slice::from_ref(alone), &[(1_000, 3_500)], 10_000);
        let impact = report.moves[0].impact.as_ref().expect("it is measured");
        assert_eq!(impact.outage, Some(Span { from_ms: 1_000, until_ms: 3_504 }));
        assert_eq!((impact.acked, impact.dual_acked.count, impact.late_acked), (750, 0, 0), "one region acknowledged");
        assert_eq!(report.rto.measured_ms, Some(2_504));
    }
    let both = felt(&[in_place, drain], &[(1_000, 3_500)], 10_000);
    assert_eq!(both.moves.iter().map(|m| m.impact.is_some()).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn an_outage_that_is_not_over_is_told_so_and_keeps_no_promise() {
    let report = felt(&runs()[..1], &[(1_000, 10_000)], 4_000);
    let impact = report.moves[0].impact.as_ref().unwrap();
    assert_eq!((impact.outage, impact.outage_goes_on), (Some(Span { from_ms: 1_000, until_ms: 3_994 }), true));
    assert_eq!(report.rto.met(), None, "2.99 s of an objective of {} ms so far", report.rto.objective_ms);
    assert!(report.moves[0].events.iter().all(|e| e.mark != Some(Mark::FirstGood)));
    let html = page(&report);
    assert!(html.contains("over 2.99 s, not over") && html.contains("2.99 s · not over when the log ended"));
    let (bar, point) =
        (html.split("<rect class=\"felt\" x=\"").nth(1), html.split("<path class=\"felt\" d=\"M").nth(1));
    let number = |text: &str| text.split([' ', '"']).next().and_then(|n| n.parse::<f64>().ok()).unwrap();
    let (bar, point) = (bar.unwrap(), point.expect("an open end"));
    let wide = number(bar.split("width=\"").nth(1).unwrap());
    assert!((number(bar) + wide - number(point)).abs() < 0.2, "the point is where the bar ends: {bar}");
    let mut strict = report.clone();
    strict.rto = Objective { objective_ms: 100, measured_ms: Some(2_994), at_most_ms: None };
    assert_eq!(strict.rto.met(), Some(false));
}

#[test]
fn one_writer_rests_on_what_the_plan_says() {
    let text = include_str!("../../../../core/src/plan/sample.yaml");
    let runs = runs();
    for named in ["strict", "bounded", "best-effort"] {
        let named_so = text.replace("guarantee: bounded", &format!("guarantee: {named}"));
        // Which says something under `bounded` alone.
        let lines = named_so.lines().filter(|line| named == "bounded" || !line.contains("beyond_rpo"));
        let plan = Plan::read(&lines.collect::<Vec<_>>().join("\n"), "sample.yaml");
        let plan = plan.unwrap_or_else(|e| panic!("{named}: {e}"));
        let told =
            Session::of_run(&plan, &runs[0], Origin { wall: wall(0), mono: Mono::default() }, &[], String::new());
        let told = told.report().guarantee;
        let (rests_on, unproven) = pilotlight_core::plan::promise(&plan);
        assert_eq!(told.name, named);
        assert_eq!(told.rests_on.to_lowercase(), format!("{rests_on}.").to_lowercase());
        assert!(
            told.rests_on.starts_with(char::is_uppercase)
                && told.unproven.len() == unproven.len()
                && unproven.len() > 2
        );
    }
}
