//! Lost changes against the new writer: rehearsed in a transaction that is taken back, or applied for good.
//!
//! One transaction of the new writer per lost one, in their order. Each change is compared with the row as it is and only
//! then made, so that the rehearsal and the apply are the same code and judge alike. A lost transaction of which one
//! change cannot be made is not made at all. Triggers do not fire: what they did the first time is in the log too; so
//! foreign keys are looked after here.
//!
//! Invariants:
//! - nothing is overwritten that the new writer wrote since the fork, or whose past is not known;
//! - a lost transaction is made at most once: its number is noted in `pilotlight.rescue` by the transaction that makes it.

use super::super::PostgresDriver;
use super::super::sentinel::{FOREIGN, not_ours};
use super::super::session::{Exclusive, Session, SqlError, column, literal};
use super::super::upstream;
use super::super::work::Work;
use super::bundle::{Applied, Folder};
use super::fate::Fates;
use super::sql;
use super::tables::{Table, Tables};
use super::walk::is_not_before;
use super::{check_failed, skipped, unusable};
use pilotlight_core::id::{BundleId, Region};
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_core::rescue::{Change, Class, Datum, Judgement, Kind, Manifest, Row, Rows, Seen, classify};
use pilotlight_core::time::show_wall;
use std::collections::{BTreeMap, BTreeSet};

/// What was applied is noted beside the sentinels.
const NOTES: &str = "CREATE SCHEMA IF NOT EXISTS pilotlight; CREATE TABLE IF NOT EXISTS pilotlight.rescue \
    (bundle text NOT NULL, transaction bigint NOT NULL, applied_by text NOT NULL, at timestamptz NOT NULL, \
    changes integer NOT NULL, PRIMARY KEY (bundle, transaction))";

/// Why a change that could be made waits.
const WAITS: &str = "its transaction has a change that cannot be applied";

/// A row by table and key.
pub(super) type Place = (String, String, Row);

/// The end of a rehearsal or an apply.
struct Ended {
    judged: Vec<Judgement>,
    /// Lost transactions that were made before, as the new writer knows.
    before: BTreeSet<u64>,
    /// Lost transactions that were made now, and their changes.
    made: BTreeSet<u64>,
    changes: u64,
}

impl PostgresDriver {
    /// Rehearses, and notes what each change is to the new writer.
    pub(in super::super) async fn classify_rescue(
        &self,
        upstream: &Region,
        bundle: &BundleId,
        work: &Work<'_>,
    ) -> Result<Outcome, Failure> {
        let (folder, manifest) = self.with_rows(bundle, work).await?;
        let ended = self.go_through(upstream, &folder, &manifest, None, work).await?;
        folder.note_judged(&ended.judged).map_err(|e| super::capture::not_kept(folder.path(), &e))?;
        let output = Output { text: tell(&ended.judged), rescue: Some(Box::new(manifest.about)), ..Output::default() };
        Ok(Outcome::Done { output })
    }

    /// Applies what can be, in the name of a person.
    pub(in super::super) async fn apply_rescue(
        &self,
        upstream: &Region,
        bundle: &BundleId,
        by: &str,
        work: &Work<'_>,
    ) -> Result<Outcome, Failure> {
        let (folder, manifest) = self.with_rows(bundle, work).await?;
        let ended = self.go_through(upstream, &folder, &manifest, Some(by), work).await?;
        let mut applied = folder.applied();
        applied.transactions.extend(ended.made.iter().chain(&ended.before));
        let (transactions, changes) = (ended.made.len(), ended.changes);
        let noted = self.note_made(&folder, &ended, applied, by, upstream);
        noted.map_err(|e| Failure::unknown(format!("applied, but that cannot be noted in the bundle: {e}")))?;
        let said = tell(&ended.judged);
        if ended.made.is_empty() {
            return Ok(skipped(format!("nothing is left that could be applied: {said}")));
        }
        let text = format!("applied {changes} changes of {transactions} lost transactions to {upstream}; {said}");
        tracing::warn!(%bundle, by, "{text}");
        let output = Output { text, rescue: Some(Box::new(manifest.about)), ..Output::default() };
        Ok(Outcome::Done { output })
    }

