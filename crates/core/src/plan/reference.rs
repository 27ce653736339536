//! docs/plan.md: every key of a plan for people, made from the tables that the reader uses.
//!
//! The file on disk is held to this by a test; `PILOTLIGHT_WRITE_DOCS=1 cargo test -p pilotlight-core reference` writes it.

use super::root;
use super::shape::{Key, Kinds, Need, Section, Shape, Word};
use std::fmt::Write;

const HEAD: &str = "\
# The plan

<!-- Made from the tables in crates/core/src/plan. Do not edit; write it anew with
     PILOTLIGHT_WRITE_DOCS=1 cargo test -p pilotlight-core reference -->

One YAML file describes one application and how it is recovered. `pilotlight init` writes one with comments,
`pilotlight check PLAN` tells every fault at once, each with its place and a code; `pilotlight explain CODE` says more.
`pilotlight check --schema` prints a JSON schema for editors. With the YAML language server, put this line on top:

    # yaml-language-server: $schema=plan.schema.json

Rules for every key:

- An unknown key is a fault. Keys that start with `x-` are yours, and so is what stands below them.
- Lengths of time have a unit: `250ms`, `3s`, `15m`, `1h`, `7d`. Numbers of bytes too: `16MiB`, `1GB`.
- Names are made of small letters, digits and hyphens, and start with a letter.
- Secrets are only named: `{env: NAME}` or `{file: PATH}`.
- Relative paths start at the folder of the plan.
- A plan is at most 1 MiB of one YAML document without tags. Aliases are filled in.
";

/// The whole page.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    let mut seen: Vec<(&'static [Key], String)> = Vec::new();
    let mut later = section(&mut page, "Top level", "", &root::SECTION);
    // In the order of the document: what a section holds comes right after it.
    later.reverse();
    while let Some((path, shape)) = later.pop() {
        let keys = keys_of(shape);
        if let Some((_, first)) = seen.iter().find(|(k, _)| std::ptr::eq(*k, keys)) {
            let _ = write!(page, "\n## `{path}`\n\nThe same as `{first}`.\n");
            continue;
        }
        seen.push((keys, path.clone()));
        let mut below = match shape {
            Shape::Record(inner) => section(&mut page, &format!("`{path}`"), &path, inner),
            Shape::Kinds(kinds) => self::kinds(&mut page, &path, kinds),
            Shape::OneOf(keys) => one_of(&mut page, &path, "A map with exactly one of these keys.", keys),
            Shape::ChoiceOr(_, keys) => {
                one_of(&mut page, &path, "Instead of a word, a map with exactly one key.", keys)
            }
            _ => Vec::new(),
        };
        below.reverse();
        later.extend(below);
    }
    page
}

/// The table a shape stands for; two shapes with the same table are described once.
fn keys_of(shape: &'static Shape) -> &'static [Key] {
    match shape {
        Shape::Record(section) => section.keys,
        Shape::Kinds(kinds) => kinds.shared,
        Shape::OneOf(keys) | Shape::ChoiceOr(_, keys) => keys,
        _ => &[],
    }
}

type Later = Vec<(String, &'static Shape)>;

fn section(page: &mut String, title: &str, path: &str, section: &'static Section) -> Later {
    let _ = write!(page, "\n## {title}\n\n{}\n", section.doc);
    table(page, path, section.keys.iter())
}

fn one_of(page: &mut String, path: &str, doc: &str, keys: &'static [Key]) -> Later {
    let _ = write!(page, "\n## `{path}`\n\n{doc}\n");
    table(page, path, keys.iter())
}

fn kinds(page: &mut String, path: &str, kinds: &'static Kinds) -> Later {
    let _ = write!(page, "\n## `{path}`\n\nA component has the key `kind`, these keys, and those of its kind.\n");
    let mut later = table(page, path, kinds.shared.iter());
    for variant in kinds.variants {
        let _ = write!(page, "\n### `kind: {}`\n\n{}\n", variant.word, variant.section.doc);
        later.extend(table(page, &format!("{path}({})", variant.word), variant.section.keys.iter()));
    }
    later
}

/// A table of keys, and below it what each word means. Returns the shapes that have keys of their own.
fn table(page: &mut String, path: &str, keys: impl Iterator<Item = &'static Key> + Clone) -> Later {
    page.push_str("\n| key | takes | without it | what it says |\n|---|---|---|---|\n");
    let mut later = Vec::new();
    for key in keys.clone() {
        let without = match key.need {
            Need::Required => "a fault".to_owned(),
            Need::Optional => "-".to_owned(),
            Need::Default(text) => format!("`{text}`"),
            Need::Follows(words) => words.to_owned(),
        };
        let _ = writeln!(page, "| `{}` | {} | {without} | {} |", key.name, takes(&key.shape), key.doc);
        let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        later.extend(nested(&path, &key.shape));
    }
    for key in keys {
        if let Shape::Choice(words) | Shape::ChoiceOr(words, _) = &key.shape {
            self::words(page, key.name, words);
        }
    }
    later
}

fn words(page: &mut String, name: &str, words: &[Word]) {
    let _ = write!(page, "\n`{name}`:\n\n");
    for word in words {
        let _ = writeln!(page, "- `{}`: {}", word.word, word.doc);
    }
}

/// The shape with keys of its own inside of a shape, and its path.
fn nested(path: &str, shape: &'static Shape) -> Option<(String, &'static Shape)> {
    match shape {
        Shape::Record(_) | Shape::Kinds(_) | Shape::OneOf(_) | Shape::ChoiceOr(..) => Some((path.to_owned(), shape)),
        Shape::List { of, .. } => nested(&format!("{path}[]"), of),
        Shape::PerRegion { of, .. } => nested(&format!("{path}.REGION"), of),
        Shape::PerName(of) => nested(&format!("{path}.NAME"), of),
        _ => None,
    }
}

fn takes(shape: &Shape) -> String {
    match shape {
        Shape::Record(_) => "a map, see below".to_owned(),
        Shape::PerRegion { of, every: true } => format!("for every region: {}", takes(of)),
        Shape::PerRegion { of, every: false } => format!("for any region: {}", takes(of)),
        Shape::PerName(of) => format!("by name: {}", takes(of)),
        Shape::Kinds(_) => "a map, see below".to_owned(),
        Shape::OneOf(_) => "a map with one key, see below".to_owned(),
        Shape::ChoiceOr(..) => "a word or a map, see below".to_owned(),
        Shape::Choice(_) => "a word, see below".to_owned(),
        Shape::List { of, least: 0 | 1 } => format!("a list of: {}", takes(of)),
        Shape::List { of, least } => format!("a list of at least {least}: {}", takes(of)),
        Shape::Name => "a name".to_owned(),
        other => other.allowed(),
    }
}
