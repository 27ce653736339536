//! What is left of each row after all its lost changes, and whether the new writer shows just that already.
//!
//! Border: pure. Changes of one row are a chain; a change of its key moves the chain to another key.

use super::pass::{Place, places};
use pilotlight_core::rescue::{Change, Datum, Kind, Row};
use ring::digest;
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Fates {
    /// The end of each row: its values as far as they are known, none when it is gone; and the last change that touched it.
    ends: BTreeMap<Place, (Option<Row>, usize)>,
    /// Rows each change touches.
    touched: Vec<Vec<Place>>,
    settled: BTreeSet<Place>,
    /// Keys that one row had one after the other belong together: settled is all of them or none.
    family: BTreeMap<Place, usize>,
    families: Vec<Vec<Place>>,
}

impl Fates {
    #[cfg(test)]
    fn of(changes: &[Change]) -> Fates {
        let mut fates = Fates::default();
        changes.iter().for_each(|change| fates.add(change));
        fates
    }

    /// The next change.
    pub(super) fn add(&mut self, change: &Change) {
        let index = self.touched.len();
        let all: Vec<Place> = places(change).collect();
        if let (Some(first), Some(last)) = (all.first(), all.last()) {
            let before = self.ends.get(first).and_then(|(row, _)| row.clone()).unwrap_or_default();
            let after = change.new.as_ref().filter(|_| change.kind != Kind::Delete);
            let after = after.map(|new| merged(&before, &sketch(new)));
            self.relate(first, last);
            if first != last {
                self.ends.insert(first.clone(), (None, index));
            }
            self.ends.insert(last.clone(), (after, index));
        }
        self.touched.push(all);
    }

    fn relate(&mut self, first: &Place, last: &Place) {
        let mut family_of = |place: &Place| {
            *self.family.entry(place.clone()).or_insert_with(|| {
                self.families.push(vec![place.clone()]);
                self.families.len() - 1
            })
        };
        let (into, from) = (family_of(first), family_of(last));
        if into != from {
            let moved = std::mem::take(&mut self.families[from]);
            self.family.extend(moved.iter().map(|place| (place.clone(), into)));
            self.families[into].extend(moved);
        }
    }

    /// Every row that was touched.
    pub(super) fn places(&self) -> Vec<Place> {
        self.ends.keys().cloned().collect()
    }

    /// The new writer shows this row, or none, under that key.
    pub(super) fn compare(&mut self, place: &Place, row: Option<&Row>) {
        let same = |end: &Row, row: &Row| {
            end.iter().all(|(name, value)| match value {
                Datum::Unchanged { .. } => true,
                Datum::Null => row.get(name).is_none_or(|v| *v == Datum::Null),
                Datum::Text(_) => row.get(name) == Some(value),
            })
        };
        let row = row.map(sketch);
        let settled = match (self.ends.get(place), &row) {
            (Some((None, _)), None) => true,
            (Some((Some(end), _)), Some(row)) => same(end, row),
            _ => false,
        };
        if settled {
            self.settled.insert(place.clone());
        }
    }

    /// Whether the end of all rows of this change is there, and if so, whether it was the last change of one of them.
    pub(super) fn settled(&self, index: usize) -> Option<bool> {
        let all = self.touched.get(index).filter(|all| !all.is_empty())?;
        let family = self.family.get(all.first()?).and_then(|f| self.families.get(*f))?;
        if !family.iter().all(|place| self.settled.contains(place)) {
            return None;
        }
        Some(all.iter().any(|place| self.ends.get(place).is_some_and(|(_, last)| *last == index)))
    }
}

/// A value that is longer is remembered by its hash.
const REMEMBERED: usize = 256;

/// A row in little room: equal rows have equal ones.
fn sketch(row: &Row) -> Row {
    let value = |datum: &Datum| match datum {
        Datum::Text(text) if text.len() > REMEMBERED => {
            let hash = digest::digest(&digest::SHA256, text.as_bytes());
            let hex: String = hash.as_ref().iter().map(|b| format!("{b:02x}")).collect();
            Datum::Text(format!("long {} {hex}", text.len()))
        }
        // No short text is taken for a long one.
        Datum::Text(text) => Datum::Text(format!("text {text}")),
        other => other.clone(),
    };
    row.iter().map(|(name, datum)| (name.clone(), value(datum))).collect()
}

