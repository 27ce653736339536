//! The trial at the start: an engine that ignores a condition is no lock, and is refused before anything rests on it.
//!
//! Some servers that speak an object store's protocol answer "done" to a conditional write and do not look at the
//! condition. Two controllers would both win every race.

use crate::envelope::{Envelope, nonce};
use crate::objects::{Expect, Object, Objects, Refused, Tag};
use pilotlight_engine::storage::StorageError;
use std::time::Duration;

/// The whole trial: eight calls.
const LONGEST: Duration = Duration::from_secs(10);

/// Tries each condition on an object of its own. `Ok` means that every one was honoured.
pub async fn trial(objects: &dyn Objects) -> Result<(), StorageError> {
    let value = |text: &str| Envelope::next(None, text.as_bytes().to_vec()).write();
    // Two controllers that start at once do not meet.
    let name = format!("trial/{}", nonce());
    let tried = tokio::time::timeout(LONGEST, conditions(objects, &name, &value)).await;
    let removed = tokio::time::timeout(LONGEST, objects.remove(&name)).await;
    if !matches!(removed, Ok(Ok(()))) {
        tracing::warn!(name, "what the trial of {} has written could not be removed", objects.name());
    }
    tried.unwrap_or_else(|_| {
        let why = format!("a trial of its conditional writes was not over after {LONGEST:?}");
        Err(StorageError::Unreachable { what: objects.name(), why })
    })
}

async fn conditions(
    objects: &dyn Objects,
    name: &str,
    value: &(dyn Fn(&str) -> Vec<u8> + Sync),
) -> Result<(), StorageError> {
    let refused =
        |what: &str| StorageError::Unconditional { what: objects.name(), seen: format!("{what} was refused") };
    let first = put(objects, name, value("first"), &Expect::Absent).await?;
    let first = first.ok_or_else(|| refused("a write of what must be absent and is"))?;
    let must_refuse = async |what: &str, expect: Expect| match put(objects, name, value(what), &expect).await? {
        None => Ok(()),
        Some(_) => Err(StorageError::Unconditional { what: objects.name(), seen: format!("{what} was done") }),
    };
    must_refuse("a write of what must be absent and is there", Expect::Absent).await?;
    let body = value("second");
    let second = put(objects, name, body.clone(), &Expect::Tagged(first.clone())).await?;
    let second = second.ok_or_else(|| refused("a write of what is as it must be"))?;
    must_refuse("a write of what has changed since", Expect::Tagged(first)).await?;
    match objects.get(name).await? {
        Some(Object { tag, body: found }) if tag == second && found == body => Ok(()),
        _ => Err(StorageError::Unconditional {
            what: objects.name(),
            seen: "what was written is not what is read".to_owned(),
        }),
    }
}

/// `None` when the condition was refused. An engine's client that lost the answer and asked again by itself is refused for what
/// it has just written: that is seen by what is there, since each body has a nonce.
async fn put(objects: &dyn Objects, name: &str, body: Vec<u8>, expect: &Expect) -> Result<Option<Tag>, StorageError> {
    match objects.put(name, body.clone(), expect).await {
        Ok(tag) => Ok(Some(tag)),
        Err(Refused::Changed) => Ok(objects.get(name).await?.filter(|found| found.body == body).map(|found| found.tag)),
        Err(Refused::Unclear(why)) => Err(why),
    }
}
