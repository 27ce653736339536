//! What rescue bundles hold of a round's rows, as `pilotlight rescue show` tells it.
//!
//! Rows that a bundle can read are known by number, and nothing else counts as kept: every plan of these rounds keeps rows,
//! and what a bundle counts without a row of it may have changed the catalogue only.

use crate::demo::acts;
use crate::error::CliError;
use crate::operator::Operator;
use pilotlight_core::rescue::Rows;
use pilotlight_server::api::view::RescueView;
use std::collections::BTreeSet;

/// The table of the clients.
const TABLE: &str = "heartbeat";

/// What was kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Rows that are in a bundle.
    pub(super) rows: BTreeSet<i64>,
    /// Transactions in bundles of which no row was read.
    pub(super) unread: u64,
}

/// Reads the bundles that were not known yet, and knows them from here on.
pub(super) async fn read(operator: &Operator, known: &mut BTreeSet<String>) -> Result<Kept, CliError> {
    let mut kept = Kept::default();
    let view: RescueView = operator.get("/v1/rescue").await?;
    for about in view.bundles.into_iter().map(|found| found.bundle.about) {
        // One that is unfinished keeps nothing.
        if !known.insert(about.bundle.to_string()) || about.missing.is_some() {
            continue;
        }
        match about.rows {
            Rows::Kept { transactions, .. } => {
                kept.unread += about.commits.saturating_sub(transactions);
                let ids = acts::inserted(operator, about.bundle.as_str(), TABLE).await?;
                kept.rows.extend(ids.iter().filter_map(|id| id.parse::<i64>().ok()));
            }
            Rows::Left { .. } => kept.unread += about.commits,
        }
    }
    Ok(kept)
}
