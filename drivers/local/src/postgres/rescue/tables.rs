//! What the new writer says of the tables that lost changes belong to: columns, foreign keys, sequences.

use super::super::session::{Exclusive, SqlError, column, literal};
use super::sql;
use pilotlight_core::rescue::{Change, Datum, Kind, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A table of the new writer.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) columns: BTreeSet<String>,
    /// Columns that the server fills itself.
    pub(super) filled: sql::Filled,
    /// How its columns are compared.
    pub(super) equal: sql::Equal,
    /// Columns that are told as words of SQL and not as the server shows them.
    words: BTreeSet<String>,
    /// Tables whose rows its rows refer to.
    pub(super) refers_to: Vec<Reference>,
    /// Tables whose rows refer to its rows.
    pub(super) referred_by: Vec<Reference>,
    /// Columns of each unique constraint that is deferrable, by its name.
    pub(super) deferred: BTreeMap<String, BTreeSet<String>>,
    /// One of exclusion that is.
    pub(super) excludes: Option<String>,
    /// Sequences by the column they fill.
    sequences: BTreeMap<String, String>,
}

/// The highest number that was applied, by sequence.
pub(super) type Highest = BTreeMap<String, i64>;

impl Table {
    /// What of a row others refer to, or what it refers to them by, and keys that nobody else looks after.
    pub(super) fn references_of(&self, row: &Row) -> Row {
        let all = self.refers_to.iter().chain(&self.referred_by).flat_map(|r| &r.columns).map(|(here, _)| here);
        let all = all.chain(self.deferred.values().flatten());
        all.filter_map(|here| Some((here.clone(), row.get(here)?.clone()))).collect()
    }

    /// Notes the numbers of sequences that a new row has.
    pub(super) fn note_numbers(&self, change: &Change, highest: &mut Highest) {
        let Some(new) = change.new.as_ref().filter(|_| change.kind == Kind::Insert) else { return };
        for (name, sequence) in &self.sequences {
            if let Some(number) = number(new.get(name)) {
                let top = highest.entry(sequence.clone()).or_insert(number);
                *top = number.max(*top);
            }
        }
    }

    /// A column as the log tells it: what its type's own output says, which no cast that somebody made can change.
    pub(super) fn as_text(&self, name: &str) -> String {
        let cast = if self.words.contains(name) { "::text" } else { "" };
        format!("{0}{cast} AS {0}", sql::ident(name))
    }
}

/// A foreign key, seen from one of its two tables.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) name: String,
    /// The other table.
    pub(super) schema: String,
    pub(super) table: String,
    /// It is partitioned; else what inherits from it is none of its rows.
    partitioned: bool,
    /// Columns here and there.
    columns: Vec<(String, String)>,
    /// How the columns there are compared.
    equal: sql::Equal,
}

impl Reference {
    /// The other table's rows, after `FROM`.
    pub(super) fn rows(&self) -> String {
        let only = if self.partitioned { "" } else { "ONLY " };
        format!("{only}{}", sql::table(&self.schema, &self.table))
    }

    /// What a row of the other table looks like that belongs to this one; none when a part of the key is NULL or unknown.
    pub(super) fn condition(&self, row: &Row) -> Option<String> {
        let pair = |(here, there): &(String, String)| match row.get(here)? {
            value @ Datum::Text(_) => Some((there.clone(), value.clone())),
            Datum::Null | Datum::Unchanged { .. } => None,
        };
        self.columns.iter().map(pair).collect::<Option<Row>>().map(|key| sql::condition(&key, &self.equal))
    }
}

/// An operator of equality that lies outside the catalogue's schema, as one of an index's: only superusers make those.
const EQUAL: &str = "SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname) FROM pg_opclass c \
    JOIN pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree' \
    JOIN pg_amop x ON x.amopfamily = c.opcfamily AND x.amopstrategy = 3 \
    AND x.amoplefttype = c.opcintype AND x.amoprighttype = c.opcintype JOIN pg_operator o ON o.oid = x.amopopr \
    JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE n.nspname <> 'pg_catalog'";

