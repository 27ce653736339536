//! The tables behind the file numbers of a log, asked of the new writer: copies of one system share them.
//!
//! A table that was rewritten since the fork has another file there; it is then told by its number.

use super::super::PostgresDriver;
use super::super::session::{Session, column};
use super::super::upstream;
use super::walk::Rel;
use pilotlight_core::plan::PostgresServer;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(3);

/// Files with a smaller number are the system's own.
const FIRST_OF_USERS: u32 = 16_384;

/// A name with its schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) schema: String,
    pub(super) table: String,
    /// Not of the database that the plan names.
    pub(super) elsewhere: bool,
}

impl Name {
    fn unknown((_, database, number): Rel) -> Name {
        let schema = if number < FIRST_OF_USERS { "pg_catalog" } else { "unknown" };
        Name { schema: schema.to_owned(), table: format!("file {number} of database {database}"), elsewhere: false }
    }

    /// It belongs to Pilotlight.
    pub(super) fn is_ours(&self) -> bool {
        self.schema == "pilotlight"
    }

    /// It belongs to the system: a change of it is a change of definitions.
    pub(super) fn is_of_the_system(&self) -> bool {
        self.schema == "pg_catalog" || self.schema == "information_schema"
    }

    /// For people.
    pub(super) fn show(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }
}

impl PostgresDriver {
    /// Names of all these files, as far as the server knows them.
    pub(super) async fn names_of(&self, server: &PostgresServer, rels: &BTreeSet<Rel>) -> BTreeMap<Rel, Name> {
        let mut names: BTreeMap<Rel, Name> = rels.iter().map(|rel| (*rel, Name::unknown(*rel))).collect();
        let databases = databases(&self.session_of(server)).await;
        for (oid, database) in databases {
            let here: Vec<Rel> = rels.iter().filter(|(_, d, _)| *d == oid).copied().collect();
            if here.is_empty() {
                continue;
            }
            let mut config = upstream::config(&self.plan, &server.host, server.port, self.password.as_deref());
            config.dbname(&database);
            let session = self.away(config);
            let elsewhere = database != self.plan.database;
            for part in here.chunks(1_000) {
                names.extend(ask(&session, part, elsewhere).await);
            }
        }
        names
    }
}

async fn databases(session: &Session) -> Vec<(u32, String)> {
    let rows = session.rows("SELECT oid, datname FROM pg_database WHERE datallowconn", PATIENCE, true).await;
    let pair = |row| Some((column(row, "oid")?.parse().ok()?, column(row, "datname")?.to_owned()));
    rows.unwrap_or_default().iter().filter_map(pair).collect()
}

async fn ask(session: &Session, rels: &[Rel], elsewhere: bool) -> BTreeMap<Rel, Name> {
    let files: Vec<String> = rels.iter().map(|(space, _, number)| format!("({space}, {number})")).collect();
    // A long value lies in a table of its own, which is told as the one it belongs to.
    let sql = format!(
        "SELECT f.space, f.number, n.nspname, t.relname FROM (VALUES {}) f (space, number) \
         JOIN pg_class c ON c.oid = pg_filenode_relation(f.space, f.number) \
         JOIN pg_class t ON t.oid = coalesce((SELECT o.oid FROM pg_class o WHERE o.reltoastrelid = c.oid), c.oid) \
         JOIN pg_namespace n ON n.oid = t.relnamespace",
        files.join(", ")
    );
    let rows = session.rows(&sql, PATIENCE, true).await.unwrap_or_default();
    let database = rels.first().map_or(0, |(_, d, _)| *d);
    let name = |row| {
        let rel = (column(row, "space")?.parse().ok()?, database, column(row, "number")?.parse().ok()?);
        let (schema, table) = (column(row, "nspname")?.to_owned(), column(row, "relname")?.to_owned());
        Some((rel, Name { schema, table, elsewhere }))
    };
    rows.iter().filter_map(name).collect()
}
