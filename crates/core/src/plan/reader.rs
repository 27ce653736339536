//! Reads a tree of nodes against the tables of keys: unknown, double and missing keys, wrong types, wrong values.
//!
//! Border: knows shapes, not what they mean together; that is checked by the sections and by `contradiction`.
//! Invariant: a key that is wrong never hides the faults of its neighbours.

use super::SecretRef;
use super::document::{self, Data, Node};
use super::fault::{At, Collector, Fault};
use super::scalar;
use super::shape::{Key, Kinds, Need, Section, Shape, names, one_of};
use super::value::{Datum, Record, Value};
use crate::code;
use std::collections::BTreeMap;

/// Reads one document.
pub(super) struct Reader<'a, 'b> {
    /// The regions of the plan; empty when they could not be read, and then nothing is said about regions.
    pub(super) regions: Vec<String>,
    pub(super) out: &'a mut Collector<'b>,
}

/// Keys below `x-` belong to the reader of the plan, not to Pilotlight.
const FREE: &str = "x-";

impl Reader<'_, '_> {
    /// The value, or `None` after at least one fault was added.
    pub(super) fn read(&mut self, shape: &'static Shape, node: &Node, at: &At) -> Option<Value> {
        let datum = match (shape, &node.data) {
            (Shape::Record(section), Data::Map(entries)) => Datum::Record(self.record(section, entries, at)),
            (Shape::Kinds(kinds), Data::Map(entries)) => Datum::Record(self.kinds(kinds, entries, at)?),
            (Shape::OneOf(keys) | Shape::ChoiceOr(_, keys), Data::Map(entries)) => self.one_key(keys, entries, at)?,
            (Shape::List { of, least }, Data::List(items)) => self.list(of, *least, items, shape, at)?,
            (Shape::PerRegion { of, every }, Data::Map(entries)) => self.per_region(of, *every, entries, at),
            (Shape::PerName(of), Data::Map(entries)) => self.per_name(of, entries, at)?,
            (Shape::Environment, Data::Map(entries)) => self.environment(entries, at),
            (Shape::Secret, Data::Map(entries)) => self.secret(entries, at)?,
            (Shape::Secret, Data::Scalar(_)) => {
                let message = format!("`{}` holds the secret itself", at.path);
                // What was found is not repeated: a fault ends in logs, and this is a secret.
                self.out.add(code::PLAN_LITERAL_SECRET, at, message).found("text").allowed(shape.allowed()).hint(
                    "Write `{env: NAME}` or `{file: PATH}`, put the secret there, and replace it: it has been in a file.",
                );
                return None;
            }
            (Shape::Region, Data::Scalar(text)) => {
                if !self.known_region(text, at) {
                    return None;
                }
                Datum::Text(text.clone())
            }
            (_, Data::Scalar(text)) => self.scalar(shape, text, at)?,
            _ => {
                self.wrong_type(shape, node, at);
                return None;
            }
        };
        Some(Value { at: at.clone(), datum })
    }

    fn scalar(&mut self, shape: &'static Shape, text: &str, at: &At) -> Option<Datum> {
        match scalar::read(shape, text) {
            Some(Ok(datum)) => Some(datum),
            Some(Err(misfit)) => {
                let secret = misfit.code == code::PLAN_LITERAL_SECRET;
                let shown = if secret { String::new() } else { format!(" `{}`", clip(text)) };
                let message = format!("`{}`:{shown} {}", at.path, misfit.says);
                let fault = self.out.add(misfit.code, at, message).allowed(shape.allowed()).hint(misfit.hint);
                fault.found(if secret { "a text with credentials".to_owned() } else { clip(text) });
                if let Shape::Choice(words) | Shape::ChoiceOr(words, _) = shape
                    && misfit.code == code::PLAN_VALUE
                {
                    fault.nearest_of(words.iter().map(|w| w.word));
                }
                None
            }
            None => {
                self.out
                    .add(code::PLAN_WRONG_TYPE, at, format!("`{}` must be {}", at.path, shape.allowed()))
                    .found(format!("the text `{}`", clip(text)))
                    .allowed(shape.allowed());
                None
            }
        }
    }

