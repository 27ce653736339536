//! What users complain of most: after a failover the next `terraform plan` wants everything back. Here environments are applied
//! to the AWS test server, a plan is imported from each state, Pilotlight fails over, and `terraform plan` is asked again.
//! Skipped, with the reason, where terraform or its AWS provider cannot be had; a configuration that `init` refuses fails.
//! Minutes: the provider waits fixed times for databases and caches. So they are called what is run first of these tests, which
//! are begun by their names: the others run while these wait.

use crate::ground::Ground;
use pilotlight_core::plan::aws::AwsComponent;
use pilotlight_core::plan::{Kind, Plan};
use pilotlight_lab::required::{self, Need};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

/// What is tried of an environment. All of it is applied.
struct Tried {
    environment: &'static str,
    home: &'static str,
    away: &'static str,
    /// Its variable `networks`, of one region, out of what the server made there.
    network: fn(&Value, &str) -> Value,
    /// What it expects to be there besides, for the server to make.
    besides: Value,
}

/// The environment in a folder of its own, with a state beside it.
struct Terraform {
    folder: PathBuf,
    endpoint: String,
}

impl Terraform {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env("AWS_ENDPOINT_URL", &self.endpoint);
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("TF_VAR_master_password", "not-a-secret"),
            ("CHECKPOINT_DISABLE", "1"),
            ("TF_IN_AUTOMATION", "1"),
        ] {
            command.env(name, value);
        }
        command
    }

    fn run(&self, words: &[&str]) -> Result<String, String> {
        let output = self.command("terraform").args(words).output().map_err(|e| e.to_string())?;
        answer(&output)
    }

    /// The provider and the modules are there; `None`, with the reason said, where terraform or the provider cannot be had.
    fn init(&self) -> Option<()> {
        let mut words = vec!["init".to_owned(), "-input=false".to_owned(), "-no-color".to_owned()];
        let plugins = std::env::var("PILOTLIGHT_TERRAFORM_PLUGINS").ok().filter(|folder| !folder.is_empty());
        words.extend(plugins.map(|folder| format!("-plugin-dir={folder}")));
        let mut command = self.command("terraform");
        let said = match command.args(words).output() {
            Ok(output) => answer(&output),
            Err(e) => {
                required::skip(Need::Terraform, format!("terraform: {e}"));
                return None;
            }
        };
        let Err(why) = said else { return Some(()) };
        let provider = ["Failed to query available provider packages", "Failed to install provider"];
        assert!(provider.iter().any(|cause| why.contains(cause)), "terraform init: {why}");
        let why = why.lines().take(6).collect::<Vec<_>>().join(" ");
        required::skip(Need::Terraform, format!("terraform init: {why}"));
        None
    }

    fn apply(&self) {
        self.run(&["apply", "-auto-approve", "-input=false", "-no-color", VARIABLES]).unwrap();
    }

    /// What the next apply would do, without what it would leave alone.
    fn wishes(&self) -> BTreeSet<String> {
        self.run(&["plan", "-input=false", "-no-color", VARIABLES, "-out=wishes"]).unwrap();
        let plan: Value = serde_json::from_str(&self.run(&["show", "-json", "wishes"]).unwrap()).unwrap();
        let changes = plan["resource_changes"].as_array().cloned().unwrap_or_default();
        let leaves = |c: &&Value| c["change"]["actions"] == json!(["no-op"]) || c["mode"] == "data";
        changes.iter().filter(|c| !leaves(c)).map(wish).collect()
    }
}

/// What would be done to which resource, and which of its attributes would change: one that is changed in any case must not hide
/// what a failover adds to it.
fn wish(resource: &Value) -> String {
    let (change, nothing) = (&resource["change"], serde_json::Map::new());
    let after = change["after"].as_object().unwrap_or(&nothing);
    let differs = |name: &&String| change["before"][name.as_str()] != after[name.as_str()];
    let unknown =
        change["after_unknown"].as_object().into_iter().flatten().filter(|(_, unknown)| **unknown == json!(true));
    let attributes: BTreeSet<&String> = after.keys().filter(differs).chain(unknown.map(|(name, _)| name)).collect();
    format!("{} {} {attributes:?}", change["actions"], resource["address"].as_str().unwrap_or_default())
}

const VARIABLES: &str = "-var-file=test.tfvars.json";

/// As `dr-pilot-light` wants it: RDS, and a load balancer by its name. The closed group lets nobody in: with it Pilotlight can
/// stop a writer that lives.
fn of_rds(made: &Value, region: &str) -> Value {
    json!({
        "subnet_ids": made["subnets"], "security_group_ids": [made["open"]], "db_subnet_group": "data",
        "db_security_group_ids": [made["open"]], "db_closed_group_ids": [made["closed"]],
        "load_balancer": format!("{region}.lb.example.com"),
    })
}

