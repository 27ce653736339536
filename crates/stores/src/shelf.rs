//! Compare-and-swap whose outcome is known, and the store made of it.
//!
//! Invariant: an answer that is lost is no answer. After a put that is not known to be done the object is read: it is ours
//! if it holds our nonce, wherever the answer got lost and however often an engine's client has asked by itself.

use crate::envelope::{Envelope, decode, encode};
use crate::objects::{Expect, Objects, Refused, Tag};
use async_trait::async_trait;
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::store::{PutError, Store, Versioned};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// One call of an engine may take so long: far more than a healthy one takes, less than a leader's lease.
const LONGEST: Duration = Duration::from_secs(2);

/// Objects that are read at once; more only wait for each other in the engine's client.
const AT_ONCE: usize = 16;

/// Where the store's values are.
const FOLDER: &str = "store";

/// Objects of one installation, with deadlines and known outcomes. Clones share everything.
#[derive(Clone)]
pub(crate) struct Shelf(pub(crate) Arc<dyn Objects>);

/// An envelope with the state of its object.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) tag: Tag,
    pub(crate) envelope: Envelope,
}

impl Shelf {
    pub(crate) async fn get(&self, name: &str) -> Result<Option<Kept>, StorageError> {
        let Some(object) = self.in_time("reading", name, self.0.get(name)).await?? else { return Ok(None) };
        let envelope = Envelope::read(&object.body, name, &self.0.name())?;
        Ok(Some(Kept { tag: object.tag, envelope }))
    }

    /// Puts the envelope in the place of `old`, or as the first of its name.
    pub(crate) async fn swap(&self, name: &str, old: Option<&Tag>, new: &Envelope) -> Result<Tag, Refused> {
        let expect = old.map_or(Expect::Absent, |tag| Expect::Tagged(tag.clone()));
        let put = self.in_time("putting", name, self.0.put(name, new.write(), &expect)).await;
        let refused = match put {
            Ok(Ok(tag)) => return Ok(tag),
            Ok(Err(refused)) => refused,
            Err(late) => Refused::Unclear(late),
        };
        match self.get(name).await {
            Ok(Some(found)) if found.envelope.holds(new) => Ok(found.tag),
            // As it was: whatever went wrong, nothing was done, and asking again is right.
            Ok(found) if found.as_ref().map(|f| &f.tag) == old => match refused {
                Refused::Unclear(why) => Err(Refused::Unclear(why)),
                Refused::Changed => Err(Refused::Unclear(StorageError::Unreachable {
                    what: self.0.name(),
                    why: format!("{name} was refused as changed, but it is as it was"),
                })),
            },
            Ok(_) => Err(Refused::Changed),
            Err(why) => Err(match refused {
                Refused::Unclear(_) => Refused::Unclear(why),
                Refused::Changed => Refused::Changed,
            }),
        }
    }

    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<(String, Tag)>, StorageError> {
        self.in_time("listing", folder, self.0.list(folder)).await?
    }

    /// The newest of each of these objects that is there.
    pub(crate) async fn get_all(&self, names: Vec<String>) -> Result<Vec<(String, Kept)>, StorageError> {
        let mut found = Vec::with_capacity(names.len());
        let mut names = names.into_iter();
        let mut reads: JoinSet<(String, Result<Option<Kept>, StorageError>)> = JoinSet::new();
        loop {
            while reads.len() < AT_ONCE {
                let Some(name) = names.next() else { break };
                let shelf = self.clone();
                reads.spawn(async move {
                    let read = shelf.get(&name).await;
                    (name, read)
                });
            }
            let Some(read) = reads.join_next().await else { return Ok(found) };
            let (name, kept) = read.map_err(|_| StorageError::Closed)?;
            found.extend(kept?.map(|kept| (name, kept)));
        }
    }

    async fn in_time<T>(&self, doing: &str, name: &str, call: impl Future<Output = T>) -> Result<T, StorageError> {
        tokio::time::timeout(LONGEST, call).await.map_err(|_| StorageError::Unreachable {
            what: self.0.name(),
            why: format!("{doing} {name} took longer than {LONGEST:?}"),
        })
    }
}

/// The store on shared objects.
#[derive(Clone)]
pub struct SharedStore(pub(crate) Shelf);

impl SharedStore {
    /// The store on these objects.
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self(Shelf(objects))
    }
}

#[async_trait]
impl Store for SharedStore {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StorageError> {
        Ok(self.0.get(&name_of(key)).await?.map(|kept| versioned(kept.envelope)))
    }

    async fn put(&self, key: &str, value: Vec<u8>, if_version: Option<u64>) -> Result<u64, PutError> {
        let name = name_of(key);
        let old = match if_version {
            // Whether it is absent the engine finds out by itself.
            None => None,
            Some(_) => self.0.get(&name).await?,
        };
        if old.as_ref().map(|kept| kept.envelope.head.version) != if_version {
            return Err(PutError::Changed { key: key.to_owned() });
        }
        let new = Envelope::next(old.as_ref().map(|kept| &kept.envelope), value);
        match self.0.swap(&name, old.as_ref().map(|kept| &kept.tag), &new).await {
            Ok(_) => Ok(new.head.version),
            Err(Refused::Changed) => Err(PutError::Changed { key: key.to_owned() }),
            Err(Refused::Unclear(why)) => Err(why.into()),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, StorageError> {
        let leaves = self.0.list(FOLDER).await?;
        let names = leaves.into_iter().filter(|(leaf, _)| decode(leaf).is_some_and(|key| key.starts_with(prefix)));
        let kept = self.0.get_all(names.map(|(leaf, _)| format!("{FOLDER}/{leaf}")).collect()).await?;
        let mut values: Vec<(String, Versioned)> =
            kept.into_iter().filter_map(|(name, kept)| Some((key_of(&name)?, versioned(kept.envelope)))).collect();
        values.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(values)
    }
}

fn name_of(key: &str) -> String {
    format!("{FOLDER}/{}", encode(key))
}

fn key_of(name: &str) -> Option<String> {
    decode(name.split_once('/')?.1)
}

fn versioned(envelope: Envelope) -> Versioned {
    Versioned { version: envelope.head.version, value: envelope.value }
}
