//! How a copy comes to follow its upstream: as it is, rewound, or built anew.
//!
//! Border: pure. The choice follows from where the copy ends, where the upstream's history goes, and, where that was read, from
//! the logs themselves.
//!
//! A timeline's number is no name: two servers that are promoted from one copy both call theirs 2. PostgreSQL compares neither
//! their histories nor their logs; it would stream over the copy's own log, and `pg_rewind` finds nothing to do where the
//! numbers are equal. So histories are compared here, by number and place, and where those are equal too (both were promoted at
//! the same place) the logs.
//!
//! A copy of a foreign system and a copy that holds more than its upstream are left alone: a person has to look.

use super::lsn::{History, Lsn};
use super::upstream::Upstream;
use std::fmt;

/// The record of a shutdown checkpoint is shorter; a hand-over ends within it.
const CHECKPOINT_RECORD: u64 = 256;

/// Where a copy stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stand {
    /// Its system.
    pub(super) system: String,
    /// Its timeline and where it ends there; no LSN when the end cannot be read.
    pub(super) timeline: u32,
    pub(super) end: Option<Lsn>,
    /// The timelines before its own.
    pub(super) history: History,
    /// It lies as a writer left it, so it may hold what nobody else does.
    pub(super) wrote: bool,
}

/// What a look into both logs said: the last stretch that both should have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// It is the same.
    Same,
    /// It is not.
    Differs,
    /// One of them does not have it any more, or it was not asked for.
    Untold,
}

/// How it becomes a standby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// As it is.
    Follow,
    /// It went its own way after this point.
    Rewind { timeline: u32, from: Lsn },
    /// The same, and it cannot be rewound: what it holds after the point is kept, then it is built from nothing.
    Replace { timeline: u32, from: Lsn, why: String },
    /// From nothing; it holds nothing of its own.
    Build { why: String },
    /// Not by a program.
    Refuse { why: String },
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Follow => f.write_str("follow as it is"),
            Way::Rewind { timeline, from } => write!(f, "rewind from {from} of timeline {timeline}"),
            Way::Replace { timeline, from, why } => {
                write!(f, "keep what it holds from {from} of timeline {timeline}, then build anew: {why}")
            }
            Way::Build { why } => write!(f, "build anew: {why}"),
            Way::Refuse { why } => write!(f, "refuse: {why}"),
        }
    }
}

/// How far the copy's history is the upstream's.
enum Shared {
    /// The copy's own timeline is one of the upstream's, which ends or left it here.
    Timeline(Lsn),
    /// Up to here; after it each went its own way.
    Until(u32, Lsn),
    /// Nothing of it that is still known.
    Nothing,
}

fn shared(own: &Stand, upstream: &Upstream) -> Shared {
    let mut left = own.history.0.iter();
    let mut last = Shared::Nothing;
    for (timeline, until) in upstream.timelines() {
        match left.next() {
            None if timeline == own.timeline => return Shared::Timeline(until),
            None => return last,
            Some((number, _)) if *number != timeline => return last,
            Some((_, at)) if *at != until || timeline == upstream.end.timeline => {
                return Shared::Until(timeline, until.min(*at));
            }
            Some(_) => last = Shared::Until(timeline, until),
        }
    }
    last
}

/// The choice.
pub(super) fn way(own: Option<&Stand>, upstream: &Upstream, log: Log) -> Way {
    let Some(own) = own else { return Way::Build { why: "there is no database in its directory".to_owned() } };
    if own.system != upstream.end.system {
        let why = format!("it is a copy of another system ({}, not {})", own.system, upstream.end.system);
        return Way::Refuse { why };
    }
    match shared(own, upstream) {
        Shared::Timeline(left_at) if is_ours(own, left_at, log) => follow(own, upstream, left_at),
        Shared::Timeline(_) => match own.history.0.last() {
            Some((timeline, from)) => twin(own, (*timeline, *from)),
            None => Way::Refuse { why: "its log is not the upstream's, and both are of the first timeline".to_owned() },
        },
        // pg_rewind compares the numbers, and would find nothing to do.
        Shared::Until(timeline, from) if own.timeline == upstream.end.timeline => twin(own, (timeline, from)),
        Shared::Until(timeline, from) => Way::Rewind { timeline, from },
        // It may be the only copy of what was acknowledged on it: nothing of it would be kept.
        Shared::Nothing => {
            Way::Refuse { why: "its history and the upstream's have nothing in common that is still known".to_owned() }
        }
    }
}

