//! Sentinels: one row per component, overwritten, that shows on every copy how far it is.
//!
//! Commits do not wait for replicas here (`synchronous_commit=local` on the driver's sessions): a sentinel measures
//! replication and must not be held up by it.

use super::PostgresDriver;
use super::look::Answer;
use super::session::{SqlError, column, literal};
use pilotlight_core::code;
use pilotlight_core::observation::Sentinel;
use pilotlight_core::outcome::{Failure, Finding, Outcome, Severity};
use pilotlight_driver::Context;
use std::time::Duration;
use tokio_postgres::SimpleQueryRow;

/// Longer than this a sentinel says nothing any more.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// The tables of Pilotlight in the administration database.
const TABLES: &str = "CREATE SCHEMA IF NOT EXISTS pilotlight; \
    CREATE TABLE IF NOT EXISTS pilotlight.sentinel \
    (component text PRIMARY KEY, number bigint NOT NULL, written bigint NOT NULL); \
    CREATE TABLE IF NOT EXISTS pilotlight.promotion \
    (component text NOT NULL, region text NOT NULL, epoch bigint NOT NULL, at timestamptz NOT NULL)";

/// What bears one of our names and belongs to somebody who is neither a superuser nor we: its triggers would run as us.
pub(super) const FOREIGN: &str = "SELECT f.what, o.rolname AS owner FROM (\
    SELECT 'the schema pilotlight' AS what, nspowner AS owner FROM pg_namespace WHERE nspname = 'pilotlight' UNION ALL \
    SELECT 'pilotlight.' || c.relname, CASE WHEN c.relkind = 'r' THEN c.relowner END FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = 'pilotlight' AND c.relname IN ('sentinel', 'promotion', 'rescue')) f \
    LEFT JOIN pg_roles o ON o.oid = f.owner WHERE (o.rolsuper OR o.rolname = current_user) IS NOT TRUE";

/// What [`FOREIGN`] found, as the reason why nothing is written there.
pub(super) fn not_ours(found: &[SimpleQueryRow]) -> Result<(), Failure> {
    let Some(row) = found.first() else { return Ok(()) };
    let what = column(row, "what").unwrap_or_default();
    let owner = column(row, "owner").map_or_else(|| "is no table".to_owned(), |o| format!("belongs to {o}"));
    Err(Failure::rejected(format!(
        "PL-0980: {what} {owner}: nothing is written there, its owner's code would run as a superuser"
    ))
    .hint("see what it is, then drop it or give it to a superuser; Pilotlight makes its own"))
}

impl PostgresDriver {
    /// The same as a finding: said of the component, since every copy has the same tables.
    pub(super) async fn of_tables(&self) -> Option<Finding> {
        let rows = self.look.rows(FOREIGN, WRITE_TIMEOUT, true).await.ok()?;
        let failure = not_ours(&rows).err()?;
        let (_, why) = failure.coded();
        let message = format!("in the database {} of {}: {why}", self.plan.database, self.component);
        let hint = failure.hint.clone().unwrap_or_default();
        Some(Finding { code: code::SCHEMA_FOREIGN.to_string(), severity: Severity::Warning, message, hint })
    }

    /// Makes the tables; refuses those of somebody else.
    pub(super) async fn own_tables(&self, within: Duration) -> Result<(), Failure> {
        let failed = |e: SqlError| e.failure("the tables of Pilotlight cannot be made");
        not_ours(&self.write.rows(FOREIGN, within, true).await.map_err(failed)?)?;
        self.write.rows(TABLES, within, true).await.map_err(failed)?;
        // Somebody may have been between; nothing but ours was run until now.
        not_ours(&self.write.rows(FOREIGN, within, true).await.map_err(failed)?)
    }

    /// Writes the row; makes the table and arms the directory at the first one.
    pub(super) async fn write_sentinel(&self, sentinel: Sentinel, context: &Context) -> Result<Outcome, Failure> {
        let within = context.deadline.min(WRITE_TIMEOUT);
        let component = literal(self.component.as_str());
        let Sentinel { number, written } = sentinel;
        let sql = format!(
            "INSERT INTO pilotlight.sentinel AS s (component, number, written) VALUES ({component}, {number}, {}) \
             ON CONFLICT (component) DO UPDATE SET number = excluded.number, written = excluded.written \
             WHERE s.number < excluded.number",
            written.0
        );
        not_ours(
            &self.write.rows(FOREIGN, within, true).await.map_err(|e| e.failure("the sentinel cannot be written"))?,
        )?;
        let mut done = self.write.rows(&sql, within, true).await;
        // No such table, no such schema.
        if matches!(done.as_ref().err().and_then(SqlError::code), Some("42P01" | "3F000")) {
            self.own_tables(within).await?;
            done = self.write.rows(&sql, within, true).await;
        }
        done.map_err(|e| e.failure("the sentinel cannot be written"))?;
        if !self.directory().armed() {
            // A writer that Pilotlight did not start: from now on only Pilotlight starts it as one.
            let answer = Answer::ask(&self.write, within).await.map_err(|e| e.failure("the writer cannot be armed"))?;
            if !answer.recovering {
                self.settle_as_writer(&answer).await?;
            }
        }
        Ok(Outcome::done())
    }
}
