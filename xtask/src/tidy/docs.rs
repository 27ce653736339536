//! Rules for what people read: links lead somewhere, every error code has its page, every dependency its reason.

use super::rust::Source;
use super::{Complaint, Package, Tree};
use std::collections::{BTreeMap, BTreeSet};

const REASONS: &str = "docs/dependencies.md";
const CHANGELOG: &str = "CHANGELOG.md";

pub(super) fn check(tree: &Tree, sources: &[Source], packages: &[Package]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in tree.ending(".md") {
        complaints.extend(check_links(tree, path, text));
    }
    complaints.extend(check_codes(tree, sources));
    complaints.extend(check_reasons(tree, packages));
    let changes = tree.text(CHANGELOG).unwrap_or_default();
    if !changes.lines().any(|line| line.starts_with("## ") && line.contains("Unreleased")) {
        complaints.push(Complaint::new(CHANGELOG, 0, "has no section \"Unreleased\"", "add `## Unreleased`"));
    }
    complaints
}

fn check_links(tree: &Tree, path: &str, text: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        fenced ^= line.trim_start().starts_with("```");
        for link in links(line).filter(|_| !fenced) {
            if let Some(what) = broken(tree, path, text, link) {
                complaints.push(Complaint::new(path, number, what, "correct the link or write what it names"));
            }
        }
    }
    complaints
}

/// The targets of `[text](target)` and `src="target"`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let until = |end: char| move |rest: &'_ str| rest.find(end);
    let markdown = line.split("](").skip(1).filter_map(move |rest| Some(&rest[..until(')')(rest)?]));
    let html = line.split("src=\"").skip(1).filter_map(move |rest| Some(&rest[..until('"')(rest)?]));
    markdown.chain(html)
}

fn broken(tree: &Tree, path: &str, text: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { path.to_owned() } else { resolve(path, file) };
    if !tree.has(&target) {
        return Some(format!("link to {link}: there is no {target}"));
    }
    let target_text = if file.is_empty() { Some(text) } else { tree.text(&target) };
    let known = |text: &str| text.lines().filter_map(heading).any(|slug| slug == anchor);
    let missing = !anchor.is_empty() && target.ends_with(".md") && !target_text.is_some_and(known);
    missing.then(|| format!("link to {link}: {target} has no such heading"))
}

fn resolve(path: &str, link: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchor that forges give to a heading.
fn heading(line: &str) -> Option<String> {
    let title = line.trim_start_matches('#');
    if title.len() == line.len() || !title.starts_with(' ') {
        return None;
    }
    let kept = title.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    Some(kept.map(|c| if c == ' ' { '-' } else { c }).collect())
}

fn check_codes(tree: &Tree, sources: &[Source]) -> Vec<Complaint> {
    let mut used: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for source in sources.iter().filter(|s| !s.path.starts_with("xtask/")) {
        let text = tree.text(&source.path).unwrap_or_default();
        for (number, line) in (1..).zip(text.lines()).filter(|(number, _)| !source.is_test_line(*number)) {
            for code in codes(line) {
                used.entry(code).or_insert((&source.path, number));
            }
        }
    }
    let pages: BTreeSet<&str> = tree
        .files()
        .filter_map(|(path, _)| path.strip_prefix("docs/errors/")?.strip_suffix(".md"))
        .filter(|name| codes(name).next().is_some())
        .collect();
    let no_page = used.iter().filter(|(code, _)| !pages.contains(*code)).map(|(code, (path, line))| {
        let mend = format!("write docs/errors/{code}.md: what happened, what to do");
        Complaint::new(path, *line, format!("{code} has no page"), mend)
    });
    let no_use = pages.iter().filter(|page| !used.contains_key(*page)).map(|page| {
        Complaint::new(&format!("docs/errors/{page}.md"), 0, "no code names this page", "remove it or use it")
    });
    no_page.chain(no_use).collect()
}

/// `PL-` and four digits.
fn codes(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("PL-").filter_map(move |(at, _)| {
        let code = line.get(at..at + 7)?;
        let digits = code[3..].bytes().all(|b| b.is_ascii_digit());
        let ends = !line[at + 7..].starts_with(|c: char| c.is_ascii_digit());
        (digits && ends).then_some(code)
    })
}

/// Every direct dependency stands in the table of reasons, and nothing else does.
fn check_reasons(tree: &Tree, packages: &[Package]) -> Vec<Complaint> {
    let text = tree.text(REASONS).unwrap_or_default();
    let listed: BTreeMap<&str, usize> = (1..)
        .zip(text.lines())
        .filter_map(|(number, line)| Some((line.strip_prefix("| `")?.split_once('`')?.0, number)))
        .collect();
    let ours: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    let direct: BTreeSet<&str> = packages
        .iter()
        .flat_map(|p| p.dependencies.iter().map(|(name, _)| name.as_str()))
        .filter(|name| !ours.contains(name))
        .collect();
    let without = direct.iter().filter(|name| !listed.contains_key(*name)).map(|name| {
        Complaint::new(REASONS, 0, format!("{name} is a dependency without a reason"), "add its line to the table")
    });
    let gone = listed.iter().filter(|(name, _)| !direct.contains(*name)).map(|(name, line)| {
        Complaint::new(REASONS, *line, format!("{name} is not a direct dependency"), "remove its line")
    });
    without.chain(gone).collect()
}
