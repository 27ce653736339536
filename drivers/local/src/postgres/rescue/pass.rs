//! One walk through all lost changes: each is compared with the row as it is, and only then made.
//!
//! Changes are read one after the other, so that a bundle of any size fits into memory; of what was made only keys are
//! remembered until the end of its transaction.
//!
//! Invariant: a row that was written since the fork counts as left by lost changes only if one of them that comes before wrote
//! it last. Each lost transaction is committed by itself, so between two of them the row is anybody's.

use super::super::session::{Exclusive, SqlError, column, literal};
use super::super::work::Work;
use super::bundle::{BundleError, Folder};
use super::fate::Fates;
use super::sql;
use super::tables::{Highest, Table, Tables};
use super::told::Cut;
use super::walk::is_since;
use pilotlight_core::rescue::{Change, Class, Classified, Datum, Kind, Row, Seen, classify};
use std::collections::{BTreeMap, BTreeSet};

/// Why a change that could be made waits.
const WAITS: &str = "its transaction has a change that cannot be applied";

/// Whether one of the rows is neither changed nor held by a transaction that is open: one that is being removed is still
/// seen, and whoever removes it does not see what refers to it by now. Locks would ask for the right to write there.
///
/// A row names that transaction by the low half of its number, subtransactions by their own. One that is newer than ours is
/// looked for among locks, because in its place may stand the number of several that hold the row, which is of another count.
fn stays(table: &str, condition: &str) -> String {
    format!(
        "SELECT bool_or(x = '0'::xid OR CASE WHEN whole < pg_current_xact_id() \
         THEN pg_xact_status(whole) IS DISTINCT FROM 'in progress' \
         ELSE NOT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'transactionid' AND transactionid = x \
         AND pid IS DISTINCT FROM pg_backend_pid()) END) AS stays \
         FROM (SELECT xmax AS x FROM {table} WHERE {condition}) o, \
         (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS n) s, LATERAL (SELECT greatest(3, \
         n + (x::text::bigint - n % 4294967296 + 6442450944) % 4294967296 - 2147483648)::text::xid8 AS whole) w"
    )
}

/// Asked after a row: the look at it may have waited for somebody who began meanwhile.
const NEXT: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text AS \"pilotlight next\"";

/// When a row was written.
struct Written {
    /// The number of the transaction, which is kept for ever.
    by: u32,
    /// The first number that nobody has ended with yet.
    next: u32,
}

/// A row by table and key.
pub(super) type Place = (String, String, Row);

/// The end of a rehearsal or an apply.
#[derive(Default)]
pub(super) struct Ended {
    pub(super) judged: Vec<Classified>,
    /// Lost transactions that were made before, as the new writer knows, and the numbers of those that made them.
    pub(super) before: BTreeMap<u64, u32>,
    /// Lost transactions that were made now, and their changes.
    pub(super) made: BTreeSet<u64>,
    pub(super) changes: u64,
    /// Sequences that are still before numbers which were applied.
    pub(super) left: Vec<String>,
}

/// Why a walk came to no end.
pub(super) enum Trouble {
    Sql(SqlError),
    Bundle(BundleError),
}

impl From<SqlError> for Trouble {
    fn from(error: SqlError) -> Trouble {
        Trouble::Sql(error)
    }
}

impl From<BundleError> for Trouble {
    fn from(error: BundleError) -> Trouble {
        Trouble::Bundle(error)
    }
}

/// What becomes of each row, and the tables that are touched.
pub(super) fn first_look(folder: &Folder) -> Result<(Fates, BTreeSet<(String, String)>), BundleError> {
    let (mut fates, mut wanted, mut changes) = (Fates::default(), BTreeSet::new(), folder.changes()?);
    while let Some((change, _)) = changes.next()? {
        fates.add(&change);
        wanted.insert((change.schema, change.table));
    }
    Ok((fates, wanted))
}

