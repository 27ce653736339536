//! Rules for every tracked text file: no open ends without an issue, no trace of the machine it was written on.

use super::{Complaint, Tree};

/// Marks of unfinished work. Written in two halves so that this file does not complain about itself.
const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Folders of the machines the project is worked on; a path below them works nowhere else.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/tmp/", "wt"), concat!("/ro", "ot/.")];

const PUBLIC_INDEX: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in tree.files() {
        for (number, line) in (1..).zip(text.lines()) {
            complaints.extend(check_line(path, number, line));
        }
    }
    complaints
}

fn check_line(path: &str, number: usize, line: &str) -> Option<Complaint> {
    if path == "Cargo.lock" {
        let source = line.strip_prefix("source = ")?;
        return (source.trim_matches('"') != PUBLIC_INDEX).then(|| {
            let mend = "use a published crate; nobody else can fetch from a mirror or a branch";
            Complaint::new(path, number, format!("{source} is not the public index"), mend)
        });
    }
    if path.ends_with(".cargo/config.toml") && (line.starts_with("[source") || line.starts_with("[registr")) {
        let mend = "keep the setting in your own home directory";
        return Some(Complaint::new(path, number, "a private registry is named in a tracked file", mend));
    }
    if let Some(mark) = MARKS.iter().find(|mark| open_end(line, mark)) {
        let mend = format!("write `{mark} #12:` with the number of an issue, or do it now");
        return Some(Complaint::new(path, number, format!("{mark} without an issue number"), mend));
    }
    let found = MACHINE_PATHS.iter().find(|machine| starts_a_path(line, machine))?;
    let mend = "make it relative, an argument, or a temporary folder asked for at run time";
    Some(Complaint::new(path, number, format!("{found} is a path of one machine"), mend))
}

/// Whether the mark stands there as a word and no `#12` follows it.
fn open_end(line: &str, mark: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    line.match_indices(mark).any(|(at, _)| {
        let rest = &line[at + mark.len()..];
        let alone = !is_word(line[..at].chars().next_back()) && !is_word(rest.chars().next());
        let number = rest.trim_start_matches(['(', ' ']).strip_prefix('#');
        alone && !number.is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()))
    })
}

fn starts_a_path(line: &str, machine: &str) -> bool {
    line.match_indices(machine).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || "._-/}*)~".contains(c))
    })
}
