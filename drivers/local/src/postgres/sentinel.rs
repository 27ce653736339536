//! Sentinels: one row per component, overwritten, that shows on every copy how far it is.
//!
//! Commits do not wait for replicas here (`synchronous_commit=local` on the driver's sessions): a sentinel measures
//! replication and must not be held up by it.

use super::PostgresDriver;
use super::look::Answer;
use super::session::{SqlError, literal};
use pilotlight_core::observation::Sentinel;
use pilotlight_core::outcome::{Failure, Outcome};
use pilotlight_driver::Context;
use std::time::Duration;

/// Longer than this a sentinel says nothing any more.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// The tables of Pilotlight in the administration database.
pub(super) const TABLES: &str = "CREATE SCHEMA IF NOT EXISTS pilotlight; \
    CREATE TABLE IF NOT EXISTS pilotlight.sentinel \
    (component text PRIMARY KEY, number bigint NOT NULL, written bigint NOT NULL); \
    CREATE TABLE IF NOT EXISTS pilotlight.promotion \
    (component text NOT NULL, region text NOT NULL, epoch bigint NOT NULL, at timestamptz NOT NULL)";

impl PostgresDriver {
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
        let mut done = self.write.rows(&sql, within, true).await;
        // No such table, no such schema.
        if matches!(done.as_ref().err().and_then(SqlError::code), Some("42P01" | "3F000")) {
            let made = self.write.rows(TABLES, within, true).await;
            made.map_err(|e| e.failure("the table of sentinels cannot be made"))?;
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
