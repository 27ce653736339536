//! A plan out of what Terraform made: its state and outputs in, the text of a plan and findings out.
//!
//! What an output named `pilotlight` says goes before what can be read off resources: only it knows objectives, and which
//! region is home. Everything else is read off resources whose ARN names their region. What cannot be said is a finding,
//! never a guess: a plan with a wrong cluster is worse than one with a gap.

mod records;
mod resources;
mod state;
mod text;

pub use state::StateError;

use crate::code::{self, Code};
use crate::plan::{Plan, component_kinds};
use serde_json::{Map, Value, json};
use state::State;
use std::collections::BTreeSet;

/// The output that says what a plan needs to know.
const OUTPUT: &str = "pilotlight";

/// A plan made from a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The text of the plan, without a fault unless a finding says so.
    pub plan: String,
    /// What a person has to look at.
    pub findings: Vec<Gap>,
}

/// Something that was not taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The resource's address, or the output's name.
    pub place: String,
    /// What is the matter.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl Gap {
    fn new(place: impl Into<String>, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into(), hint: hint.into() }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        code::IMPORT_GAP
    }
}

/// Makes a plan of what `terraform show -json` prints, or of a state file of version 4.
pub fn import(json: &str) -> Result<Imported, StateError> {
    let state = State::read(json)?;
    let said = state.outputs.get(OUTPUT).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut gaps = Vec::new();
    let found = resources::components(&state, &mut gaps);
    let components = choose(&said, found, &state, &mut gaps);
    if components.is_empty() {
        return Err(StateError::Empty);
    }
    let regions = regions(&said, &components);
    if regions.len() < 2 {
        let hint = "import the state that has both, or add the other region by hand";
        gaps.push(Gap::new("the state", format!("only {} region is in it", regions.len()), hint));
    }
    for missing in ["application", "objectives"].iter().filter(|key| !said.contains_key(**key)) {
        let hint = format!("write it into the plan, or into an output `{OUTPUT}` (docs/terraform.md)");
        gaps.push(Gap::new(
            format!("output {OUTPUT}"),
            format!("it does not say `{missing}`; a value to change was put in"),
            hint,
        ));
    }
    let plan = text::write(&said, &regions, &components);
    if let Err(faults) = Plan::read(&plan, "plan") {
        for fault in faults.iter() {
            gaps.push(Gap::new(
                fault.key_path.clone(),
                fault.message.clone(),
                "mend it in the plan: `pilotlight check` shows the line",
            ));
        }
    }
    Ok(Imported { plan, findings: gaps })
}

/// Components of the output, then those of resources that it does not name.
fn choose(
    said: &Map<String, Value>,
    found: Vec<(String, Value)>,
    state: &State,
    gaps: &mut Vec<Gap>,
) -> Map<String, Value> {
    let mut chosen = Map::new();
    let given = said.get("components").and_then(Value::as_object);
    for (name, component) in given.into_iter().flatten() {
        let place = format!("output {OUTPUT}.components.{name}");
        let kind = component["kind"].as_str().unwrap_or_default();
        if !component_kinds().any(|known| known == kind) {
            let hint = "bring it along by a component `kind: exec`, or by hand";
            gaps.push(Gap::new(place, format!("this version has no kind `{kind}`"), hint));
            continue;
        }
        for missing in names(component).into_iter().filter(|name| !state.mentions(name)) {
            let hint = "the output was not applied since, or it names something that Terraform does not make";
            gaps.push(Gap::new(place.clone(), format!("no resource of the state is called `{missing}`"), hint));
        }
        chosen.insert(name.clone(), component.clone());
    }
    let of_output: Vec<Value> = chosen.values().cloned().collect();
    for (name, component) in found {
        if of_output.iter().any(|other| is_same(other, &component)) {
            continue;
        }
        let name = free_name(&chosen, &name);
        if given.is_some() {
            let what = format!(
                "the output `{OUTPUT}` does not name this {}; it was taken over",
                component["kind"].as_str().unwrap_or_default()
            );
            gaps.push(Gap::new(name.clone(), what, "remove it from the plan if it does not move with the application"));
        }
        chosen.insert(name, component);
    }
    chosen
}

/// What the components of the output call things in AWS.
fn named(state: &State) -> BTreeSet<String> {
    let components = state.outputs.get(OUTPUT).and_then(|said| said["components"].as_object());
    components.into_iter().flat_map(Map::values).flat_map(names).collect()
}

/// What a component calls things in AWS.
fn names(component: &Value) -> BTreeSet<String> {
    let in_regions = component["regions"].as_object().into_iter().flat_map(|r| r.values()).flat_map(texts);
    let own = ["global_cluster", "zone", "topic"].iter().filter_map(|key| component[*key].as_str().map(str::to_owned));
    let switch = component["switch"]["bucket"].as_str().map(str::to_owned);
    in_regions.chain(own).chain(switch).collect()
}

/// What a component calls things in one region.
fn texts(place: &Value) -> Vec<String> {
    match place {
        Value::String(text) => vec![text.clone()],
        Value::Object(map) => map.values().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

/// Whether both are about the same things in AWS. One zone holds many names, and one name records of several types.
fn is_same(one: &Value, other: &Value) -> bool {
    let record = |component: &Value| {
        let name = component["name"].as_str().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        (name, component["type"].as_str().unwrap_or("A").to_owned())
    };
    let is_record = one["kind"] == "route53";
    one["kind"] == other["kind"] && names(one) == names(other) && (!is_record || record(one) == record(other))
}

fn free_name(taken: &Map<String, Value>, wanted: &str) -> String {
    let numbered = (2..).map(|n| format!("{wanted}-{n}"));
    let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
    names.find(|name| !taken.contains_key(name)).expect("there is always a next number")
}

/// The regions in the order of the output, else in that of their names.
fn regions(said: &Map<String, Value>, components: &Map<String, Value>) -> Vec<String> {
    let given = said.get("regions").and_then(Value::as_array);
    if let Some(given) = given {
        return given.iter().filter_map(|r| r.as_str().map(str::to_owned)).collect();
    }
    let of = |component: &Value| -> Vec<String> {
        let by_region = ["regions", "answers"].iter().filter_map(|key| component[*key].as_object());
        by_region.flat_map(|map| map.keys().cloned()).collect()
    };
    let all: BTreeSet<String> = components.values().flat_map(of).collect();
    all.into_iter().collect()
}

/// What a plan begins with where nothing says otherwise.
fn objectives_to_change() -> Value {
    json!({"rto": "1h", "rpo": "15m"})
}

#[cfg(test)]
mod tests;
