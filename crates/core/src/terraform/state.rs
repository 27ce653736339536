//! The two forms of a state: what `terraform show -json` prints, and the file itself.

use crate::code::{self, Code};
use serde_json::{Map, Value};

/// What was made, and what the configuration says of it.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Resources that Terraform manages, in the order of the state.
    pub(super) resources: Vec<Resource>,
    /// Values of outputs.
    pub(super) outputs: Map<String, Value>,
}

/// One resource.
#[derive(Debug)]
pub(super) struct Resource {
    /// `module.name.aws_route53_record.weighted["us-east-1"]`.
    pub(super) address: String,
    /// `aws_route53_record`.
    pub(super) kind: String,
    /// Its attributes.
    pub(super) values: Value,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Not JSON.
    #[error("the state is not JSON: {0}")]
    NotJson(String),
    /// JSON, and no state.
    #[error("this is {0}")]
    NotAState(&'static str),
    /// A state of something else.
    #[error("nothing in the state is of a kind that Pilotlight moves")]
    Empty,
}

impl StateError {
    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            StateError::NotJson(_) | StateError::NotAState(_) => code::IMPORT_NO_STATE,
            StateError::Empty => code::IMPORT_EMPTY,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            StateError::NotJson(_) | StateError::NotAState(_) => {
                "give the folder of the configuration, a state file, or what `terraform show -json` prints"
            }
            StateError::Empty => {
                "is it the state of the right environment? docs/terraform.md lists the resources that are read"
            }
        }
    }
}

impl State {
    pub(super) fn read(json: &str) -> Result<Self, StateError> {
        let document: Value = serde_json::from_str(json).map_err(|e| StateError::NotJson(e.to_string()))?;
        if document.get("planned_values").is_some() {
            return Err(StateError::NotAState("a plan of Terraform, not a state"));
        }
        if let Some(values) = document.get("values") {
            return Ok(shown(values));
        }
        match (document.get("version").and_then(Value::as_u64), document.get("resources")) {
            (Some(4), Some(_)) => Ok(file(&document)),
            (Some(_), _) => Err(StateError::NotAState("a state file of another version than 4")),
            // An empty state is shown without values.
            _ if document.get("format_version").is_some() => Ok(Self::default()),
            _ => Err(StateError::NotAState("no state of Terraform")),
        }
    }

    /// Whether some resource is called so, or has it as its ARN.
    pub(super) fn mentions(&self, name: &str) -> bool {
        self.resources.iter().any(|resource| {
            resource.values.as_object().is_some_and(|map| map.values().any(|v| v.as_str() == Some(name)))
        })
    }

    pub(super) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources.iter().filter(move |r| r.kind == kind)
    }
}

impl Resource {
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.values[key].as_str().filter(|text| !text.is_empty())
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.values[key].as_u64()
    }

    /// The region of its ARN; an ECS service has its ARN as its id.
    pub(super) fn region(&self) -> Option<&str> {
        let arn = [self.text("arn"), self.text("id")].into_iter().flatten().find(|t| t.starts_with("arn:"))?;
        arn.split(':').nth(3).filter(|region| !region.is_empty())
    }
}

fn shown(values: &Value) -> State {
    let mut state = State::default();
    for (name, output) in values["outputs"].as_object().into_iter().flatten() {
        state.outputs.insert(name.clone(), output["value"].clone());
    }
    let mut modules = vec![&values["root_module"]];
    while let Some(module) = modules.pop() {
        for resource in module["resources"].as_array().into_iter().flatten().filter(|r| r["mode"] == "managed") {
            state.resources.push(Resource {
                address: resource["address"].as_str().unwrap_or_default().to_owned(),
                kind: resource["type"].as_str().unwrap_or_default().to_owned(),
                values: resource["values"].clone(),
            });
        }
        modules.extend(module["child_modules"].as_array().into_iter().flatten().rev());
    }
    state
}

fn file(document: &Value) -> State {
    let mut state = State::default();
    for (name, output) in document["outputs"].as_object().into_iter().flatten() {
        state.outputs.insert(name.clone(), output["value"].clone());
    }
    for resource in document["resources"].as_array().into_iter().flatten().filter(|r| r["mode"] == "managed") {
        let part = |key: &str| resource[key].as_str().unwrap_or_default();
        let stem = match part("module") {
            "" => format!("{}.{}", part("type"), part("name")),
            module => format!("{module}.{}.{}", part("type"), part("name")),
        };
        for instance in resource["instances"].as_array().into_iter().flatten() {
            let index = instance.get("index_key").filter(|key| !key.is_null());
            state.resources.push(Resource {
                address: index.map_or_else(|| stem.clone(), |key| format!("{stem}[{key}]")),
                kind: part("type").to_owned(),
                values: instance["attributes"].clone(),
            });
        }
    }
    state
}
