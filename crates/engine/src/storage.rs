//! What can go wrong below the journal and the store, whatever they are made of.

use pilotlight_core::code;
use std::path::PathBuf;

/// The medium failed. What the call was to keep is kept whole or not at all, and it is not known which; after
/// [`StorageError::Unreachable`] it may also come to be kept later. Whoever goes on reads first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// No space is left.
    #[error("no space is left for {}", file.display())]
    Full {
        /// The file that could not grow.
        file: PathBuf,
    },
    /// What is written there cannot be right.
    #[error("{} is damaged at {place}: {why}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Run and record, row, or page.
        place: String,
        /// What was found.
        why: String,
    },
    /// Another process has the folder open.
    #[error("another controller is using {}", folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// No answer, or none in time, from an engine that controllers share.
    #[error("{what} does not answer: {why}")]
    Unreachable {
        /// The engine.
        what: String,
        /// What was seen.
        why: String,
    },
    /// The engine answers, and refuses us.
    #[error("{what} refuses: {why}")]
    Denied {
        /// The engine.
        what: String,
        /// What it said.
        why: String,
    },
    /// The engine does not look at the condition of a write: it is no lock.
    #[error("{what} ignores conditions: {seen}")]
    Unconditional {
        /// The engine.
        what: String,
        /// The condition that was ignored.
        seen: String,
    },
    /// Anything else the system said.
    #[error("{what}: {why}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        why: String,
    },
    /// The storage was closed, because the process is ending.
    #[error("the storage is closed")]
    Closed,
}

impl StorageError {
    /// The page of `pilotlight explain`.
    pub fn code(&self) -> &'static str {
        let code = match self {
            StorageError::Full { .. } | StorageError::Io { .. } | StorageError::Closed => code::JOURNAL_FULL,
            StorageError::Damaged { .. } => code::JOURNAL_DAMAGED,
            StorageError::Locked { .. } => code::STATE_IN_USE,
            StorageError::Unreachable { .. } => code::STORE_SILENT,
            StorageError::Denied { .. } => code::STORE_DENIES,
            StorageError::Unconditional { .. } => code::STORE_UNCONDITIONAL,
        };
        code.as_str()
    }

    /// What a person can do when it kept something from beginning: there is nothing that goes on by itself.
    pub fn hint_at_start(&self) -> &'static str {
        match self {
            StorageError::Full { .. } => "nothing was started; free some space, then ask again",
            StorageError::Unreachable { .. } => {
                "nothing was started; is the store up, and is there a way to it? then ask again"
            }
            StorageError::Io { .. } | StorageError::Closed => "nothing was started; look at the disk, then ask again",
            StorageError::Damaged { .. }
            | StorageError::Locked { .. }
            | StorageError::Denied { .. }
            | StorageError::Unconditional { .. } => self.hint(),
        }
    }

    /// What a person can do about a run that stands still.
    pub fn hint(&self) -> &'static str {
        match self {
            StorageError::Full { .. } => "free some space; the run goes on by itself, nothing is lost",
            StorageError::Damaged { .. } => "keep the file, restore the folder from a copy or start with an empty one",
            StorageError::Locked { .. } => "end the other controller, or give this one a folder of its own",
            StorageError::Unreachable { .. } => {
                "is the store up, and is there a way to it? runs go on when it answers again"
            }
            StorageError::Denied { .. } => "look at the credentials and the rights that `controller.store` names",
            StorageError::Unconditional { .. } => {
                "two controllers would both win: use a store that honours If-None-Match and If-Match, etcd or SQLite"
            }
            StorageError::Io { .. } | StorageError::Closed => {
                "look at the disk; the run goes on when writing works again"
            }
        }
    }
}
