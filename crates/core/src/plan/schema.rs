//! The JSON schema of a plan (draft 2020-12), for editors that complete and check while a person types.
//!
//! Made from the tables that the reader uses, so it cannot drift. It knows shapes only: what settings mean together, and
//! which regions there are, only `check` knows.

use super::reader::SECRET;
use super::root;
use super::shape::{Key, Kinds, Need, Section, Shape, Word};
use serde_json::{Map, Value, json};

/// What a length of time looks like; `time::parse_duration` decides.
pub(super) const DURATION: &str = r"^\s*(PT)?[0-9]+(\.[0-9]+)?\s*[A-Za-z]+\s*$";
/// What a number of bytes looks like; `scalar` decides.
pub(super) const SIZE: &str = r"^[0-9]+(\.[0-9]+)?\s*([kKMGT]i?)?B?$";
pub(super) const NAME: &str = "^[a-z][a-z0-9-]{0,62}$";
/// What ends with a port.
pub(super) const PORT: &str = ":[0-9]{1,5}$";
/// A URL without user and password.
pub(super) const URL: &str = "^[hH][tT][tT][pP][sS]?://[^@/]+(/.*)?$";
/// Keys that belong to the reader of the plan.
const FREE: &str = "^x-";

/// The schema as text, indented.
pub fn schema() -> String {
    let mut schema = record(&root::SECTION);
    let head = [
        ("$schema", json!("https://json-schema.org/draft/2020-12/schema")),
        ("title", json!("Pilotlight plan")),
        ("description", json!(root::SECTION.doc)),
    ];
    if let Value::Object(map) = &mut schema {
        map.extend(head.into_iter().map(|(k, v)| (k.to_owned(), v)));
    }
    let mut text = serde_json::to_string_pretty(&schema).expect("a tree of JSON values can be written");
    text.push('\n');
    text
}

fn record(section: &Section) -> Value {
    object(section.keys.iter(), None)
}

fn object<'a>(keys: impl Iterator<Item = &'a Key>, kind: Option<&str>) -> Value {
    let mut properties = Map::new();
    let mut needed = Vec::new();
    if let Some(word) = kind {
        properties.insert("kind".to_owned(), json!({ "const": word }));
        needed.push("kind");
    }
    for key in keys {
        properties.insert(key.name.to_owned(), property(key));
        if matches!(key.need, Need::Required) {
            needed.push(key.name);
        }
    }
    json!({
        "type": "object",
        "properties": properties,
        "patternProperties": { FREE: true },
        "additionalProperties": false,
        "required": needed,
    })
}

fn property(key: &Key) -> Value {
    let mut value = shape(&key.shape);
    if let Value::Object(map) = &mut value {
        map.insert("description".to_owned(), json!(key.doc));
        if let Need::Default(text) = key.need {
            let typed = if matches!(key.shape, Shape::Count { .. } | Shape::Flag) { text.parse().ok() } else { None };
            map.insert("default".to_owned(), typed.unwrap_or_else(|| json!(text)));
        }
    }
    value
}

fn shape(shape: &Shape) -> Value {
    match shape {
        // A plain number or word is text too where text is wanted: `PORT: 8080`.
        Shape::Text => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Name | Shape::Region => json!({ "type": "string", "pattern": NAME }),
        Shape::Duration { .. } => json!({ "type": "string", "pattern": DURATION }),
        Shape::Count { least, most } if *most == u64::MAX => json!({ "type": "integer", "minimum": least }),
        Shape::Count { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Size => json!({ "type": ["string", "integer"], "pattern": SIZE }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Choice(words) => choice(words),
        Shape::ChoiceOr(words, keys) => {
            let mut any = vec![choice(words)];
            any.extend(one_of(keys));
            json!({ "oneOf": any })
        }
        Shape::Socket | Shape::HostPort => json!({ "type": "string", "pattern": PORT }),
        Shape::Url => json!({ "type": "string", "pattern": URL }),
        Shape::Ip | Shape::Domain | Shape::Dsn | Shape::Path => json!({ "type": "string" }),
        Shape::Secret => json!({ "oneOf": one_of(&SECRET) }),
        Shape::Record(section) => record(section),
        Shape::OneOf(keys) => json!({ "oneOf": one_of(keys) }),
        Shape::Kinds(kinds) => json!({ "oneOf": variants(kinds) }),
        Shape::List { of, least } => json!({ "type": "array", "items": self::shape(of), "minItems": least }),
        Shape::PerRegion { of, .. } => named(of, 0),
        Shape::PerName(of) => named(of, 1),
        Shape::Environment => json!({ "type": "object", "additionalProperties": self::shape(&Shape::Text) }),
    }
}

fn choice(words: &[Word]) -> Value {
    // `const` with a description each, and not `enum`, so that editors show what a word means.
    let words: Vec<Value> = words.iter().map(|w| json!({ "const": w.word, "description": w.doc })).collect();
    json!({ "oneOf": words })
}

fn one_of(keys: &[Key]) -> Vec<Value> {
    keys.iter()
        .map(|key| {
            json!({
                "type": "object",
                "properties": { key.name: property(key) },
                "patternProperties": { FREE: true },
                "additionalProperties": false,
                "required": [key.name],
            })
        })
        .collect()
}

fn variants(kinds: &Kinds) -> Vec<Value> {
    let variant = |v: &super::shape::Variant| {
        let mut value = object(kinds.shared.iter().chain(v.section.keys), Some(v.word));
        if let Value::Object(map) = &mut value {
            map.insert("description".to_owned(), json!(v.section.doc));
        }
        value
    };
    kinds.variants.iter().map(variant).collect()
}

fn named(of: &Shape, least: usize) -> Value {
    json!({
        "type": "object",
        "patternProperties": { FREE: true, NAME: shape(of) },
        "additionalProperties": false,
        "minProperties": least,
    })
}
