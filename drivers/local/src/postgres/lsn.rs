//! PostgreSQL's words for a place in its history: LSN, timeline, and how two places stand to each other.
//!
//! Border: pure. Nothing outside this driver reads the text of a position.

use pilotlight_core::position::{Order, Position};
use std::fmt;
use std::str::FromStr;

/// A byte position in the write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Lsn(pub(super) u64);

impl FromStr for Lsn {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (high, low) = text.trim().split_once('/').ok_or(())?;
        let high = u32::from_str_radix(high, 16).map_err(|_| ())?;
        let low = u32::from_str_radix(low, 16).map_err(|_| ())?;
        Ok(Lsn(u64::from(high) << 32 | u64::from(low)))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// A place in the history of one system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// System identifier: the same for all copies that were ever made of one `initdb`.
    pub(super) system: String,
    /// Timeline: a promotion starts a new one.
    pub(super) timeline: u32,
    /// The byte position.
    pub(super) lsn: Lsn,
    /// Where the timeline began, where that was looked up: two of one number are told apart by it.
    pub(super) begun: Option<Lsn>,
}

impl Place {
    /// The same as an opaque position.
    pub(super) fn position(&self) -> Position {
        let begun = self.begun.map_or_else(String::new, |at| format!("@{:X}", at.0));
        Position {
            lineage: format!("{}/{}{begun}", self.system, self.timeline),
            value: self.lsn.to_string(),
            unit: "lsn".to_owned(),
        }
    }

    /// Reads what [`Place::position`] wrote.
    pub(super) fn read(position: &Position) -> Option<Place> {
        if position.unit != "lsn" {
            return None;
        }
        let (system, timeline) = position.lineage.rsplit_once('/')?;
        let (timeline, begun) = match timeline.split_once('@') {
            Some((timeline, begun)) => (timeline, Some(Lsn(u64::from_str_radix(begun, 16).ok()?))),
            None => (timeline, None),
        };
        let (timeline, lsn) = (timeline.parse().ok()?, position.value.parse().ok()?);
        Some(Place { system: system.to_owned(), timeline, lsn, begun })
    }
}

/// Where each timeline before the newest ended: the content of a `.history` file, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct History(pub(super) Vec<(u32, Lsn)>);

impl History {
    /// Reads a `.history` file; comments and empty lines are passed over.
    pub(super) fn read(text: &str) -> History {
        let line = |line: &str| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        };
        History(text.lines().filter(|l| !l.trim_start().starts_with('#')).filter_map(line).collect())
    }

    /// Where `timeline` was left, if it is one of the ancestors.
    pub(super) fn end_of(&self, timeline: u32) -> Option<Lsn> {
        self.0.iter().find(|(t, _)| *t == timeline).map(|(_, end)| *end)
    }

    /// Where the timeline whose history this is began; the first one began with the system.
    pub(super) fn begun(&self) -> Option<Lsn> {
        self.0.last().map(|(_, end)| *end)
    }

    /// Where an ancestor began.
    fn begun_of(&self, timeline: u32) -> Option<Lsn> {
        let at = self.0.iter().position(|(t, _)| *t == timeline)?;
        self.0.get(at.checked_sub(1)?).map(|(_, end)| *end)
    }
}

/// Both are known and not the same.
fn differ(a: Option<Lsn>, b: Option<Lsn>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a != b)
}