/// A long value that was left alone keeps what an earlier change gave it.
fn merged(before: &Row, new: &Row) -> Row {
    let value = |name: &String, value: &Datum| match value {
        Datum::Unchanged { .. } => before.get(name).unwrap_or(value).clone(),
        other => other.clone(),
    };
    new.iter().map(|(name, v)| (name.clone(), value(name, v))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pairs: &[(&str, &str)]) -> Row {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), Datum::Text((*v).to_owned()))).collect()
    }

    fn change(kind: Kind, key: &str, new: Option<Row>) -> Change {
        Change {
            transaction: 1,
            position: String::new(),
            at: None,
            schema: "public".into(),
            table: "t".into(),
            kind,
            key: Some(row(&[("id", key)])),
            old: None,
            new,
        }
    }

    fn at(key: &str) -> Place {
        ("public".into(), "t".into(), row(&[("id", key)]))
    }

    #[test]
    fn only_the_last_change_of_a_row_counts() {
        let changes = [
            change(Kind::Insert, "1", Some(row(&[("id", "1"), ("v", "a")]))),
            change(Kind::Update, "1", Some(row(&[("id", "1"), ("v", "b")]))),
            change(Kind::Insert, "2", Some(row(&[("id", "2")]))),
            change(Kind::Delete, "2", None),
        ];
        let mut fates = Fates::of(&changes);
        fates.compare(&at("1"), Some(&row(&[("id", "1"), ("v", "b")])));
        fates.compare(&at("2"), None);
        let settled: Vec<_> = (0..4).map(|i| fates.settled(i)).collect();
        assert_eq!(settled, [Some(false), Some(true), Some(false), Some(true)]);
        let mut other = Fates::of(&changes);
        other.compare(&at("1"), Some(&row(&[("id", "1"), ("v", "a")])));
        assert_eq!(other.settled(0), None, "the row is on its way, not at its end");
    }

    #[test]
    fn a_row_that_moved_to_another_key_is_two() {
        let changes = [change(Kind::Update, "1", Some(row(&[("id", "7"), ("v", "a")])))];
        let mut fates = Fates::of(&changes);
        fates.compare(&at("7"), Some(&row(&[("id", "7"), ("v", "a")])));
        assert_eq!(fates.settled(0), None, "the old key may still be there");
        fates.compare(&at("1"), None);
        assert_eq!(fates.settled(0), Some(true));
    }

    #[test]
    fn a_row_that_will_move_is_not_settled_because_its_first_key_is_free() {
        let changes = [
            change(Kind::Insert, "1", Some(row(&[("id", "1")]))),
            change(Kind::Update, "1", Some(row(&[("id", "7")]))),
        ];
        let mut fates = Fates::of(&changes);
        fates.compare(&at("1"), None);
        assert_eq!((fates.settled(0), fates.settled(1)), (None, None));
        fates.compare(&at("7"), Some(&row(&[("id", "7")])));
        assert_eq!((fates.settled(0), fates.settled(1)), (Some(false), Some(true)));
    }

    #[test]
    fn a_long_value_is_remembered_through_the_chain() {
        let mut second = row(&[("id", "1"), ("v", "b")]);
        second.insert("big".into(), Datum::Unchanged { unchanged: true });
        let first = row(&[("id", "1"), ("v", "a"), ("big", "x")]);
        let changes = [change(Kind::Insert, "1", Some(first)), change(Kind::Update, "1", Some(second))];
        let mut fates = Fates::of(&changes);
        fates.compare(&at("1"), Some(&row(&[("id", "1"), ("v", "b"), ("big", "y")])));
        assert_eq!(fates.settled(1), None);
    }

    #[test]
    fn a_long_value_is_compared_by_all_of_it() {
        let (long, other) = (format!("{}a", "x".repeat(10_000)), format!("{}b", "x".repeat(10_000)));
        let changes = [change(Kind::Insert, "1", Some(row(&[("id", "1"), ("v", &long)])))];
        for (there, settled) in [(&long, Some(true)), (&other, None)] {
            let mut fates = Fates::of(&changes);
            fates.compare(&at("1"), Some(&row(&[("id", "1"), ("v", there)])));
            assert_eq!(fates.settled(0), settled);
        }
        let remembered = sketch(&row(&[("v", &long)]));
        let mut fates = Fates::of(&changes);
        let Datum::Text(hash) = &remembered["v"] else { panic!("{remembered:?}") };
        fates.compare(&at("1"), Some(&row(&[("id", "1"), ("v", hash)])));
        assert_eq!(fates.settled(0), None, "the text of the hash is not the value");
    }
}
