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
        if let Some(gap) = records.iter().find_map(|record| not_read(record)) {
            gaps.push(gap);
            continue;
        }
        let policy = if records.iter().any(|r| has(r, "failover_routing_policy")) { "failover" } else { "weighted" };
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

/// Why a record cannot be one region's answer of a component.
fn not_read(record: &Resource) -> Option<Gap> {
    let set = record.text("set_identifier").unwrap_or_default();
    let gap = |what: String, hint: &str| Some(Gap::new(&record.address, what, hint));
    if !looks_like_a_region(set) {
        let hint = "Pilotlight knows its records by the regions' names: rename the sets";
        return gap(format!("the set identifier `{set}` is no region"), hint);
    }
    if !has(record, "failover_routing_policy") && !has(record, "weighted_routing_policy") {
        let hint = "make the sets weighted or failover, or leave this name to people";
        return gap(format!("the set `{set}` is neither weighted nor failover"), hint);
    }
    match record.values["records"].as_array().map_or(0, Vec::len) {
        0 | 1 => None,
        many => {
            let hint = "a region has one answer: put a load balancer before them, or leave this name to people";
            gap(format!("the set `{set}` has {many} answers"), hint)
        }
    }
}

fn has(record: &Resource, key: &str) -> bool {
    record.values[key].as_array().is_some_and(|blocks| !blocks.is_empty())
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
