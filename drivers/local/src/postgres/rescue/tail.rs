//! Which part of a stopped copy's log only that copy has, and whether all of it is still there.
//!
//! Border: pure, but for the list of segments it is given.

use super::super::lsn::{History, Lsn};
use std::path::PathBuf;

/// A segment: timeline, number within the log, path.
pub(super) type Segment = (u32, u64, PathBuf);

/// A stretch of one timeline that only this copy has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) timeline: u32,
    pub(super) from: Lsn,
    /// Where the next timeline left it, or where the log ends.
    pub(super) until: Lsn,
}

/// The timelines after the fork, oldest first: `history` is that of the copy's own timeline `own`.
pub(super) fn pieces(fork: (u32, Lsn), own: u32, history: &History, end: Lsn) -> Vec<Piece> {
    let mut left: Vec<(u32, Lsn)> = history.0.iter().filter(|(t, _)| *t >= fork.0).copied().collect();
    left.push((own, end));
    let mut from = fork.1;
    let mut pieces = Vec::new();
    for (timeline, until) in left {
        if until > from {
            pieces.push(Piece { timeline, from, until });
            from = until;
        }
    }
    pieces
}

/// The segments that the pieces need, and where the first gap is: from, and to what is there again after it.
pub(super) fn needed(
    pieces: &[Piece],
    segments: &[Segment],
    segment_bytes: u64,
) -> (Vec<Segment>, Option<(Lsn, Option<Lsn>)>) {
    let mut found: Vec<Segment> = Vec::new();
    let mut gap: Option<(Lsn, Option<Lsn>)> = None;
    for piece in pieces {
        for number in piece.from.0 / segment_bytes..=(piece.until.0 - 1) / segment_bytes {
            match segments.iter().find(|(t, n, _)| (*t, *n) == (piece.timeline, number)) {
                Some(segment) => {
                    if let Some((_, until @ None)) = &mut gap {
                        *until = Some(Lsn(number * segment_bytes));
                    }
                    found.push(segment.clone());
                }
                None => gap = gap.or(Some((Lsn(piece.from.0.max(number * segment_bytes)), None))),
            }
        }
    }
    found.dedup();
    (found, gap)
}

/// The usual length of a page of the log.
const PAGE: u64 = 8_192;

/// Where to go on with a piece that could not be read from `hole` on, nor from `tried`: a page further, then at places ever
/// further apart; beyond its segment, at the next one that is there.
pub(super) fn again(piece: &Piece, (hole, tried): (Lsn, Lsn), segments: &[Segment], segment_bytes: u64) -> Option<Lsn> {
    let here = tried.0 / segment_bytes;
    let next = tried.0 + (tried.0 - hole.0).max(PAGE);
    let next = next - next % PAGE;
    let mut there = segments.iter().filter(|(timeline, ..)| *timeline == piece.timeline).map(|s| s.1);
    let next = match next / segment_bytes == here && there.clone().any(|number| number == here) {
        true => Some(next),
        false => there.find(|number| *number > here).map(|number| number * segment_bytes),
    };
    next.map(Lsn).filter(|next| *next < piece.until)
}

/// Segments of a timeline before the one that holds `at`, the nearest first, without a gap.
pub(super) fn before(timeline: u32, at: Lsn, segments: &[Segment], segment_bytes: u64) -> Vec<Segment> {
    let mut wanted = at.0 / segment_bytes;
    let mut found = Vec::new();
    for segment in segments.iter().rev().filter(|(t, n, _)| *t == timeline && *n < at.0 / segment_bytes) {
        if segment.1 + 1 != wanted {
            break;
        }
        wanted = segment.1;
        found.push(segment.clone());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(all: &[(u32, u64)]) -> Vec<Segment> {
        all.iter().map(|(t, n)| (*t, *n, PathBuf::from(format!("{t}-{n}")))).collect()
    }

    #[test]
    fn a_copy_that_left_several_timelines_behind_has_a_piece_of_each() {
        let history = History(vec![(1, Lsn(450)), (2, Lsn(600))]);
        let own = pieces((1, Lsn(400)), 3, &history, Lsn(700));
        let piece = |timeline, from, until| Piece { timeline, from: Lsn(from), until: Lsn(until) };
        assert_eq!(own, [piece(1, 400, 450), piece(2, 450, 600), piece(3, 600, 700)]);
        assert_eq!(pieces((1, Lsn(400)), 1, &History::default(), Lsn(400)), [], "nothing after the fork");
    }

    #[test]
    fn a_gap_is_found_wherever_it_is() {
        let piece = [Piece { timeline: 1, from: Lsn(450), until: Lsn(700) }];
        let ask = |all: &[(u32, u64)]| needed(&piece, &has(all), 100);
        let (found, gap) = ask(&[(1, 3), (1, 4), (1, 5), (1, 6), (1, 7)]);
        assert_eq!((found.len(), gap), (3, None), "a segment that begins at the end is not needed");
        assert_eq!(ask(&[(1, 5), (1, 6)]).1, Some((Lsn(450), Some(Lsn(500)))));
        assert_eq!(ask(&[(1, 4), (1, 6)]).1, Some((Lsn(500), Some(Lsn(600)))));
        assert_eq!(ask(&[]).1, Some((Lsn(450), None)));
        assert_eq!(ask(&[(2, 4), (2, 5), (2, 6)]).1, Some((Lsn(450), None)), "another timeline is no substitute");
    }

    #[test]
    fn after_a_hole_it_is_gone_on_further_and_further_away() {
        let segment = 16 * PAGE;
        let piece = Piece { timeline: 1, from: Lsn(100), until: Lsn(3 * segment + 5 * PAGE) };
        let tried = |hole: u64, there: &[(u32, u64)]| {
            let mut tried = vec![Lsn(hole)];
            while let Some(next) = again(&piece, (Lsn(hole), *tried.last().unwrap()), &has(there), segment) {
                tried.push(next);
            }
            tried[1..].iter().map(|at| at.0 / PAGE).collect::<Vec<_>>()
        };
        let all = [(1, 0), (1, 1), (1, 2), (1, 3)];
        assert_eq!(tried(PAGE + 100, &all), [2, 3, 4, 6, 10, 16, 30, 32, 48], "pages");
        assert_eq!(tried(17 * PAGE, &all), [18, 19, 21, 25, 32, 47, 48]);
        assert_eq!(tried(segment, &[(1, 0), (1, 3)]), [48], "a segment that is not there is passed over");
        assert_eq!(tried(segment, &[(1, 0), (2, 2)]), [0; 0], "another timeline is no substitute");
        assert_eq!(tried(3 * segment + 4 * PAGE, &all), [0; 0], "it is never gone on behind the end");
    }

    #[test]
    fn segments_before_the_fork_are_taken_without_a_gap() {
        let all = has(&[(1, 1), (1, 3), (1, 4), (1, 5), (2, 4)]);
        let numbers: Vec<u64> = before(1, Lsn(550), &all, 100).iter().map(|s| s.1).collect();
        assert_eq!(numbers, [4, 3]);
    }
}
