//! The rules of the house that neither the compiler nor clippy checks.
//!
//! Every rule is a pure function from a [`Tree`] (or from the packages `cargo metadata` names) to complaints, so that
//! each has a test with a planted fault. A complaint says where, what and how to mend it.

mod docs;
mod edges;
mod modules;
mod names;
mod packages;
mod rust;
mod size;
mod terraform;
mod text;
mod tree;

pub use modules::{PAGE as MODULES, page as modules};
pub use packages::{Kind, Package};
pub use tree::Tree;

use std::fmt;
use std::path::Path;

/// A rule is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The file, relative to the root of the workspace.
    pub path: String,
    /// The line, counted from 1; 0 when the whole file is meant.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub mend: String,
}

impl Complaint {
    fn new(path: &str, line: usize, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), mend: mend.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}\n    mend: {}", self.path, self.what, self.mend),
            line => write!(f, "{}:{line}: {}\n    mend: {}", self.path, self.what, self.mend),
        }
    }
}

/// Checks the workspace at `root`.
pub fn check(root: &Path) -> anyhow::Result<Vec<Complaint>> {
    Ok(check_all(&Tree::read(root)?, &packages::read(root)?))
}

/// Checks a tree and its packages with every rule.
pub fn check_all(tree: &Tree, packages: &[Package]) -> Vec<Complaint> {
    let (sources, mut complaints) = rust::parse(tree);
    complaints.extend(edges::check(packages, &sources));
    complaints.extend(rust::check(&sources));
    complaints.extend(size::check(tree, &sources));
    complaints.extend(names::check(tree, &sources));
    complaints.extend(terraform::check(tree));
    complaints.extend(text::check(tree));
    complaints.extend(docs::check(tree, &sources, packages));
    complaints.extend(modules::check(tree));
    complaints.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    complaints
}
