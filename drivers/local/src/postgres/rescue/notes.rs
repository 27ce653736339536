//! `pilotlight.rescue` on the new writer: which lost transactions were made, noted by the transactions that made them.
//!
//! Whoever writes lost rows may write here, and code of a table's owner runs with the same rights. So the administrator looks
//! before and after: a note of what was not made is taken out, else a write would count as there and be lost.

use super::super::session::{Exclusive, SqlError, column, literal};
use super::super::work::Work;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Beside the sentinels.
pub(super) const NOTES: &str = "CREATE SCHEMA IF NOT EXISTS pilotlight; CREATE TABLE IF NOT EXISTS pilotlight.rescue \
    (bundle text NOT NULL, transaction bigint NOT NULL, applied_by text NOT NULL, at timestamptz NOT NULL, \
    changes integer NOT NULL, PRIMARY KEY (bundle, transaction))";

/// Looking again is tried for so long, also when the time of the effect is over.
const WITHIN: Duration = Duration::from_secs(10);

/// Numbers of the transactions that made the lost ones, by bundle and number of the lost one.
pub(super) struct Notes(BTreeMap<(String, u64), u32>);

impl Notes {
    /// What is noted now.
    pub(super) async fn read(admin: &Exclusive, work: &Work<'_>) -> Result<Notes, SqlError> {
        read(admin, work.left()).await.map(Notes)
    }

    /// Transactions of a bundle that were made, and the numbers of those that made them.
    pub(super) fn of(&self, bundle: &str) -> BTreeMap<u64, u32> {
        self.0.iter().filter(|((of, _), _)| of == bundle).map(|((_, number), writer)| (*number, *writer)).collect()
    }

    /// Takes out what was noted since and not made; where it is not known what was made, only notes of other bundles.
    pub(super) async fn cleaned(&self, admin: &Exclusive, bundle: &str, made: Option<&BTreeSet<u64>>) {
        let now = match read(admin, WITHIN).await {
            Ok(now) => now,
            Err(error) => {
                return tracing::warn!("it cannot be looked whether false notes were made of lost rows: {error}");
            }
        };
        let is_true = |(of, number): &(String, u64)| of == bundle && made.is_none_or(|made| made.contains(number));
        for note in now.keys().filter(|note| !self.0.contains_key(*note) && !is_true(note)) {
            let (of, number) = note;
            tracing::warn!(bundle = of, transaction = number, "somebody's code noted it as applied, and it was not");
            let sql =
                format!("DELETE FROM pilotlight.rescue WHERE bundle = {} AND transaction = {number}", literal(of));
            if let Err(error) = admin.rows(&sql, WITHIN).await {
                tracing::warn!(bundle = of, transaction = number, "the false note cannot be taken out: {error}");
            }
        }
    }
}

async fn read(admin: &Exclusive, within: Duration) -> Result<BTreeMap<(String, u64), u32>, SqlError> {
    let sql = "SELECT 1 AS there WHERE to_regclass('pilotlight.rescue') IS NOT NULL";
    if admin.rows(sql, within).await?.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = admin.rows("SELECT bundle, transaction, xmin AS writer FROM pilotlight.rescue", within).await?;
    let number = |row, name| column(row, name)?.parse::<u64>().ok();
    let note = |row| {
        let key = (column(row, "bundle")?.to_owned(), number(row, "transaction")?);
        Some((key, u32::try_from(number(row, "writer")?).ok()?))
    };
    Ok(rows.iter().filter_map(note).collect())
}
