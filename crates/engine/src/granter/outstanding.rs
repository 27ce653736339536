//! The longest lease that may still be out, kept in the store: a controller whose plan has a shorter one than the plan
//! before it waits out the longer one before it calls anything lapsed.
//!
//! Invariant: the record is at least as long as the lease of the controller that grants. It is made longer before anything
//! is granted, and shorter only after the longer one was waited out by whoever wrote last.

use crate::storage::StorageError;
use crate::store::{PutError, Store, Versioned};
use pilotlight_core::time::as_ms;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const KEY: &str = "lease";

#[derive(Serialize, Deserialize)]
struct Record {
    /// In the store as whole milliseconds.
    #[serde(rename = "longest_ms", with = "as_ms")]
    longest: Duration,
}

/// What may be out when a controller starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outstanding {
    /// The longest lease that somebody may hold.
    pub(crate) longest: Duration,
    /// The store's version of that.
    version: u64,
}

/// Before anything is granted. A store that says nothing yet is a new one, or was written when nothing was kept.
///
/// One of several controllers puts it also where nothing is to be changed: whoever led before it and waits out a longer lease
/// finds another version then, and does not say that it is over while this one may grant it. The only controller of a store
/// writes nothing for that, so that it starts on a full disk too.
pub(crate) async fn at_start(
    store: &dyn Store,
    planned: Duration,
    is_contested: bool,
) -> Result<Outstanding, StorageError> {
    loop {
        let found = store.get(KEY).await?;
        let (longest, seen) = match &found {
            Some(found) => (read(found)?, Some(found.version)),
            None => (Duration::ZERO, None),
        };
        if let Some(version) = seen.filter(|_| longest >= planned && !is_contested) {
            return Ok(Outstanding { longest, version });
        }
        let longest = longest.max(planned);
        match store.put(KEY, write(longest), seen).await {
            Ok(version) => return Ok(Outstanding { longest, version }),
            Err(PutError::Changed { .. }) => {}
            Err(PutError::Storage(error)) => return Err(error),
        }
    }
}

/// The longer lease was waited out, and whoever granted it has not come back: from now on the planned one is the longest.
pub(crate) async fn shorten(store: &dyn Store, out: Outstanding, planned: Duration) -> Result<(), StorageError> {
    match store.put(KEY, write(planned), Some(out.version)).await {
        Ok(_) | Err(PutError::Changed { .. }) => Ok(()),
        Err(PutError::Storage(error)) => Err(error),
    }
}

fn read(found: &Versioned) -> Result<Duration, StorageError> {
    let record: Record = serde_json::from_slice(&found.value).map_err(|e| StorageError::Damaged {
        file: "store".into(),
        place: format!("{KEY}, version {}", found.version),
        why: e.to_string(),
    })?;
    Ok(record.longest)
}

fn write(longest: Duration) -> Vec<u8> {
    serde_json::to_vec(&Record { longest }).expect("a record of one number")
}