/// How `first` stands to `second`; `history` gives the ancestors of a timeline, `None` where they are not known here. Timelines
/// of one number that began at different places are two; where no place is told, or both are the same, they are taken for one.
pub(super) fn order(first: &Place, second: &Place, history: impl Fn(u32) -> Option<History>) -> Order {
    if first.system != second.system {
        return Order::Diverged;
    }
    if first.timeline == second.timeline {
        if differ(first.begun, second.begun) {
            return Order::Diverged;
        }
        return match first.lsn.cmp(&second.lsn) {
            std::cmp::Ordering::Less => Order::Before,
            std::cmp::Ordering::Equal => Order::Equal,
            std::cmp::Ordering::Greater => Order::After,
        };
    }
    let (old, new, turned) =
        if first.timeline < second.timeline { (first, second, false) } else { (second, first, true) };
    let Some(ancestors) = history(new.timeline).filter(|known| !differ(known.begun(), new.begun)) else {
        return Order::Unknown;
    };
    if differ(ancestors.begun_of(old.timeline), old.begun) {
        return Order::Diverged;
    }
    match ancestors.end_of(old.timeline) {
        // The end of the old timeline is the start of the new one: a place there is before or at the same point.
        Some(end) if old.lsn <= end && old.lsn == new.lsn => Order::Equal,
        Some(end) if old.lsn <= end && turned => Order::After,
        Some(end) if old.lsn <= end => Order::Before,
        _ => Order::Diverged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(timeline: u32, lsn: &str) -> Place {
        Place { system: "7".to_owned(), timeline, lsn: lsn.parse().unwrap(), begun: None }
    }

    #[test]
    fn an_lsn_is_read_and_written_as_postgresql_does() {
        for text in ["0/0", "0/3000148", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            assert_eq!(text.parse::<Lsn>().unwrap().to_string(), text);
        }
        for text in ["", "0", "0/", "/1", "0/100000000", "G/1"] {
            assert!(text.parse::<Lsn>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_position_comes_back_as_it_went() {
        let place = place(3, "1/20");
        assert_eq!(Place::read(&place.position()), Some(place.clone()));
        assert_eq!(place.position().lineage, "7/3");
        let begun = Place { begun: Some(Lsn(0x100_0000_0300)), ..place.clone() };
        assert_eq!(Place::read(&begun.position()), Some(begun));
        assert_eq!(Place::read(&Position { unit: "offset".to_owned(), ..place.position() }), None);
    }

    #[test]
    fn places_are_ordered_along_the_history_and_never_across_a_fork() {
        let history = |t| (t == 2).then(|| History::read("1\t0/300\tno recovery target specified\n"));
        assert_eq!(order(&place(1, "0/100"), &place(1, "0/200"), history), Order::Before);
        assert_eq!(order(&place(1, "0/300"), &place(2, "0/400"), history), Order::Before);
        assert_eq!(order(&place(2, "0/400"), &place(1, "0/300"), history), Order::After);
        assert_eq!(order(&place(1, "0/300"), &place(2, "0/300"), history), Order::Equal);
        assert_eq!(order(&place(1, "0/301"), &place(2, "0/400"), history), Order::Diverged);
        assert_eq!(order(&place(1, "0/100"), &place(3, "0/400"), history), Order::Unknown);
        let foreign = Place { system: "8".to_owned(), ..place(1, "0/100") };
        assert_eq!(order(&foreign, &place(1, "0/100"), history), Order::Diverged);
    }
    #[test]
    fn timelines_of_one_number_are_ordered_only_where_they_are_one() {
        let begun = |timeline, lsn: &str, at: &str| Place { begun: at.parse().ok(), ..place(timeline, lsn) };
        let history = |t| (t == 3).then(|| History::read("1\t0/300\tx\n2\t0/500\tx\n"));
        assert_eq!(order(&begun(2, "0/400", "0/300"), &begun(2, "0/450", "0/300"), history), Order::Before);
        assert_eq!(order(&begun(2, "0/400", "0/300"), &begun(2, "0/450", "0/310"), history), Order::Diverged);
        assert_eq!(order(&begun(2, "0/400", "0/300"), &place(2, "0/450"), history), Order::Before, "not told");
        assert_eq!(order(&begun(2, "0/400", "0/300"), &begun(3, "0/600", "0/500"), history), Order::Before);
        assert_eq!(order(&begun(2, "0/400", "0/310"), &begun(3, "0/600", "0/500"), history), Order::Diverged);
        assert_eq!(
            order(&place(1, "0/100"), &begun(3, "0/600", "0/510"), history),
            Order::Unknown,
            "not the 3 known here"
        );
    }
}
