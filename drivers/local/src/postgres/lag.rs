//! How far a standby is behind, from what it knows itself: an idle writer is not lag.
//!
//! Border: pure arithmetic over one look. Seconds are the least of several upper bounds, each honest by itself: the age
//! of the newest sentinel, the age of the newest replayed commit, and, when everything the upstream has was replayed,
//! the age of the upstream's last word.

use super::lsn::Lsn;
use pilotlight_core::observation::Sentinel;
use pilotlight_core::position::{Lag, LagQuality};
use pilotlight_core::time::{Mono, Wall};
use std::time::Duration;

/// The newest end of the upstream that was heard of, kept because the server forgets it when the receiver ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Newest {
    /// The upstream's end.
    pub(super) end: Lsn,
    /// When it said so, on this machine's clock.
    pub(super) at: Mono,
}

/// One look at a standby.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    /// Everything up to here is on disk.
    pub(super) received: Lsn,
    /// Everything up to here is visible.
    pub(super) replayed: Lsn,
    /// The upstream's end, as last heard.
    pub(super) newest: Option<Newest>,
    /// Changes arrive now.
    pub(super) streaming: bool,
    /// Age of the newest replayed commit.
    pub(super) replayed_commit_age: Option<Duration>,
    /// The newest visible sentinel.
    pub(super) sentinel: Option<Sentinel>,
    /// Now.
    pub(super) now: Mono,
    /// Now, for sentinels, which carry the writer's wall clock.
    pub(super) wall: Wall,
}

/// The lag that the figures show.
pub(super) fn lag(f: &Figures) -> Lag {
    let age = f.newest.map(|n| f.now.since(n.at));
    let caught_up = f.newest.filter(|n| f.replayed >= n.end).and(age);
    // One from the future was written by another clock than ours: it is no bound.
    let sentinel = f.sentinel.and_then(|s| f.wall.checked_since(s.written));
    Lag {
        received_bytes: f.newest.map(|n| n.end.0.saturating_sub(f.received.0)),
        replay_bytes: Some(f.received.0.saturating_sub(f.replayed.0)),
        seconds_ms: [caught_up, sentinel, f.replayed_commit_age].into_iter().flatten().min(),
        quality: if f.streaming { LagQuality::Exact } else { LagQuality::UpperBound },
        age_ms: age.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        Figures {
            received: Lsn(1_000),
            replayed: Lsn(900),
            newest: Some(Newest { end: Lsn(1_200), at: Mono(Duration::from_secs(99)) }),
            streaming: true,
            replayed_commit_age: Some(Duration::from_secs(4)),
            sentinel: None,
            now: Mono(Duration::from_secs(100)),
            wall: Wall(50_000),
        }
    }

    #[test]
    fn bytes_are_counted_to_the_upstreams_last_word() {
        let lag = lag(&figures());
        assert_eq!((lag.received_bytes, lag.replay_bytes), (Some(200), Some(100)));
        assert_eq!((lag.age_ms, lag.quality), (Duration::from_secs(1), LagQuality::Exact));
    }

    #[test]
    fn an_idle_writer_is_not_lag() {
        let idle = Figures { received: Lsn(1_200), replayed: Lsn(1_200), ..figures() };
        assert_eq!(lag(&idle).seconds_ms, Some(Duration::from_secs(1)), "age of the upstream's last word");
        let behind = Figures { replayed_commit_age: Some(Duration::from_secs(3_600)), ..figures() };
        assert_eq!(lag(&behind).seconds_ms, Some(Duration::from_secs(3_600)), "work is there and not replayed");
    }

    #[test]
    fn the_newest_sentinel_bounds_the_seconds() {
        let sentinel = Some(Sentinel { number: 9, written: Wall(49_750) });
        assert_eq!(lag(&Figures { sentinel, ..figures() }).seconds_ms, Some(Duration::from_millis(250)));
    }

    #[test]
    fn a_sentinel_from_the_future_bounds_nothing() {
        let ahead = Figures { sentinel: Some(Sentinel { number: 9, written: Wall(50_001) }), ..figures() };
        assert_eq!(lag(&ahead).seconds_ms, lag(&figures()).seconds_ms);
    }

    #[test]
    fn nothing_is_said_of_an_upstream_that_was_never_heard() {
        let lag = lag(&Figures { newest: None, streaming: false, replayed_commit_age: None, ..figures() });
        assert_eq!((lag.received_bytes, lag.seconds_ms, lag.quality), (None, None, LagQuality::UpperBound));
    }
}
