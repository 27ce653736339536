//! The text of a plan, with what a person has to fill in said in comments.

use super::objectives_to_change;
use serde_json::{Map, Value};
use std::fmt::Write;

/// What Terraform cannot know.
const CONTROLLER: &str = "\
# The controller decides. Run it in a third place; on any address but loopback it needs `url` and `tls`.
controller:
  listen: 127.0.0.1:7400
  state: state
  token: { env: PILOTLIGHT_TOKEN }

# A person starts a failover. What AWS attests is no proof that an old writer stopped (docs/aws.md).
policy:
  mode: manual
";

const ACCESS: &str =
    "\n# Where everything must be, and the role that acts there: the one whose rights Terraform gives.\n";

const ALARMS: &str = "\n# What the function `pilotlight-lambda` is told of. An alarm alone moves nothing.\n";

pub(super) fn write(said: &Map<String, Value>, regions: &[String], components: &Map<String, Value>) -> String {
    let mut text =
        String::from("# Made by `pilotlight import terraform` from a state. Look it over, then:  pilotlight check\n\n");
    let application = said.get("application").and_then(Value::as_str);
    line(&mut text, "application", application.unwrap_or("change-me"), application.is_none());
    text.push_str("objectives:\n");
    let given = said.get("objectives");
    let to_change = objectives_to_change();
    for (key, value) in given.unwrap_or(&to_change).as_object().into_iter().flatten() {
        line(&mut text, &format!("  {key}"), value.as_str().unwrap_or_default(), given.is_none());
    }
    let list: Vec<String> = regions.iter().map(|r| scalar(&Value::from(r.as_str()))).collect();
    let _ = writeln!(text, "regions: [{}]", list.join(", "));
    if let Some(home) = said.get("home").or(regions.first().map(|r| Value::from(r.as_str())).as_ref()) {
        let _ = writeln!(text, "home: {}", scalar(home));
    }
    if let Some(shares) = said.get("shares").and_then(Value::as_object) {
        block(&mut text, 0, "shares", &Value::Object(shares.clone()));
    }
    text.push('\n');
    text.push_str(CONTROLLER);
    for (section, why) in [("aws", ACCESS), ("alarms", ALARMS)] {
        if let Some(map) = said.get(section).and_then(Value::as_object).filter(|map| !map.is_empty()) {
            text.push_str(why);
            block(&mut text, 0, section, &Value::Object(map.clone()));
        }
    }
    text.push_str("\ncomponents:\n");
    for (name, component) in components {
        block(&mut text, 1, name, component);
    }
    if let Some(drill) = said.get("drill") {
        text.push_str("\n# Pilotlight keeps no calendar: the schedule of the module `dr-lambda` begins it.\n");
        block(&mut text, 0, "x-drill", drill);
    }
    text
}

fn line(text: &mut String, key: &str, value: &str, change: bool) {
    let note = if change { "  # change this" } else { "" };
    let _ = writeln!(text, "{key}: {}{note}", scalar(&Value::from(value)));
}

/// `kind` first, for people; maps below a map on lines of their own unless they are small.
fn block(text: &mut String, depth: usize, key: &str, value: &Value) {
    let indent = "  ".repeat(depth);
    let key = scalar(&Value::from(key));
    match value {
        Value::Object(map) if map.values().any(Value::is_object) || depth < 2 => {
            let _ = writeln!(text, "{indent}{key}:");
            let kind = map.get_key_value("kind").into_iter();
            for (key, value) in kind.chain(map.iter().filter(|(key, _)| *key != "kind")) {
                block(text, depth + 1, key, value);
            }
        }
        other => {
            let _ = writeln!(text, "{indent}{key}: {}", scalar(other));
        }
    }
}

/// JSON is YAML; plain words need no quotes.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::Object(map) => {
            let pairs: Vec<String> =
                map.iter().map(|(k, v)| format!("{}: {}", scalar(&Value::from(k.as_str())), scalar(v))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

/// Begins with a letter, holds nothing that YAML reads as more than a word, and is none of its words.
fn is_plain(text: &str) -> bool {
    let word = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    let reserved =
        ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    let length = text.bytes().next().is_some_and(|b| b.is_ascii_digit()) && text.ends_with(['s', 'm', 'h', 'd']);
    word && !reserved && (length || text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()))
}
