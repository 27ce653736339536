//! Journal and store on engines that several controllers share: a folder, an object store, etcd.
//!
//! Each engine is an [`Objects`]: small objects with compare-and-swap. Journal and store are made of it once, so that what
//! is hard (a lost answer, a torn value, the lock) stands in one place. [`open`] first tries the engine: one that ignores
//! conditions is refused.
//!
//! Border: knows neither plans nor runs beyond their names; who leads and who decides is the server's business.

mod envelope;
mod etcd;
mod folder;
mod journal;
mod objects;
mod s3;
mod shelf;
#[cfg(test)]
mod tests;
mod trial;

pub use etcd::{Etcd, EtcdSettings};
pub use folder::Folder;
pub use journal::SharedJournal;
pub use objects::{Expect, Object, Objects, Refused, Tag};
pub use s3::{S3, S3Settings};
pub use shelf::SharedStore;
pub use trial::trial;

use pilotlight_engine::storage::StorageError;
use std::sync::Arc;

/// Tries the engine, then makes journal and store of it.
pub async fn open(objects: Arc<dyn Objects>) -> Result<(SharedJournal, SharedStore), StorageError> {
    trial(objects.as_ref()).await?;
    Ok((SharedJournal::new(Arc::clone(&objects)), SharedStore::new(objects)))
}
