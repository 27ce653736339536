//! Rows out of a tail: a fenced copy of the old writer decodes its log from the standing slot on.
//!
//! Invariant: every lost transaction that the log names is told, or the bundle says plainly which part is not.

use super::super::PostgresDriver;
use super::super::session::{Session, column};
use super::super::work::Work;
use super::bundle::{self, CHANGES, Folder, SQL};
use super::capture::{Tail, not_kept};
use super::names::Name;
use super::parse::{self, Line, RawChange};
use super::slot::SLOT;
use super::walk::{self, Rel, Walk};
use super::{super::lsn::Lsn, sql};
use pilotlight_core::outcome::Failure;
use pilotlight_core::rescue::{Change, Datum, File, Kind, Row, Rows};
use pilotlight_core::time::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

/// Changes asked for at a time; a transaction is never cut.
const BATCH: u32 = 20_000;

/// What names a row, by schema and table.
type Keys = BTreeMap<(String, String), Identity>;

/// What names a row of a table: its replica identity where that is an index, else its primary key.
#[derive(Debug, Default)]
struct Identity {
    columns: Vec<String>,
    /// The log says of a change how its row was called before. It does not where the replica identity is `NOTHING`, or is a
    /// primary key that is deferrable: what the new row is called may then be another row's name.
    told: bool,
}

/// What became of the rows of a tail.
pub(super) struct Decoded {
    pub(super) rows: Rows,
    pub(super) notes: Vec<String>,
    pub(super) files: Vec<File>,
}

impl Decoded {
    pub(super) fn left(why: impl Into<String>) -> Decoded {
        Decoded { rows: Rows::Left { why: why.into() }, notes: Vec::new(), files: Vec::new() }
    }
}

impl PostgresDriver {
    /// Rows, where the plan allows them and the log holds them.
    pub(super) async fn rows_of(
        &self,
        tail: &Tail,
        found: &Walk,
        names: &BTreeMap<Rel, Name>,
        folder: &Folder,
        work: &Work<'_>,
    ) -> Result<Decoded, Failure> {
        if !self.plan.rescue.rows {
            return Ok(Decoded::left("the plan does not allow it (`rescue.rows`)"));
        }
        if !self.directory().path().join("pg_replslot").join(SLOT).exists() {
            let why = "the old writer had no slot to decode from: wal_level was not logical, or no standby was there";
            return Ok(Decoded::left(why));
        }
        let copy = self.fenced_copy(work).await?;
        let session = copy.session(&self.plan.database, &self.plan.user);
        let Some(from) = slot(&session, work).await? else {
            return Ok(Decoded::left(
                "the slot of the old writer was lost: it had fallen behind max_slot_wal_keep_size",
            ));
        };
        let keys = keys(&session, work).await?;
        let mut reading = Reading {
            plan: &self.plan.rescue,
            keys: &keys,
            wanted: found.commits.iter().map(|c| (c.xid, c)).collect(),
            changes: Vec::new(),
            seen: BTreeSet::new(),
            withheld: 0,
        };
        reading.all(&session, work).await?;
        let filled = filled(&session, work).await?;
        drop(copy);
        let (changes, seen, withheld) = (reading.changes, reading.seen, reading.withheld);
        let mut notes = unheld(found, names, &seen, from, tail);
        if withheld > 0 {
            notes.push(format!("{withheld} changes of tables that the plan withholds are not in the rows"));
        }
        let keyless: BTreeSet<String> = changes.iter().filter(|c| c.key.is_none()).map(Change::name).collect();
        if !keyless.is_empty() {
            let tables = keyless.into_iter().collect::<Vec<_>>().join(", ");
            notes.push(format!(
                "without a primary key or a replica identity that names one row it cannot be found again: {tables}"
            ));
        }
        let files = self.write_rows(folder, &changes, &filled, work)?;
        let transactions = changes.iter().map(|c| c.transaction).collect::<BTreeSet<_>>().len() as u64;
        Ok(Decoded { rows: Rows::Kept { changes: changes.len() as u64, transactions }, notes, files })
    }

    fn write_rows(
        &self,
        folder: &Folder,
        changes: &[Change],
        filled: &sql::AllFilled,
        work: &Work<'_>,
    ) -> Result<Vec<File>, Failure> {
        let stop = self.stopper(work);
        let write = || {
            folder.put(CHANGES, &mut |to| bundle::write_lines(to, changes))?;
            folder.put(SQL, &mut |to| sql::script(changes, filled, to))?;
            Ok(vec![folder.entry(CHANGES, &stop)?, folder.entry(SQL, &stop)?])
        };
        write().map_err(|e: io::Error| not_kept(folder.path(), &e))
    }
}

