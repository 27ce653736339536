//! A cool-down is never shorter than the plan says, whoever counts it, and its record is written rarely.

use super::*;
use crate::time::Wall;
use proptest::prelude::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Mono {
    Mono(secs(seconds))
}

fn cooling(run: &str, counted: u64, ended: Option<Ended>) -> Remembered {
    let cool_down = Some(CoolDown { run: run.into(), counted: secs(counted), ended });
    Remembered { cool_down, ..Remembered::default() }
}

fn exposed(since: u64, lasted: u64, over: bool) -> Exposed {
    let (lasted_ms, at_risk_ms) = (secs(lasted), secs(lasted));
    Exposed { writer: "east".into(), since: Wall(since), lasted_ms, at_risk_ms, most_ms: at_risk_ms, over }
}

#[test]
fn a_leader_counts_on_from_what_was_kept_of_that_run_by_its_own_clock() {
    let (run, kept) = (RunId::from("failover-1"), cooling("failover-1", 600, None).cool_down);
    let mut counter = Counter::default();
    assert_eq!(counter.counted(&run, kept.as_ref(), at(90_000)), secs(600), "its clock began somewhere else");
    assert_eq!(counter.counted(&run, kept.as_ref(), at(90_050)), secs(650));
    let next = RunId::from("failover-2");
    assert_eq!(counter.counted(&next, kept.as_ref(), at(90_060)), Duration::ZERO, "another failover begins anew");
    assert_eq!(counter.counted(&next, kept.as_ref(), at(90_061)), secs(1));
    assert_eq!(Counter::default().counted(&run, None, at(7)), Duration::ZERO, "nothing was kept");
}

#[test]
fn a_cool_down_ends_when_it_has_passed_or_a_person_has_seen_it() {
    let ended = |counted, acknowledged| CoolDown::now("r".into(), secs(counted), acknowledged, HOUR).ended;
    assert_eq!(ended(3_599, false), None);
    assert_eq!(ended(3_600, false), Some(Ended::Passed));
    assert_eq!(ended(1, true), Some(Ended::Acknowledged));
}

#[test]
fn it_is_kept_rarely_and_at_once_when_it_ends() {
    let none = Remembered::default();
    for (what, now, kept, cool_down, due) in [
        ("it has just begun", cooling("r", 14, None), none.clone(), HOUR, false),
        ("a step has passed", cooling("r", 15, None), none.clone(), HOUR, true),
        ("and was kept", cooling("r", 16, None), cooling("r", 15, None), HOUR, false),
        ("the next step", cooling("r", 30, None), cooling("r", 15, None), HOUR, true),
        ("a short one is kept oftener", cooling("r", 3, None), none.clone(), secs(60), true),
        ("but not all the time", cooling("r", 0, None), none.clone(), secs(1), false),
        ("another run was kept", cooling("r", 15, None), cooling("q", 900, None), HOUR, true),
        ("it has passed", cooling("r", 31, Some(Ended::Passed)), cooling("r", 30, None), HOUR, true),
        ("that was kept", cooling("r", 99, Some(Ended::Passed)), cooling("r", 31, Some(Ended::Passed)), HOUR, false),
        ("a person has seen it", cooling("r", 1, Some(Ended::Acknowledged)), none.clone(), HOUR, true),
        ("the plan has a longer one now", cooling("r", 99, None), cooling("r", 60, Some(Ended::Passed)), HOUR, true),
        ("nobody failed over", none, cooling("r", 9, None), HOUR, false),
    ] {
        assert_eq!(now.is_due(&kept, cool_down), due, "{what}");
    }
}

#[test]
fn what_is_exposed_is_kept_when_it_begins_and_ends_and_now_and_then_meanwhile() {
    let of = |exposed: Vec<Exposed>| Remembered { exposed, ..Remembered::default() };
    for (what, now, kept, due) in [
        ("it begins", vec![exposed(5, 0, false)], vec![], true),
        ("it goes on", vec![exposed(5, 14, false)], vec![exposed(5, 0, false)], false),
        ("for a while", vec![exposed(5, 15, false)], vec![exposed(5, 0, false)], true),
        ("it is over", vec![exposed(5, 16, true)], vec![exposed(5, 15, false)], true),
        ("that was kept", vec![exposed(5, 16, true)], vec![exposed(5, 16, true)], false),
        ("the next", vec![exposed(9, 0, false), exposed(5, 16, true)], vec![exposed(5, 16, true)], true),
    ] {
        assert_eq!(of(now).is_due(&of(kept), HOUR), due, "{what}");
    }
}

#[test]
fn of_two_counts_of_one_cool_down_the_larger_is_kept() {
    let count = |kept: Remembered| kept.cool_down.map(|c| (c.run.to_string(), c.counted.as_secs()));
    for (now, found, kept) in [
        (cooling("r", 20, None), cooling("r", 30, None), ("r", 30)),
        (cooling("r", 40, None), cooling("r", 30, None), ("r", 40)),
        (cooling("r", 1, None), cooling("q", 30, None), ("r", 1)),
        (Remembered::default(), cooling("q", 30, None), ("q", 30)),
    ] {
        assert_eq!(count(now.over(&found)), Some((kept.0.to_owned(), kept.1)));
    }
}

#[test]
fn what_an_older_version_left_out_is_nothing() {
    assert_eq!(serde_json::from_str::<Remembered>("{}").unwrap(), Remembered::default());
    let text = serde_json::to_string(&cooling("r", 2, Some(Ended::Acknowledged))).unwrap();
    assert_eq!(text, r#"{"term":0,"cool_down":{"run":"r","counted_ms":2000,"ended":"acknowledged"}}"#);
}

proptest! {
    /// Leaders that come and go, each killed at any moment, with any pause between them and clocks of their own.
    #[test]
    fn a_cool_down_never_ends_before_so_much_time_has_passed(
        terms in proptest::collection::vec((0u64..100_000, 0u64..900, 0u64..5_000), 1..20),
    ) {
        let run = RunId::from("failover-1");
        let (mut kept, mut passed) = (Remembered::default(), Duration::ZERO);
        for (clock, leads, nobody) in terms {
            let (mut counter, before) = (Counter::default(), kept.cool_down.clone());
            for second in 0..=leads {
                let counted = counter.counted(&run, before.as_ref(), at(clock + second));
                prop_assert!(counted <= passed + secs(second));
                let cool_down = Some(CoolDown::now(run.clone(), counted, false, HOUR));
                let now = Remembered { cool_down, ..Remembered::default() };
                if now.is_due(&kept, HOUR) {
                    kept = now.over(&kept);
                }
                let lost = kept.cool_down.as_ref().map_or(Duration::ZERO, |k| k.counted);
                prop_assert!(counted.saturating_sub(lost) < KEPT_EVERY || counted >= HOUR, "little is lost with it");
            }
            passed += secs(leads + nobody);
        }
    }
}