    fn wrong_type(&mut self, shape: &Shape, node: &Node, at: &At) {
        let found = match &node.data {
            Data::Nothing => "nothing",
            Data::Scalar(_) => "text",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        };
        let allowed = shape.allowed();
        let fault = self.out.add(code::PLAN_WRONG_TYPE, at, format!("`{}` must be {allowed}, not {found}", at.path));
        fault.found(found).allowed(allowed);
        if found == "nothing" {
            fault.hint("Write a value, or remove the line.");
        }
    }

    fn record(&mut self, section: &'static Section, entries: &[(document::Key, Node)], at: &At) -> Record {
        let keys: Vec<&'static Key> = section.keys.iter().collect();
        self.keys(&keys, entries, at, "")
    }

    fn kinds(&mut self, kinds: &'static Kinds, entries: &[(document::Key, Node)], at: &At) -> Option<Record> {
        let all = || kinds.variants.iter().map(|v| v.word);
        let Some((_, node)) = entries.iter().find(|(k, _)| k.text == "kind") else {
            self.out
                .add(code::PLAN_KEY_MISSING, at, format!("`{}` has no `kind`", at.path))
                .found("no such key")
                .allowed(one_of(all()));
            return None;
        };
        let text = if let Data::Scalar(text) = &node.data { text.as_str() } else { "" };
        let Some(variant) = kinds.variants.iter().find(|v| v.word == text) else {
            let at = child(at, "kind", node);
            self.out
                .add(code::PLAN_VALUE, &at, format!("`{}`: there is no kind `{}`", at.path, clip(text)))
                .found(clip(text))
                .allowed(one_of(all()))
                .nearest_of(all());
            return None;
        };
        let keys: Vec<&'static Key> = kinds.shared.iter().chain(variant.section.keys).collect();
        let others: Vec<_> = entries.iter().filter(|(k, _)| k.text != "kind").cloned().collect();
        self.repeated(entries.iter().map(|(k, _)| k).filter(|k| k.text == "kind"), at);
        Some(self.keys(&keys, &others, at, variant.word))
    }

