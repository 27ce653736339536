//! Lost changes as SQL: for people to review, and what an apply sends.

use pilotlight_core::rescue::{Change, Datum, Kind, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io;

/// A name as SQL writes it.
pub(super) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Schema and table as SQL writes them.
pub(super) fn table(schema: &str, table: &str) -> String {
    format!("{}.{}", ident(schema), ident(table))
}

/// A value as a literal of no type of its own: the column gives it one.
fn value(datum: &Datum) -> String {
    match datum {
        Datum::Null | Datum::Unchanged { .. } => "NULL".to_owned(),
        Datum::Text(text) => super::super::session::literal(text),
    }
}

/// Columns whose operator of equality the catalogue's schema does not have (`citext`): with its schema.
pub(super) type Equal = BTreeMap<String, String>;

/// `a = '1' AND b = '2'`; a key holds no NULL.
pub(super) fn condition(key: &Row, equal: &Equal) -> String {
    let is = |name: &String| equal.get(name).map_or("=", String::as_str);
    let term = |(name, datum): (&String, &Datum)| format!("{} {} {}", ident(name), is(name), value(datum));
    key.iter().map(term).collect::<Vec<_>>().join(" AND ")
}

/// A name in a comment, which ends with its line.
fn told(name: &str) -> String {
    name.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Values of a change that is no statement, in a comment: for whoever looks for the row by hand.
fn rows(change: &Change) -> String {
    let value = |datum: &Datum| match datum {
        Datum::Unchanged { .. } => "(as it was)".to_owned(),
        datum => value(datum),
    };
    let row =
        |row: &Row| row.iter().map(|(n, d)| format!("{} = {}", ident(n), value(d))).collect::<Vec<_>>().join(", ");
    let both = [("before", &change.old), ("after", &change.new)];
    both.iter().filter_map(|(when, of)| Some(format!("; {when}: {}", told(&row(of.as_ref()?))))).collect()
}

/// Columns of a table that the server fills itself.
#[derive(Debug, Default)]
pub(super) struct Filled {
    /// It computes them.
    pub(super) computed: BTreeSet<String>,
    /// It gives them numbers, always: an insert may insist on its own, an update may set none, not even the one that is there.
    pub(super) numbered: BTreeSet<String>,
}

impl Filled {
    /// Those that no statement of this change names. A number that an update did change is named, and the server refuses it:
    /// that is better than a change which is made in part. `before` is the row before the change, as far as it is known.
    pub(super) fn left_alone(&self, change: &Change, before: Option<&Row>) -> BTreeSet<String> {
        let known = |name: &String| before.and_then(|row| row.get(name));
        let same = |name: &String, new: &Row| known(name).is_none_or(|old| new.get(name) == Some(old));
        let new = change.new.as_ref().filter(|_| change.kind == Kind::Update);
        let numbered = self.numbered.iter().filter(|name| new.is_some_and(|new| same(name, new)));
        self.computed.iter().chain(numbered).cloned().collect()
    }
}

/// What the server fills, by schema and table.
pub(super) type AllFilled = BTreeMap<(String, String), Filled>;

/// The statement that does the change again. It says nothing of the columns in `left_alone`; nothing is left to say when an
/// update changes none but those.
pub(super) fn statement(change: &Change, left_alone: &BTreeSet<String>, equal: &Equal) -> Option<String> {
    let table = table(&change.schema, &change.table);
    let known = |row: &Row| -> Vec<(String, String)> {
        let told = row.iter().filter(|(n, d)| !left_alone.contains(*n) && !matches!(d, Datum::Unchanged { .. }));
        told.map(|(name, datum)| (ident(name), value(datum))).collect()
    };
    match (change.kind, &change.new, &change.key) {
        (Kind::Insert, Some(new), _) => {
            let (names, values): (Vec<String>, Vec<String>) = known(new).into_iter().unzip();
            let (names, values) = (names.join(", "), values.join(", "));
            Some(format!("INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values})"))
        }
        (Kind::Update, Some(new), Some(key)) => {
            let other: Row =
                new.iter().filter(|(n, d)| key.get(*n) != Some(*d)).map(|(n, d)| (n.clone(), d.clone())).collect();
            let set: Vec<String> = known(&other).into_iter().map(|(n, v)| format!("{n} = {v}")).collect();
            let set = set.join(", ");
            (!set.is_empty()).then(|| format!("UPDATE ONLY {table} SET {set} WHERE {}", condition(key, equal)))
        }
        (Kind::Delete, _, Some(key)) => Some(format!("DELETE FROM ONLY {table} WHERE {}", condition(key, equal))),
        _ => None,
    }
}

/// Every change, one transaction after the other, as a script to read.
pub(super) fn script(changes: &[Change], filled: &AllFilled, to: &mut dyn io::Write) -> io::Result<()> {
    to.write_all(
        b"-- What was acknowledged and never sent, in the order in which it was committed.\n\
          -- For reading: `pilotlight rescue apply` compares each change with what is there; this script does not.\n\
          SET session_replication_role = replica;\n\
          SET client_encoding = 'UTF8';\n\
          SET standard_conforming_strings = on;\n",
    )?;
    for transaction in changes.chunk_by(|a, b| a.transaction == b.transaction) {
        let Some(first) = transaction.first() else { continue };
        let at = first.at.map_or_else(|| "at an unknown time".to_owned(), pilotlight_core::time::show_wall);
        let mut text =
            format!("\n-- transaction {}, committed {at} at {}\nBEGIN;\n", first.transaction, first.position);
        for change in transaction {
            let filled = filled.get(&(change.schema.clone(), change.table.clone()));
            let left = filled.map(|filled| filled.left_alone(change, change.old.as_ref())).unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = match statement(change, &left, &Equal::new()) {
                Some(statement) => writeln!(text, "{statement};"),
                None => {
                    let name = told(&table(&change.schema, &change.table));
                    let rows = rows(change);
                    writeln!(text, "-- {:?} of {name}: the row cannot be found again{rows}", change.kind)
                }
            };
        }
        text.push_str("COMMIT;\n");
        to.write_all(text.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pairs: &[(&str, Option<&str>)]) -> Row {
        let datum = |v: &Option<&str>| v.map_or(Datum::Null, |v| Datum::Text(v.to_owned()));
        pairs.iter().map(|(k, v)| ((*k).to_owned(), datum(v))).collect()
    }

    #[test]
    fn statements_quote_whatever_they_are_given() {
        let change = |kind, key, new| Change {
            transaction: 7,
            position: "0/1".into(),
            at: None,
            schema: "pub lic".into(),
            table: "t\"x".into(),
            kind,
            key,
            old: None,
            new,
        };
        let left = BTreeSet::from(["made".to_owned()]);
        let key = row(&[("id", Some("1"))]);
        let mut new = row(&[("id", Some("1")), ("v", Some("it's")), ("n", None), ("made", Some("2"))]);
        new.insert("big".into(), Datum::Unchanged { unchanged: true });
        let told = |kind, key, new| statement(&change(kind, key, new), &left, &Equal::new());
        let insert = told(Kind::Insert, Some(key.clone()), Some(new.clone())).unwrap();
        assert_eq!(
            insert,
            "INSERT INTO \"pub lic\".\"t\"\"x\" (\"id\", \"n\", \"v\") OVERRIDING SYSTEM VALUE VALUES ('1', NULL, 'it''s')"
        );
        let update = told(Kind::Update, Some(key.clone()), Some(new)).unwrap();
        assert_eq!(update, "UPDATE ONLY \"pub lic\".\"t\"\"x\" SET \"n\" = NULL, \"v\" = 'it''s' WHERE \"id\" = '1'");
        let delete = told(Kind::Delete, Some(key.clone()), None).unwrap();
        assert_eq!(delete, "DELETE FROM ONLY \"pub lic\".\"t\"\"x\" WHERE \"id\" = '1'");
        assert_eq!(told(Kind::Update, Some(key.clone()), Some(key)), None, "nothing but the key is told");
        assert_eq!(told(Kind::Delete, None, None), None);
    }

    #[test]
    fn a_name_does_not_leave_the_comment_it_stands_in() {
        let name = "x\nDROP TABLE payment; --\r\u{2028}\"y";
        let (schema, table, kind) = ("public".to_owned(), name.to_owned(), Kind::Truncate);
        let position = "0/1".to_owned();
        let emptied =
            Change { transaction: 7, position, at: None, schema, table, kind, key: None, old: None, new: None };
        let odd = Some(row(&[("n\nDROP TABLE a;", Some("v\nDROP TABLE b; --")), ("x", None)]));
        let deleted = Change { kind: Kind::Delete, old: odd, ..emptied.clone() };
        let mut out = Vec::new();
        script(&[emptied, deleted], &AllFilled::new(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let loose: Vec<&str> = out.lines().filter(|l| !l.is_empty() && !l.starts_with("-- ")).collect();
        let settings =
            ["replication_role = replica", "encoding = 'UTF8'", "conforming_strings = on", "BEGIN", "COMMIT"];
        assert_eq!(loose.len(), settings.len(), "{out}");
        assert!(loose.iter().zip(settings).all(|(line, s)| line.ends_with(&format!("{s};"))), "{out}");
        assert!(out.contains(r#"-- Truncate of "public"."x\nDROP TABLE payment; --\r"#), "{out}");
        assert!(out.contains(r#"; before: "n\nDROP TABLE a;" = 'v\nDROP TABLE b; --', "x" = NULL"#), "{out}");
    }

    #[test]
    fn numbers_that_only_the_server_gives_are_named_where_they_were_changed_and_in_inserts() {
        let names = |of: &[&str]| of.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let filled = Filled { computed: names(&["made"]), numbered: names(&["no"]) };
        let (key, new) = (row(&[("id", Some("1"))]), row(&[("id", Some("1")), ("made", Some("2")), ("no", Some("5"))]));
        let (schema, table, position) = ("public".to_owned(), "t".to_owned(), "0/1".to_owned());
        let (kind, key, new) = (Kind::Update, Some(key), Some(new));
        let update = Change { transaction: 7, position, at: None, schema, table, kind, key, old: None, new };
        let insert = Change { kind: Kind::Insert, ..update.clone() };
        let (same, other) = (row(&[("no", Some("5"))]), row(&[("no", Some("4"))]));
        for (change, before, left) in [
            (&update, Some(&same), names(&["made", "no"])),
            (&update, Some(&other), names(&["made"])),
            (&update, None, names(&["made", "no"])),
            (&insert, None, names(&["made"])),
        ] {
            assert_eq!(filled.left_alone(change, before), left, "{:?} {before:?}", change.kind);
        }
    }

    #[test]
    fn an_operator_of_another_schema_is_told_with_it() {
        let equal = Equal::from([("id".to_owned(), "OPERATOR(public.=)".to_owned())]);
        let key = row(&[("id", Some("a")), ("n", Some("1"))]);
        assert_eq!(condition(&key, &equal), "\"id\" OPERATOR(public.=) 'a' AND \"n\" = '1'");
    }
}
