//! Tables for logs that were seen or feared, and the property that parts add up.

use super::*;
use crate::runbook::Phase;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Sent, ended, in ms; the wall clock shows 1,000,000 more.
fn sample(id: u64, start: u64, end: u64, region: Option<&str>) -> Sample {
    Sample {
        id,
        start: Mono(Duration::from_millis(start)),
        end: Mono(Duration::from_millis(end)),
        wall: Wall(1_000_000 + start),
        ok: region.is_some(),
        region: region.map(Region::from),
    }
}

fn step(id: &str, phase: Phase, needs: &[&str], started: u64, ended: u64) -> StepTimes {
    StepTimes {
        id: id.into(),
        phase,
        needs: needs.iter().map(|n| (*n).into()).collect(),
        approval: None,
        started: Wall(1_000_000 + started),
        ended: Wall(1_000_000 + ended),
    }
}

fn log() -> Vec<Sample> {
    vec![
        sample(1, 0, 10, Some("east")),
        // Sent before the last good answer of the old region, and failed: its user waited from here.
        sample(2, 95, 2_095, None),
        sample(3, 97, 100, Some("east")),
        sample(4, 200, 210, None),
        sample(5, 4_000, 4_100, Some("west")),
        sample(6, 4_050, 4_060, None),
        sample(7, 4_200, 4_210, Some("west")),
    ]
}

#[test]
fn an_outage_runs_from_the_first_failed_to_the_first_good_request() {
    let outage = outage(&log()).expect("requests failed");
    assert_eq!(
        (outage.from, outage.until),
        (Mono(Duration::from_millis(95)), Some(Mono(Duration::from_millis(4_100))))
    );
    let rto = rto(&log(), None).expect("over");
    assert_eq!(rto.total_ms, Duration::from_millis(4_005));
    assert_eq!(rto.first_good, Wall(1_004_100));
    assert_eq!(rto.parts_us, BTreeMap::from([(Part::Detect, 4_005_000)]), "nobody did anything");
    let traffic = traffic(&log());
    assert_eq!((traffic.requests, traffic.acked, traffic.failed), (7, 4, 3));
    assert_eq!(traffic.longest_gap_ms, Some(Duration::from_millis(4_000)));
}

#[test]
fn the_longest_gap_may_lie_at_either_end_of_the_log() {
    let gap = |samples: &[Sample]| traffic(samples).longest_gap_ms.map(|gap| gap.as_millis());
    let (good, failed) =
        (|from, until| sample(from, from, until, Some("east")), |from, until| sample(from, from, until, None));
    assert_eq!(gap(&[good(0, 10), good(20, 30), failed(40, 21_000)]), Some(20_970), "it never came back");
    assert_eq!(gap(&[failed(0, 100), failed(200, 5_000), good(5_010, 5_020)]), Some(5_020), "it came late");
    assert_eq!(gap(&[failed(0, 100), failed(200, 21_000)]), Some(21_000), "nothing was served");
    assert_eq!(gap(&[]), None, "nothing was asked");
    let told = |samples: &[Sample]| serde_json::to_value(traffic(samples)).unwrap()["longest_gap_ms"].clone();
    assert_eq!((told(&[]), told(&[failed(0, 7)])), (serde_json::Value::Null, 7.into()));
}

#[test]
fn no_failed_request_is_no_outage_and_no_good_one_is_not_over() {
    assert_eq!(outage(&[]), None);
    assert_eq!(outage(&[sample(1, 0, 10, Some("east")), sample(2, 5_000, 5_010, Some("west"))]), None);
    let down = [sample(1, 0, 10, Some("east")), sample(2, 20, 30, None)];
    assert_eq!(outage(&down).map(|o| o.until), Some(None));
    assert_eq!(rto(&down, None), None);
    let up = [sample(1, 0, 10, None), sample(2, 20, 30, Some("east"))];
    assert_eq!(rto(&up, None).map(|r| r.total_ms), Some(Duration::from_millis(30)), "a log may begin in an outage");
}

#[test]
fn of_two_outages_the_longer_counts() {
    let log = [
        sample(1, 0, 10, Some("east")),
        sample(2, 20, 30, None),
        sample(3, 40, 50, Some("east")),
        sample(4, 60, 70, None),
        sample(5, 800, 900, Some("west")),
    ];
    assert_eq!(rto(&log, None).map(|r| r.total_ms), Some(Duration::from_millis(840)));
}

#[test]
fn parts_follow_the_chain_that_made_users_wait() {
    let run = RunTimes {
        noticed: Wall(1_003_000),
        started: Wall(1_003_010),
        steps: vec![
            step("notify", Phase::Notify, &[], 3_010, 9_000),
            step("fence", Phase::Fence, &[], 3_012, 3_112),
            step("scale", Phase::Scale, &[], 3_012, 3_500),
            step("promote", Phase::Promote, &["fence"], 3_115, 3_400),
            step("route", Phase::Route, &["promote", "scale"], 3_510, 3_600),
            step("verify", Phase::Verify, &["route"], 3_600, 5_000),
        ],
    };
    // The scale ended after the promotion, so fence and promotion cost users nothing.
    let rto = rto(&log(), Some(&run)).expect("over");
    let expected = [
        (Part::Detect, 2_905_000),
        (Part::Decide, 12_000),
        (Part::Scale, 488_000),
        (Part::Route, 100_000),
        (Part::Propagate, 500_000),
    ];
    assert_eq!(rto.parts_us, BTreeMap::from(expected));
}