/// As environments with Aurora and aliases want it; each takes what it knows.
fn of_aurora(made: &Value, region: &str) -> Value {
    json!({
        "subnet_ids": made["subnets"], "security_group_ids": [made["open"]],
        "database": {"subnet_group": "data", "security_group_ids": [made["open"]]},
        "cache": {"subnet_group": "cache", "security_group_ids": [made["open"]]},
        "load_balancer": {"name": format!("{region}.lb.example.com"), "zone": "Z0LB"},
        "load_balancer_arn": made["load_balancer"], "target_group_arns": [made["target_group"]],
    })
}

fn answer(output: &Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stdout) + &text(&output.stderr)) }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if entry.file_type().unwrap().is_dir() {
            if name != ".terraform" {
                copy(&entry.path(), &to.join(name));
            }
        } else {
            fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

/// Where the plan's name, or its accelerator, leads users.
async fn led_to(ground: &Ground, plan: &Plan) -> Value {
    for component in plan.components.values() {
        match &component.kind {
            Kind::Aws(AwsComponent::Route53(name)) => {
                let answers = ground.server.ask(&format!("dns?name={}", name.name)).await.unwrap();
                return answers.as_array().unwrap().iter().map(|answer| answer["set"].clone()).collect();
            }
            Kind::Aws(AwsComponent::Accelerator(addresses)) => {
                return ground.server.ask(&format!("led-to?listener={}", addresses.listener)).await.unwrap();
            }
            _ => {}
        }
    }
    panic!("nothing leads users")
}

/// Applied, imported, failed over: the server and the plan, and what Terraform wants then. It is what it wanted before, and
/// replaces nothing.
async fn after_a_failover_nothing_is_wanted_back(tried: Tried) -> Option<(Arc<Ground>, String)> {
    let Tried { environment, home, away, network, besides } = tried;
    let ground = Ground::find().await?;
    let mut wanted = json!({"zones": ["example.com"], "networks": [home, away]});
    wanted.as_object_mut().unwrap().extend(besides.as_object().unwrap().clone());
    let made = ground.server.tell("seed", wanted).await.unwrap();
    copy(&root().join("terraform"), &ground.folder().join("terraform"));
    let place = format!("terraform/environments/{environment}");
    let folder = ground.folder().join(&place);
    fs::write(folder.join("backend_override.tf"), "terraform {\n  backend \"local\" {}\n}\n").unwrap();
    let of = |region: &str| network(&made["networks"][region], region);
    let variables = json!({
        "zone_id": made["zones"]["example.com"],
        "networks": {"primary": of(home), "standby": of(away)},
    });
    fs::write(folder.join("test.tfvars.json"), variables.to_string()).unwrap();
    let terraform = Arc::new(Terraform { folder, endpoint: ground.server.endpoint() });
    let applying = terraform.clone();
    let before = tokio::task::spawn_blocking(move || {
        applying.init()?;
        applying.apply();
        Some(applying.wishes())
    })
    .await
    .unwrap()?;

    let (code, out, err) = ground.said(&["import", "terraform", &place]);
    assert_eq!(code, 0, "{out}{err}");
    let text = fs::read_to_string(ground.folder().join("pilotlight.yaml")).unwrap();
    let plan = Plan::read(&text, "imported").unwrap();
    ground.write_text(&text);
    let ground = Arc::new(ground);
    let (moving, asking, imported) = (ground.clone(), terraform.clone(), text.clone());
    let after = tokio::task::spawn_blocking(move || {
        moving.start(&["serve"]);
        for words in [&["status", "--until", "following", "--within", "5m"][..], &["failover", "--to", away, "--yes"]] {
            let (code, out, err) = moving.said(words);
            assert_eq!(code, 0, "{imported}\n{words:?}: {out}\n{err}\n{}", moving.log());
        }
        asking.wishes()
    })
    .await
    .unwrap();
    assert_eq!(ground.status()["units"][0]["writer"], away);
    assert_eq!(led_to(&ground, &plan).await, json!([away]), "users were not led over");
    // What moto does not keep was wished before, too.
    assert_eq!(after, before, "a failover changed what Terraform wants of {environment}");
    assert!(after.iter().all(|wish| wish.starts_with("[\"update\"]")), "{after:?}");
    Some((ground, text))
}

/// How many run where users were led.
async fn running(ground: &Ground, what: &str) -> Value {
    ground.server.ask(&format!("running?{what}")).await.unwrap()["running"].take()
}

/// The role of a store in a region, as Pilotlight sees it there.
fn role(ground: &Ground, region: &str, component: &str) -> Value {
    let status = ground.status();
    let of = |list: &Value, key: &str, name: &str| {
        let found = list.as_array().unwrap().iter().find(|one| one[key] == name);
        found.unwrap_or_else(|| panic!("no {name}: {list}")).clone()
    };
    let place = of(&status["regions"], "region", region);
    of(&place["components"], "component", component)["state"]["role"].take()
}

/// RDS, ECS, and a name that an object moves.
async fn dr_pilot_light() {
    let (home, away) = ("us-east-1", "us-west-2");
    let tried = Tried { environment: "dr-pilot-light", home, away, network: of_rds, besides: json!({}) };
    let Some((ground, plan)) = after_a_failover_nothing_is_wanted_back(tried).await else { return };
    let running = running(&ground, "region=us-west-2&cluster=web&service=web").await;
    assert_eq!(running, 6, "the service did not move");
    assert!(plan.contains("kind: rds") && plan.contains("closed_groups"), "{plan}");
}

/// Aurora, a cache, buckets, nodes of EKS, and a name that an object moves. Home's cluster of EKS was there before.
async fn payments() {
    let (home, away) = ("us-east-1", "us-west-2");
    let nodes = json!({"region": home, "cluster": "payments", "group": "payments-general", "least": 8, "most": 20});
    let besides = json!({"nodes": [nodes]});
    let tried = Tried { environment: "payments", home, away, network: of_aurora, besides };
    let Some((ground, plan)) = after_a_failover_nothing_is_wanted_back(tried).await else { return };
    let group = "region=us-west-2&cluster=payments-standby&node_group=payments-standby-general";
    assert_eq!(running(&ground, group).await, 8, "the nodes did not come");
    for store in ["cache", "objects"] {
        assert_eq!(role(&ground, away, store), "writer", "{store} did not move");
    }
    assert!(plan.contains("kind: elasticache") && plan.contains("switch:"), "{plan}");
}

/// Aurora, ECS, and a name that health checks lead.
async fn portfolio() {
    let (home, away) = ("us-east-1", "us-west-2");
    let tried = Tried { environment: "portfolio", home, away, network: of_aurora, besides: json!({}) };
    let Some((ground, plan)) = after_a_failover_nothing_is_wanted_back(tried).await else { return };
    let running = running(&ground, "region=us-west-2&cluster=portfolio&service=portfolio").await;
    assert_eq!(running, 4, "the service did not move");
    assert!(plan.contains("kind: aurora") && plan.contains("policy: failover"), "{plan}");
}

/// Besides that six services, and buckets whose rules a move turns.
async fn ecommerce() {
    let (home, away) = ("us-east-1", "eu-west-1");
    let tried = Tried { environment: "ecommerce", home, away, network: of_aurora, besides: json!({}) };
    let Some((ground, plan)) = after_a_failover_nothing_is_wanted_back(tried).await else { return };
    let running = running(&ground, "region=eu-west-1&cluster=web&service=web").await;
    assert_eq!(running, 3, "the service did not move");
    assert!(plan.contains("kind: s3") && plan.contains("existing_copied: true"), "{plan}");
    assert_eq!(role(&ground, away, "objects"), "writer", "the bucket's rule was not turned");
}

/// Two at a time in one test: they mostly wait, and each test keeps another one from running.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_name_that_an_object_moves() {
    tokio::join!(payments(), dr_pilot_light());
}

/// As above.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_name_that_health_leads() {
    tokio::join!(ecommerce(), portfolio());
}

/// Both regions take users: home is left, its dial is closed, and its group of instances made small.
#[tokio::test(flavor = "multi_thread")]
async fn with_users_in_both_regions() {
    let (home, away) = ("us-west-2", "eu-west-1");
    let tried = Tried { environment: "active-active", home, away, network: of_aurora, besides: json!({}) };
    let Some((ground, plan)) = after_a_failover_nothing_is_wanted_back(tried).await else { return };
    let [left, taken] = ["region=us-west-2&group=shop", "region=eu-west-1&group=shop"];
    assert_eq!(running(&ground, taken).await, 8, "the group that takes all users");
    assert_eq!(running(&ground, left).await, 2, "the group that nobody asks any more");
    assert_eq!(role(&ground, away, "objects"), "writer", "the bucket's rule was not turned");
    assert!(plan.contains("kind: global-accelerator") && plan.contains("writes: across"), "{plan}");
}
