//! The page of modules: every source file by crate, in the words that it begins with.

use super::{Complaint, Tree};
use std::collections::BTreeMap;

/// Where the page is kept.
pub const PAGE: &str = "docs/modules.md";

const HEAD: &str = "# Modules

Every source file by crate, in the words it begins with: where to look for what. What the crates are for and how they hang
together is in [ARCHITECTURE.md](../ARCHITECTURE.md). Written by `PILOTLIGHT_WRITE_DOCS=1 cargo test --package xtask`.
";

/// The whole page.
pub fn page(tree: &Tree) -> String {
    let mut crates: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (path, text) in tree.ending(".rs").filter(|(path, _)| !is_test(path)) {
        let Some((folder, inside)) = path.split_once("/src/") else { continue };
        let Some(says) = first_sentence(text) else { continue };
        let line = match module(inside).as_str() {
            "lib" | "main" => format!("- {says}\n"),
            module => format!("- `{module}`: {says}\n"),
        };
        crates.entry(folder).or_default().push(line);
    }
    let mut page = HEAD.to_owned();
    for (folder, mut lines) in crates {
        // What a crate says of itself goes before its modules.
        lines.sort_by_key(|line| line.starts_with("- `"));
        page += &format!("\n## `{folder}`\n\n{}", lines.concat());
    }
    page
}

/// The page that is kept says what the files say; a tree without one has nothing to keep.
pub(super) fn check(tree: &Tree) -> Option<Complaint> {
    let kept = tree.text(PAGE)?;
    let page = page(tree);
    if kept == page {
        return None;
    }
    let at = page.lines().zip(kept.lines()).take_while(|(says, kept)| says == kept).count();
    let says = page.lines().nth(at).unwrap_or("nothing more");
    let mend = "PILOTLIGHT_WRITE_DOCS=1 cargo test --package xtask --test tidy";
    Some(Complaint::new(PAGE, at + 1, format!("the page is stale; the files say {says:?}"), mend))
}

fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// `plan/components/postgres.rs` is `plan::components::postgres`.
fn module(inside: &str) -> String {
    inside.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::")
}

/// The first sentence of the comment that a file begins with.
fn first_sentence(text: &str) -> Option<String> {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let paragraph: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |at| at + 1);
    // A link of the documentation leads nowhere on a page.
    (end > 0).then(|| paragraph[..end].replace("[`", "`").replace("`]", "`"))
}
