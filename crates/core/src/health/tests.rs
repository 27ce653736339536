//! One observer's opinion answer by answer, and what several observers make together.

use super::*;
use crate::fixture::{probe, unit, usual};
use crate::lease::LeaseSight;
use crate::plan::aws::{AuroraPlan, AwsComponent};
use crate::plan::{ComponentPlan, Kind};
use crate::verdict::AgentSight;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn check() -> HealthPlan {
    HealthPlan {
        unit: unit(),
        probe: None,
        regions: ["east", "west"].map(|r| (r.into(), probe())).into(),
        every: Duration::from_secs(1),
        failures: 3,
        recoveries: 2,
        latency: Some(Duration::from_millis(100)),
        from: Vec::new(),
        quorum: None,
        move_after: None,
        alarms: BTreeMap::new(),
    }
}

fn plan() -> Plan {
    let mut plan = usual();
    plan.health = BTreeMap::from([("front".into(), check())]);
    plan
}

fn at(ms: u64) -> Mono {
    Mono(Duration::from_millis(ms))
}

fn answer(good: bool, took: u64) -> Answer {
    let result = if good { Ok("answered 200".to_owned()) } else { Err("answered 503".to_owned()) };
    Answer { result, took: Duration::from_millis(took) }
}

/// `g` good, `b` bad, `s` good and too slow; what is thought after each, as `?`, `+`, `-`.
fn course(answers: &str) -> String {
    let mut opinion = None;
    let mut thought = String::new();
    for (i, letter) in (0..).zip(answers.chars()) {
        let answer = answer(letter != 'b', if letter == 's' { 200 } else { 10 });
        opinion = Some(Opinion::learn(opinion.as_ref(), &check(), answer, at(i)));
        thought.push(match opinion.as_ref().expect("just learned").health {
            Health::Unknown => '?',
            Health::Healthy => '+',
            Health::Unhealthy => '-',
        });
    }
    thought
}

#[test]
fn an_observer_changes_its_mind_after_a_row_of_answers() {
    for (answers, thought) in [
        ("g", "+"),
        ("b", "?"),
        ("bbb", "??-"),
        ("bbg", "??+"),
        ("gbbg", "++++"),
        ("gbbb", "+++-"),
        ("gbbgbb", "++++++"),
        ("gbbbgbgg", "+++----+"),
        ("gsss", "+++-"),
        ("gbsb", "+++-"),
    ] {
        assert_eq!(course(answers), thought, "{answers}");
    }
}

#[test]
fn a_slow_answer_says_how_slow() {
    let opinion = Opinion::learn(None, &check(), answer(true, 250), at(1));
    assert_eq!(opinion.says, "answered 200, after 250 ms; 100 ms is allowed");
}

#[test]
fn an_opinion_is_as_old_as_its_last_change() {
    let mut opinion = Opinion::learn(None, &check(), answer(true, 1), at(10));
    for t in [20, 30, 40, 50] {
        opinion = Opinion::learn(Some(&opinion), &check(), answer(false, 1), at(t));
    }
    assert_eq!((opinion.health, opinion.since, opinion.at), (Health::Unhealthy, at(40), at(50)));
}

const NOW: u64 = 100_000;

/// Everybody is heard; the opinions are of `front in east`, with the milliseconds since when and of the last answer.
fn sight(opinions: &[(Witness, Health, u64, u64)]) -> Sight {
    let heard =
        |region: &str| (region.into(), AgentSight { last_heard: Some(at(NOW)), ..AgentSight::default() }.into());
    let mut sight = Sight {
        now: at(NOW),
        agents: ["east", "west"].map(heard).into(),
        ports: BTreeMap::new(),
        health: BTreeMap::new(),
        outlooks: BTreeMap::new(),
        lease: LeaseSight::Lapsed,
        candidate: None,
        changed: None,
    };
    for (by, health, since, asked) in opinions {
        let (since, asked) = (at(NOW - since), at(NOW - asked));
        let opinion = Opinion::reported(*health, since, asked, "what it said".into(), Duration::ZERO);
        let of = match by {
            Witness::Controller => &mut sight.health,
            other => &mut sight.outlooks.entry(other.clone()).or_default().health,
        };
        of.insert(east(), opinion);
    }
    for outlook in sight.outlooks.values_mut() {
        outlook.heard = Some(at(NOW));
    }
    sight
}

fn east() -> Question {
    Question { check: "front".into(), region: Some("east".into()) }
}

