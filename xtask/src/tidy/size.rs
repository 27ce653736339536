//! Sizes and their ratchet: a file is at most 500 lines, at most one function in a hundred is longer than 70.
//!
//! The exceptions stand in `xtask/tidy-sizes.txt` as `PATH LINES`. The list may only shrink: an exception that is no
//! longer needed, or that has room to spare, is itself a complaint.

use super::rust::{LONGEST_FUNCTION, Source};
use super::{Complaint, Tree};
use std::collections::BTreeMap;

const LONGEST_FILE: usize = 500;
const EXCEPTIONS: &str = "xtask/tidy-sizes.txt";
/// An exception may be so much larger than its file before it must be lowered, so that not every edit touches it.
const SLACK: usize = 25;
/// One in so many functions may be long.
const LONG_FUNCTIONS: usize = 100;

pub(super) fn check(tree: &Tree, sources: &[Source]) -> Vec<Complaint> {
    let (exceptions, mut complaints) = exceptions(tree);
    for source in sources {
        let limit = exceptions.get(source.path.as_str()).map_or(LONGEST_FILE, |(_, limit)| *limit);
        if source.lines > limit {
            complaints.push(Complaint::new(
                &source.path,
                0,
                format!("{} lines, at most {limit} are allowed", source.lines),
                "split it along a border that has a name; tests may move to a file of their own",
            ));
        }
    }
    for (path, (line, limit)) in exceptions {
        let lines = sources.iter().find(|s| s.path == path).map_or(0, |s| s.lines);
        let what = format!("{path} has {lines} lines, its exception says {limit}");
        if lines <= LONGEST_FILE {
            complaints.push(Complaint::new(EXCEPTIONS, line, what, "remove the exception"));
        } else if lines + SLACK < limit {
            complaints.push(Complaint::new(EXCEPTIONS, line, what, format!("lower it to {lines}")));
        }
    }
    complaints.extend(long_functions(sources));
    complaints
}

fn exceptions(tree: &Tree) -> (BTreeMap<&str, (usize, usize)>, Vec<Complaint>) {
    let (mut read, mut complaints) = (BTreeMap::new(), Vec::new());
    for (number, line) in (1..).zip(tree.text(EXCEPTIONS).unwrap_or_default().lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once(' ').and_then(|(path, limit)| Some((path, limit.parse().ok()?))) {
            Some((path, limit)) => {
                read.insert(path, (number, limit));
            }
            None => complaints.push(Complaint::new(EXCEPTIONS, number, "not of the form `PATH LINES`", "write it so")),
        }
    }
    (read, complaints)
}

fn long_functions(sources: &[Source]) -> Vec<Complaint> {
    let all: usize = sources.iter().map(|s| s.functions.len()).sum();
    let long: Vec<_> = sources
        .iter()
        .flat_map(|s| s.functions.iter().map(move |f| (s, f)))
        .filter(|(_, f)| f.lines > LONGEST_FUNCTION)
        .collect();
    if long.len() * LONG_FUNCTIONS <= all {
        return Vec::new();
    }
    let share = format!("{} of {all} functions are, at most 1 in {LONG_FUNCTIONS} may be", long.len());
    let complain = |(source, function): (&Source, &super::rust::Function)| {
        let what = format!("{} has {} lines, more than {LONGEST_FUNCTION}; {share}", function.name, function.lines);
        Complaint::new(&source.path, function.line, what, "give its parts names and make them functions")
    };
    long.into_iter().map(complain).collect()
}
