//! Rules for Rust sources that need a parser: module docs, unwraps outside tests, sleeps inside tests.

use super::{Complaint, Tree};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use syn::spanned::Spanned;
use syn::visit::Visit;

/// A function longer than this is long.
pub(super) const LONGEST_FUNCTION: usize = 70;

/// Files of tests that may sleep: they hold the one loop that looks again until a deadline.
const MAY_SLEEP: &[&str] = &[
    "crates/cli/tests/aws/wait.rs",
    "crates/cli/tests/cli/wait.rs",
    "crates/server/src/tests/wait.rs",
    "crates/stores/src/tests/wait.rs",
    "drivers/local/src/stage/wait.rs",
];

/// A function and its size.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// What the rules need to know of a source file.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) lines: usize,
    pub(super) functions: Vec<Function>,
    /// Modules and the lines they are named on.
    pub(super) modules: Vec<(String, usize)>,
    opens_with_doc: bool,
    is_test: bool,
    test_lines: Vec<RangeInclusive<usize>>,
    /// Clocks of tests: their `sleep` is what everybody else must call.
    clock_lines: Vec<RangeInclusive<usize>>,
    unwraps: Vec<usize>,
    sleeps: Vec<usize>,
    /// Every word of the code; comments and literals are left out.
    words: BTreeSet<String>,
    /// Files that are only compiled for tests because this one says so.
    test_files: Vec<String>,
}

impl Source {
    /// Whether the line is only compiled for tests.
    pub(super) fn is_test_line(&self, line: usize) -> bool {
        self.is_test || self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// Whether the code has the word.
    pub(super) fn names(&self, word: &str) -> bool {
        self.words.contains(word)
    }
}

/// Reads every Rust file of the tree.
pub(super) fn parse(tree: &Tree) -> (Vec<Source>, Vec<Complaint>) {
    let (mut sources, mut complaints) = (Vec::new(), Vec::new());
    for (path, text) in tree.ending(".rs") {
        match parse_file(path, text) {
            Ok(source) => sources.push(source),
            Err(error) => {
                let line = error.span().start().line;
                complaints.push(Complaint::new(path, line, format!("cannot be parsed: {error}"), "make it compile"));
            }
        }
    }
    let test_files: BTreeSet<String> = sources.iter().flat_map(|s| s.test_files.clone()).collect();
    for source in &mut sources {
        let inside = |test: &String| source.path.starts_with(&format!("{}/", test.trim_end_matches(".rs")));
        source.is_test |= test_files.contains(&source.path) || test_files.iter().any(inside);
    }
    (sources, complaints)
}

pub(super) fn check(sources: &[Source]) -> Vec<Complaint> {
    sources.iter().flat_map(check_file).collect()
}

fn check_file(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut complain = |line, what: &str, mend: &str| complaints.push(Complaint::new(&source.path, line, what, mend));
    if !source.opens_with_doc {
        complain(1, "does not open with `//!`", "say what the file is for, its border and its invariants");
    }
    for line in source.unwraps.iter().filter(|line| !source.is_test_line(**line)) {
        complain(*line, "unwrap outside tests", "return the error, or `expect(\"why it cannot fail\")`");
    }
    if !MAY_SLEEP.contains(&source.path.as_str()) {
        let in_clock = |line: &usize| source.clock_lines.iter().any(|lines| lines.contains(line));
        for line in source.sleeps.iter().filter(|line| source.is_test_line(**line) && !in_clock(line)) {
            complain(*line, "a bare sleep in a test", "wait on a level with a deadline and a last-seen message");
        }
    }
    complaints
}

fn parse_file(path: &str, text: &str) -> syn::Result<Source> {
    let file = syn::parse_file(text)?;
    let mut found = Found { folder: folder_of_modules(path), ..Found::default() };
    found.visit_file(&file);
    let tokens: TokenStream = text.parse()?;
    let mut flat = Vec::new();
    flatten(tokens, &mut flat);
    Ok(Source {
        path: path.to_owned(),
        lines: text.lines().count(),
        functions: found.functions,
        modules: found.modules,
        opens_with_doc: text.starts_with("//!"),
        is_test: path.contains("/tests/") || path.ends_with("/tests.rs"),
        test_lines: found.test_lines,
        clock_lines: found.clock_lines,
        unwraps: sequences(&flat, &[".", "unwrap", "("]),
        sleeps: [sequences(&flat, &["thread", ":", ":", "sleep"]), sequences(&flat, &["time", ":", ":", "sleep"])]
            .concat(),
        words: flat.into_iter().map(|(word, _)| word).collect(),
        test_files: found.test_files,
    })
}

/// Where the modules that a file names have their files.
fn folder_of_modules(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "lib.rs" | "main.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", name.trim_end_matches(".rs")),
    }
}

