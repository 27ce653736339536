//! Components that can be read off resources alone.

use super::state::{Resource, State};
use super::{Gap, records};
use crate::plan::component_kinds;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Resources that hold something a failover must bring along, and the kind of component they would be.
const NOT_READ: &[(&str, &str)] = &[
    ("aws_db_instance", "rds"),
    ("aws_elasticache_global_replication_group", "elasticache"),
    ("aws_globalaccelerator_listener", "global-accelerator"),
    ("aws_s3_bucket_replication_configuration", "s3"),
];

/// Each with the name it would like to have. Kinds do not know each other's names, so several may want the same one.
pub(super) fn components(state: &State, gaps: &mut Vec<Gap>) -> Vec<(String, Value)> {
    let mut found = aurora(state, gaps);
    found.extend(counted(state, gaps, ("aws_ecs_service", "ecs"), service));
    found.extend(counted(state, gaps, ("aws_autoscaling_group", "autoscaling"), group));
    found.extend(counted(state, gaps, ("aws_eks_node_group", "eks"), nodes));
    found.extend(records::names(state, gaps));
    let said = state.outputs.contains_key(super::OUTPUT);
    for (kind, component) in NOT_READ {
        for resource in state.of_kind(kind).filter(|_| !said) {
            let what = match component_kinds().any(|known| known == *component) {
                true => format!("a component `kind: {component}` is not read off resources"),
                false => format!("this version has no kind `{component}`"),
            };
            gaps.push(Gap::new(
                &resource.address,
                what,
                "name it in an output `pilotlight`, or write it into the plan",
            ));
        }
    }
    found
}

/// Members by the global cluster they name.
fn aurora(state: &State, gaps: &mut Vec<Gap>) -> Vec<(String, Value)> {
    let mut by_cluster: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for member in state.of_kind("aws_rds_cluster") {
        let (Some(global), Some(name)) = (member.text("global_cluster_identifier"), member.text("cluster_identifier"))
        else {
            let what = "a cluster that belongs to no global cluster has no copy in another region";
            gaps.push(Gap::new(&member.address, what, "adopt it into a global cluster first"));
            continue;
        };
        let Some(region) = region_of(member, gaps) else { continue };
        by_cluster.entry(global).or_default().insert(region, json!({"cluster": name}));
    }
    let component = |(global, regions): (&str, Map<String, Value>)| {
        (global.to_owned(), json!({"kind": "aurora", "global_cluster": global, "regions": regions}))
    };
    by_cluster.into_iter().map(component).collect()
}

/// What a counted resource is called, how many it has, and how it stands in `regions`.
type Counted = fn(&Resource) -> Option<(String, u64, Value)>;

fn service(resource: &Resource) -> Option<(String, u64, Value)> {
    let name = resource.text("name")?;
    let cluster = resource.text("cluster")?.rsplit('/').next()?;
    let place = json!({"cluster": cluster, "service": name});
    Some((name.to_owned(), resource.number("desired_count")?, place))
}

fn group(resource: &Resource) -> Option<(String, u64, Value)> {
    let name = resource.text("name")?;
    Some((name.to_owned(), resource.number("desired_capacity")?, json!(name)))
}

fn nodes(resource: &Resource) -> Option<(String, u64, Value)> {
    let (cluster, name) = (resource.text("cluster_name")?, resource.text("node_group_name")?);
    let count = resource.values["scaling_config"][0]["desired_size"].as_u64()?;
    Some((name.to_owned(), count, json!({"cluster": cluster, "node_group": name})))
}

/// Resources of one name in several regions; the largest count is the active one.
fn counted(state: &State, gaps: &mut Vec<Gap>, (kind, word): (&str, &str), read: Counted) -> Vec<(String, Value)> {
    let named = super::named(state);
    let mut by_name: BTreeMap<String, Vec<(String, u64, Value)>> = BTreeMap::new();
    for resource in state.of_kind(kind) {
        let Some(region) = region_of(resource, gaps) else { continue };
        let Some((name, count, place)) = read(resource) else { continue };
        by_name.entry(name).or_default().push((region, count, place));
    }
    let mut components = Vec::new();
    for (name, found) in by_name {
        let counts = || found.iter().map(|(_, count, _)| *count);
        let (most, least) = (counts().max().unwrap_or(1), counts().min().unwrap_or(0));
        let mut regions = Map::new();
        let twice = found.iter().find(|(region, _, place)| regions.insert(region.clone(), place.clone()).is_some());
        if let Some((region, ..)) = twice {
            // An output that names each of them says which belong together; a name alone does not.
            if !found.iter().flat_map(|(_, _, place)| super::texts(place)).all(|text| named.contains(&text)) {
                let hint = "name them in an output `pilotlight`, or write the components by hand";
                gaps.push(Gap::new(&name, format!("more than one {kind} of this name is in {region}"), hint));
            }
            continue;
        }
        if regions.len() < 2 {
            // The output says what its other half is, which another state makes.
            if named.contains(&name) {
                continue;
            }
            let hint = "give it the same name in the other region, or write the component by hand";
            gaps.push(Gap::new(&name, format!("{kind} of this name is in one region only"), hint));
            continue;
        }
        components.push((name, json!({"kind": word, "active": most.max(1), "standby": least, "regions": regions})));
    }
    components
}

fn region_of(resource: &Resource, gaps: &mut Vec<Gap>) -> Option<String> {
    let region = resource.region().map(str::to_owned);
    if region.is_none() {
        gaps.push(Gap::new(
            &resource.address,
            "its ARN is not in the state, so its region is unknown",
            "run `terraform refresh`",
        ));
    }
    region
}