    fn note_made(
        &self,
        folder: &Folder,
        ended: &Ended,
        mut applied: Applied,
        by: &str,
        upstream: &Region,
    ) -> std::io::Result<()> {
        folder.note_judged(&ended.judged)?;
        let (at, made) = (show_wall(self.clock.wall()), ended.made.len());
        applied.by.push(format!("{at} {by}: {made} transactions, {} changes, to {upstream}", ended.changes));
        folder.note_applied(&applied)
    }

    /// The bundle, every file of it compared with its manifest.
    async fn with_rows(&self, bundle: &BundleId, work: &Work<'_>) -> Result<(Folder, Manifest), Failure> {
        let folder = self.bundle(bundle)?;
        let (inner, stop) = (folder.clone(), self.stopper(work));
        let check = move || {
            let manifest = inner.manifest()?;
            inner.verify(&manifest, &|_| true, &stop).map(|()| manifest)
        };
        let manifest = tokio::task::spawn_blocking(check).await.map_err(check_failed)?;
        let manifest = manifest.map_err(|e| unusable(folder.path(), &e))?;
        match &manifest.about.rows {
            Rows::Kept { .. } => Ok((folder, manifest)),
            Rows::Left { why } => Err(Failure::rejected(format!("PL-0604: bundle {bundle} holds no rows: {why}"))
                .hint("its log is in it: what it says can be looked at with `pg_waldump`")),
        }
    }

    async fn go_through(
        &self,
        upstream: &Region,
        folder: &Folder,
        manifest: &Manifest,
        by: Option<&str>,
        work: &Work<'_>,
    ) -> Result<Ended, Failure> {
        let changes = folder.changes().map_err(|e| unusable(folder.path(), &e))?;
        let server = self.peer(upstream)?;
        let mut config = upstream::config(&self.plan, &server.host, server.port, self.password.as_deref());
        // What is applied is acknowledged like any other write, so the server's own rule of commit holds.
        config.options(super::exact("-c lock_timeout=5s -c session_replication_role=replica"));
        let session = Session::new(config);
        let unreachable = |e: SqlError| Failure::transient(format!("{} in {upstream}: {e}", self.component));
        let writer = session.exclusive().await.map_err(unreachable)?;
        let sql = "SELECT pg_is_in_recovery() AS recovering, system_identifier AS system FROM pg_control_system()";
        let rows = writer.rows(sql, work.left()).await.map_err(unreachable)?;
        let is = |name, wanted: &str| rows.first().and_then(|r| column(r, name)) == Some(wanted);
        if !is("recovering", "f") || !is("system", &manifest.system) {
            let what =
                format!("PL-0241: {} in {upstream} is not the writer that the bundle was kept from", self.component);
            return Err(Failure::rejected(what).hint("see `pilotlight status` for where the writer is"));
        }
        not_ours(&writer.rows(FOREIGN, work.left()).await.map_err(unreachable)?)?;
        if by.is_some() {
            writer.rows(NOTES, work.left()).await.map_err(unreachable)?;
            not_ours(&writer.rows(FOREIGN, work.left()).await.map_err(unreachable)?)?;
        }
        let bundle = manifest.about.bundle.as_str().to_owned();
        let horizon = manifest.about.horizon.and_then(|h| u32::try_from(h).ok());
        let mut pass = Pass { writer, work, tables: Tables::default(), bundle, by, horizon, ours: BTreeSet::new() };
        pass.all(&changes).await.map_err(|e| e.failure("lost changes cannot be compared with the new writer"))
    }
}

/// What the judgements are, counted.
fn tell(judged: &[Judgement]) -> String {
    let mut classes: BTreeMap<Class, u64> = BTreeMap::new();
    judged.iter().for_each(|j| *classes.entry(j.class).or_default() += 1);
    let told: Vec<String> = classes.iter().map(|(class, n)| format!("{n} {class}")).collect();
    if told.is_empty() { "no changes".to_owned() } else { told.join(", ") }
}

/// One walk through all changes.
struct Pass<'a> {
    writer: Exclusive,
    work: &'a Work<'a>,
    tables: Tables,
    bundle: String,
    /// Who applies; nobody when it is rehearsed.
    by: Option<&'a str>,
    horizon: Option<u32>,
    /// Rows that this walk has made.
    ours: BTreeSet<Place>,
}