fn word(plan: &Plan, opinions: &[(Witness, Health, u64, u64)]) -> (Health, u64) {
    let judged = judge(plan, &sight(opinions));
    let service = judged.into_iter().find(|s| s.question == east()).expect("the check is judged");
    (service.health, u64::try_from(service.for_ms.as_millis()).expect("short"))
}

#[test]
fn observers_together() {
    use Health::{Healthy, Unhealthy, Unknown};
    let (mut plan, west, here) = (plan(), Witness::Agent("west".into()), Witness::Controller);
    plan.policy.observers = vec!["paris".into()];
    let paris = Witness::Observer("paris".into());
    let say = |by: &Witness, health, since| (by.clone(), health, since, 100);
    // Three ask: two are a quorum.
    assert_eq!(word(&plan, &[]).0, Unknown);
    assert_eq!(word(&plan, &[say(&west, Unhealthy, 900)]).0, Unknown);
    assert_eq!(word(&plan, &[say(&west, Unhealthy, 900), say(&here, Healthy, 900)]).0, Unknown);
    let two = [say(&west, Unhealthy, 900), say(&here, Healthy, 900), say(&paris, Unhealthy, 400)];
    assert_eq!(word(&plan, &two), (Unhealthy, 400), "since the second one came to think so");
    assert_eq!(word(&plan, &[say(&west, Healthy, 900), say(&here, Healthy, 300)]), (Healthy, 300));
    // The agent beside the service does not count.
    let own = Witness::Agent("east".into());
    assert_eq!(word(&plan, &[say(&own, Unhealthy, 900), say(&here, Unhealthy, 900)]).0, Unknown);
    // Who has not asked lately has no opinion.
    assert_eq!(word(&plan, &[say(&west, Unhealthy, 900), (here.clone(), Unhealthy, 9_000, 6_500)]).0, Unknown);
    let front = plan.health.get_mut(&"front".into()).expect("there");
    front.quorum = Some(1);
    assert_eq!(word(&plan, &[say(&west, Unhealthy, 900), say(&here, Healthy, 900)]).0, Unhealthy);
    assert_eq!(
        word(&plan, &[say(&paris, Healthy, 900), say(&here, Healthy, 900)]).0,
        Unknown,
        "the third could say so"
    );
    let front = plan.health.get_mut(&"front".into()).expect("there");
    (front.quorum, front.from) = (None, vec!["controller".to_owned()]);
    assert_eq!(word(&plan, &[say(&west, Healthy, 900), say(&here, Unhealthy, 900)]).0, Unhealthy);
}

#[test]
fn an_observer_that_is_not_heard_has_no_opinion() {
    let mut sight = sight(&[
        (Witness::Agent("west".into()), Health::Unhealthy, 900, 100),
        (Witness::Controller, Health::Unhealthy, 900, 100),
    ]);
    sight.agents.get_mut(&"west".into()).expect("there").last_heard = Some(at(NOW - 10_000));
    let judged = judge(&plan(), &sight);
    assert_eq!(judged[0].health, Health::Unknown);
}

/// All of AWS: nobody runs an agent, so the controller is all who ask, and what it sees for itself is the word.
#[test]
fn where_no_agent_runs_none_is_waited_for() {
    let mut plan = plan();
    let kind = Kind::Aws(AwsComponent::Aurora(AuroraPlan::default()));
    plan.components = [("database".into(), ComponentPlan { unit: unit(), writes: None, kind })].into();
    let say = |health| [(Witness::Controller, health, 900, 100)];
    assert_eq!(word(&plan, &say(Health::Unhealthy)), (Health::Unhealthy, 900));
    assert_eq!(word(&plan, &say(Health::Healthy)), (Health::Healthy, 900));
}

#[test]
fn answers_are_counted_and_the_last_bad_one_is_kept() {
    let mut tally = Tally::default();
    for _ in 0..99 {
        tally.count("front", &answer(true, 10), Some(Duration::from_millis(100)));
    }
    assert_eq!(tally.end(0), Ok("0 of 99 answers were bad, 0 % are borne".to_owned()));
    tally.count("front", &answer(true, 250), Some(Duration::from_millis(100)));
    assert!(tally.end(1).is_ok(), "one in a hundred is one per cent");
    let says = "1 of 100 answers were bad, 0 % are borne; the last: front: answered 200, after 250 ms";
    assert_eq!(tally.end(0), Err(says.to_owned()));
    tally.count("front", &answer(false, 10), None);
    assert!(tally.exceeds(1, 101) && !tally.exceeds(1, 200), "of what will be asked in all, it may still be borne");
}

