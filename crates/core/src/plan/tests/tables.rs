//! The tables, the schema and the reference say the same.

use super::*;
use crate::plan::shape::{Key, Need, Shape};
use crate::plan::{reader, root, scalar, schema};
use serde_json::Value;

/// Every key of every table, with its path.
fn all_keys() -> Vec<(String, &'static Key)> {
    fn walk(path: &str, shape: &'static Shape, out: &mut Vec<(String, &'static Key)>) {
        let mut keys = |path: &str, keys: &'static [Key]| {
            for key in keys {
                let path = format!("{path}.{}", key.name);
                out.push((path.clone(), key));
                walk(&path, &key.shape, out);
            }
        };
        match shape {
            Shape::Record(section) => keys(path, section.keys),
            Shape::OneOf(one) | Shape::ChoiceOr(_, one) => keys(path, one),
            Shape::Secret => keys(path, &reader::SECRET),
            Shape::Kinds(kinds) => {
                keys(path, kinds.shared);
                for variant in kinds.variants {
                    keys(&format!("{path}({})", variant.word), variant.section.keys);
                }
            }
            Shape::List { of, .. } | Shape::PerRegion { of, .. } | Shape::PerName(of) => walk(path, of, out),
            _ => {}
        }
    }
    static ROOT: Shape = Shape::Record(&root::SECTION);
    let mut out = Vec::new();
    walk("", &ROOT, &mut out);
    out
}

#[test]
fn every_default_passes_its_own_shape_and_every_key_is_described() {
    let keys = all_keys();
    assert!(keys.len() > 60, "{}", keys.len());
    for (path, key) in keys {
        assert!(key.doc.ends_with('.') && key.doc.len() > 8, "{path}: {}", key.doc);
        if let Need::Default(text) = key.need {
            assert!(matches!(scalar::read(&key.shape, text), Some(Ok(_))), "{path}: {text}");
        }
    }
}

#[test]
fn the_reference_has_every_key_and_word() {
    let page = reference();
    for (path, key) in all_keys() {
        // `env` and `file` of a secret stand in the column of every key that takes one.
        let in_table = page.contains(&format!("\n| `{}` |", key.name));
        assert!(in_table || page.contains(&format!("{{{}: ", key.name)), "{path}");
        if let Shape::Choice(words) | Shape::ChoiceOr(words, _) = &key.shape {
            assert!(words.iter().all(|w| page.contains(&format!("\n- `{}`: ", w.word))), "{path}");
        }
    }
}

#[test]
fn the_reference_on_disk_is_this_one() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/plan.md");
    if std::env::var_os("PILOTLIGHT_WRITE_DOCS").is_some() {
        std::fs::write(file, reference()).unwrap();
    }
    let on_disk = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        on_disk == reference(),
        "docs/plan.md is not what the tables say; write it anew with \
         `PILOTLIGHT_WRITE_DOCS=1 cargo test -p pilotlight-core reference` and look at the difference"
    );
}

/// The keywords of JSON schema that ours uses; an unknown one is a failure, so that none is skipped by mistake.
fn fits(schema: &Value, value: &Value) -> bool {
    if let Some(all) = schema.as_bool() {
        return all;
    }
    schema.as_object().unwrap().iter().all(|(word, rule)| match word.as_str() {
        "$schema" | "title" | "description" | "default" => true,
        "type" => rule.as_array().map_or(std::slice::from_ref(rule), Vec::as_slice).iter().any(|t| is_a(t, value)),
        "const" => rule == value,
        "oneOf" => rule.as_array().unwrap().iter().filter(|s| fits(s, value)).count() == 1,
        "minimum" => value.as_u64().is_none_or(|n| n >= rule.as_u64().unwrap()),
        "maximum" => value.as_u64().is_none_or(|n| n <= rule.as_u64().unwrap()),
        "minItems" => value.as_array().is_none_or(|a| a.len() as u64 >= rule.as_u64().unwrap()),
        "minProperties" => value.as_object().is_none_or(|o| o.len() as u64 >= rule.as_u64().unwrap()),
        "items" => value.as_array().is_none_or(|a| a.iter().all(|v| fits(rule, v))),
        "required" => rule.as_array().unwrap().iter().all(|k| value.get(k.as_str().unwrap()).is_some()),
        // The places of these three are one rule: which schema an entry of a map has to fit.
        "additionalProperties" => value.as_object().is_none_or(|o| o.iter().all(|(k, v)| entry_fits(schema, k, v))),
        "properties" | "patternProperties" => schema.get("additionalProperties").is_some(),
        "pattern" => value.as_str().is_none_or(|t| matches(rule.as_str().unwrap(), t)),
        other => panic!("the schema uses `{other}`, which this test does not know"),
    })
}