#[derive(Default)]
struct Found {
    folder: String,
    functions: Vec<Function>,
    modules: Vec<(String, usize)>,
    test_lines: Vec<RangeInclusive<usize>>,
    clock_lines: Vec<RangeInclusive<usize>>,
    test_files: Vec<String>,
}

impl Found {
    fn function(&mut self, name: &syn::Ident, whole: proc_macro2::Span) {
        let (first, last) = (name.span().start().line, whole.end().line);
        self.functions.push(Function { name: name.to_string(), line: first, lines: last + 1 - first });
    }

    fn note_test(&mut self, attributes: &[syn::Attribute], span: proc_macro2::Span) -> bool {
        let is_test = attributes.iter().any(marks_a_test);
        if is_test {
            self.test_lines.push(span.start().line..=span.end().line);
        }
        is_test
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig.ident, item.block.span());
        self.note_test(&item.attrs, item.span());
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig.ident, item.block.span());
        self.note_test(&item.attrs, item.span());
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.note_test(&item.attrs, item.span());
        if item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last()).is_some_and(|s| s.ident == "Clock") {
            self.clock_lines.push(item.span().start().line..=item.span().end().line);
        }
        syn::visit::visit_item_impl(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.modules.push((item.ident.to_string(), item.ident.span().start().line));
        if self.note_test(&item.attrs, item.span()) && item.content.is_none() {
            self.test_files.push(format!("{}/{}.rs", self.folder, item.ident));
        }
        syn::visit::visit_item_mod(self, item);
    }
}

/// `#[cfg(test)]`, `#[test]`, `#[tokio::test]` and their like.
fn marks_a_test(attribute: &syn::Attribute) -> bool {
    if attribute.path().segments.last().is_some_and(|s| s.ident == "test") {
        return true;
    }
    let syn::Meta::List(list) = &attribute.meta else { return false };
    let mut flat = Vec::new();
    flatten(list.tokens.clone(), &mut flat);
    list.path.is_ident("cfg") && flat.iter().any(|(word, _)| word == "test") && !flat.iter().any(|(w, _)| w == "not")
}

/// Every token with its line, those inside macros included. Literals, and so doc comments, are left out.
fn flatten(tokens: TokenStream, flat: &mut Vec<(String, usize)>) {
    for token in tokens {
        let line = token.span().start().line;
        match token {
            TokenTree::Group(group) => {
                flat.push(("(".to_owned(), line));
                flatten(group.stream(), flat);
            }
            TokenTree::Ident(ident) => flat.push((ident.to_string(), line)),
            TokenTree::Punct(punct) => flat.push((punct.as_char().to_string(), line)),
            TokenTree::Literal(_) => {}
        }
    }
}

/// The lines on which the words stand one after the other.
fn sequences(flat: &[(String, usize)], words: &[&str]) -> Vec<usize> {
    let hits = flat.windows(words.len()).filter(|w| w.iter().zip(words).all(|((have, _), want)| have == want));
    hits.map(|window| window[0].1).collect()
}
