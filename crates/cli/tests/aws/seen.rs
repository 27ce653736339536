//! What the status of a controller says, piece by piece.

use serde_json::Value;

fn region(status: &Value, region: &str) -> Value {
    let regions = status["regions"].as_array().cloned().unwrap_or_default();
    regions.into_iter().find(|r| r["region"] == region).unwrap_or_default()
}

/// Whether a region is heard; `None` where the status does not say.
pub(crate) fn heard(status: &Value, of: &str) -> Option<bool> {
    region(status, of)["heard"].as_bool()
}

/// What is seen of a component in a region.
pub(crate) fn state(status: &Value, component: &str, of: &str) -> Value {
    let components = region(status, of)["components"].as_array().cloned().unwrap_or_default();
    components.into_iter().find(|c| c["component"] == component).unwrap_or_default()["state"].clone()
}

/// A component's copy in a region follows.
pub(crate) fn follows(status: &Value, component: &str, of: &str) -> bool {
    let state = state(status, component, of);
    state["role"] == "standby" && state["streaming"] == true
}
