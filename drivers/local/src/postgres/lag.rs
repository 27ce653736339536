//! How far a standby is behind, from what it knows itself: an idle writer is not lag.
//!
//! Border: pure arithmetic over one look. Seconds are the least of several upper bounds: the age of the newest sentinel, the
//! age of the newest replayed commit, and, when everything the upstream has was replayed, the age of the upstream's last word.
//!
//! All three carry the writer's wall clock, so they are held against that clock and not against ours: each word of the upstream
//! says what its clock showed when it left, and we know on our steady clock when it came. Two machines' clocks may differ by
//! anything. Without such a word since the agent's start there is no bound, and a person decides.
//!
//! Assumption, for each bound to be one: the writer's clock was not set back between the stamp and the word ([`Afar`]), and the
//! word was not under way for long; a bound is short by as much as it was. What lies ahead of that clock bounds nothing.

use super::lsn::Lsn;
use pilotlight_core::observation::Sentinel;
use pilotlight_core::position::{Lag, LagQuality};
use pilotlight_core::time::{Mono, Wall};
use std::time::Duration;

/// What was replayed after the newest word came is stamped later than that word.
const SLACK: Duration = Duration::from_secs(1);

/// What was heard of the upstream, kept because the server forgets it when the receiver ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Its newest end.
    pub(super) newest: Option<Newest>,
    /// Its clock.
    pub(super) afar: Option<Afar>,
}

/// The newest end of the upstream that was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Newest {
    /// The upstream's end.
    pub(super) end: Lsn,
    /// When it said so, on its own clock.
    pub(super) said: Option<Wall>,
}

/// The writer's wall clock, as far as it can be known here: it showed this when a word left, which came then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Afar {
    /// What it showed.
    pub(super) shown: Wall,
    /// When that came, on this machine's steady clock.
    pub(super) at: Mono,
}

impl Afar {
    /// The least that it can show now.
    fn shows(self, now: Mono) -> Wall {
        let since = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        Wall(self.shown.0.saturating_add(since))
    }

    /// How old a stamp of that clock is; nothing of one that lies ahead of it.
    fn age_of(self, stamp: Wall, now: Mono) -> Option<Duration> {
        let shows = self.shows(now);
        (stamp.since(shows) <= SLACK).then(|| shows.since(stamp))
    }
}

/// One look at a standby.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    /// Everything up to here is on disk.
    pub(super) received: Lsn,
    /// Everything up to here is visible.
    pub(super) replayed: Lsn,
    /// What was heard of the upstream.
    pub(super) heard: Heard,
    /// Changes arrive now.
    pub(super) streaming: bool,
    /// When the newest replayed commit was made, on the writer's clock.
    pub(super) replayed_commit: Option<Wall>,
    /// The newest visible sentinel.
    pub(super) sentinel: Option<Sentinel>,
    /// Now.
    pub(super) now: Mono,
}

/// The lag that the figures show.
pub(super) fn lag(f: &Figures) -> Lag {
    let Heard { newest, afar } = f.heard;
    let age_of = |stamp: Wall| afar?.age_of(stamp, f.now);
    let said = newest.and_then(|n| age_of(n.said?));
    let caught_up = newest.filter(|n| f.replayed >= n.end).and(said);
    let sentinel = f.sentinel.and_then(|s| age_of(s.written));
    let commit = f.replayed_commit.and_then(age_of);
    Lag {
        received_bytes: newest.map(|n| n.end.0.saturating_sub(f.received.0)),
        replay_bytes: Some(f.received.0.saturating_sub(f.replayed.0)),
        seconds_ms: [caught_up, sentinel, commit].into_iter().flatten().min(),
        quality: if f.streaming { LagQuality::Exact } else { LagQuality::UpperBound },
        age_ms: said.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The writer's clock shows 50 s now; what ours shows plays no part.
    const WRITER: u64 = 50_000;

    fn figures() -> Figures {
        Figures {
            received: Lsn(1_000),
            replayed: Lsn(900),
            heard: Heard {
                newest: Some(Newest { end: Lsn(1_200), said: Some(Wall(WRITER - 1_000)) }),
                afar: Some(Afar { shown: Wall(WRITER - 500), at: Mono(Duration::from_millis(99_500)) }),
            },
            streaming: true,
            replayed_commit: Some(Wall(WRITER - 4_000)),
            sentinel: None,
            now: Mono(Duration::from_secs(100)),
        }
    }

    fn sentinel(written: u64) -> Option<Sentinel> {
        Some(Sentinel { number: 9, written: Wall(written) })
    }

    fn seconds(figures: &Figures) -> Option<u128> {
        lag(figures).seconds_ms.map(|s| s.as_millis())
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
        assert_eq!(seconds(&idle), Some(1_000), "age of the upstream's last word");
        let behind = Figures { replayed_commit: Some(Wall(WRITER - 40_000)), ..figures() };
        assert_eq!(seconds(&behind), Some(40_000), "work is there and not replayed");
    }

    #[test]
    fn the_newest_sentinel_bounds_the_seconds() {
        assert_eq!(seconds(&Figures { sentinel: sentinel(WRITER - 250), ..figures() }), Some(250));
    }

    #[test]
    fn a_stamp_from_the_future_bounds_nothing() {
        let ahead = Figures { sentinel: sentinel(WRITER + 1_001), ..figures() };
        assert_eq!(seconds(&ahead), seconds(&figures()));
        let all = Figures { replayed_commit: Some(Wall(WRITER + 1_001)), ..ahead };
        assert_eq!(seconds(&all), None, "the writer's clock was set back: nothing says how far it is behind");
        let just = Figures { sentinel: sentinel(WRITER + 3), ..figures() };
        assert_eq!(seconds(&just), Some(0), "it was replayed after the newest word came");
    }

    #[test]
    fn the_time_since_the_last_word_is_counted_on_our_steady_clock() {
        let later = Mono(Duration::from_secs(112));
        let lost = Figures { now: later, streaming: false, ..figures() };
        assert_eq!(seconds(&lost), Some(16_000), "4 s and the 12 s since");
        let caught_up = Figures { received: Lsn(1_200), replayed: Lsn(1_200), ..lost };
        assert_eq!(seconds(&caught_up), Some(13_000));
    }

    #[test]
    fn nothing_is_said_of_an_upstream_that_was_never_heard() {
        let never = Figures { heard: Heard::default(), streaming: false, sentinel: sentinel(WRITER), ..figures() };
        let lag = lag(&never);
        assert_eq!((lag.received_bytes, lag.seconds_ms, lag.quality), (None, None, LagQuality::UpperBound));
        let heard = Heard { afar: None, ..figures().heard };
        assert_eq!(seconds(&Figures { heard, ..figures() }), None, "its clock is not known");
    }
}
