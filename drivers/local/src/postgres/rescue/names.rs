//! The tables behind the file numbers of a log, asked of the new writer: copies of one system share them.
//!
//! A table that was rewritten since the fork has another file there; it is then told by its number.

use super::super::PostgresDriver;
use super::super::session::{Session, SqlError, column};
use super::super::upstream;
use super::walk::Rel;
use pilotlight_core::outcome::Failure;
use pilotlight_core::plan::PostgresServer;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A busy server may take seconds for the names of a thousand files, and is asked again for all of them when it is late.
const PATIENCE: Duration = Duration::from_secs(10);

/// Files with a smaller number are the system's own.
const FIRST_OF_USERS: u32 = 16_384;

/// Where files of no database lie.
const SHARED: u32 = 0;

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

/// Names by file, and of what there are none, for people.
type Named = (BTreeMap<Rel, Name>, Vec<String>);

impl PostgresDriver {
    /// Names of all these files, as far as the server knows them. A failure where it may answer the next time: a bundle is made
    /// once, and one without names takes Pilotlight's own writes for lost ones of users. What it will not tell is said in words.
    pub(super) async fn names_of(&self, server: &PostgresServer, rels: &BTreeSet<Rel>) -> Result<Named, Failure> {
        let mut names: BTreeMap<Rel, Name> = rels.iter().map(|rel| (*rel, Name::unknown(*rel))).collect();
        let mut unnamed = Vec::new();
        let mut files: BTreeMap<u32, Vec<Rel>> = BTreeMap::new();
        rels.iter().for_each(|rel| files.entry(rel.1).or_default().push(*rel));
        if files.is_empty() {
            return Ok((names, unnamed));
        }
        let databases =
            databases(&self.session_of(server)).await.map_err(|e| silent("the databases of the new writer", &e))?;
        for (oid, here) in files {
            let Some(database) = databases.get(&oid) else {
                if oid != SHARED && here.iter().any(|(.., number)| *number >= FIRST_OF_USERS) {
                    let why = "it is not on the new writer, or nobody is let into it";
                    unnamed.push(told_by_number(&format!("database {oid}"), &why));
                }
                continue;
            };
            let mut config = upstream::config(&self.plan, &server.host, server.port, self.password.as_deref());
            config.dbname(database);
            let session = self.away(config);
            for part in here.chunks(1_000) {
                match ask(&session, part, *database != self.plan.database).await {
                    Ok(told) => names.extend(told),
                    Err(error) if lasts(&error) => {
                        unnamed.push(told_by_number(&format!("database \"{database}\""), &error));
                        break;
                    }
                    Err(error) => return Err(silent(&format!("tables of database \"{database}\""), &error)),
                }
            }
        }
        Ok((names, unnamed))
    }
}

/// The server has answered and will say the same the next time. Not so where it goes down or starts, has no room for one more,
/// or somebody else is in the way.
fn lasts(error: &SqlError) -> bool {
    error.code().is_some_and(|code| !["40", "53", "55P03", "57"].iter().any(|passing| code.starts_with(passing)))
}

fn silent(what: &str, error: &SqlError) -> Failure {
    Failure::transient(format!("names of {what} cannot be asked for: {error}"))
        .hint("look at the new writer: what the copy holds is kept with its names once it answers")
}

fn told_by_number(what: &str, why: &impl std::fmt::Display) -> String {
    format!("tables of {what} are told by the numbers of their files: {why}")
}

async fn databases(session: &Session) -> Result<BTreeMap<u32, String>, SqlError> {
    let rows = session.rows("SELECT oid, datname FROM pg_database WHERE datallowconn", PATIENCE, true).await?;
    let pair = |row| Some((column(row, "oid")?.parse().ok()?, column(row, "datname")?.to_owned()));
    Ok(rows.iter().filter_map(pair).collect())
}

async fn ask(session: &Session, rels: &[Rel], elsewhere: bool) -> Result<BTreeMap<Rel, Name>, SqlError> {
    let files: Vec<String> = rels.iter().map(|(space, _, number)| format!("({space}, {number})")).collect();
    // A long value lies in a table of its own, which is told as the one it belongs to.
    let sql = format!(
        "SELECT f.space, f.number, n.nspname, t.relname FROM (VALUES {}) f (space, number) \
         JOIN pg_class c ON c.oid = pg_filenode_relation(f.space, f.number) \
         JOIN pg_class t ON t.oid = coalesce((SELECT o.oid FROM pg_class o WHERE o.reltoastrelid = c.oid), c.oid) \
         JOIN pg_namespace n ON n.oid = t.relnamespace",
        files.join(", ")
    );
    let rows = session.rows(&sql, PATIENCE, true).await?;
    let database = rels.first().map_or(0, |(_, d, _)| *d);
    let name = |row| {
        let rel = (column(row, "space")?.parse().ok()?, database, column(row, "number")?.parse().ok()?);
        let (schema, table) = (column(row, "nspname")?.to_owned(), column(row, "relname")?.to_owned());
        Some((rel, Name { schema, table, elsewhere }))
    };
    Ok(rows.iter().filter_map(name).collect())
}
