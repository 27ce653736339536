//! What one lost change is to the new writer, from the change and what the new writer holds of that row.
//!
//! Invariant: a row that the new writer has changed since the fork, or whose past is not known, is never overwritten: the
//! change is conflicting and stays listed.

use super::{Change, Datum, Kind, Row};
use serde::{Deserialize, Serialize};

/// What a lost change is to the new writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The new writer does not have it, and it can be applied again.
    Absent,
    /// The new writer has it.
    Identical,
    /// A later lost change of the same row is on the new writer already: nothing is left to do.
    Superseded,
    /// The row is another one on the new writer by now; a person decides.
    Conflicting,
    /// A row it refers to is not on the new writer.
    ForeignKeyMissing,
    /// It cannot be told which row it was, or it is no change of a row.
    NotCovered,
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Class::Absent => "absent",
            Class::Identical => "identical",
            Class::Superseded => "superseded",
            Class::Conflicting => "conflicting",
            Class::ForeignKeyMissing => "foreign key missing",
            Class::NotCovered => "not covered",
        })
    }
}

impl Class {
    /// A transaction with such a change is not applied.
    pub fn holds(self) -> bool {
        matches!(self, Class::Conflicting | Class::ForeignKeyMissing | Class::NotCovered)
    }
}

/// A class with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classified {
    /// The class.
    pub class: Class,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

impl Classified {
    /// A class with its reason.
    pub fn new(class: Class, why: impl Into<String>) -> Self {
        Self { class, why: why.into() }
    }
}

/// What the new writer holds under the key of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The row, if there is one.
    pub row: Option<Row>,
    /// It was written since the fork by somebody else than this bundle, or that is not known.
    pub since_fork: bool,
    /// The new writer showed the end of this row's lost changes before any of them was applied; and whether this is the
    /// last of them.
    pub settled: Option<bool>,
}

/// The decision.
pub fn classify(change: &Change, seen: &Seen) -> Classified {
    if change.kind == Kind::Truncate {
        return Classified::new(Class::NotCovered, "all rows were removed at once: look at the table by hand");
    }
    if change.key.is_none() {
        return Classified::new(
            Class::NotCovered,
            "no primary key or replica identity names its row, so it cannot be found again",
        );
    }
    match seen.settled {
        Some(true) => return Classified::new(Class::Identical, ""),
        Some(false) => return Classified::new(Class::Superseded, "a later change of the row is there"),
        None => {}
    }
    match (change.kind, &seen.row) {
        (Kind::Insert, None) | (Kind::Truncate, _) => Classified::new(Class::Absent, ""),
        (Kind::Delete, None) => Classified::new(Class::Identical, ""),
        (Kind::Update, None) => Classified::new(Class::Conflicting, "the row is not there any more"),
        (Kind::Insert | Kind::Update, Some(row)) if is_as_left(change, row) => Classified::new(Class::Identical, ""),
        (Kind::Insert, Some(_)) => Classified::new(Class::Conflicting, "another row has this key"),
        (Kind::Update | Kind::Delete, Some(_)) if seen.since_fork => {
            Classified::new(Class::Conflicting, "the row was changed on the new writer since the fork")
        }
        (Kind::Update | Kind::Delete, Some(_)) => Classified::new(Class::Absent, ""),
    }
}

/// The row is as the change left it, as far as the log tells.
pub(super) fn is_as_left(change: &Change, row: &Row) -> bool {
    let known = |new: &Row| new.iter().all(|(name, value)| is_same(value, row.get(name)));
    change.new.as_ref().is_some_and(known)
}

fn is_same(left: &Datum, found: Option<&Datum>) -> bool {
    match left {
        Datum::Unchanged { .. } => true,
        // A column that was dropped since holds nothing any more.
        Datum::Null => found.is_none_or(|f| *f == Datum::Null),
        Datum::Text(_) => found == Some(left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pairs: &[(&str, &str)]) -> Row {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), Datum::Text((*v).to_owned()))).collect()
    }

    fn change(kind: Kind, new: Option<Row>) -> Change {
        Change {
            transaction: 1,
            position: "0/1".into(),
            at: None,
            schema: "public".into(),
            table: "t".into(),
            kind,
            key: Some(row(&[("id", "1")])),
            old: None,
            new,
        }
    }

    fn seen(row: Option<Row>, since_fork: bool) -> Seen {
        Seen { row, since_fork, settled: None }
    }

    #[test]
    fn every_kind_against_every_row() {
        let (a, b) = (row(&[("id", "1"), ("v", "a")]), row(&[("id", "1"), ("v", "b")]));
        let insert = change(Kind::Insert, Some(a.clone()));
        let update = change(Kind::Update, Some(a.clone()));
        let delete = change(Kind::Delete, None);
        let table = [
            (&insert, None, false, Class::Absent),
            (&insert, Some(&a), true, Class::Identical),
            (&insert, Some(&b), false, Class::Conflicting),
            (&update, None, false, Class::Conflicting),
            (&update, Some(&a), true, Class::Identical),
            (&update, Some(&b), false, Class::Absent),
            (&update, Some(&b), true, Class::Conflicting),
            (&delete, None, false, Class::Identical),
            (&delete, Some(&b), false, Class::Absent),
            (&delete, Some(&b), true, Class::Conflicting),
        ];
        for (change, found, since, expected) in table {
            let judged = classify(change, &seen(found.cloned(), since));
            assert_eq!(judged.class, expected, "{:?} on {found:?}, since the fork: {since}", change.kind);
        }
    }

    #[test]
    fn what_the_last_change_left_settles_the_ones_before() {
        let update = change(Kind::Update, Some(row(&[("v", "a")])));
        let settled = |last| Seen { row: Some(row(&[("v", "z")])), since_fork: true, settled: Some(last) };
        assert_eq!(classify(&update, &settled(true)).class, Class::Identical);
        assert_eq!(classify(&update, &settled(false)).class, Class::Superseded);
    }

    #[test]
    fn what_cannot_be_found_again_is_said() {
        let keyless = Change { key: None, ..change(Kind::Insert, None) };
        assert_eq!(classify(&keyless, &seen(None, false)).class, Class::NotCovered);
        assert_eq!(classify(&change(Kind::Truncate, None), &seen(None, false)).class, Class::NotCovered);
    }

    #[test]
    fn a_long_value_that_was_left_alone_is_no_difference() {
        let mut new = row(&[("id", "1"), ("v", "a")]);
        new.insert("big".into(), Datum::Unchanged { unchanged: true });
        new.insert("gone".into(), Datum::Null);
        let found = row(&[("id", "1"), ("v", "a"), ("big", "...")]);
        assert_eq!(classify(&change(Kind::Update, Some(new)), &seen(Some(found), true)).class, Class::Identical);
    }

    #[test]
    fn values_are_read_as_they_were_written() {
        let mut values = row(&[("v", "null")]);
        values.insert("n".into(), Datum::Null);
        values.insert("u".into(), Datum::Unchanged { unchanged: true });
        let text = serde_json::to_string(&values).unwrap();
        assert_eq!(text, r#"{"n":null,"u":{"unchanged":true},"v":"null"}"#);
        assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), values);
    }
}