/// Rows cannot be read, and the copy stays as it is.
pub(super) fn unread(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::transient(format!("PL-0240: rows cannot be read out of the old writer's log: {what}: {error}"))
        .hint("look at the message; to go on without rows, end the run: `pilotlight rejoin --waive-rescue YOUR-NAME`")
}

/// Where the slot begins; `None` when it was lost.
async fn slot(session: &Session, work: &Work<'_>) -> Result<Option<Lsn>, Failure> {
    let sql =
        format!("SELECT confirmed_flush_lsn AS at, wal_status FROM pg_replication_slots WHERE slot_name = '{SLOT}'");
    let rows = session.rows(&sql, work.left(), false).await.map_err(|e| unread("the slot", e))?;
    let row = rows.first();
    if row.and_then(|r| column(r, "wal_status")) == Some("lost") {
        return Ok(None);
    }
    Ok(row.and_then(|r| column(r, "at")).and_then(|l| l.parse().ok()))
}

/// Columns that an index only carries along (`INCLUDE`) name nothing.
async fn keys(session: &Session, work: &Work<'_>) -> Result<Keys, Failure> {
    let sql = "SELECT n.nspname, c.relname, a.attname, c.relreplident = 'f' OR (c.relreplident = 'i' AND i.indisreplident) \
        OR (c.relreplident = 'd' AND i.indimmediate) AS told FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
        JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid \
        AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) WHERE CASE WHEN c.relreplident = 'i' \
        AND EXISTS (SELECT 1 FROM pg_index o WHERE o.indrelid = c.oid AND o.indisreplident) \
        THEN i.indisreplident ELSE i.indisprimary END";
    let rows = session.rows(sql, work.left(), false).await.map_err(|e| unread("the keys of tables", e))?;
    let mut keys = Keys::new();
    for row in &rows {
        if let (Some(schema), Some(table), Some(name)) =
            (column(row, "nspname"), column(row, "relname"), column(row, "attname"))
        {
            let identity = keys.entry((schema.to_owned(), table.to_owned())).or_default();
            identity.columns.push(name.to_owned());
            identity.told = column(row, "told") == Some("t");
        }
    }
    Ok(keys)
}

/// Columns that the server fills itself: a script that named them would be refused.
async fn filled(session: &Session, work: &Work<'_>) -> Result<sql::AllFilled, Failure> {
    let sql = "SELECT n.nspname, c.relname, a.attname, a.attgenerated <> '' AS computed FROM pg_attribute a \
        JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE (a.attgenerated <> '' OR a.attidentity = 'a') AND NOT a.attisdropped";
    let rows = session.rows(sql, work.left(), false).await.map_err(|e| unread("the columns of tables", e))?;
    let mut all = sql::AllFilled::new();
    for row in &rows {
        if let (Some(schema), Some(table), Some(name)) =
            (column(row, "nspname"), column(row, "relname"), column(row, "attname"))
        {
            let filled = all.entry((schema.to_owned(), table.to_owned())).or_default();
            let computed = column(row, "computed") == Some("t");
            let columns = if computed { &mut filled.computed } else { &mut filled.numbered };
            columns.insert(name.to_owned());
        }
    }
    Ok(all)
}

/// The stream of changes while it is read.
struct Reading<'a> {
    plan: &'a pilotlight_core::plan::RescuePlan,
    keys: &'a Keys,
    wanted: BTreeMap<u32, &'a walk::RawCommit>,
    changes: Vec<Change>,
    /// Transactions that were told.
    seen: BTreeSet<u32>,
    withheld: u64,
}

