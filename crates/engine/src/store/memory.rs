//! A store that is gone with the process: for tests and simulations. Passes the same battery as the durable one.

use super::{PutError, Store, Versioned};
use crate::storage::StorageError;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Values in memory; clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<BTreeMap<String, Versioned>>>);

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is in it now, as a store of its own.
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.values().clone())))
    }

    /// Puts it back to what an earlier copy of it has.
    pub fn put_back(&self, copy: &Self) {
        let values = copy.values().clone();
        *self.values() = values;
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<String, Versioned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StorageError> {
        Ok(self.values().get(key).cloned())
    }

    async fn put(&self, key: &str, value: Vec<u8>, if_version: Option<u64>) -> Result<u64, PutError> {
        let mut values = self.values();
        if values.get(key).map(|v| v.version) != if_version {
            return Err(PutError::Changed { key: key.to_owned() });
        }
        let version = if_version.unwrap_or(0) + 1;
        values.insert(key.to_owned(), Versioned { version, value });
        Ok(version)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, StorageError> {
        Ok(self.values().iter().filter(|(k, _)| k.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_store_passes_the_battery() {
        crate::store::battery::all(|| async { MemoryStore::new() }).await;
    }
}
