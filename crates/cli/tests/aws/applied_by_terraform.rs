//! What users complain of most: after a failover the next `terraform plan` wants everything back. Here environments are applied
//! to the AWS test server, a plan is imported from each state, Pilotlight fails over, and `terraform plan` is asked again; of some
//! also after home has joined again and is where the writer is, and after a drill.
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
    /// Variables besides those of networks and zone.
    more: Value,
}

impl Tried {
    fn of(environment: &'static str, [home, away]: [&'static str; 2], network: fn(&Value, &str) -> Value) -> Self {
        Self { environment, home, away, network, besides: json!({}), more: json!({}) }
    }
}

/// An environment that was applied, imported and failed over.
struct Applied {
    tried: Tried,
    ground: Arc<Ground>,
    terraform: Arc<Terraform>,
    /// The imported plan.
    plan: String,
    /// What Terraform wanted before anything was moved: what moto does not keep.
    wished: BTreeSet<String>,
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

/// The function's package, in the folder of the environment.
const PACKAGE: &str = "package.zip";
/// An archive with nothing in it: nothing here runs it.
const NOTHING_ZIPPED: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

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

/// Applied, imported, failed over. What Terraform wants then is what it wanted before, and replaces nothing.
async fn after_a_failover_nothing_is_wanted_back(tried: Tried) -> Option<Applied> {
    let Tried { environment, home, away, network, .. } = tried;
    let ground = Ground::find().await?;
    let mut wanted = json!({"zones": ["example.com"], "networks": [home, away]});
    wanted.as_object_mut().unwrap().extend(tried.besides.as_object().unwrap().clone());
    let made = ground.server.tell("seed", wanted).await.unwrap();
    copy(&root().join("terraform"), &ground.folder().join("terraform"));
    let place = format!("terraform/environments/{environment}");
    let folder = ground.folder().join(&place);
    fs::write(folder.join("backend_override.tf"), "terraform {\n  backend \"local\" {}\n}\n").unwrap();
    fs::write(folder.join(PACKAGE), NOTHING_ZIPPED).unwrap();
    let of = |region: &str| network(&made["networks"][region], region);
    let mut variables = json!({
        "zone_id": made["zones"]["example.com"],
        "networks": {"primary": of(home), "standby": of(away)},
    });
    variables.as_object_mut().unwrap().extend(tried.more.as_object().unwrap().clone());
    fs::write(folder.join("test.tfvars.json"), variables.to_string()).unwrap();
    let terraform = Arc::new(Terraform { folder, endpoint: ground.server.endpoint() });
    let applying = terraform.clone();
    let wished = tokio::task::spawn_blocking(move || {
        applying.init()?;
        applying.apply();
        Some(applying.wishes())
    })
    .await
    .unwrap()?;
    assert!(wished.iter().all(|wish| wish.starts_with("[\"update\"]")), "{wished:?}");

    let (code, out, err) = ground.said(&["import", "terraform", &place]);
    assert_eq!(code, 0, "{out}{err}");
    let text = fs::read_to_string(ground.folder().join("pilotlight.yaml")).unwrap();
    ground.write_text(&text);
    ground.start(&["serve"]);
    let applied = Applied { tried, ground: Arc::new(ground), terraform, plan: text, wished };
    applied.walk(&[&["status", "--until", "following"], &["failover", "--to", away, "--yes"]]).await;
    applied.wants_the_same("a failover").await;
    applied.leads(away).await;
    Some(applied)
}

impl Applied {
    /// Each command ends well.
    async fn walk(&self, lines: &[&[&'static str]]) {
        for line in lines {
            let (ground, mut words) = (self.ground.clone(), line.to_vec());
            if words[0] == "status" {
                words.extend(["--within", "5m"]);
            }
            let said = move || (ground.said(&words), ground.log());
            let ((code, out, err), log) = tokio::task::spawn_blocking(said).await.unwrap();
            assert_eq!(code, 0, "{}\n{line:?}: {out}\n{err}\n{log}", self.plan);
        }
    }

    async fn wants_the_same(&self, after: &str) {
        let asking = self.terraform.clone();
        let wishes = tokio::task::spawn_blocking(move || asking.wishes()).await.unwrap();
        assert_eq!(wishes, self.wished, "{after} changed what Terraform wants of {}", self.tried.environment);
    }

    /// The writer is there, and users are led to it.
    async fn leads(&self, region: &str) {
        assert_eq!(self.ground.status()["units"][0]["writer"], region);
        let plan = Plan::read(&self.plan, "imported").unwrap();
        assert_eq!(led_to(&self.ground, &plan).await, json!([region]), "users were not led to {region}");
    }

    /// Home's store joins again, the writer goes home, and there and back in a drill.
    async fn goes_home_and_is_drilled(&self, joins: &[&[&'static str]]) {
        let Tried { home, away, .. } = self.tried;
        self.walk(joins).await;
        self.walk(&[&["status", "--until", "following"], &["failback", "--yes"]]).await;
        self.leads(home).await;
        self.wants_the_same("a failback").await;
        let drill: &[&str] = &["drill", "--to", away, "--for", "2s", "--yes"];
        self.walk(&[&["status", "--until", "following"], drill]).await;
        let ground = self.ground.clone();
        let wait = move || {
            tokio::runtime::Handle::current().block_on(ground.until("the drill to take itself back", |ground| {
                let status = ground.status();
                let over = status["open_runs"].as_array().is_some_and(Vec::is_empty);
                let is_home = over && status["units"][0]["writer"] == home;
                if is_home { Ok(()) } else { Err(format!("{status}\n{}", ground.log())) }
            }));
        };
        tokio::task::spawn_blocking(wait).await.unwrap();
        self.walk(&[&["status", "--until", "following"]]).await;
        self.leads(home).await;
        self.wants_the_same("a drill").await;
    }

    /// What AWS's own client is answered.
    fn awscli(&self, region: &str, words: &[&str]) -> Value {
        let program = self.ground.server.folder.join("bin/aws");
        let mut command = self.terraform.command(program.to_str().unwrap());
        command.args(["--region", region, "--output", "json"]).args(words).env("AWS_PAGER", "");
        serde_json::from_str(&answer(&command.output().unwrap()).unwrap()).unwrap()
    }
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

/// RDS, whose way back renames the instance that Terraform made, ECS, a name that an object moves, and the function.
async fn dr_pilot_light() {
    let (home, away) = ("us-east-1", "us-west-2");
    let function = json!({
        "package": PACKAGE, "package_hash": "a-hash", "drill": true,
        "store": {"bucket": "journal", "prefix": "pilotlight/web"},
    });
    let tried = Tried {
        besides: json!({"stores": [["us-east-2", "journal"]]}),
        more: json!({"function": function, "function_environment": {"PILOTLIGHT_TOKEN": "not-a-secret"}}),
        ..Tried::of("dr-pilot-light", [home, away], of_rds)
    };
    let Some(applied) = after_a_failover_nothing_is_wanted_back(tried).await else { return };
    let running = running(&applied.ground, "region=us-west-2&cluster=web&service=web").await;
    assert_eq!(running, 6, "the service did not move");
    let plan = &applied.plan;
    assert!(plan.contains("kind: rds") && plan.contains("closed_groups"), "{plan}");
    an_alarm_wakes_the_function(&applied);
    applied.goes_home_and_is_drilled(&[&["status", "--until", "heard"], &["rejoin", "--yes"]]).await;
}

/// From the alarm to the function, by what AWS's own client sees: SNS takes a subscription in the topic's region alone.
fn an_alarm_wakes_the_function(applied: &Applied) {
    let (home, away) = (applied.tried.home, applied.tried.away);
    let outputs: Value = serde_json::from_str(&applied.terraform.run(&["output", "-json"]).unwrap()).unwrap();
    let function = outputs["function_arn"]["value"].as_str().unwrap();
    assert!(function.contains(away), "{function}");
    let [here, there] = [home, away].map(|region| {
        let listed = applied.awscli(region, &["sns", "list-subscriptions"])["Subscriptions"].take();
        listed.as_array().unwrap().iter().filter(|s| s["Protocol"] == "lambda").cloned().collect::<Vec<_>>()
    });
    assert_eq!(there, [Value::Null; 0], "no topic of {away} wakes it");
    let [subscription] = here.as_slice() else { panic!("one topic wakes it: {here:?}") };
    assert_eq!(subscription["Endpoint"], function, "{subscription}");
    let alarms = applied.awscli(home, &["cloudwatch", "describe-alarms"])["MetricAlarms"].take();
    let tells = |alarm: &&Value| alarm["AlarmActions"] == json!([subscription["TopicArn"]]);
    let told: BTreeSet<&str> =
        alarms.as_array().unwrap().iter().filter(tells).map(|alarm| alarm["AlarmArn"].as_str().unwrap()).collect();
    let known = outputs["alarms"]["value"].as_object().unwrap().values().map(|arn| arn.as_str().unwrap()).collect();
    assert_eq!(told, known, "the topic tells of an alarm that no plan knows, or not of one");
    let policy = applied.awscli(away, &["lambda", "get-policy", "--function-name", function])["Policy"].take();
    let policy: Value = serde_json::from_str(policy.as_str().unwrap()).unwrap();
    let lets_in = |s: &Value| s["Condition"]["ArnLike"]["AWS:SourceArn"] == subscription["TopicArn"];
    assert!(policy["Statement"].as_array().unwrap().iter().any(lets_in), "{policy}");
}

/// Aurora, a cache, buckets, nodes of EKS, and a name that an object moves. Home's cluster of EKS was there before.
async fn payments() {
    let (home, away) = ("us-east-1", "us-west-2");
    let nodes = json!({"region": home, "cluster": "payments", "group": "payments-general", "least": 8, "most": 20});
    let tried = Tried { besides: json!({"nodes": [nodes]}), ..Tried::of("payments", [home, away], of_aurora) };
    let Some(applied) = after_a_failover_nothing_is_wanted_back(tried).await else { return };
    copies_are_watched(&applied);
    let Applied { ground, plan, .. } = applied;
    let group = "region=us-west-2&cluster=payments-standby&node_group=payments-standby-general";
    assert_eq!(running(&ground, group).await, 8, "the nodes did not come");
    for store in ["cache", "objects"] {
        assert_eq!(role(&ground, away, store), "writer", "{store} did not move");
    }
    assert!(plan.contains("kind: elasticache") && plan.contains("switch:"), "{plan}");
}

/// An alarm on each copy and on what was not copied, where AWS has the figures, by what AWS's own client sees.
fn copies_are_watched(applied: &Applied) {
    let metrics = |region: &str| {
        let alarms = applied.awscli(region, &["cloudwatch", "describe-alarms"])["MetricAlarms"].take();
        let name = |metric: &Value| metric["MetricName"].as_str().map(str::to_owned);
        let of = |alarm: &Value| {
            let mut looked_at = alarm["Metrics"].as_array().into_iter().flatten();
            name(alarm).or_else(|| looked_at.find_map(|m| name(&m["MetricStat"]["Metric"])))
        };
        alarms.as_array().unwrap().iter().filter_map(of).collect::<BTreeSet<_>>()
    };
    let (home, away) = (metrics(applied.tried.home), metrics(applied.tried.away));
    for (watched, name) in [
        (&away, "AuroraGlobalDBReplicationLag"),
        (&away, "GlobalDatastoreReplicationLag"),
        (&away, "ReplicationLatency"),
        (&away, "OperationsFailedReplication"),
        (&home, "ReplicationLatency"),
        (&home, "OperationsFailedReplication"),
    ] {
        assert!(watched.contains(name), "{name} is not watched: {home:?} {away:?}");
    }
}

/// Aurora, ECS, and a name that health checks lead.
async fn portfolio() {
    let tried = Tried::of("portfolio", ["us-east-1", "us-west-2"], of_aurora);
    let Some(applied) = after_a_failover_nothing_is_wanted_back(tried).await else { return };
    let running = running(&applied.ground, "region=us-west-2&cluster=portfolio&service=portfolio").await;
    assert_eq!(running, 4, "the service did not move");
    let plan = &applied.plan;
    assert!(plan.contains("kind: aurora") && plan.contains("policy: failover"), "{plan}");
    applied.goes_home_and_is_drilled(&[]).await;
}

/// Besides that six services, and buckets whose rules a move turns.
async fn ecommerce() {
    let (home, away) = ("us-east-1", "eu-west-1");
    let tried = Tried::of("ecommerce", [home, away], of_aurora);
    let Some(Applied { ground, plan, .. }) = after_a_failover_nothing_is_wanted_back(tried).await else { return };
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
    let tried = Tried::of("active-active", [home, away], of_aurora);
    let Some(Applied { ground, plan, .. }) = after_a_failover_nothing_is_wanted_back(tried).await else { return };
    let [left, taken] = ["region=us-west-2&group=shop", "region=eu-west-1&group=shop"];
    assert_eq!(running(&ground, taken).await, 8, "the group that takes all users");
    assert_eq!(running(&ground, left).await, 2, "the group that nobody asks any more");
    assert_eq!(role(&ground, away, "objects"), "writer", "the bucket's rule was not turned");
    assert!(plan.contains("kind: global-accelerator") && plan.contains("writes: across"), "{plan}");
}