#[test]
fn a_planned_move_has_no_detection_and_an_approval_is_a_part_of_its_own() {
    let mut fence = step("stop", Phase::Fence, &[], 150, 300);
    let planned = RunTimes {
        noticed: Wall(1_000_000),
        started: Wall(1_000_001),
        steps: vec![fence.clone(), step("promote", Phase::Promote, &["stop"], 300, 400)],
    };
    let split = parts(Wall(1_000_200), Duration::from_millis(250), Some(&planned));
    assert_eq!(split, BTreeMap::from([(Part::Fence, 100_000), (Part::Promote, 100_000), (Part::Verify, 50_000)]));
    fence.approval = Some((Wall(1_000_020), Wall(1_000_140)));
    let asked = RunTimes { steps: vec![fence], ..planned };
    let split = parts(Wall(1_000_000), Duration::from_millis(300), Some(&asked));
    let expected = [(Part::Decide, 20_000), (Part::Approve, 120_000), (Part::Fence, 160_000)];
    assert_eq!(split, BTreeMap::from(expected));
}

#[test]
fn two_writers_are_told_from_a_slow_answer() {
    let (east, west) = (Region::from("east"), Region::from("west"));
    assert_eq!(dual_acked(&log(), &east, &west), Dual::default());
    let mut bad = log();
    bad.push(sample(8, 4_099, 4_300, Some("east")));
    bad.push(sample(9, 4_100, 4_101, Some("east")));
    bad.push(sample(7, 4_090, 4_095, Some("east")));
    let dual = dual_acked(&bad, &east, &west);
    assert_eq!((dual.certain, dual.late), (vec![9, 7], vec![8]));
    assert_eq!(dual_acked(&bad, &east, &Region::from("north")), Dual::default(), "nothing acknowledged there");
}

fn steps() -> impl Strategy<Value = Vec<StepTimes>> {
    let phase = prop::sample::select(vec![
        Phase::Prepare,
        Phase::Fence,
        Phase::Promote,
        Phase::Scale,
        Phase::Route,
        Phase::Verify,
        Phase::Notify,
    ]);
    let one = (phase, prop::collection::vec(0..9u8, 0..4), 0..9_000u64, 0..3_000u64, prop::option::of(0..500u64));
    prop::collection::vec(one, 0..9).prop_map(|many| {
        let steps = many.into_iter().enumerate().map(|(i, (phase, needs, started, took, approval))| {
            let needs: Vec<String> = needs.iter().map(|n| format!("s{n}")).collect();
            let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            let mut step = step(&format!("s{i}"), phase, &needs, started, started + took);
            step.approval = approval.map(|a| (Wall(step.started.0.saturating_sub(a)), step.started));
            step
        });
        steps.collect()
    })
}

proptest! {
    /// Whatever the journal says, cycles and clock steps included, the parts are the outage.
    #[test]
    fn parts_add_up(
        steps in steps(), from in 0..9_000u64, total_us in 0..12_000_000u64, noticed in 0..9_000u64, started in 0..9_000u64,
    ) {
        let run = RunTimes { noticed: Wall(1_000_000 + noticed), started: Wall(1_000_000 + started), steps };
        let split = parts(Wall(1_000_000 + from), Duration::from_micros(total_us), Some(&run));
        prop_assert_eq!(split.values().sum::<u64>(), total_us);
        prop_assert!(split.values().all(|v| *v > 0));
    }

    /// An outage begins with a failed request and ends, if it ends, with a good answer.
    #[test]
    fn an_outage_has_two_edges(raw in prop::collection::vec((0..5_000u64, 0..900u64, any::<bool>()), 0..60)) {
        let samples: Vec<Sample> = raw.iter().enumerate()
            .map(|(i, (start, took, ok))| sample(i as u64, *start, start + took, ok.then_some("east")))
            .collect();
        let found = outage(&samples);
        prop_assert_eq!(found.is_some(), samples.iter().any(|s| !s.ok));
        if let Some(Outage { from, until, .. }) = found {
            prop_assert!(samples.iter().any(|s| !s.ok && s.start == from));
            prop_assert!(until.is_none_or(|u| u >= from && samples.iter().any(|s| s.ok && s.end == u)));
        }
    }
}

#[test]
fn loss_is_what_was_acknowledged_and_is_not_held() {
    let held = BTreeSet::from([1, 4, 5, 7]);
    let found = loss(&log(), &held);
    assert_eq!((found.acked, found.lost, found.unacked_held), (4, vec![3], 1));
    assert_eq!(found.span_ms, Duration::from_millis(3));
    assert_eq!(loss(&log(), &(1..=7).collect()).span_ms, Duration::ZERO);
}
