//! The store: small values that are only changed by who has seen their newest version.

pub mod battery;
mod memory;
mod unit;

pub use memory::MemoryStore;
pub use unit::{FailedOver, UnitRecord, Units, UnitsError};

use crate::storage::StorageError;
use async_trait::async_trait;

/// A value with its version. A version is never used twice for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// Grows with every change.
    pub version: u64,
    /// The value.
    pub value: Vec<u8>,
}

/// Why nothing was put.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// Somebody else has changed it since: read again.
    #[error("{key} has another version by now")]
    Changed { key: String },
    /// The medium failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Where values are kept.
#[async_trait]
pub trait Store: Send + Sync {
    /// The value with its version, if there is one.
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StorageError>;

    /// Puts the value if the key has that version, or is absent for `None`. Returns the new version. Durable when it
    /// returns.
    async fn put(&self, key: &str, value: Vec<u8>, if_version: Option<u64>) -> Result<u64, PutError>;

    /// Every key that begins so, in order.
    async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, StorageError>;
}
