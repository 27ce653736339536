//! The store in SQLite.

use super::error::explain;
use super::thread::{Request, Thread, get};
use crate::storage::StorageError;
use crate::store::{PutError, Store, Versioned};
use async_trait::async_trait;
use rusqlite::Connection;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The store in a folder; see [`crate::sqlite::open`].
#[derive(Clone)]
pub struct SqliteStore(pub(super) Arc<Thread>);

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StorageError> {
        let key = key.to_owned();
        self.0.read(move |connection, file| get(connection, &key).map_err(|e| explain(&e, &key, file))).await
    }

    async fn put(&self, key: &str, value: Vec<u8>, if_version: Option<u64>) -> Result<u64, PutError> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Request::Put { key: key.to_owned(), value, if_version, reply });
        answer.await.map_err(|_| StorageError::Closed)?
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, StorageError> {
        let prefix = prefix.to_owned();
        self.0.read(move |connection, file| list(connection, &prefix).map_err(|e| explain(&e, &prefix, file))).await
    }
}

fn list(connection: &Connection, prefix: &str) -> rusqlite::Result<Vec<(String, Versioned)>> {
    connection
        .prepare_cached("SELECT key, version, value FROM store WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key")?
        .query_map([prefix], |row| Ok((row.get(0)?, Versioned { version: row.get(1)?, value: row.get(2)? })))?
        .collect()
}