/// A sequence is moved by so many numbers at most, which takes seconds. Nobody's lost transactions took more.
const MOST_STEPS: u32 = 1_000_000;

/// Tables by schema and name.
#[derive(Debug, Default)]
pub(super) struct Tables(BTreeMap<(String, String), Table>);

impl Tables {
    pub(super) fn get(&self, schema: &str, table: &str) -> Option<&Table> {
        self.0.get(&(schema.to_owned(), table.to_owned()))
    }

    /// What whoever compares and writes their rows must be allowed, as `GRANT` says it.
    pub(super) fn rights(&self) -> BTreeSet<String> {
        let mut rights = BTreeSet::new();
        let of_schema = |schema: &str| format!("USAGE ON SCHEMA {schema}");
        for ((schema, name), table) in &self.0 {
            rights.insert(of_schema(&sql::ident(schema)));
            rights.insert(format!("SELECT, INSERT, UPDATE, DELETE ON {}", sql::table(schema, name)));
            rights.extend(table.sequences.values().map(|name| format!("USAGE, SELECT ON SEQUENCE {name}")));
            let others = table.refers_to.iter().chain(&table.referred_by);
            for other in others.clone() {
                rights.insert(of_schema(&sql::ident(&other.schema)));
                rights.insert(format!("SELECT ON {}", sql::table(&other.schema, &other.table)));
            }
            let operators = others.flat_map(|o| o.equal.values()).chain(table.equal.values());
            rights.extend(operators.filter_map(|o| Some(of_schema(o.strip_prefix("OPERATOR(")?.rsplit_once('.')?.0))));
        }
        rights
    }

    /// Asks for these, by schema and name.
    pub(super) async fn learn(
        &mut self,
        writer: &Exclusive,
        within: Duration,
        wanted: &BTreeSet<(String, String)>,
    ) -> Result<(), SqlError> {
        for (schema, table) in wanted {
            let name = literal(&sql::table(schema, table));
            let columns = format!(
                "SELECT attname, attgenerated <> '' AS computed, attidentity = 'a' AS numbered, atttypid = 'boolean'::regtype AS word, \
                 pg_get_serial_sequence({name}, attname) AS sequence, ({EQUAL} AND c.opcdefault AND c.opcintype = \
                 coalesce(nullif(t.typbasetype, 0), t.oid) LIMIT 1) AS equal FROM pg_attribute \
                 JOIN pg_type t ON t.oid = atttypid JOIN pg_class r ON r.oid = attrelid \
                 WHERE r.oid = to_regclass({name}) AND r.relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped"
            );
            let rows = writer.rows(&columns, within).await?;
            if rows.is_empty() {
                continue;
            }
            let mut known = Table::default();
            for row in &rows {
                let column_name = column(row, "attname").unwrap_or_default().to_owned();
                if column(row, "computed") == Some("t") {
                    known.filled.computed.insert(column_name.clone());
                }
                if column(row, "numbered") == Some("t") {
                    known.filled.numbered.insert(column_name.clone());
                }
                if column(row, "word") == Some("t") {
                    known.words.insert(column_name.clone());
                }
                if let Some(equal) = column(row, "equal") {
                    known.equal.insert(column_name.clone(), equal.to_owned());
                }
                if let Some(sequence) = column(row, "sequence") {
                    known.sequences.insert(column_name.clone(), sequence.to_owned());
                }
                known.columns.insert(column_name);
            }
            let deferred = format!(
                "SELECT k.conname, k.contype = 'x' AS excludes, a.attname FROM pg_constraint k LEFT JOIN pg_attribute a \
                 ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) \
                 WHERE k.conrelid = to_regclass({name}) AND k.condeferrable AND k.contype IN ('p', 'u', 'x')"
            );
            for row in &writer.rows(&deferred, within).await? {
                let constraint = column(row, "conname").unwrap_or_default().to_owned();
                match (column(row, "excludes"), column(row, "attname")) {
                    (Some("t"), _) => known.excludes = Some(constraint),
                    (_, Some(name)) => drop(known.deferred.entry(constraint).or_default().insert(name.to_owned())),
                    _ => {}
                }
            }
            known.refers_to = references(writer, within, &name, true).await?;
            known.referred_by = references(writer, within, &name, false).await?;
            self.0.insert((schema.clone(), table.clone()), known);
        }
        Ok(())
    }

