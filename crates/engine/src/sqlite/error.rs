//! SQLite's errors in our words.

use crate::storage::StorageError;
use rusqlite::ErrorCode;
use std::path::Path;

/// What was tried and on which file, for whoever reads the error.
pub(super) fn explain(error: &rusqlite::Error, what: &str, file: &Path) -> StorageError {
    let why = error.to_string();
    let file = file.to_path_buf();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StorageError::Full { file },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StorageError::Damaged { file, place: what.to_owned(), why }
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StorageError::Locked { folder: file },
        _ => StorageError::Io { what: format!("{what} in {}", file.display()), why },
    }
}