/// One walk through all changes.
pub(super) struct Pass<'a> {
    pub(super) writer: Exclusive,
    pub(super) work: &'a Work<'a>,
    pub(super) folder: &'a Folder,
    pub(super) tables: Tables,
    pub(super) bundle: String,
    /// Who applies; nobody when it is rehearsed.
    pub(super) by: Option<&'a str>,
    pub(super) horizon: Option<u32>,
    /// Numbers of the transactions that made the lost ones so far, in this apply or an earlier one.
    pub(super) ours: BTreeSet<u32>,
    /// Rows that a rehearsal has made. They are held to its end, so nobody else changes them.
    pub(super) rehearsed: BTreeSet<Place>,
    pub(super) highest: Highest,
}

/// A lost transaction under way.
struct Lost {
    number: u64,
    /// It was made by an earlier apply.
    before: bool,
    judged: Vec<Classified>,
    made: Vec<Made>,
    /// Rows it touched in a rehearsal.
    places: BTreeSet<Place>,
    broken: bool,
    highest: Highest,
}

/// A change that was made within it. Of its row only what others refer to, and what it refers to them by.
struct Made {
    index: usize,
    schema: String,
    table: String,
    before: Option<Row>,
    after: Option<Row>,
}

impl Pass<'_> {
    async fn run(&self, sql: &str) -> Result<Vec<tokio_postgres::SimpleQueryRow>, SqlError> {
        self.writer.rows(sql, self.work.left()).await
    }

    /// `fates` of the first look; transactions in `before` were made already.
    pub(super) async fn all(&mut self, mut fates: Fates, before: BTreeMap<u64, u32>) -> Result<Ended, Trouble> {
        self.compare(&mut fates).await?;
        let mut ended = Ended { before, ..Ended::default() };
        if self.by.is_none() {
            self.run("BEGIN").await?;
        }
        let (mut changes, mut under_way) = (self.folder.changes()?, None::<Lost>);
        for index in 0.. {
            let next = changes.next()?;
            let ends = |lost: &mut Lost| next.as_ref().is_none_or(|(change, _)| change.transaction != lost.number);
            if let Some(lost) = under_way.take_if(ends) {
                self.close(lost, &mut ended).await?;
            }
            let Some((change, cut)) = next else { break };
            let lost = match &mut under_way {
                Some(lost) => lost,
                None => under_way.insert(self.open(change.transaction, &ended).await?),
            };
            self.one(lost, change, &cut, fates.settled(index)).await?;
        }
        match self.by {
            None => drop(self.run("ROLLBACK").await?),
            Some(_) => ended.left = Tables::advance_sequences(&self.writer, self.work.left(), &self.highest).await?,
        }
        Ok(ended)
    }

    /// Which rows the new writer shows as the last of their lost changes left them.
    async fn compare(&self, fates: &mut Fates) -> Result<(), SqlError> {
        for place in fates.places() {
            let Some(table) = self.tables.get(&place.0, &place.1) else { continue };
            let row = self.look(table, &place, false).await?.map(|(row, _)| row);
            fates.compare(&place, row.as_ref());
        }
        Ok(())
    }

    async fn open(&mut self, number: u64, ended: &Ended) -> Result<Lost, SqlError> {
        let before = ended.before.get(&number).copied();
        match (before, self.by) {
            (Some(writer), _) => drop(self.ours.insert(writer)),
            (None, Some(_)) => {
                let rows = self.run("BEGIN; SELECT pg_current_xact_id()::xid AS writer").await?;
                self.ours.extend(rows.first().and_then(|row| column(row, "writer")?.parse::<u32>().ok()));
            }
            (None, None) => drop(self.run("SAVEPOINT lost").await?),
        }
        let (judged, made, places, highest) = (Vec::new(), Vec::new(), BTreeSet::new(), Highest::new());
        Ok(Lost { number, before: before.is_some(), judged, made, places, broken: false, highest })
    }

    /// The next change of the transaction under way: what it is, and made if nothing speaks against it.
    async fn one(&mut self, lost: &mut Lost, change: Change, cut: &Cut, settled: Option<bool>) -> Result<(), SqlError> {
        if lost.before {
            lost.judged.push(Classified::new(Class::Identical, "it was applied before"));
            return Ok(());
        }
        if let Some((name, bytes)) = cut.first_key_value() {
            let why = format!("its value of {name} is {bytes} bytes long, too long to be applied: do it by hand");
            lost.judged.push(Classified::new(Class::NotCovered, why));
            return Ok(());
        }
        let (judgement, before) = match self.judge(lost, &change, settled).await {
            // Somebody holds the row, for example: that is no matter of other transactions.
            Err(refused) if is_of_the_change(&refused) => {
                lost.judged.push(refusal(&refused));
                return self.start_again(lost).await;
            }
            judged => judged?,
        };
        let make = judgement.class == Class::Absent && !lost.broken;
        lost.judged.push(judgement);
        let Some(table) = self.tables.get(&change.schema, &change.table).filter(|_| make) else { return Ok(()) };
        match self.make(table, &change, before.as_ref()).await {
            Ok(()) => {
                let after = change.new.as_ref().filter(|_| change.kind != Kind::Delete);
                let after = after.map(|row| table.references_of(row));
                let before = before.as_ref().map(|row| table.references_of(row));
                table.note_numbers(&change, &mut lost.highest);
                if self.by.is_none() {
                    lost.places.extend(places(&change));
                }
                let (index, schema, table) = (lost.judged.len() - 1, change.schema, change.table);
                lost.made.push(Made { index, schema, table, before, after });
            }
            Err(refused) if is_of_the_change(&refused) => {
                if let Some(judgement) = lost.judged.last_mut() {
                    *judgement = refusal(&refused);
                }
                self.start_again(lost).await?;
            }
            Err(lost) => return Err(lost),
        }
        Ok(())
    }

    /// The transaction is over: made for good, or not at all.
    async fn close(&mut self, mut lost: Lost, ended: &mut Ended) -> Result<(), SqlError> {
        if lost.before {
            ended.judged.append(&mut lost.judged);
            return Ok(());
        }
        let Lost { number, mut judged, made, mut places, broken, highest, .. } = lost;
        if !broken {
            for index in self.dangling(&made, &mut judged).await? {
                judged[index].class = Class::ForeignKeyMissing;
            }
            for index in self.doubled(&made, &mut judged).await? {
                judged[index].class = Class::Conflicting;
            }
        }
        let mut held = judged.iter().any(|j| j.class.holds());
        let mut count = if held { 0 } else { made.len() as u64 };
        match self.end(number, count).await {
            // What waits for the commit may refuse it.
            Err(refused) if count > 0 && self.by.is_some() && is_of_the_change(&refused) => {
                self.run("ROLLBACK").await?;
                (held, count) = (true, 0);
                made.iter().for_each(|m| judged[m.index] = refusal(&refused));
            }
            ended => ended?,
        }
        if held {
            judged.iter_mut().filter(|j| j.class == Class::Absent).for_each(|j| WAITS.clone_into(&mut j.why));
        }
        if count > 0 {
            self.rehearsed.append(&mut places);
            for (sequence, number) in highest {
                let top = self.highest.entry(sequence).or_insert(number);
                *top = number.max(*top);
            }
            if self.by.is_some() {
                made.iter().for_each(|m| judged[m.index] = Classified::new(Class::Identical, "it was applied"));
            }
            ended.made.insert(number);
            ended.changes += count;
        }
        ended.judged.append(&mut judged);
        Ok(())
    }

    /// After a refusal nothing more can be done in the same transaction, so what was made of it is taken back.
    async fn start_again(&self, lost: &mut Lost) -> Result<(), SqlError> {
        lost.broken = true;
        lost.places.clear();
        let sql = if self.by.is_some() { "ROLLBACK; BEGIN" } else { "ROLLBACK TO SAVEPOINT lost" };
        self.run(sql).await.map(|_| ())
    }

    async fn end(&self, number: u64, made: u64) -> Result<(), SqlError> {
        let sql = match (self.by, made) {
            (Some(by), 1..) => format!(
                "INSERT INTO pilotlight.rescue VALUES ({}, {number}, {}, now(), {made}); COMMIT",
                literal(&self.bundle),
                literal(by)
            ),
            (Some(_), 0) => "ROLLBACK".to_owned(),
            (None, 1..) => "RELEASE SAVEPOINT lost".to_owned(),
            (None, 0) => "ROLLBACK TO SAVEPOINT lost; RELEASE SAVEPOINT lost".to_owned(),
        };
        self.run(&sql).await.map(|_| ())
    }

    async fn judge(
        &self,
        lost: &Lost,
        change: &Change,
        settled: Option<bool>,
    ) -> Result<(Classified, Option<Row>), SqlError> {
        let Some(table) = self.tables.get(&change.schema, &change.table) else {
            return Ok((Classified::new(Class::NotCovered, "the new writer has no such table"), None));
        };
        let Some(place) = place(change) else {
            return Ok((classify(change, &Seen { row: None, since_fork: true, settled: None }), None));
        };
        let found = self.look(table, &place, true).await?;
        let rehearsed = || lost.places.contains(&place) || self.rehearsed.contains(&place);
        let since_fork = match &found {
            Some((_, written)) => {
                let since = |h| is_since(written.by, h, written.next);
                !self.ours.contains(&written.by) && !rehearsed() && self.horizon.is_none_or(since)
            }
            None => false,
        };
        let row = found.map(|(row, _)| row);
        let mut judgement = classify(change, &Seen { row: row.clone(), since_fork, settled });
        if let Some(name) = table.excludes.as_ref().filter(|_| change.kind != Kind::Delete)
            && judgement.class == Class::Absent
        {
            let why =
                format!("whether it breaks the deferrable constraint {name} is not looked at here: do it by hand");
            judgement = Classified::new(Class::NotCovered, why);
        }
        Ok((judgement, row))
    }

    /// The row under a key, and when it was written.
    async fn look(&self, table: &Table, place: &Place, lock: bool) -> Result<Option<(Row, Written)>, SqlError> {
        if place.2.keys().any(|name| !table.columns.contains(name)) {
            return Ok(None);
        }
        let columns: Vec<String> = table.columns.iter().map(|c| table.as_text(c)).collect();
        let (name, key) = (sql::table(&place.0, &place.1), sql::condition(&place.2, &table.equal));
        let lock = if lock { " FOR UPDATE" } else { "" };
        let sql = format!(
            "SELECT xmin::text AS \"pilotlight xmin\", {} FROM ONLY {name} WHERE {key}{lock}; {NEXT}",
            columns.join(", ")
        );
        let rows = self.run(&sql).await?;
        let [row, .., now] = rows.as_slice() else { return Ok(None) };
        let datum = |name: &String| {
            let value = row.try_get(name.as_str()).ok().flatten();
            (name.clone(), value.map_or(Datum::Null, |text: &str| Datum::Text(text.to_owned())))
        };
        let number = |row, name| column(row, name).and_then(|x| x.parse().ok()).unwrap_or_default();
        let written = Written { by: number(row, "pilotlight xmin"), next: number(now, "pilotlight next") };
        Ok(Some((table.columns.iter().map(datum).collect(), written)))
    }

    async fn make(&self, table: &Table, change: &Change, before: Option<&Row>) -> Result<(), SqlError> {
        match sql::statement(change, &table.filled.left_alone(change, before), &table.equal) {
            Some(statement) => self.run(&statement).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Changes whose rows have at the end of their transaction a key that others have too. Only deferrable constraints let them:
    /// what looks after those is a trigger, and does not fire here.
    async fn doubled(&self, made: &[Made], judged: &mut [Classified]) -> Result<Vec<usize>, SqlError> {
        let mut doubled = Vec::new();
        for done in made {
            let table = self.tables.get(&done.schema, &done.table);
            let Some((table, row)) = table.zip(done.after.as_ref()) else { continue };
            for (name, columns) in &table.deferred {
                let value = |column: &String| match row.get(column)? {
                    value @ Datum::Text(_) => Some((column.clone(), value.clone())),
                    Datum::Null | Datum::Unchanged { .. } => None,
                };
                let Some(key) = columns.iter().map(value).collect::<Option<Row>>() else { continue };
                let (place, key) = (sql::table(&done.schema, &done.table), sql::condition(&key, &table.equal));
                let sql = format!("SELECT count(*) > 1 AS twice FROM ONLY {place} WHERE {key}");
                let found = self.run(&sql).await?;
                if found.first().and_then(|row| column(row, "twice")) == Some("t") {
                    judged[done.index].why = format!("another row has this key ({name})");
                    doubled.push(done.index);
                    break;
                }
            }
        }
        Ok(doubled)
    }

    /// Changes whose rows refer to what is not there, or are still referred to, at the end of their transaction.
    async fn dangling(&self, made: &[Made], judged: &mut [Classified]) -> Result<Vec<usize>, SqlError> {
        let mut dangling = Vec::new();
        for done in made {
            let Some(table) = self.tables.get(&done.schema, &done.table) else { continue };
            let after = done.after.as_ref();
            for (reference, row, wanted) in table
                .refers_to
                .iter()
                .map(|r| (r, after, true))
                .chain(table.referred_by.iter().map(|r| (r, done.before.as_ref(), false)))
            {
                let Some(condition) = row.and_then(|row| reference.condition(row)) else { continue };
                // A key that was left as it was is still there for those who refer to it.
                if !wanted && after.and_then(|new| reference.condition(new)).as_ref() == Some(&condition) {
                    continue;
                }
                let found = self.run(&stays(&reference.rows(), &condition)).await?;
                let there = found.first().and_then(|row| column(row, "stays"));
                if if wanted { there != Some("t") } else { there.is_some() } {
                    let (name, other) = (&reference.name, format!("{}.{}", reference.schema, reference.table));
                    judged[done.index].why = match (wanted, there) {
                        (true, None) => format!("the row of {other} it refers to is not there ({name})"),
                        (true, Some(_)) => format!(
                            "the row of {other} it refers to is changed or held by a transaction that is open ({name}): apply again"
                        ),
                        (false, _) => format!("rows of {other} refer to it ({name})"),
                    };
                    dangling.push(done.index);
                    break;
                }
            }
        }
        Ok(dangling)
    }
}

/// Where a change finds its row.
pub(super) fn place(change: &Change) -> Option<Place> {
    Some((change.schema.clone(), change.table.clone(), change.key.clone()?))
}

/// The rows a change touches: the one it finds, and where that is afterwards.
pub(super) fn places(change: &Change) -> impl Iterator<Item = Place> {
    let found = place(change);
    let moved = found.as_ref().zip(change.new.as_ref()).map(|((schema, table, key), new)| {
        let value = |name: &String| new.get(name).or(key.get(name)).cloned().unwrap_or(Datum::Null);
        (schema.clone(), table.clone(), key.keys().map(|name| (name.clone(), value(name))).collect())
    });
    found.into_iter().chain(moved)
}

/// The server refuses this statement, and takes others. Class 57P0: it went down, or the session was ended.
fn is_of_the_change(error: &SqlError) -> bool {
    error.code().is_some_and(|code| !code.starts_with("57P0"))
}

/// What the server said of a change, as its class.
fn refusal(error: &SqlError) -> Classified {
    let class = match error.code() {
        Some("23503") => Class::ForeignKeyMissing,
        _ => Class::Conflicting,
    };
    Classified::new(class, error.to_string())
}
