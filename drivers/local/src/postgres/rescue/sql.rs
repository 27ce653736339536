//! Lost changes as SQL: for people to review, and what an apply sends.

use pilotlight_core::rescue::{Change, Datum, Kind, Row};
use std::collections::BTreeSet;
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

/// `a = '1' AND b = '2'`; a key holds no NULL.
pub(super) fn condition(key: &Row) -> String {
    let terms: Vec<String> = key.iter().map(|(name, datum)| format!("{} = {}", ident(name), value(datum))).collect();
    terms.join(" AND ")
}

/// The statement that does the change again. Columns in `computed` are the server's own to fill; nothing is left to say
/// when an update changes none but those.
pub(super) fn statement(change: &Change, computed: &BTreeSet<String>) -> Option<String> {
    let table = table(&change.schema, &change.table);
    let known = |row: &Row| -> Vec<(String, String)> {
        let told = row.iter().filter(|(n, d)| !computed.contains(*n) && !matches!(d, Datum::Unchanged { .. }));
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
            (!set.is_empty()).then(|| format!("UPDATE {table} SET {set} WHERE {}", condition(key)))
        }
        (Kind::Delete, _, Some(key)) => Some(format!("DELETE FROM {table} WHERE {}", condition(key))),
        _ => None,
    }
}

/// Every change, one transaction after the other, as a script to read.
pub(super) fn script(changes: &[Change], to: &mut dyn io::Write) -> io::Result<()> {
    to.write_all(
        b"-- What was acknowledged and never sent, in the order in which it was committed.\n\
          -- For reading: `pilotlight rescue apply` compares each change with what is there; this script does not.\n\
          SET session_replication_role = replica;\n",
    )?;
    for transaction in changes.chunk_by(|a, b| a.transaction == b.transaction) {
        let Some(first) = transaction.first() else { continue };
        let at = first.at.map_or_else(|| "at an unknown time".to_owned(), pilotlight_core::time::show_wall);
        let mut text =
            format!("\n-- transaction {}, committed {at} at {}\nBEGIN;\n", first.transaction, first.position);
        for change in transaction {
            // Writing to a String cannot fail.
            let _ = match statement(change, &BTreeSet::new()) {
                Some(statement) => writeln!(text, "{statement};"),
                None => writeln!(text, "-- {:?} of {}: the row cannot be found again", change.kind, change.name()),
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
        let computed = BTreeSet::from(["made".to_owned()]);
        let key = row(&[("id", Some("1"))]);
        let mut new = row(&[("id", Some("1")), ("v", Some("it's")), ("n", None), ("made", Some("2"))]);
        new.insert("big".into(), Datum::Unchanged { unchanged: true });
        let told = |kind, key, new| statement(&change(kind, key, new), &computed);
        let insert = told(Kind::Insert, Some(key.clone()), Some(new.clone())).unwrap();
        assert_eq!(
            insert,
            "INSERT INTO \"pub lic\".\"t\"\"x\" (\"id\", \"n\", \"v\") OVERRIDING SYSTEM VALUE VALUES ('1', NULL, 'it''s')"
        );
        let update = told(Kind::Update, Some(key.clone()), Some(new)).unwrap();
        assert_eq!(update, "UPDATE \"pub lic\".\"t\"\"x\" SET \"n\" = NULL, \"v\" = 'it''s' WHERE \"id\" = '1'");
        let delete = told(Kind::Delete, Some(key.clone()), None).unwrap();
        assert_eq!(delete, "DELETE FROM \"pub lic\".\"t\"\"x\" WHERE \"id\" = '1'");
        assert_eq!(told(Kind::Update, Some(key.clone()), Some(key)), None, "nothing but the key is told");
        assert_eq!(told(Kind::Delete, None, None), None);
    }
}
