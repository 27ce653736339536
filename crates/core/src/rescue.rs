//! What an old writer acknowledged and never sent: the bundle it is kept in, and what its changes are to the new writer.
//!
//! Border: data and one decision ([`classify`]). Reading logs, files and rows is a driver's business; positions, keys and
//! values are text that only the driver of that technology understands.
//!
//! Invariant: a bundle counts as complete only when nothing is [`Missing`] of it. An incomplete one never lets a copy be
//! rewound unless a person has waived it by name.

mod classify;

pub use classify::{Class, Classified, Seen, classify};

use crate::id::{BundleId, Component, Epoch, Region, Unit};
use crate::position::Position;
use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Raised when a field of [`Manifest`] changes its meaning.
pub const VERSION: u32 = 1;

/// A value that is told is cut after so many bytes: a row may hold a thousand million.
pub const VALUE_MOST: usize = 16 << 10;

/// Bytes of transactions and changes that are told at a time.
pub const ANSWER_MOST: usize = 1 << 20;

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Its name: the same for the same tail, so that a capture that was cut short goes on where it was.
    pub bundle: BundleId,
    /// Whose changes it holds.
    pub component: Component,
    /// The region of the old writer.
    pub region: Region,
    /// The writer it went its own way from.
    pub upstream: Region,
    /// The unit.
    pub unit: Unit,
    /// The epoch under which it was captured.
    pub epoch: Epoch,
    /// When.
    pub captured: Wall,
    /// Where the histories part: everything after it is only here.
    pub fork: Position,
    /// Where the old writer's history ends.
    pub end: Position,
    /// What was gone before it could be kept, or cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// Transactions that were committed after the fork and touched something of the user's.
    pub commits: u64,
    /// When the first of them was committed, on the old writer's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Wall>,
    /// The last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Wall>,
    /// Tables they touched.
    pub touched: Vec<Touched>,
    /// Whether the rows themselves are in it.
    pub rows: Rows,
    /// The first transaction number after the fork: what carries it or a later one on the new writer was written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon: Option<u64>,
    /// What the rows do not tell, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Its files are encrypted.
    pub sealed: bool,
}

/// What was gone before it could be kept, or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// From here.
    pub from: Position,
    /// To here; absent when nothing after it is there, or can be read, either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Position>,
}

/// A table and how often it was touched by committed transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// With its schema; the file's number where the name is not known.
    pub table: String,
    /// Rows inserted.
    pub inserted: u64,
    /// Rows updated.
    pub updated: u64,
    /// Rows deleted.
    pub deleted: u64,
}

/// Whether rows are in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rows", rename_all = "kebab-case")]
pub enum Rows {
    /// They are.
    Kept {
        /// Changes of rows.
        changes: u64,
        /// Transactions they belong to.
        transactions: u64,
    },
    /// They are not: the plan does not allow it, or the log does not hold what is needed.
    Left {
        /// For people.
        why: String,
    },
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Path inside the bundle.
    pub name: String,
    /// Bytes of its content.
    pub bytes: u64,
    /// SHA-256 of its content, before encryption, in hexadecimal.
    pub sha256: String,
}

/// The content of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// What it says of itself.
    #[serde(flatten)]
    pub about: Bundle,
    /// The system both copies descend from.
    pub system: String,
    /// The histories that were walked, oldest first, each from where to where.
    pub walked: Vec<Walked>,
    /// Every file but this one.
    pub files: Vec<File>,
}

/// A stretch of history that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walked {
    /// Where it begins.
    pub from: Position,
    /// Where it ends.
    pub until: Position,
}

/// A committed transaction of a tail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its number.
    pub transaction: u64,
    /// Where the commit stands.
    pub position: String,
    /// When, on the old writer's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Wall>,
    /// Tables it touched.
    pub tables: Vec<String>,
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Datum {
    /// NULL.
    Null,
    /// Its text.
    Text(String),
    /// Long and left as it was, so the log does not hold it.
    Unchanged {
        /// Always true.
        unchanged: bool,
    },
}

/// Values by column.
pub type Row = BTreeMap<String, Datum>;

/// What was done to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It is new.
    Insert,
    /// It was changed.
    Update,
    /// It was removed.
    Delete,
    /// All rows of the table were removed at once.
    Truncate,
}

/// One change of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The transaction's number.
    pub transaction: u64,
    /// Where its commit stands.
    pub position: String,
    /// When it was committed, on the old writer's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Wall>,
    /// Schema of the table.
    pub schema: String,
    /// The table.
    pub table: String,
    /// What was done.
    pub kind: Kind,
    /// The row's key before the change; absent where the table has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Row>,
    /// The row before the change, as far as the log has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Row>,
    /// The row after the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Row>,
}

impl Change {
    /// Schema and table, for people.
    pub fn name(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }
}

/// A person let a copy be rewound although its bundle is not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// Who.
    pub by: String,
    /// When.
    pub at: Wall,
    /// What was known to be lost by it.
    pub why: String,
}

/// A bundle as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// What it says of itself.
    #[serde(flatten)]
    pub about: Bundle,
    /// Its folder, in its region.
    pub folder: String,
    /// A person waived what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiver: Option<Waiver>,
    /// What its changes are to the new writer, by the newest look.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<Class, u64>,
    /// Transactions that were applied again.
    pub applied: u64,
}

impl Listed {
    /// Changes that the new writer still lacks by the newest look, by class. What was applied is identical by then, so an
    /// absent one is held back by another change of its transaction.
    pub fn left(&self) -> impl Iterator<Item = (Class, u64)> {
        let lacks = |class: Class| class == Class::Absent || class.holds();
        self.classes.iter().map(|(class, n)| (*class, *n)).filter(move |(class, n)| lacks(*class) && *n > 0)
    }
}

/// A bundle that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damaged {
    /// Its name.
    pub bundle: BundleId,
    /// Its folder, in its region.
    pub folder: String,
    /// What is wrong with it.
    pub why: String,
}

/// A change with what is known of it on the new writer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The change.
    #[serde(flatten)]
    pub change: Change,
    /// What it is to the new writer; absent before it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Classified>,
    /// It was applied again.
    #[serde(default)]
    pub applied: bool,
    /// Columns whose value is told cut, with its whole length in bytes. The bundle holds it whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cut: BTreeMap<String, u64>,
}

/// What a driver of rescues is asked. Nothing changes by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Question {
    /// Which bundles are there?
    List,
    /// What is in this one?
    Show {
        /// Its name.
        bundle: BundleId,
        /// So many changes are passed over.
        from: u64,
        /// At most so many changes and commits are told; fewer when they are long.
        most: u32,
    },
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Question::List`].
    Bundles {
        /// Newest first.
        bundles: Vec<Listed>,
        /// Folders that look like bundles and cannot be read as such.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        damaged: Vec<Damaged>,
    },
    /// To [`Question::Show`].
    Bundle(Box<Shown>),
}

/// A bundle from inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// What it is.
    #[serde(flatten)]
    pub listed: Listed,
    /// Its commits.
    pub lost: Vec<Commit>,
    /// Its changes.
    pub changes: Vec<Judged>,
    /// The first change that was asked for and had no room in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}
