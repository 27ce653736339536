//! Opening the folder: lock, file, integrity, schema.

use super::error::explain;
use crate::storage::StorageError;
use rusqlite::Connection;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// Raised when the tables change their meaning.
const SCHEMA: i64 = 2;

/// An open file with the lock on its folder.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) file: PathBuf,
    /// Held until the connection is closed.
    pub(super) lock: File,
}

pub(super) fn open(folder: &Path) -> Result<Opened, StorageError> {
    let io = |what: &str, e: &std::io::Error| StorageError::Io {
        what: format!("{what} {}", folder.display()),
        why: e.to_string(),
    };
    fs::create_dir_all(folder).map_err(|e| io("creating", &e))?;
    let lock = File::create(folder.join("lock")).map_err(|e| io("creating the lock of", &e))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StorageError::Locked { folder: folder.to_path_buf() }),
        Err(TryLockError::Error(e)) => return Err(io("locking", &e)),
    }
    let file = folder.join("pilotlight.db");
    // SQLite takes an empty file for a new database; here it is one whose content is lost.
    if file.metadata().is_ok_and(|m| m.len() == 0) {
        let why = "it is empty; a new folder has no such file".to_owned();
        return Err(StorageError::Damaged { file, place: "its first byte".to_owned(), why });
    }
    let is_new = !file.exists();
    let prepared = Connection::open(&file).map_err(|e| explain(&e, "opening the database", &file));
    let prepared = prepared.and_then(|connection| prepare(&connection, &file).map(|()| connection));
    if is_new && prepared.is_err() {
        // A file without its tables would be taken for one that lost them.
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(folder.join(format!("pilotlight.db{end}")));
        }
    }
    Ok(Opened { connection: prepared?, file, lock })
}

fn prepare(connection: &Connection, file: &Path) -> Result<(), StorageError> {
    let set = |name: &str, value: &str| {
        connection.pragma_update(None, name, value).map_err(|e| explain(&e, "preparing the database", file))
    };
    set("journal_mode", "WAL")?;
    set("synchronous", "FULL")?;
    // Memory of an idle controller counts; two megabytes hold every page that is used.
    set("cache_size", "-2000")?;
    let change = match check(connection, file)? {
        SCHEMA => return Ok(()),
        1 => "ALTER TABLE journal ADD COLUMN sum INTEGER",
        _ => {
            "CREATE TABLE IF NOT EXISTS journal (
               run TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL, sum INTEGER,
               PRIMARY KEY (run, seq)
             ) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS store (
               key TEXT PRIMARY KEY, version INTEGER NOT NULL, value BLOB NOT NULL
             ) WITHOUT ROWID"
        }
    };
    connection
        .execute_batch(&format!("BEGIN IMMEDIATE; {change}; PRAGMA user_version = {SCHEMA}; COMMIT"))
        .map_err(|e| explain(&e, "creating the tables", file))
}

/// The version of the tables; 0 of a file that has none.
fn check(connection: &Connection, file: &Path) -> Result<i64, StorageError> {
    let say = |e: &rusqlite::Error| explain(e, "checking the database", file);
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(|e| say(&e))?;
    if version > SCHEMA {
        let why = format!("it has version {version} of the tables, this program knows {SCHEMA}");
        return Err(StorageError::Damaged { file: file.to_path_buf(), place: "its header".to_owned(), why });
    }
    let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|e| say(&e))?;
    match answer.as_str() {
        "ok" => Ok(version),
        found => {
            let why = found.lines().last().unwrap_or_default().to_owned();
            Err(StorageError::Damaged { file: file.to_path_buf(), place: "a page of it".to_owned(), why })
        }
    }
}
