//! Tries to break the lease: drift, delays, loss, duplicates and restarts, all at their worst at once.

use super::*;
use proptest::prelude::*;

/// One heartbeat in true time, microseconds: sent, grant stored, answer arrived (twice, perhaps), all non-negative delays.
#[derive(Debug, Clone)]
struct Beat {
    pause: u64,
    there: u64,
    back: u64,
    lost_there: bool,
    lost_back: bool,
    again: Option<u64>,
    restart: bool,
}

fn beat() -> impl Strategy<Value = Beat> {
    (
        0..2_000_000u64,
        0..4_000_000u64,
        0..4_000_000u64,
        any::<(bool, bool)>(),
        prop::option::of(0..9_000_000u64),
        0..10u8,
    )
        .prop_map(|(pause, there, back, (lost_there, lost_back), again, restart)| Beat {
            pause,
            there,
            back,
            lost_there,
            lost_back,
            again,
            restart: restart == 0,
        })
}

/// A clock that starts somewhere and runs fast or slow by so many parts per million.
fn reads(true_us: u64, origin: u64, ppm: i64) -> Mono {
    let ticks = i128::from(true_us) * (1_000_000 + i128::from(ppm)) / 1_000_000;
    Mono(Duration::from_micros(origin + u64::try_from(ticks).expect("time does not run backwards")))
}

/// The true time at which a clock shows `at`, rounded up.
fn true_time_of(at: Mono, origin: u64, ppm: i64) -> u64 {
    let ticks = i128::try_from(at.0.as_micros()).expect("small") - i128::from(origin);
    u64::try_from((ticks * 1_000_000).div_euclid(1_000_000 + i128::from(ppm)) + 1).expect("later than the origin")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// At every moment at which the granter says lapsed, the holder's validity plus its allowance is over.
    #[test]
    fn the_holder_is_done_before_the_granter_says_lapsed(
        beats in prop::collection::vec(beat(), 1..12),
        lease_ms in 500..30_000u64,
        holder_ppm in -5_000..=5_000i64,
        granter_ppm in -4_900..=4_900i64,
        origins in (0..1_000_000_000u64, 0..1_000_000_000u64),
    ) {
        // Half a per cent each way, less a rounding: together the two drift apart by no more than one per cent.
        let lease = Duration::from_millis(lease_ms);
        let mut now = 1_000u64;
        let mut holder = Holder::default();
        let mut granters = vec![(now, Granter::started(reads(now, origins.1, granter_ppm), lease, lease))];
        let mut arrivals: Vec<(u64, Mono)> = Vec::new();
        let mut grants: Vec<u64> = Vec::new();
        for beat in &beats {
            now += beat.pause;
            let sent = reads(now, origins.0, holder_ppm);
            if beat.restart {
                granters.push((now, Granter::started(reads(now, origins.1, granter_ppm), lease, lease)));
            }
            if beat.lost_there {
                continue;
            }
            let stored = now + beat.there;
            // Grants are made in the order in which requests arrive; a delayed one pushes the clock on.
            let stored = stored.max(grants.last().copied().unwrap_or(0));
            let (_, granter) = granters.last_mut().expect("one at least");
            prop_assert!(granter.granted(reads(stored, origins.1, granter_ppm)));
            grants.push(stored);
            if !beat.lost_back {
                arrivals.push((stored + beat.back, sent));
                if let Some(more) = beat.again {
                    arrivals.push((stored + beat.back + more, sent));
                }
            }
            now = stored;
        }
        arrivals.sort();
        for (_, sent) in arrivals {
            holder.renewed(sent, lease);
        }
        let Some(until) = holder.valid_until() else { return Ok(()) };
        let silent_from = true_time_of(until + FENCE_ALLOWANCE, origins.0, holder_ppm);
        let (_, granter) = granters.last().expect("one at least");
        let lapsed_from = true_time_of(granter.lapses_at(), origins.1, granter_ppm);
        prop_assert!(silent_from <= lapsed_from + 2, "holder silent at {silent_from} us, lapsed at {lapsed_from} us");
    }
}

#[test]
fn the_granter_counts_longer_than_the_holder() {
    assert_eq!(granters_lease(Duration::from_secs(3)), Duration::from_micros(3_181_500));
    let mut holder = Holder::default();
    assert!(!holder.is_valid(Mono::default()), "nothing was held");
    let until = holder.renewed(Mono(Duration::from_secs(10)), Duration::from_secs(3));
    assert_eq!(until, Mono(Duration::from_secs(13)));
    assert!(holder.is_valid(Mono(Duration::from_millis(12_999))));
    assert!(!holder.is_valid(until), "at its end it is over");
    assert_eq!(
        holder.renewed(Mono(Duration::from_secs(9)), Duration::from_secs(3)),
        until,
        "an older answer changes nothing"
    );
    holder.ended();
    assert!(!holder.is_valid(Mono(Duration::from_secs(11))));
}

#[test]
fn a_new_granter_waits_out_one_whole_lease_and_a_revoked_one_grants_nothing() {
    let at = |ms| Mono(Duration::from_millis(ms));
    let lease = Duration::from_secs(3);
    let mut granter = Granter::started(at(1_000), lease, lease);
    assert_eq!(granter.sight(at(2_000)), LeaseSight::WaitingOutStart { left: Duration::from_micros(2_181_500) });
    assert!(!granter.is_lapsed(at(4_181)));
    assert!(granter.is_lapsed(at(4_182)));
    assert!(granter.granted(at(5_000)));
    assert_eq!(granter.sight(at(6_000)), LeaseSight::Held { left: Duration::from_micros(2_181_500) });
    granter.revoke();
    assert!(!granter.granted(at(7_000)), "revoked");
    assert_eq!(granter.sight(at(8_182)), LeaseSight::Lapsed);
    granter.allow();
    assert!(granter.granted(at(9_000)));
    assert_eq!(granter.lapses_at(), Mono(Duration::from_micros(12_181_500)));
}
