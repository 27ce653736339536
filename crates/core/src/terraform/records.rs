//! Names in Route 53 as they are read off records and the health check of a switch.

use super::Gap;
use super::state::{Resource, State};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Records of one name by region: their set identifiers must be the regions.
pub(super) fn names(state: &State, gaps: &mut Vec<Gap>) -> Vec<(String, Value)> {
    let mut by_name: BTreeMap<(&str, &str, &str), Vec<&Resource>> = BTreeMap::new();
    for record in state.of_kind("aws_route53_record") {
        // What Terraform is given may be without its zone; `fqdn` is the name as Route 53 has it.
        let name = record.text("fqdn").or_else(|| record.text("name"));
        let (Some(zone), Some(name), Some(kind)) = (record.text("zone_id"), name, record.text("type")) else {
            continue;
        };
        if record.text("set_identifier").is_some() {
            by_name.entry((zone, name, kind)).or_default().push(record);
        }
    }
    let mut components = Vec::new();
    for ((zone, name, kind), records) in by_name {
        let is_region = |r: &&Resource| r.text("set_identifier").is_some_and(looks_like_a_region);
        if let Some(other) = records.iter().find(|r| !is_region(r)) {
            let what =
                format!("the set identifier `{}` is no region", other.text("set_identifier").unwrap_or_default());
            gaps.push(Gap::new(
                &other.address,
                what,
                "Pilotlight knows its records by the regions' names: rename the sets",
            ));
            continue;
        }
        let has = |key: &str| records.iter().any(|r| r.values[key].as_array().is_some_and(|a| !a.is_empty()));
        let policy = if has("failover_routing_policy") { "failover" } else { "weighted" };
        let answers: Map<String, Value> =
            records.iter().filter_map(|r| Some((r.text("set_identifier")?.to_owned(), answer(r)))).collect();
        let mut component =
            json!({"kind": "route53", "zone": zone, "name": name, "type": kind, "policy": policy, "answers": answers});
        if let Some(ttl) = records.iter().find_map(|r| r.number("ttl")).filter(|ttl| *ttl > 0) {
            component["ttl"] = json!(ttl);
        }
        if let Some(switch) = switch(state, &records) {
            component["switch"] = switch;
        }
        components.push(("name".to_owned(), component));
    }
    components
}

fn answer(record: &Resource) -> Value {
    let mut answer = match &record.values["alias"][0] {
        Value::Object(alias) => json!({"alias": {"name": alias["name"], "zone": alias["zone_id"]}}),
        _ => json!({"value": record.values["records"][0]}),
    };
    if let Some(check) = record.text("health_check_id") {
        answer["health_check"] = json!(check);
    }
    answer
}

/// The object that moves users: the primary's check is inverted and asks S3 of the other region for it.
fn switch(state: &State, records: &[&Resource]) -> Option<Value> {
    let is_primary = |r: &&&Resource| r.values["failover_routing_policy"][0]["type"] == "PRIMARY";
    let home = records.iter().find(is_primary)?;
    let away = records.iter().find(|r| !is_primary(r))?.text("set_identifier")?;
    let id = home.text("health_check_id")?;
    let check = state.of_kind("aws_route53_health_check").find(|c| c.text("id") == Some(id))?;
    let (bucket, rest) = check.text("fqdn")?.split_once(".s3.")?;
    if check.values["invert_healthcheck"] != json!(true) || !rest.starts_with(&format!("{away}.")) {
        return None;
    }
    let mut switch = json!({
        "home": home.text("set_identifier")?, "bucket": bucket,
        "object": check.text("resource_path")?.trim_start_matches('/'),
    });
    if let (Some(interval), Some(failures)) = (check.number("request_interval"), check.number("failure_threshold")) {
        // As long as the checkers need for the same answer so often, and one interval more.
        switch["takes"] = json!(format!("{}s", interval * (failures + 1)));
    }
    Some(switch)
}

/// `us-east-1`.
fn looks_like_a_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() >= 3 && parts.last().is_some_and(|p| p.len() == 1 && p.bytes().all(|b| b.is_ascii_digit()))
}
