//! Tries to find a moment with two leads: drift, late writes, late reads, lost answers.

use super::*;
use crate::lease::Holder;
use proptest::prelude::*;

const LEASE: Duration = Duration::from_millis(1_500);

fn record(term: u64, resigned: bool) -> LeaderRecord {
    let (name, url, application) = ("a".into(), "http://a".into(), Some("payments".into()));
    LeaderRecord { term: Term(term), name, url, application, lease: LEASE, resigned, hold: None }
}

fn at(ms: u64) -> Mono {
    Mono(Duration::from_millis(ms))
}

#[test]
fn a_challenger_waits_from_when_it_saw_the_version_first() {
    let mut challenger = Challenger::new(LEASE);
    assert_eq!((challenger.tries_at(), challenger.next_term()), (None, Term(1)));
    challenger.saw(7, &record(3, false), at(1_000));
    challenger.saw(7, &record(3, false), at(2_000));
    let tries = at(1_000) + granters_lease(LEASE);
    assert_eq!(challenger.tries_at(), Some(tries), "reading it again changes nothing");
    assert_eq!(challenger.may_replace(Mono(tries.0 - Duration::from_millis(1))), None);
    assert_eq!((challenger.may_replace(tries), challenger.next_term()), (Some(Some(7)), Term(4)));
    challenger.saw(8, &record(3, false), at(2_600));
    assert_eq!(challenger.may_replace(tries), None, "a renewal begins the wait anew");
}

#[test]
fn a_leader_that_has_resigned_is_not_waited_for() {
    let mut challenger = Challenger::new(LEASE);
    challenger.saw(7, &record(3, true), at(1_000));
    assert_eq!((challenger.may_replace(at(1_000)), challenger.leader()), (Some(Some(7)), None));
}

#[test]
fn a_leader_with_a_longer_lease_is_waited_for_as_long_as_it_counts() {
    let mut challenger = Challenger::new(LEASE / 2);
    challenger.saw(7, &record(3, false), at(0));
    assert_eq!(challenger.tries_at(), Some(Mono(granters_lease(LEASE))));
}

/// Whoever led may not have seen it yet, and cannot be seen.
#[test]
fn an_empty_store_is_taken_after_a_whole_lead_only() {
    let mut challenger = Challenger::new(LEASE);
    assert!(challenger.saw_none(at(1_000)));
    assert!(!challenger.saw_none(at(2_000)), "it is said once");
    let tries = at(1_000) + granters_lease(LEASE);
    let before = Mono(tries.0 - Duration::from_millis(1));
    assert_eq!((challenger.may_replace(before), challenger.may_replace(tries)), (None, Some(None)));
    assert_eq!(challenger.next_term(), Term(1));
    challenger.saw(1, &record(1, false), at(2_100));
    assert_eq!(challenger.may_replace(tries), None, "another was first");
    assert_eq!(challenger.leader().map(|leader| leader.term), Some(Term(1)));
    // Emptied under a leader that counts longer than this one does.
    let mut challenger = Challenger::new(LEASE / 2);
    challenger.saw(7, &record(3, false), at(0));
    assert!(challenger.saw_none(at(9_000)));
    assert_eq!(challenger.tries_at(), Some(at(9_000) + granters_lease(LEASE)));
    assert_eq!((challenger.leader(), challenger.next_term()), (None, Term(4)));
}

/// One renewal in true time, microseconds.
#[derive(Debug, Clone)]
struct Renewal {
    pause: u64,
    there: u64,
    back: u64,
}

fn renewal() -> impl Strategy<Value = Renewal> {
    (0..3_000_000u64, 0..3_000_000u64, 0..3_000_000u64).prop_map(|(pause, there, back)| Renewal { pause, there, back })
}

/// A clock that starts somewhere and runs fast or slow by so many parts per million.
fn reads(true_us: u64, origin: u64, ppm: i64) -> Mono {
    let ticks = i128::from(true_us) * (1_000_000 + i128::from(ppm)) / 1_000_000;
    Mono(Duration::from_micros(origin + u64::try_from(ticks).expect("time does not run backwards")))
}

/// The true time at which a clock shows `at`, rounded down.
fn true_time_of(at: Mono, origin: u64, ppm: i64) -> u64 {
    let ticks = i128::try_from(at.0.as_micros()).expect("small") - i128::from(origin);
    u64::try_from((ticks * 1_000_000).div_euclid(1_000_000 + i128::from(ppm))).expect("later than the origin")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// At the first moment at which a challenger may replace the version that is there, the leader's lead is over.
    #[test]
    fn no_two_lead_at_once(
        renewals in prop::collection::vec(renewal(), 1..12),
        looks in prop::collection::vec((0..30_000_000u64, 0..3_000_000u64), 1..40),
        leader_ppm in -4_900..=4_900i64,
        challenger_ppm in -4_900..=4_900i64,
        origins in (0..1_000_000_000u64, 0..1_000_000_000u64),
    ) {
        let (mut now, mut holder) = (1_000u64, Holder::default());
        // When each version was stored, and until when the leader counts after it.
        let mut versions: Vec<(u64, Mono)> = Vec::new();
        for renewal in &renewals {
            now += renewal.pause;
            let sent = reads(now, origins.0, leader_ppm);
            now += renewal.there;
            versions.push((now, holder.renewed(sent, LEASE)));
            now += renewal.back;
        }
        let version_at = |t: u64| versions.iter().filter(|(stored, _)| *stored <= t).count();
        let mut looks = looks;
        looks.sort_unstable();
        let mut challenger = Challenger::new(LEASE);
        for (read, delay) in looks {
            let version = version_at(read);
            if version == 0 {
                continue;
            }
            challenger.saw(version as u64, &record(1, false), reads(read + delay, origins.1, challenger_ppm));
            let Some(tries_at) = challenger.tries_at() else { continue };
            let tries = true_time_of(tries_at, origins.1, challenger_ppm);
            if version_at(tries) == version {
                let lead_ends = true_time_of(versions[version - 1].1, origins.0, leader_ppm);
                prop_assert!(lead_ends < tries, "the lead ends at {lead_ends}, another tries at {tries}");
            }
        }
    }
}
