//! What journal and store are built on: small objects that are changed only by who has seen them as they are.
//!
//! Border: bytes under names; what they mean stands in `shelf` and `journal`. Three engines speak it: a folder, an object
//! store, etcd. Names are `FOLDER/LEAF`; both parts hold only letters, digits, `.`, `_`, `-` and `=`.

use async_trait::async_trait;
use pilotlight_engine::storage::StorageError;

/// What an engine says of one state of one object: of two states no two tags are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(pub String);

/// An object as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its state.
    pub tag: Tag,
    /// Its content.
    pub body: Vec<u8>,
}

/// What must be there for a put to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Absent,
    /// This state.
    Tagged(Tag),
}

/// Why a put is not known to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Something else is there. Also said by an engine whose first answer was lost and that was asked again.
    Changed,
    /// No answer, or one that says nothing: it may have been done.
    Unclear(StorageError),
}

/// An engine with compare-and-swap.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Its name in messages: `the folder /srv/pilotlight`.
    fn name(&self) -> String;

    /// A chunk of a journal grows to so many bytes before the next one begins: every append writes its chunk anew, every
    /// read asks for each chunk.
    fn chunk_bytes(&self) -> usize;

    /// The newest state.
    async fn get(&self, name: &str) -> Result<Option<Object>, StorageError>;

    /// Replaces or makes the object if it is as expected. Durable when it returns.
    async fn put(&self, name: &str, body: Vec<u8>, expect: &Expect) -> Result<Tag, Refused>;

    /// The leaves of a folder with their states, in any order.
    async fn list(&self, folder: &str) -> Result<Vec<(String, Tag)>, StorageError>;

    /// Removes an object. Only for the trial at the start: what journal and store have put stays.
    async fn remove(&self, name: &str) -> Result<(), StorageError>;
}
