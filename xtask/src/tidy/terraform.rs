//! Rules for what stands under `terraform/`: it leaves alone what Pilotlight moves and says why, and the rights it gives are
//! those that docs/aws.md lists.

use super::{Complaint, Tree};
use std::collections::{BTreeMap, BTreeSet};

/// What Pilotlight, or a drill, changes past Terraform. A resource of the kind that does not ignore it would be changed
/// back, or replaced, by the first `terraform plan` after a failover.
const MOVED: &[(&str, &[&str])] = &[
    ("aws_autoscaling_group", &["min_size", "max_size", "desired_capacity"]),
    ("aws_db_instance", &["replicate_source_db", "identifier", "vpc_security_group_ids"]),
    ("aws_ecs_service", &["desired_count", "capacity_provider_strategy"]),
    ("aws_eks_node_group", &["scaling_config"]),
    ("aws_elasticache_global_replication_group", &["primary_replication_group_id"]),
    ("aws_elasticache_replication_group", &["global_replication_group_id"]),
    ("aws_globalaccelerator_endpoint_group", &["traffic_dial_percentage", "endpoint_configuration"]),
    ("aws_rds_cluster", &["global_cluster_identifier", "replication_source_identifier", "vpc_security_group_ids"]),
    ("aws_route53_health_check", &["invert_healthcheck", "disabled"]),
    ("aws_s3_bucket_replication_configuration", &["rule[0].status"]),
];

/// Blocks that are moved wherever they stand.
const MOVED_BLOCKS: &[&str] = &["weighted_routing_policy", "failover_routing_policy"];

const DOCUMENT: &str = "docs/aws.md";
const RIGHTS: &str = "terraform/modules/iam/rights.json";

pub(super) fn check(tree: &Tree) -> Vec<Complaint> {
    let files = tree.ending(".tf").filter(|(path, _)| path.starts_with("terraform/"));
    let mut complaints: Vec<Complaint> = files.flat_map(|(path, text)| check_file(path, text)).collect();
    if let Some(rights) = tree.text(RIGHTS) {
        complaints.extend(check_rights(rights, tree.text(DOCUMENT).unwrap_or_default()));
    }
    complaints
}

/// Relies on the form that `terraform fmt` gives: a block begins and ends at the edge of its file.
fn check_file(path: &str, text: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let Some(kind) = line.strip_prefix("resource \"").and_then(|rest| rest.split('"').next()) else { continue };
        let end = lines[at..].iter().position(|l| *l == "}").map_or(lines.len(), |n| at + n);
        let body = &lines[at..end];
        let ignored = ignored(body);
        let of_kind = MOVED.iter().filter(|(k, _)| *k == kind).flat_map(|(_, moved)| moved.iter());
        let blocks = MOVED_BLOCKS.iter().filter(|b| body.contains(&format!("  {b} {{").as_str()));
        for moved in of_kind.chain(blocks) {
            let what = match ignored.get(moved) {
                None => format!("{kind} does not leave {moved} alone, which Pilotlight moves"),
                Some(Reason::Missing) => format!("{kind} leaves {moved} alone and does not say why"),
                Some(Reason::Given) => continue,
            };
            complaints.push(Complaint::new(path, at + 1, what, "name it in `ignore_changes` below a comment"));
        }
    }
    complaints
}

#[derive(PartialEq)]
enum Reason {
    Given,
    Missing,
}

/// What a resource ignores, and whether a comment stands above it (or above the whole list on one line).
fn ignored<'a>(body: &[&'a str]) -> BTreeMap<&'a str, Reason> {
    let mut found = BTreeMap::new();
    let mut inside = false;
    let mut above = "";
    for line in body {
        let line = line.trim();
        let names = match line.strip_prefix("ignore_changes = [") {
            Some(rest) => {
                inside = !rest.ends_with(']');
                rest.strip_suffix(']').unwrap_or(rest)
            }
            None if inside => line,
            None => "",
        };
        inside &= !line.starts_with(']');
        if !line.starts_with('#') {
            for name in names.split(',').map(str::trim).filter(|n| !n.is_empty() && *n != "]") {
                let reason = if above.starts_with('#') { Reason::Given } else { Reason::Missing };
                found.insert(name, reason);
            }
        }
        // One comment may speak for the names that follow it directly.
        if !(inside && !line.starts_with('#') && above.starts_with('#') && names == line) {
            above = line;
        }
    }
    found
}

fn check_rights(rights: &str, document: &str) -> Vec<Complaint> {
    let parsed: BTreeMap<String, BTreeMap<String, String>> = match serde_json::from_str(rights) {
        Ok(parsed) => parsed,
        Err(e) => return vec![Complaint::new(RIGHTS, e.line(), e.to_string(), "calls by driver, `named` or `any`")],
    };
    let given: BTreeMap<&str, BTreeSet<String>> =
        parsed.iter().map(|(driver, calls)| (driver.as_str(), calls.keys().cloned().collect())).collect();
    let listed = listed(document);
    let none = BTreeSet::new();
    let drivers: BTreeSet<&str> = given.keys().chain(listed.keys()).copied().collect();
    let mut complaints = Vec::new();
    for driver in drivers {
        let (given, listed) = (given.get(driver).unwrap_or(&none), listed.get(driver).unwrap_or(&none));
        for call in listed.difference(given) {
            let what = format!("{driver} calls {call} ({DOCUMENT}), and no policy gives the right");
            complaints.push(Complaint::new(
                RIGHTS,
                0,
                what,
                "add it as `named`, or `any` if AWS knows no resource for it",
            ));
        }
        for call in given.difference(listed) {
            let what = format!("{driver} is given {call}, which {DOCUMENT} does not list");
            complaints.push(Complaint::new(RIGHTS, 0, what, "remove it, or list the call"));
        }
    }
    complaints
}

/// The calls of the table of drivers: `service:Call`, then calls of the same service without it.
fn listed(document: &str) -> BTreeMap<&str, BTreeSet<String>> {
    let mut drivers = BTreeMap::new();
    let table = document.lines().skip_while(|l| !l.starts_with("| kind | calls |")).skip(2);
    for line in table.take_while(|l| l.starts_with('|')) {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (Some(driver), Some(calls)) = (cells.next(), cells.next()) else { continue };
        let mut service = "";
        let mut of_driver = BTreeSet::new();
        for word in calls.split('`').skip(1).step_by(2) {
            let call = match word.split_once(':') {
                Some((s, call)) if call.starts_with(char::is_uppercase) => {
                    service = s;
                    call
                }
                _ => word,
            };
            if call.starts_with(char::is_uppercase) && call.bytes().all(|b| b.is_ascii_alphanumeric()) {
                of_driver.insert(format!("{service}:{call}"));
            }
        }
        drivers.insert(driver.trim_matches('`'), of_driver);
    }
    drivers
}