#[test]
fn an_alarm_is_one_more_voice_and_never_enough_alone() {
    let mut plan = plan();
    let front = plan.health.get_mut(&"front".into()).expect("there");
    front.alarms = [("east".into(), "arn:aws:cloudwatch:us-west-2:123456789012:alarm:front".to_owned())].into();
    let (west, alarm) = (Witness::Agent("west".into()), Witness::Observer(crate::plan::ALARMS.into()));
    let say = |words: [Health; 3]| {
        let voices = [west.clone(), Witness::Controller, alarm.clone()];
        voices.into_iter().zip(words).map(|(by, word)| (by, word, 900, 100)).collect::<Vec<_>>()
    };
    let (bad, good, unknown) = (Health::Unhealthy, Health::Healthy, Health::Unknown);
    assert_eq!(word(&plan, &say([good, good, bad])).0, good);
    assert_eq!(word(&plan, &say([good, bad, bad])).0, bad);
    assert_eq!(word(&plan, &say([good, bad, unknown])).0, unknown, "an alarm without data says nothing");

    // Where only the region's own agent is named, nobody is left but the alarm.
    let front = plan.health.get_mut(&"front".into()).expect("there");
    front.from = vec!["east".to_owned()];
    assert_eq!(word(&plan, &say([good, good, bad])).0, unknown);
    plan.health.get_mut(&"front".into()).expect("there").quorum = Some(1);
    assert_eq!(word(&plan, &say([good, good, bad])).0, bad, "the plan says so");
}

#[test]
fn what_was_not_told_is_no_opinion_until_something_is() {
    let learn = |before: Option<&Opinion>, good| Opinion::learn(before, &check(), answer(good, 1), at(100));
    let well = learn(None, true);
    let untold = Opinion::untold(Some(&well), "INSUFFICIENT_DATA".to_owned(), Duration::ZERO, at(200));
    assert_eq!((untold.health, untold.since), (Health::Unknown, at(200)));
    assert_eq!(learn(Some(&untold), true).health, Health::Healthy);
    let first = learn(Some(&untold), false);
    assert_eq!(first.health, Health::Unknown, "one bad answer makes no opinion");
}

proptest! {
    /// Whatever is answered, the mind changes only at the end of a row of the length that the plan asks for.
    #[test]
    fn no_change_without_a_row(answers in prop::collection::vec(any::<bool>(), 1..40)) {
        let letters: String = answers.iter().map(|good| if *good { 'g' } else { 'b' }).collect();
        let thought: Vec<char> = course(&letters).chars().collect();
        for i in 1..thought.len() {
            let needed = match (thought[i - 1], thought[i]) {
                (a, b) if a == b => continue,
                ('-', '+') => 2,
                (_, '-') => 3,
                _ => 1,
            };
            prop_assert!(i + 1 >= needed);
            let row = &answers[i + 1 - needed..=i];
            prop_assert!(row.iter().all(|good| *good == (thought[i] == '+')), "{letters}: {thought:?}");
        }
    }

    /// Never healthy and unhealthy for the same opinions: as many as say unhealthy are needed for it, and when the rest
    /// cannot reach that any more, it is healthy.
    #[test]
    fn a_word_follows_from_the_counts(words in prop::collection::vec(0_u8..3, 3), quorum in 1_usize..=3) {
        let mut plan = plan();
        plan.policy.observers = vec!["paris".into()];
        plan.health.get_mut(&"front".into()).expect("there").quorum = Some(quorum);
        let observers = [Witness::Agent("west".into()), Witness::Controller, Witness::Observer("paris".into())];
        let of = |w: u8| [Health::Unknown, Health::Healthy, Health::Unhealthy][usize::from(w)];
        let said: Vec<_> = observers.into_iter().zip(&words).map(|(by, w)| (by, of(*w), 900, 100)).collect();
        let (bad, good) = (words.iter().filter(|w| **w == 2).count(), words.iter().filter(|w| **w == 1).count());
        let expected = match () {
            () if bad >= quorum => Health::Unhealthy,
            () if 3 - good < quorum => Health::Healthy,
            () => Health::Unknown,
        };
        prop_assert_eq!(word(&plan, &said).0, expected);
    }
}
