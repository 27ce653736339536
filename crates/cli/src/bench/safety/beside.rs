//! Ours beside the peers: one line for each case and each of them, with the same columns.

use super::OURS;
use super::judge::Round;
use pilotlight_core::measure::median;
use serde::Serialize;

/// All rounds of one case on one kind of pair. Times in seconds.
#[derive(Debug, Serialize)]
pub(super) struct Beside {
    case: String,
    of: String,
    n: usize,
    /// In so many of them the other side wrote afterwards.
    moved: usize,
    /// Of those that moved, as users saw it.
    outage: Option<Range>,
    /// The longest time without an acknowledgement to users.
    silence: Option<Range>,
    /// Above zero: one writer at a time.
    gap: Option<Range>,
    lost: Option<Range>,
    /// Of all rounds: lost rows that are in a rescue bundle.
    kept: u64,
    /// Rows that the old side acknowledged after the new one had begun and that are lost.
    dual: Option<Range>,
    /// Rounds after which both sides accepted writes, or something else worth a word.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// A median with its range.
#[derive(Debug, Clone, Copy, Serialize)]
struct Range {
    median: f64,
    least: f64,
    most: f64,
}

impl Range {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.collect();
        let least = values.iter().copied().reduce(f64::min)?;
        Some(Self { median: median(&values)?, least, most: values.iter().copied().reduce(f64::max)? })
    }

    fn show(self, digits: usize) -> String {
        let Self { median, least, most } = self;
        if least.total_cmp(&most).is_eq() {
            return format!("{median:.digits$}");
        }
        format!("{median:.digits$} ({least:.digits$}-{most:.digits$})")
    }
}

/// In the order in which the cases came first, ours first in each.
pub(super) fn of(rounds: &[Round]) -> Vec<Beside> {
    let mut keys: Vec<(&str, &str)> = Vec::new();
    for round in rounds.iter().filter(|round| round.failed.is_none()) {
        let key = (round.case.as_str(), round.of.as_str());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let cases: Vec<&str> = keys.iter().map(|key| key.0).collect();
    let rank = |case: &str| cases.iter().position(|known| *known == case);
    keys.sort_by_key(|(case, of)| (rank(case), *of != OURS));
    let line = |(case, of): (&str, &str)| {
        let of_key = |round: &&Round| round.case == case && round.of == of && round.failed.is_none();
        line(case, of, &rounds.iter().filter(of_key).collect::<Vec<_>>())
    };
    // What only we play has nothing beside it.
    let alone = |case: &str| keys.iter().filter(|key| key.0 == case).count() < 2;
    keys.iter().copied().filter(|key| !alone(key.0)).map(line).collect()
}

fn line(case: &str, of: &str, rounds: &[&Round]) -> Beside {
    let seconds = |of: fn(&Round) -> Option<f64>| Range::of(rounds.iter().filter_map(|r| of(r)).map(|ms| ms / 1_000.0));
    #[allow(clippy::cast_precision_loss)] // rows of a benchmark
    let rows = |of: fn(&Round) -> u64| Range::of(rounds.iter().map(|r| of(r) as f64));
    let notes = rounds.iter().filter(|r| r.detail.contains("both accept")).map(|r| format!("{}: {}", r.n, r.detail));
    Beside {
        case: case.to_owned(),
        of: of.to_owned(),
        n: rounds.len(),
        moved: rounds.iter().filter(|r| r.moved).count(),
        outage: seconds(|r| r.outage_ms),
        silence: seconds(|r| Some(r.silence_ms)),
        // With what the old side did after a thaw, where something thawed.
        gap: seconds(|r| r.thaw_gap_ms.into_iter().chain(r.gap_ms).reduce(f64::min)),
        lost: rows(|r| r.lost),
        kept: rounds.iter().map(|r| r.lost.saturating_sub(r.missing)).sum(),
        dual: rows(|r| r.dual),
        notes: notes.collect(),
    }
}

/// For people; nothing without peers.
pub(super) fn show(lines: &[Beside], peers: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let head =
        ["fault", "of", "n", "moved", "outage s", "longest silence s", "guard gap s", "rows lost", "kept", "by two"];
    let mut text =
        format!("\nbeside peers: {}\n\n| {} |\n|{}\n", peers.join("; "), head.join(" | "), "---|".repeat(head.len()));
    let shown = |range: Option<Range>, digits| range.map_or_else(|| "-".to_owned(), |range: Range| range.show(digits));
    for line in lines {
        let Beside { case, of, n, moved, outage, silence, gap, lost, kept, dual, notes } = line;
        let mut by_two = shown(*dual, 0);
        if !notes.is_empty() {
            by_two.push_str(&format!("; both accepted writes in {} of {n}", notes.len()));
        }
        let (outage, silence, gap) = (shown(*outage, 2), shown(*silence, 2), shown(*gap, 2));
        let lost = shown(*lost, 0);
        text.push_str(&format!(
            "| {case} | {of} | {n} | {moved} | {outage} | {silence} | {gap} | {lost} | {kept} | {by_two} |\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(of: &str, case: &str, outage_ms: f64, lost: u64) -> Round {
        let (of, case) = (of.to_owned(), case.to_owned());
        Round { of, case, moved: true, outage_ms: Some(outage_ms), lost, missing: lost, ..Round::default() }
    }

    #[test]
    fn each_case_has_a_line_of_ours_and_of_each_peer() {
        let failed = Round { failed: Some("x".to_owned()), ..round("patroni", "cut", 1.0, 9) };
        let rounds = [
            round("patroni", "cut", 22_000.0, 430),
            round("pilotlight", "cut", 3_100.0, 0),
            round("pilotlight", "pause", 3_000.0, 0),
            round("pilotlight", "link", 10.0, 0),
            round("patroni", "link", 20.0, 0),
            round("patroni", "cut", 24_000.0, 400),
            failed,
        ];
        let lines = of(&rounds);
        let keys: Vec<_> = lines.iter().map(|l| (l.case.as_str(), l.of.as_str(), l.n)).collect();
        let wanted =
            [("cut", "pilotlight", 1), ("cut", "patroni", 2), ("link", "pilotlight", 1), ("link", "patroni", 1)];
        assert_eq!(keys, wanted, "a case that only we play is left out, a failed round counts for nothing");
        let text = show(&lines, &["patroni: 3.0.2".to_owned()]);
        assert!(
            text.contains("| cut | patroni | 2 | 2 | 23.00 (22.00-24.00) | 0.00 | - | 415 (400-430) | 0 | 0 |"),
            "{text}"
        );
        assert_eq!(show(&[], &[]), "");
    }
}
