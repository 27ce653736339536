//! What a plan names, for the AWS test server to make.

use super::checked::Checked;
use pilotlight_core::plan::aws::{AnswerTo, AwsComponent};
use pilotlight_core::plan::{Kind, Plan};
use serde_json::{Map, Value, json};

/// What the plan names, for the server to make. Health is checked as in the environment.
pub(super) fn wanted(plan: &Plan, checked: Checked) -> Value {
    let Checked { interval, failures } = checked;
    let mut wanted: Map<String, Value> = Map::new();
    let mut add = |key: &str, value: Value| {
        let list = wanted.entry(key).or_insert_with(|| json!([]));
        list.as_array_mut().expect("it was made as a list").push(value);
    };
    for (region, settings) in &plan.aws.regions {
        for key in &settings.needs.keys {
            add("keys", json!([region, key]));
        }
    }
    for component in plan.components.values() {
        let Kind::Aws(aws) = &component.kind else { continue };
        match aws {
            AwsComponent::Aurora(aurora) => {
                // The home's cluster first: it is the writer.
                let mut members: Vec<_> = aurora.regions.iter().map(|(r, m)| (r.clone(), m.cluster.clone())).collect();
                members.sort_by_key(|(region, _)| *region != plan.home);
                add("aurora", json!({"group": aurora.global_cluster, "members": members}));
            }
            AwsComponent::Rds(rds) => {
                let mut instances: Vec<_> = rds.regions.iter().map(|(r, i)| (r.clone(), i.instance.clone())).collect();
                instances.sort_by_key(|(region, _)| *region != plan.home);
                add("rds", json!({"instances": instances}));
            }
            AwsComponent::ElastiCache(cache) => {
                let mut groups: Vec<_> = cache.regions.iter().map(|(r, g)| (r.clone(), g.group.clone())).collect();
                groups.sort_by_key(|(region, _)| *region != plan.home);
                // The server puts AWS's prefix before it.
                let name = cache.global_datastore.trim_start_matches("ldgnf-");
                add("caches", json!({"name": name, "groups": groups}));
            }
            AwsComponent::S3(s3) => {
                let mut buckets: Vec<_> = s3.regions.iter().map(|(r, b)| (r.clone(), b.bucket.clone())).collect();
                buckets.sort_by_key(|(region, _)| *region != plan.home);
                add("buckets", json!({"regions": buckets}));
            }
            AwsComponent::Ecs(ecs) => {
                for (region, place) in &ecs.regions {
                    let tasks = if *region == plan.home { ecs.active } else { ecs.standby };
                    add(
                        "ecs",
                        json!({"region": region, "cluster": place.cluster, "service": place.service, "tasks": tasks}),
                    );
                }
            }
            AwsComponent::Autoscaling(group) => {
                for (region, name) in &group.regions {
                    let serves = *region == plan.home || plan.is_active_active();
                    let least = if serves { group.active } else { group.standby };
                    add("groups", json!({"region": region, "name": name, "least": least, "most": 20}));
                }
            }
            AwsComponent::Eks(nodes) => {
                for (region, place) in &nodes.regions {
                    let least = if *region == plan.home { nodes.active } else { nodes.standby };
                    let (cluster, group) = (&place.cluster, &place.node_group);
                    add(
                        "nodes",
                        json!({"region": region, "cluster": cluster, "group": group, "least": least, "most": 20}),
                    );
                }
            }
            AwsComponent::Route53(name) => {
                add("zones", json!("example.com"));
                if let Some((switch, away)) = name.switch() {
                    let looks = checked.takes() + interval;
                    assert_eq!(
                        switch.takes.as_secs(),
                        looks,
                        "the plan says of the checkers what the environment makes"
                    );
                    let answers: Map<String, Value> =
                        name.answers.iter().map(|(region, a)| (region.to_string(), answer(&a.to))).collect();
                    add(
                        "switches",
                        json!({
                            "zone": "example.com", "name": name.name, "home": switch.home, "answers": answers,
                            "region": away, "bucket": switch.bucket, "object": switch.object, "type": name.record,
                            "interval": interval, "failures": failures,
                        }),
                    );
                    continue;
                }
                for answer in name.answers.values() {
                    if let Some(check) = &answer.health_check {
                        add("checks", json!({"name": check, "interval": interval, "failures": failures}));
                    }
                    assert!(matches!(answer.to, AnswerTo::Value(_) | AnswerTo::Alias { .. }));
                }
            }
            AwsComponent::Accelerator(_) => add("accelerators", json!({"name": "addresses", "regions": plan.regions})),
            AwsComponent::Sns(sns) => {
                let parts: Vec<&str> = sns.topic.split(':').collect();
                add("topics", json!([parts[3], parts[5]]));
            }
        }
    }
    Value::Object(wanted)
}

fn answer(to: &AnswerTo) -> Value {
    match to {
        AnswerTo::Value(value) => json!(value),
        AnswerTo::Alias { name, zone } => json!({"name": name, "zone": zone}),
    }
}
