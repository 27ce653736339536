//! Every example as its README says: checked, served against the AWS test server, its runbook shown and walked dry. The
//! runbook and the picture in the example's folder are generated documents: `PILOTLIGHT_WRITE_DOCS=1` writes them.

use crate::ground::Ground;
use pilotlight_core::plan::aws::{AnswerTo, AwsComponent};
use pilotlight_core::plan::{Kind, Plan};
use pilotlight_driver::clock::{Clock, SystemClock};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

fn folder(example: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(example)
}

/// What the plan names, for the server to make.
fn wanted(plan: &Plan) -> Value {
    let mut wanted: Map<String, Value> = Map::new();
    let mut add = |key: &str, value: Value| {
        let list = wanted.entry(key).or_insert_with(|| json!([]));
        list.as_array_mut().expect("it was made as a list").push(value);
    };
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
                let mut regions: Vec<_> = cache.regions.keys().collect();
                regions.sort_by_key(|region| **region != plan.home);
                // The server puts AWS's prefix before it; groups have the same name.
                let name = cache.global_datastore.trim_start_matches("ldgnf-");
                add("caches", json!({"name": name, "regions": regions}));
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
                    let least = if *region == plan.home { group.active } else { group.standby };
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
                for answer in name.answers.values() {
                    if let Some(check) = &answer.health_check {
                        add("checks", json!(check));
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

/// The document as it is in the folder, or written there.
fn is_as_generated(path: &Path, text: &str) {
    if std::env::var_os("PILOTLIGHT_WRITE_DOCS").is_some() {
        fs::write(path, text).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(kept, text, "{} is stale: PILOTLIGHT_WRITE_DOCS=1 make test-aws", path.display());
}

/// The page with the picture put between its marks.
fn with_picture(page: &str, picture: &str) -> String {
    let (before, rest) = page.split_once("```mermaid\n").expect("the page has a picture");
    let (_, after) = rest.split_once("```").expect("the picture ends");
    format!("{before}```mermaid\n{picture}```{after}")
}

/// Whether the example is also failed over: not where a step of its own calls what the server does not have.
#[derive(Clone, Copy, PartialEq)]
enum Walk {
    Dry,
    Real,
}

async fn run(example: &'static str, walk: Walk) {
    let Some(mut ground) = Ground::find().await else { return };
    let text = fs::read_to_string(folder(example).join("pilotlight.yaml")).unwrap();
    let plan = Plan::read(&text, example).unwrap();
    let made = ground.server.tell("seed", wanted(&plan)).await.unwrap();
    let mut text = text;
    for (name, id) in made["checks"].as_object().into_iter().flatten() {
        text = text.replace(name, id.as_str().unwrap());
    }
    if let Some(zone) = made["zones"]["example.com"].as_str() {
        text = text.replace("Z0000000000EXAMPLE", zone);
    }
    let led = &made["accelerators"]["addresses"];
    for component in plan.components.values() {
        let Kind::Aws(AwsComponent::Accelerator(accelerator)) = &component.kind else { continue };
        for (region, group) in &accelerator.regions {
            text = text.replace(group, led["groups"][region.as_str()].as_str().unwrap());
        }
        text = text.replace(&accelerator.listener, led["listener"].as_str().unwrap());
    }
    ground.write_text(&text);
    ground.serve_any().await;
    let ground = Arc::new(ground);
    let home = plan.home.clone();
    let to = plan.regions.iter().find(|r| **r != home).unwrap().to_string();
    let asking = ground.clone();
    let (code, dry, err, words, graph) = tokio::task::spawn_blocking(move || {
        let (code, words, err) = asking.said(&["runbook", "show", "failover", "--to", &to, "--format", "markdown"]);
        assert_eq!(code, 0, "{err}\n{}", asking.log());
        let (code, graph, err) = asking.said(&["runbook", "show", "failover", "--to", &to, "--format", "graph"]);
        assert_eq!(code, 0, "{err}");
        // A copy that the server has only just begun to make stands in the way, and rightly so.
        let end = SystemClock.mono() + Duration::from_secs(60);
        loop {
            let (code, dry, err) = asking.said(&["failover", "--to", &to, "--dry-run"]);
            let begun = ["(creating)", "is not associated yet"].iter().any(|word| dry.contains(word));
            if !begun || SystemClock.mono() > end {
                return (code, dry, err, words, graph);
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(code, 0, "{dry}{err}");
    // What the server made has names of its own.
    let mut named = words;
    for (name, id) in made["checks"].as_object().into_iter().flatten() {
        named = named.replace(id.as_str().unwrap(), name);
    }
    is_as_generated(&folder(example).join("RUNBOOK.md"), &named);
    let page = folder(example).join("README.md");
    let kept = fs::read_to_string(&page).unwrap();
    is_as_generated(&page, &with_picture(&kept, &graph));
    if walk == Walk::Real {
        move_it(&ground, example, &plan).await;
        if let Some(listener) = led["listener"].as_str() {
            let to = plan.regions.iter().find(|r| **r != plan.home).unwrap();
            assert_eq!(ground.server.ask(&format!("led-to?listener={listener}")).await.unwrap(), json!([to]));
        }
    }
}

/// A failover for real, and where users are led after it.
async fn move_it(ground: &Arc<Ground>, example: &str, plan: &Plan) {
    let to = plan.regions.iter().find(|r| **r != plan.home).unwrap().to_string();
    let (asking, target) = (ground.clone(), to.clone());
    let began = ground.now().await;
    let (code, out, err) =
        tokio::task::spawn_blocking(move || asking.said(&["failover", "--to", &target, "--yes"])).await.unwrap();
    assert_eq!(code, 0, "{out}\n{err}\n{}", ground.log());
    println!("{example}: failover in {:.0} modelled seconds", ground.now().await - began);
    assert_eq!(ground.status()["units"][0]["writer"], to.as_str());
    for component in plan.components.values() {
        let Kind::Aws(AwsComponent::Route53(name)) = &component.kind else { continue };
        let answers = ground.server.ask(&format!("dns?name={}", name.name)).await.unwrap();
        assert_eq!(answers[0]["set"], to.as_str(), "users are not led there: {answers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payments() {
    run("payments", Walk::Dry).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn portfolio() {
    run("portfolio", Walk::Real).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ecommerce() {
    run("ecommerce", Walk::Real).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn active_active() {
    run("active-active", Walk::Real).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ecs() {
    run("ecs", Walk::Real).await;
}
