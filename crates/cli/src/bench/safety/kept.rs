//! What rescue bundles hold of a round's rows, read from the disk of the region they lie in.
//!
//! Where a bundle holds rows they are known by number. Where it holds only transactions they are counted: each row of the
//! clients is a transaction of its own.

use pilotlight_core::rescue::{Bundle, Change, Datum, Manifest};
use std::collections::BTreeSet;
use std::path::Path;

/// What was kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Rows that are in a bundle.
    pub(super) rows: BTreeSet<i64>,
    /// Transactions of bundles that hold no rows.
    pub(super) transactions: u64,
}

/// Reads the bundles in `folder` that were not known yet, and knows them from here on.
pub(super) fn read(folder: &Path, known: &mut BTreeSet<String>) -> Kept {
    let mut kept = Kept::default();
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let manifest = std::fs::read(entry.path().join("manifest.json")).ok();
        // One that is unfinished or unreadable keeps nothing.
        let Some(manifest) = manifest.and_then(|text| serde_json::from_slice::<Manifest>(&text).ok()) else { continue };
        if !known.insert(entry.path().display().to_string()) || manifest.about.missing.is_some() {
            continue;
        }
        match changes(&entry.path()) {
            Some(rows) => kept.rows.extend(rows),
            None => kept.transactions += transactions(&manifest.about),
        }
    }
    kept
}

fn transactions(bundle: &Bundle) -> u64 {
    bundle.commits
}

fn changes(bundle: &Path) -> Option<Vec<i64>> {
    let text = std::fs::read_to_string(bundle.join("changes.jsonl")).ok()?;
    let id = |line: &str| match serde_json::from_str::<Change>(line).ok()?.new?.get("id")? {
        Datum::Text(id) => id.parse().ok(),
        _ => None,
    };
    Some(text.lines().filter_map(id).collect())
}