    /// Moves sequences past the numbers that were applied, so that nobody is given one of them again. Never back. Answers
    /// which were left where they are: their numbers were brought along by the application, or they cannot be moved.
    pub(super) async fn advance_sequences(
        writer: &Exclusive,
        within: Duration,
        highest: &Highest,
    ) -> Result<Vec<String>, SqlError> {
        let mut left = Vec::new();
        for (sequence, top) in highest {
            // One number after the other, as anybody else takes them: setting it could take it back under a writer.
            let sql = format!(
                "SELECT steps > {MOST_STEPS} AS far, (SELECT count(nextval({0}::regclass)) \
                 FROM generate_series(1, CASE WHEN steps <= {MOST_STEPS} THEN steps END)) FROM (SELECT \
                 ceil(greatest(0, {top}::numeric - CASE WHEN is_called THEN last_value ELSE last_value - seqincrement END) \
                 / abs(seqincrement)) AS steps FROM {sequence}, pg_sequence WHERE seqrelid = {0}::regclass AND seqincrement > 0) s",
                literal(sequence)
            );
            match writer.rows(&sql, within).await {
                Ok(rows) if rows.first().and_then(|row| column(row, "far")) != Some("t") => {}
                Err(error) if error.code().is_none() => return Err(error),
                _ => left.push(sequence.clone()),
            }
        }
        Ok(left)
    }
}

fn number(value: Option<&Datum>) -> Option<i64> {
    match value? {
        Datum::Text(text) => text.parse().ok(),
        Datum::Null | Datum::Unchanged { .. } => None,
    }
}

/// Foreign keys of a table (`ours`), or those of others that point to it.
async fn references(writer: &Exclusive, within: Duration, name: &str, ours: bool) -> Result<Vec<Reference>, SqlError> {
    // The last: how the other table's column is compared with itself.
    let (here, there, same) = if ours { ("con", "conf", "conpp") } else { ("conf", "con", "conff") };
    let sql = format!(
        "SELECT k.conname, n.nspname, o.relname, o.relkind = 'p' AS partitioned, a.attname AS here, b.attname AS there, \
         CASE WHEN s.nspname <> 'pg_catalog' THEN format('OPERATOR(%I.%s)', s.nspname, e.oprname) END AS equal \
         FROM pg_constraint k \
         CROSS JOIN LATERAL unnest(k.{here}key, k.{there}key, k.{same}eqop) AS c (here, there, same) \
         JOIN pg_operator e ON e.oid = c.same JOIN pg_namespace s ON s.oid = e.oprnamespace \
         JOIN pg_class o ON o.oid = k.{there}relid JOIN pg_namespace n ON n.oid = o.relnamespace \
         JOIN pg_attribute a ON a.attrelid = k.{here}relid AND a.attnum = c.here \
         JOIN pg_attribute b ON b.attrelid = k.{there}relid AND b.attnum = c.there \
         WHERE k.contype = 'f' AND k.{here}relid = to_regclass({name}) ORDER BY k.oid"
    );
    let rows = writer.rows(&sql, within).await?;
    let mut found: Vec<Reference> = Vec::new();
    for row in &rows {
        let text = |name| column(row, name).unwrap_or_default().to_owned();
        let same = |last: &Reference| last.name == text("conname") && last.table == text("relname");
        if !found.last().is_some_and(same) {
            let (name, schema, table) = (text("conname"), text("nspname"), text("relname"));
            let partitioned = text("partitioned") == "t";
            found.push(Reference { name, schema, table, partitioned, columns: Vec::new(), equal: sql::Equal::new() });
        }
        let Some(last) = found.last_mut() else { continue };
        if let Some(equal) = column(row, "equal") {
            last.equal.insert(text("there"), equal.to_owned());
        }
        last.columns.push((text("here"), text("there")));
    }
    Ok(found)
}