    /// Every entry against its key; the keys that are not there get their defaults.
    fn keys(
        &mut self,
        keys: &[&'static Key],
        entries: &[(document::Key, Node)],
        at: &At,
        kind: &'static str,
    ) -> Record {
        let mut values: Vec<(&'static str, Value)> = Vec::new();
        self.repeated(entries.iter().map(|(k, _)| k), at);
        for (key, node) in entries {
            if key.text.starts_with(FREE) || values.iter().any(|(name, _)| *name == key.text) {
                continue;
            }
            let Some(known) = keys.iter().find(|k| k.name == key.text) else {
                self.unknown_key(keys, key, at, kind);
                continue;
            };
            if let Some(value) = self.read(&known.shape, node, &child(at, &key.text, node).or_key(key, node)) {
                values.push((known.name, value));
            }
        }
        for key in keys {
            if entries.iter().any(|(k, _)| k.text == key.name) {
                continue;
            }
            match key.need {
                Need::Required => self.missing(key, at),
                Need::Default(text) => {
                    let datum = scalar::read(&key.shape, text).and_then(Result::ok);
                    let datum = datum.expect("every default passes its own shape; a test reads them all");
                    let at = At { path: join(&at.path, key.name), spot: at.spot };
                    values.push((key.name, Value { at, datum }));
                }
                Need::Optional | Need::Follows(_) => {}
            }
        }
        let known: Vec<&'static str> = keys.iter().map(|k| k.name).collect();
        let written = known.iter().copied().filter(|k| entries.iter().any(|(e, _)| e.text == *k)).collect();
        Record { at: at.clone(), kind, known, written, values }
    }

    fn missing(&mut self, key: &'static Key, at: &At) {
        let place = if at.path.is_empty() { "the plan".to_owned() } else { format!("`{}`", at.path) };
        let fault = self.out.add(code::PLAN_KEY_MISSING, at, format!("{place} has no `{}`", key.name));
        fault.found("no such key").allowed(key.shape.allowed()).hint(format!("`{}`: {}", key.name, key.doc));
        fault.key_path = join(&at.path, key.name);
    }

    fn unknown_key(&mut self, keys: &[&'static Key], key: &document::Key, at: &At, kind: &str) {
        let of = if kind.is_empty() { String::new() } else { format!(" of the kind `{kind}`") };
        let path = join(&at.path, &key.text);
        let message = format!("there is no key `{path}`{of}");
        let fault = self.out.add(code::PLAN_UNKNOWN_KEY, &At { path, spot: key.spot }, message);
        let known: Vec<&str> = keys.iter().map(|k| k.name).collect();
        let list: Vec<String> = known.iter().map(|k| format!("`{k}`")).collect();
        fault.found(key.text.clone()).allowed(list.join(", ")).nearest_of(known);
        if key.text == "<<" {
            fault.hint("Merge keys are not part of YAML 1.2. Write the keys out, or use an alias for a whole value.");
        } else if fault.nearest.is_none() {
            fault.hint("Remove it, or start its name with `x-` to keep a note of your own.");
        }
    }

    /// One fault for each key that stands there again.
    fn repeated<'k>(&mut self, keys: impl Iterator<Item = &'k document::Key>, at: &At) {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for key in keys.filter(|k| !k.text.starts_with(FREE)) {
            if let Some(first) = seen.get(key.text.as_str()) {
                let at = At { path: join(&at.path, &key.text), spot: key.spot };
                self.out
                    .add(code::PLAN_KEY_TWICE, &at, format!("`{}` stands here for the second time", at.path))
                    .found(format!("the first one is in line {first}"))
                    .allowed("each key once")
                    .hint("Keep one of the two.");
            } else {
                seen.insert(&key.text, key.spot.line);
            }
        }
    }

    fn one_key(&mut self, keys: &'static [Key], entries: &[(document::Key, Node)], at: &At) -> Option<Datum> {
        let used: Vec<_> = entries.iter().filter(|(k, _)| !k.text.starts_with(FREE)).collect();
        let [(key, node)] = used.as_slice() else {
            self.out
                .add(code::PLAN_WRONG_TYPE, at, format!("`{}` must have exactly one key, not {}", at.path, used.len()))
                .found(format!("{} keys", used.len()))
                .allowed(format!("one of {}", names(keys)));
            return None;
        };
        let Some(known) = keys.iter().find(|k| k.name == key.text) else {
            let all: Vec<&'static Key> = keys.iter().collect();
            self.unknown_key(&all, key, at, "");
            return None;
        };
        let value = self.read(&known.shape, node, &child(at, &key.text, node).or_key(key, node))?;
        Some(Datum::One(known.name, Box::new(value)))
    }

    fn list(&mut self, of: &'static Shape, least: usize, items: &[Node], shape: &Shape, at: &At) -> Option<Datum> {
        if items.len() < least {
            self.out
                .add(code::PLAN_VALUE, at, format!("`{}` has {} entries, fewer than {least}", at.path, items.len()))
                .found(format!("{} entries", items.len()))
                .allowed(shape.allowed());
            return None;
        }
        let read = items.iter().enumerate().map(|(i, node)| {
            let at = At { path: format!("{}[{i}]", at.path), spot: node.spot };
            self.read(of, node, &at)
        });
        // All of them are read before the first failure ends the list: each has its own faults to tell.
        let read: Vec<Option<Value>> = read.collect();
        read.into_iter().collect::<Option<Vec<Value>>>().map(Datum::List)
    }

    fn per_region(&mut self, of: &'static Shape, every: bool, entries: &[(document::Key, Node)], at: &At) -> Datum {
        self.repeated(entries.iter().map(|(k, _)| k), at);
        let mut map = Vec::new();
        for (key, node) in entries.iter().filter(|(k, _)| !k.text.starts_with(FREE)) {
            let key_at = At { path: join(&at.path, &key.text), spot: key.spot };
            if !self.known_region(&key.text, &key_at) {
                continue;
            }
            if let Some(value) = self.read(of, node, &child(at, &key.text, node).or_key(key, node)) {
                map.push((key.text.clone(), value));
            }
        }
        if every {
            let there = |r: &&String| !entries.iter().any(|(k, _)| &k.text == *r);
            let missing: Vec<String> = self.regions.iter().filter(there).cloned().collect();
            for region in missing {
                self.out
                    .add(
                        code::PLAN_REGION_MISSING,
                        at,
                        format!("`{}` says nothing about the region `{region}`", at.path),
                    )
                    .found("no such key")
                    .allowed(of.allowed())
                    .hint(format!("Add `{region}` here, or remove it from `regions`."))
                    .key_path = join(&at.path, &region);
            }
        }
        Datum::Map(map)
    }

    fn per_name(&mut self, of: &'static Shape, entries: &[(document::Key, Node)], at: &At) -> Option<Datum> {
        self.repeated(entries.iter().map(|(k, _)| k), at);
        if !entries.iter().any(|(k, _)| !k.text.starts_with(FREE)) {
            self.out
                .add(code::PLAN_VALUE, at, format!("`{}` is empty; there is nothing to move", at.path))
                .found("nothing")
                .allowed("at least one entry");
            return None;
        }
        let mut map = Vec::new();
        for (key, node) in entries.iter().filter(|(k, _)| !k.text.starts_with(FREE)) {
            let key_at = At { path: join(&at.path, &key.text), spot: key.spot };
            let legal = self.scalar(&Shape::Name, &key.text, &key_at).is_some();
            let value = self.read(of, node, &child(at, &key.text, node).or_key(key, node));
            if let (true, Some(value)) = (legal, value) {
                map.push((key.text.clone(), value));
            }
        }
        Some(Datum::Map(map))
    }

    fn environment(&mut self, entries: &[(document::Key, Node)], at: &At) -> Datum {
        self.repeated(entries.iter().map(|(k, _)| k), at);
        let mut map = Vec::new();
        for (key, node) in entries {
            let at = child(at, &key.text, node).or_key(key, node);
            match &node.data {
                _ if key.text.is_empty() || key.text.contains(['=', '\0']) => {
                    self.out
                        .add(code::PLAN_NAME, &at, format!("`{}` is not the name of a variable", at.path))
                        .found(clip(&key.text))
                        .allowed("a name without `=`");
                }
                Data::Scalar(text) => {
                    map.push((key.text.clone(), Value { at, datum: Datum::Text(text.clone()) }));
                }
                _ => self.wrong_type(&Shape::Text, node, &at),
            }
        }
        Datum::Map(map)
    }

    fn secret(&mut self, entries: &[(document::Key, Node)], at: &At) -> Option<Datum> {
        match self.one_key(&SECRET, entries, at)? {
            Datum::One("env", value) => Some(Datum::Secret(SecretRef::Env(value.text()?.to_owned()))),
            Datum::One(_, value) => match value.datum {
                Datum::Path(path) => Some(Datum::Secret(SecretRef::File(path))),
                _ => None,
            },
            _ => None,
        }
    }

    fn known_region(&mut self, text: &str, at: &At) -> bool {
        if self.regions.is_empty() || self.regions.iter().any(|r| r == text) {
            return true;
        }
        let message = format!("`{}`: the plan has no region `{}`", at.path, clip(text));
        let fault: &mut Fault = self.out.add(code::PLAN_UNKNOWN_REGION, at, message);
        fault.found(clip(text)).allowed(one_of(self.regions.iter().map(String::as_str)));
        fault.nearest_of(self.regions.iter().map(String::as_str));
        false
    }
}

/// Where a secret may be.
pub(super) static SECRET: [Key; 2] = [
    super::shape::optional("env", Shape::Text, "The environment variable that holds it."),
    super::shape::optional("file", Shape::Path, "The file whose first line it is."),
];

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { clip(key) } else { format!("{path}.{}", clip(key)) }
}

fn child(at: &At, key: &str, node: &Node) -> At {
    At { path: join(&at.path, key), spot: node.spot }
}

impl At {
    /// Points at the key where the value itself is no one place: a list, a map, or nothing.
    fn or_key(mut self, key: &document::Key, node: &Node) -> At {
        if !matches!(node.data, Data::Scalar(_)) {
            self.spot = key.spot;
        }
        self
    }
}

/// The text as it may stand in a message: one line, at most 60 characters.
fn clip(text: &str) -> String {
    let line: String = text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > 60 { format!("{line}...") } else { line }
}