fn entry_fits(schema: &Value, key: &str, value: &Value) -> bool {
    if let Some(s) = schema.get("properties").and_then(|p| p.get(key)) {
        return fits(s, value);
    }
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    let mut hit = patterns.into_iter().flatten().filter(|(p, _)| matches(p, key)).peekable();
    if hit.peek().is_some() { hit.all(|(_, s)| fits(s, value)) } else { fits(&schema["additionalProperties"], value) }
}

fn is_a(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        other => panic!("type {other}"),
    }
}

/// The patterns of the schema, each known by its text; a new one must be added here.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern {
        "^x-" => text.starts_with("x-"),
        schema::NAME => !text.starts_with("x-") && scalar::is_name(text),
        schema::DURATION => crate::time::parse_duration(text).is_some(),
        schema::SIZE => matches!(scalar::read(&Shape::Size, text), Some(Ok(_))),
        schema::PORT => text.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok()),
        schema::URL => matches!(scalar::read(&Shape::Url, text), Some(Ok(_))),
        other => panic!("pattern {other}"),
    }
}

/// The text as JSON, through the same parser.
fn as_json(text: &str) -> Value {
    use crate::plan::document::{self, Data, Node};
    fn of(node: &Node) -> Value {
        match &node.data {
            Data::Nothing => Value::Null,
            Data::Scalar(t) => t
                .parse::<u64>()
                .map(Value::from)
                .or_else(|_| t.parse::<bool>().map(Value::from))
                .unwrap_or_else(|_| Value::from(t.as_str())),
            Data::List(items) => items.iter().map(of).collect(),
            Data::Map(entries) => entries.iter().map(|(k, v)| (k.text.clone(), of(v))).collect(),
        }
    }
    of(&document::read(text, &mut crate::plan::fault::Collector::new("p")).unwrap())
}

#[test]
fn the_schema_and_the_reader_agree() {
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    assert!(fits(&schema, &as_json(SAMPLE)));
    assert!(fits(&schema, &as_json(EVERY_KEY)));
    for (from, to) in [
        ("rto: 30s", "rto: 30"),
        ("rto: 30s", "rtoo: 30s"),
        ("rto: 30s", "rto: 30s\n  colour: red"),
        ("application: payments", "x-y: 1"),
        ("application: payments", "application: The_Shop"),
        ("regions: [east, west]", "regions: [east]"),
        ("mode: automatic", "mode: automatisch"),
        ("guarantee: bounded", "guarantee: boundless"),
        ("attempts: 3", "attempts: 0"),
        ("{ restart: { attempts: 3 } }", "{ restarts: 3 }"),
        ("16MiB", "16 parsecs"),
        ("kind: postgres", "kind: postgre"),
        ("port: 5433", "port: 70000"),
        ("{ env: PILOTLIGHT_TOKEN }", "hunter2"),
        ("{ env: PILOTLIGHT_TOKEN }", "{ env: A, file: b }"),
        ("listen: 127.0.0.1:7400", "listen: 127.0.0.1"),
        ("idempotent: true", "idempotent: perhaps"),
        ("- http: { ", "- http: { method: DELETE, "),
        ("- http:", "- https:"),
        ("components:", "component:"),
    ] {
        assert!(SAMPLE.contains(from), "{from}");
        let text = SAMPLE.replacen(from, to, 1);
        assert!(Plan::read(&text, "p").is_err(), "the reader takes {to}");
        assert!(!fits(&schema, &as_json(&text)), "the schema takes {to}");
    }
}
