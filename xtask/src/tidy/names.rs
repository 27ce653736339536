//! Names that say nothing are refused: a thing whose name is "helper" has not been understood yet.

use super::rust::Source;
use super::{Complaint, Tree};

const EMPTY_WORDS: &[&str] = &["util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"];

pub(super) fn check(tree: &Tree, sources: &[Source]) -> Vec<Complaint> {
    let mend = "name it by the noun of the field that it is (docs/glossary.md)";
    let files = tree.ending(".rs").filter_map(|(path, _)| {
        let word = empty_word(path)?;
        Some(Complaint::new(path, 0, format!("the file name says nothing: {word}"), mend))
    });
    let modules = sources.iter().flat_map(|source| {
        source.modules.iter().filter_map(|(name, line)| {
            let word = empty_word(name)?;
            Some(Complaint::new(&source.path, *line, format!("the module name says nothing: {word}"), mend))
        })
    });
    files.chain(modules).collect()
}

fn empty_word(name: &str) -> Option<&'static str> {
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words.find_map(|word| EMPTY_WORDS.iter().copied().find(|empty| word.eq_ignore_ascii_case(empty)))
}