/// A change that was made within the lost transaction under way.
struct Made<'a> {
    index: usize,
    change: &'a Change,
    before: Option<Row>,
}

impl Pass<'_> {
    async fn run(&self, sql: &str) -> Result<Vec<tokio_postgres::SimpleQueryRow>, SqlError> {
        self.writer.rows(sql, self.work.left()).await
    }

    async fn all(&mut self, changes: &[Change]) -> Result<Ended, SqlError> {
        self.tables.learn(&self.writer, self.work.left(), changes).await?;
        let fates = self.fates(changes).await?;
        let (before, made) = (self.noted().await?, BTreeSet::new());
        let mut ended = Ended { judged: Vec::with_capacity(changes.len()), before, made, changes: 0 };
        if self.by.is_none() {
            self.run("BEGIN").await?;
        }
        let mut from = 0;
        for group in changes.chunk_by(|a, b| a.transaction == b.transaction) {
            let transaction = group.first().map_or(0, |c| c.transaction);
            if ended.before.contains(&transaction) {
                let there = Judgement::new(Class::Identical, "it was applied before");
                ended.judged.extend(std::iter::repeat_n(there, group.len()));
            } else {
                let (judged, made) = self.transaction(transaction, group, from, &fates).await?;
                ended.judged.extend(judged);
                if made > 0 {
                    ended.made.insert(transaction);
                    ended.changes += made;
                }
            }
            from += group.len();
        }
        if self.by.is_none() {
            self.run("ROLLBACK").await?;
        } else {
            let made = ended.made.clone();
            self.tables.advance_sequences(&self.writer, self.work.left(), changes, &made).await?;
        }
        Ok(ended)
    }

    /// Lost transactions that an earlier apply has made, as the new writer knows it.
    async fn noted(&self) -> Result<BTreeSet<u64>, SqlError> {
        let there = self.run("SELECT 1 AS there WHERE to_regclass('pilotlight.rescue') IS NOT NULL").await?;
        if there.is_empty() {
            return Ok(BTreeSet::new());
        }
        let sql = format!("SELECT transaction FROM pilotlight.rescue WHERE bundle = {}", literal(&self.bundle));
        let rows = self.run(&sql).await?;
        Ok(rows.iter().filter_map(|r| column(r, "transaction")?.parse().ok()).collect())
    }

    /// Which rows the new writer shows as the last of their lost changes left them.
    async fn fates(&self, changes: &[Change]) -> Result<Fates, SqlError> {
        let mut fates = Fates::of(changes);
        for place in fates.places() {
            let Some(table) = self.tables.get(&place.0, &place.1) else { continue };
            let row = self.look(table, &place, false).await?.map(|(row, _)| row);
            fates.compare(&place, row.as_ref());
        }
        Ok(fates)
    }

    /// One lost transaction: what each change is, and how many were made.
    async fn transaction(
        &mut self,
        number: u64,
        group: &[Change],
        from: usize,
        fates: &Fates,
    ) -> Result<(Vec<Judgement>, u64), SqlError> {
        self.run(if self.by.is_some() { "BEGIN" } else { "SAVEPOINT lost" }).await?;
        let mut judged: Vec<Judgement> = Vec::new();
        let mut made: Vec<Made<'_>> = Vec::new();
        let mut broken = false;
        for (offset, change) in group.iter().enumerate() {
            let (judgement, before) = self.judge(change, fates.settled(from + offset)).await?;
            let make = judgement.class == Class::Absent && !broken;
            judged.push(judgement);
            if !make {
                continue;
            }
            match self.make(change).await {
                Ok(()) => {
                    self.ours.extend(places(change));
                    made.push(Made { index: offset, change, before });
                }
                Err(refused @ SqlError::Refused { .. }) => {
                    broken = true;
                    judged[offset] = refusal(&refused);
                    self.start_again().await?;
                }
                Err(lost) => return Err(lost),
            }
        }
        if !broken {
            for index in self.dangling(&made, &mut judged).await? {
                judged[index].class = Class::ForeignKeyMissing;
            }
        }
        let held = judged.iter().any(|j| j.class.holds());
        if held {
            for done in &made {
                for place in places(done.change) {
                    self.ours.remove(&place);
                }
            }
            judged.iter_mut().filter(|j| j.class == Class::Absent).for_each(|j| WAITS.clone_into(&mut j.why));
        }
        let count = if held { 0 } else { made.len() as u64 };
        self.end(number, count).await?;
        if self.by.is_some() && count > 0 {
            let indexes: Vec<usize> = made.iter().map(|m| m.index).collect();
            indexes.into_iter().for_each(|i| judged[i] = Judgement::new(Class::Identical, "it was applied"));
        }
        Ok((judged, count))
    }

    /// After a refusal nothing more can be done in the same transaction, so what was made of it is taken back.
    async fn start_again(&self) -> Result<(), SqlError> {
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

    async fn judge(&self, change: &Change, settled: Option<bool>) -> Result<(Judgement, Option<Row>), SqlError> {
        let Some(table) = self.tables.get(&change.schema, &change.table) else {
            return Ok((Judgement::new(Class::NotCovered, "the new writer has no such table"), None));
        };
        let Some(place) = place(change) else {
            return Ok((classify(change, &Seen { row: None, since_fork: true, settled: None }), None));
        };
        let found = self.look(table, &place, true).await?;
        let since_fork = match &found {
            Some((_, xmin)) => !self.ours.contains(&place) && self.horizon.is_none_or(|h| is_not_before(*xmin, h)),
            None => false,
        };
        let row = found.map(|(row, _)| row);
        let judgement = classify(change, &Seen { row: row.clone(), since_fork, settled });
        Ok((judgement, row))
    }

    /// The row under a key, and the number of the transaction that wrote it.
    async fn look(&self, table: &Table, place: &Place, lock: bool) -> Result<Option<(Row, u32)>, SqlError> {
        if place.2.keys().any(|name| !table.columns.contains(name)) {
            return Ok(None);
        }
        let columns: Vec<String> = table.columns.iter().map(|c| table.as_text(c)).collect();
        let (name, key) = (sql::table(&place.0, &place.1), sql::condition(&place.2, &table.equal));
        let lock = if lock { " FOR UPDATE" } else { "" };
        let sql = format!(
            "SELECT xmin::text AS \"pilotlight xmin\", {} FROM ONLY {name} WHERE {key}{lock}",
            columns.join(", ")
        );
        let rows = self.run(&sql).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let datum = |name: &String| {
            let value = row.try_get(name.as_str()).ok().flatten();
            (name.clone(), value.map_or(Datum::Null, |text: &str| Datum::Text(text.to_owned())))
        };
        let xmin = column(row, "pilotlight xmin").and_then(|x| x.parse().ok()).unwrap_or_default();
        Ok(Some((table.columns.iter().map(datum).collect(), xmin)))
    }

    async fn make(&self, change: &Change) -> Result<(), SqlError> {
        let Some(table) = self.tables.get(&change.schema, &change.table) else { return Ok(()) };
        match sql::statement(change, &table.computed, &table.equal) {
            Some(statement) => self.run(&statement).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Changes whose rows refer to what is not there, or are still referred to, at the end of their transaction.
    async fn dangling(&self, made: &[Made<'_>], judged: &mut [Judgement]) -> Result<Vec<usize>, SqlError> {
        let mut dangling = Vec::new();
        for done in made {
            let Some(table) = self.tables.get(&done.change.schema, &done.change.table) else { continue };
            let after = done.change.new.as_ref().filter(|_| done.change.kind != Kind::Delete);
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
                let other = sql::table(&reference.schema, &reference.table);
                let found = self.run(&format!("SELECT 1 AS there FROM {other} WHERE {condition} LIMIT 1")).await?;
                if found.is_empty() == wanted {
                    let (name, other) = (&reference.name, format!("{}.{}", reference.schema, reference.table));
                    judged[done.index].why = match wanted {
                        true => format!("the row of {other} it refers to is not there ({name})"),
                        false => format!("rows of {other} refer to it ({name})"),
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

/// What the server said of a change, as its class.
fn refusal(error: &SqlError) -> Judgement {
    let class = match error.code() {
        Some("23503") => Class::ForeignKeyMissing,
        _ => Class::Conflicting,
    };
    Judgement::new(class, error.to_string())
}