impl Reading<'_> {
    async fn all(&mut self, session: &Session, work: &Work<'_>) -> Result<(), Failure> {
        let sql = format!(
            "SELECT xid, data FROM pg_logical_slot_get_changes('{SLOT}', NULL, {BATCH}, \
             'include-timestamp', 'on', 'skip-empty-xacts', 'on')"
        );
        loop {
            let within = work.left().min(Duration::from_secs(3_600));
            let rows = session.rows(&sql, within, false).await.map_err(|e| unread("decoding", e))?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in &rows {
                let xid = column(row, "xid").and_then(|x| x.parse().ok());
                let data = row.try_get("data").ok().flatten().unwrap_or_default();
                let line = parse::read(data).ok_or_else(|| unread("a line is not understood", data))?;
                if let Some(commit) = xid.and_then(|xid: u32| self.wanted.get(&xid).copied()) {
                    self.take(commit, line);
                }
            }
        }
    }

    fn take(&mut self, commit: &walk::RawCommit, line: Line) {
        let (xid, position, at) = (commit.xid, commit.lsn.to_string(), commit.at);
        self.seen.insert(xid);
        match line {
            Line::Begin | Line::Other => {}
            Line::Commit(at) => self.date(xid, at.as_deref().and_then(walk::time)),
            Line::Change(raw) => self.keep(self.change(xid, &position, at, raw)),
            Line::Truncate(tables) => {
                for (schema, table) in tables {
                    let raw = RawChange { schema, table, kind: Kind::Truncate, old: None, new: None };
                    self.keep(self.change(xid, &position, at, raw));
                }
            }
        }
    }

    /// The commit's own time, where the log's text gave none.
    fn date(&mut self, xid: u32, at: Option<Wall>) {
        for change in self.changes.iter_mut().rev().take_while(|c| c.transaction == u64::from(xid)) {
            change.at = change.at.or(at);
        }
    }

    fn change(&self, xid: u32, position: &str, at: Option<Wall>, raw: RawChange) -> Change {
        let RawChange { schema, table, kind, old, new } = raw;
        let identity = self.keys.get(&(schema.clone(), table.clone()));
        let key = identity.and_then(|identity| key(kind, identity, old.as_ref(), new.as_ref()));
        Change { transaction: u64::from(xid), position: position.to_owned(), at, schema, table, kind, key, old, new }
    }

    fn keep(&mut self, change: Change) {
        if change.schema == "pilotlight" {
            return;
        }
        let name = change.name();
        let allowed = self.plan.only.is_empty() || self.plan.only.contains(&name);
        if allowed && !self.plan.except.contains(&name) {
            self.changes.push(change);
        } else {
            self.withheld += 1;
        }
    }
}

/// The key of the row before the change; none where the log does not tell all of it. That the whole old row is told
/// (`REPLICA IDENTITY FULL`) is no key: others may be like it, and it is told without what is NULL in it.
fn key(kind: Kind, identity: &Identity, old: Option<&Row>, new: Option<&Row>) -> Option<Row> {
    let row = old.or(new).filter(|_| identity.told || kind == Kind::Insert)?;
    let pair = |name: &String| match row.get(name)? {
        Datum::Text(text) => Some((name.clone(), Datum::Text(text.clone()))),
        Datum::Null | Datum::Unchanged { .. } => None,
    };
    identity.columns.iter().map(pair).collect()
}

/// Lost transactions whose rows were not told, although they touched tables of the decoded database.
fn unheld(found: &Walk, names: &BTreeMap<Rel, Name>, seen: &BTreeSet<u32>, from: Lsn, tail: &Tail) -> Vec<String> {
    let touches = |commit: &&walk::RawCommit| {
        let mut tables = commit.touched.keys().filter_map(|rel| names.get(rel));
        !commit.whole || tables.any(|n| !n.is_ours() && !n.is_of_the_system() && !n.elsewhere)
    };
    let untold = found.commits.iter().filter(touches).filter(|c| !seen.contains(&c.xid)).count();
    if untold == 0 {
        return Vec::new();
    }
    let why = match from > tail.fork.1 {
        true => format!("the slot begins at {from}, after the fork at {}", tail.fork.1),
        false => "unlogged tables, or a table that was not there at the end".to_owned(),
    };
    vec![format!("rows of {untold} lost transactions could not be told: {why}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pairs: &[(&str, &str)]) -> Row {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), Datum::Text((*v).to_owned()))).collect()
    }

    #[test]
    fn a_row_is_named_by_its_key_before_the_change() {
        let of = |name: &str, told| Identity { columns: vec![name.to_owned()], told };
        let (one, whole, moved) =
            (row(&[("id", "1")]), row(&[("id", "1"), ("v", "a")]), row(&[("id", "7"), ("v", "a")]));
        let id = of("id", true);
        assert_eq!(key(Kind::Insert, &id, None, Some(&whole)), Some(one.clone()));
        assert_eq!(key(Kind::Update, &id, Some(&one), Some(&moved)), Some(one.clone()));
        assert_eq!(key(Kind::Update, &id, Some(&whole), Some(&moved)), Some(one.clone()), "the whole old row is told");
        assert_eq!(key(Kind::Delete, &id, Some(&one), None), Some(one.clone()));
        assert_eq!(key(Kind::Delete, &id, None, None), None);
        assert_eq!(key(Kind::Update, &of("v", true), Some(&one), Some(&moved)), None, "named by what is not its key");
        let silent = of("id", false);
        assert_eq!(key(Kind::Insert, &silent, None, Some(&whole)), Some(one));
        assert_eq!(key(Kind::Update, &silent, None, Some(&moved)), None, "it may have had another name");
    }
}