/// The copy's timeline is the upstream's also by what was written on it. Where the logs do not tell, a standby got what it
/// has from somebody who has it, and a writer is believed where the upstream left its timeline just where it ends.
fn is_ours(own: &Stand, left_at: Lsn, log: Log) -> bool {
    let handed_over = |end: Lsn| left_at >= end && left_at.0 - end.0 <= CHECKPOINT_RECORD;
    match log {
        Log::Same => true,
        Log::Differs => false,
        Log::Untold => own.timeline == 1 || !own.wrote || own.end.is_some_and(handed_over),
    }
}

fn twin(own: &Stand, (timeline, from): (u32, Lsn)) -> Way {
    let number = own.timeline;
    let why = format!(
        "its timeline {number} is another than the upstream's of that number, and pg_rewind cannot tell them apart"
    );
    Way::Replace { timeline, from, why }
}

/// The upstream has the copy's timeline too, and left it, or ends, at `left_at`.
fn follow(own: &Stand, upstream: &Upstream, left_at: Lsn) -> Way {
    let is_the_upstreams = own.timeline == upstream.end.timeline;
    match own.end {
        Some(end) if end <= left_at && end < upstream.oldest => {
            Way::Build { why: format!("it ends at {end} and the upstream has WAL from {} on", upstream.oldest) }
        }
        Some(end) if end <= left_at => Way::Follow,
        // A copy cannot leave a timeline without starting another; should it still hold more, PostgreSQL refuses to stream.
        None if is_the_upstreams => Way::Follow,
        Some(end) if is_the_upstreams => {
            Way::Refuse { why: format!("it ends at {end} of the upstream's own timeline, which ends at {left_at}") }
        }
        _ => Way::Rewind { timeline: own.timeline, from: left_at },
    }
}

#[cfg(test)]
mod tests {
    use super::super::lsn::Place;
    use super::*;

    fn history(entries: &[(u32, u64)]) -> History {
        History(entries.iter().map(|(t, l)| (*t, Lsn(*l))).collect())
    }

    fn upstream(timeline: u32, end: u64, before: &[(u32, u64)]) -> Upstream {
        Upstream {
            end: Place { system: "7".to_owned(), timeline, lsn: Lsn(end), begun: None },
            history: history(before),
            oldest: Lsn(100),
            segment_bytes: 16 << 20,
            bytes: 0,
        }
    }

    fn stand(timeline: u32, end: Option<u64>, before: &[(u32, u64)]) -> Stand {
        Stand { system: "7".to_owned(), timeline, end: end.map(Lsn), history: history(before), wrote: false }
    }

    /// By the histories alone.
    fn way(own: Option<&Stand>, upstream: &Upstream) -> Way {
        super::way(own, upstream, Log::Untold)
    }

    #[test]
    fn a_copy_on_the_upstreams_history_follows() {
        assert_eq!(way(Some(&stand(1, Some(500), &[])), &upstream(2, 900, &[(1, 500)])), Way::Follow);
        assert_eq!(way(Some(&stand(2, Some(800), &[(1, 500)])), &upstream(2, 900, &[(1, 500)])), Way::Follow);
        let up = upstream(3, 900, &[(1, 500), (2, 700)]);
        assert_eq!(way(Some(&stand(2, Some(700), &[(1, 500)])), &up), Way::Follow);
    }

    #[test]
    fn a_copy_that_went_its_own_way_is_rewound_to_the_fork() {
        let up = upstream(2, 900, &[(1, 500)]);
        assert_eq!(way(Some(&stand(1, Some(501), &[])), &up), Way::Rewind { timeline: 1, from: Lsn(500) });
        assert_eq!(way(Some(&stand(1, None, &[])), &up), Way::Rewind { timeline: 1, from: Lsn(500) });
        for left in [450, 500, 550] {
            let from = Lsn(left.min(500));
            assert_eq!(way(Some(&stand(3, Some(700), &[(1, left)])), &up), Way::Rewind { timeline: 1, from }, "{left}");
        }
        let newer = stand(3, Some(800), &[(1, 500), (2, 700)]);
        assert_eq!(way(Some(&newer), &up), Way::Rewind { timeline: 2, from: Lsn(700) });
    }

    fn kept_from(way: &Way) -> Option<(u32, Lsn)> {
        match way {
            Way::Replace { timeline, from, .. } => Some((*timeline, *from)),
            _ => None,
        }
    }

    /// Two servers were promoted from one copy, each to its own timeline 2.
    #[test]
    fn equal_numbers_are_not_one_history() {
        let up = upstream(2, 900, &[(1, 500)]);
        for (left, fork) in [(450, 450), (550, 500)] {
            for end in [Some(800), Some(950), None] {
                let way = way(Some(&stand(2, end, &[(1, left)])), &up);
                assert_eq!(kept_from(&way), Some((1, Lsn(fork))), "left at {left}, ends at {end:?}: {way}");
            }
        }
        // One promotion later the numbers differ, and timeline 2 is still another.
        let up = upstream(3, 950, &[(1, 500), (2, 900)]);
        let twin = stand(2, Some(800), &[(1, 450)]);
        assert_eq!(way(Some(&twin), &up), Way::Rewind { timeline: 1, from: Lsn(450) });
        let later = stand(3, Some(800), &[(1, 500), (2, 600)]);
        assert_eq!(kept_from(&way(Some(&later), &up)), Some((2, Lsn(600))));
    }

    /// Both were promoted at the same place: only the logs tell them apart.
    #[test]
    fn equal_histories_are_one_only_if_the_logs_are() {
        for (up, number) in [(upstream(2, 900, &[(1, 500)]), 2), (upstream(3, 950, &[(1, 500), (2, 900)]), 2)] {
            for end in [Some(800), Some(920), None] {
                let own = stand(number, end, &[(1, 500)]);
                let way = super::way(Some(&own), &up, Log::Differs);
                assert_eq!(kept_from(&way), Some((1, Lsn(500))), "{end:?}: {way}");
            }
            let own = stand(number, Some(800), &[(1, 500)]);
            assert_eq!(super::way(Some(&own), &up, Log::Same), Way::Follow);
        }
        let first = stand(1, Some(800), &[]);
        assert!(matches!(super::way(Some(&first), &upstream(1, 900, &[]), Log::Differs), Way::Refuse { .. }));
    }

    #[test]
    fn a_writer_whose_log_cannot_be_compared_is_believed_only_where_it_handed_over() {
        let up = Upstream { oldest: Lsn(5_000), ..upstream(3, 9_000, &[(1, 500), (2, 2_000)]) };
        for (end, wrote, is_kept) in [
            (Some(2_000), true, false),
            (Some(1_900), true, false),
            (Some(1_500), true, true),
            (None, true, true),
            (Some(1_500), false, false),
        ] {
            let way = way(Some(&Stand { wrote, ..stand(2, end, &[(1, 500)]) }), &up);
            assert_eq!(kept_from(&way).is_some(), is_kept, "{end:?} wrote: {wrote}: {way}");
            assert!(is_kept || matches!(way, Way::Build { .. }), "{way}");
        }
    }

    #[test]
    fn a_copy_left_too_far_behind_is_built_anew() {
        assert!(matches!(way(Some(&stand(1, Some(99), &[])), &upstream(1, 900, &[])), Way::Build { .. }));
        assert!(matches!(way(None, &upstream(1, 900, &[])), Way::Build { .. }));
    }

    #[test]
    fn what_a_program_must_not_decide_is_refused() {
        let foreign = Stand { system: "8".to_owned(), ..stand(1, Some(200), &[]) };
        assert!(matches!(way(Some(&foreign), &upstream(1, 900, &[])), Way::Refuse { .. }));
        assert!(matches!(way(Some(&stand(5, Some(200), &[])), &upstream(2, 900, &[(1, 500)])), Way::Refuse { .. }));
        assert!(matches!(way(Some(&stand(1, Some(901), &[])), &upstream(1, 900, &[])), Way::Refuse { .. }));
        let unknown = stand(2, Some(600), &[]);
        assert!(
            matches!(way(Some(&unknown), &upstream(2, 900, &[(1, 500)])), Way::Refuse { .. }),
            "its history is gone"
        );
    }
}
