//! What users complain of most: after a failover the next `terraform plan` wants everything back. Here environments are applied
//! to the AWS test server, a plan is imported from each state, Pilotlight fails over, and `terraform plan` is asked again.
//! Skipped, with the reason, where terraform or its AWS provider cannot be had; a configuration that `init` refuses fails.
//! Minutes: the provider waits fixed times for databases.

use crate::ground::Ground;
use pilotlight_lab::required::{self, Need};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

/// What is tried of an environment.
struct Tried {
    environment: &'static str,
    home: &'static str,
    away: &'static str,
    /// What is applied; everything where nothing is named. Else what the test server can make, with what that needs.
    targets: &'static [&'static str],
    /// The name that leads users.
    name: &'static str,
}

/// The environment in a folder of its own, with a state beside it.
struct Terraform {
    folder: PathBuf,
    endpoint: String,
    targets: &'static [&'static str],
}

/// Networks and what else is not made by Terraform, by region.
struct Network {
    subnets: Vec<String>,
    open: String,
    /// Lets nobody in: with it Pilotlight can stop a writer that lives.
    closed: String,
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

    fn targets(&self) -> Vec<String> {
        self.targets.iter().map(|target| format!("-target={target}")).collect()
    }

    fn apply(&self) {
        let targets = self.targets();
        let words = ["apply", "-auto-approve", "-input=false", "-no-color", "-var-file=test.tfvars"];
        self.run(&words.into_iter().chain(targets.iter().map(String::as_str)).collect::<Vec<_>>()).unwrap();
    }

    /// What the next apply would do, without what it would leave alone.
    fn wishes(&self) -> BTreeSet<String> {
        let targets = self.targets();
        let words = ["plan", "-input=false", "-no-color", "-var-file=test.tfvars", "-out=wishes"];
        self.run(&words.into_iter().chain(targets.iter().map(String::as_str)).collect::<Vec<_>>()).unwrap();
        let plan: Value = serde_json::from_str(&self.run(&["show", "-json", "wishes"]).unwrap()).unwrap();
        let changes = plan["resource_changes"].as_array().cloned().unwrap_or_default();
        let wish = |c: &Value| format!("{} {}", c["change"]["actions"], c["address"].as_str().unwrap_or_default());
        let leaves = |c: &&Value| c["change"]["actions"] == serde_json::json!(["no-op"]) || c["mode"] == "data";
        changes.iter().filter(|c| !leaves(c)).map(wish).collect()
    }

    /// AWS's own command line.
    fn aws(&self, region: &str, words: &[&str]) -> Value {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        let program = target.join("moto/bin/aws");
        let mut command = self.command(program.to_str().unwrap());
        command.args(["--endpoint-url", &self.endpoint, "--region", region, "--output", "json"]);
        let output = command.args(words).output();
        let text = answer(&output.unwrap()).unwrap();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Subnets of the region's own network, and a subnet group for its database.
    fn network(&self, region: &str) -> Network {
        let subnets = self.aws(region, &["ec2", "describe-subnets"]);
        let subnets = subnets["Subnets"].as_array().unwrap().clone();
        let ids: Vec<String> =
            subnets.iter().take(2).filter_map(|s| s["SubnetId"].as_str()).map(str::to_owned).collect();
        let groups = self.aws(region, &["ec2", "describe-security-groups"]);
        let open = groups["SecurityGroups"][0]["GroupId"].as_str().unwrap().to_owned();
        let vpc = subnets[0]["VpcId"].as_str().unwrap();
        let words = format!("ec2 create-security-group --group-name closed --description closed --vpc-id {vpc}");
        let made = self.aws(region, &words.split(' ').collect::<Vec<_>>());
        let closed = made["GroupId"].as_str().unwrap().to_owned();
        let words =
            "rds create-db-subnet-group --db-subnet-group-name data --db-subnet-group-description d --subnet-ids";
        self.aws(region, &words.split(' ').chain(ids.iter().map(String::as_str)).collect::<Vec<_>>());
        Network { subnets: ids, open, closed }
    }
}

impl Network {
    /// As `dr-pilot-light` wants it: RDS, and a load balancer by its name.
    fn of_rds(&self, load_balancer: &str) -> String {
        let Network { subnets, open, closed } = self;
        format!(
            "{{ subnet_ids = {subnets:?}, security_group_ids = [\"{open}\"], db_subnet_group = \"data\", \
             db_security_group_ids = [\"{open}\"], db_closed_group_ids = [\"{closed}\"], load_balancer = \"{load_balancer}\" }}"
        )
    }

    /// As environments with Aurora and aliases want it.
    fn of_aurora(&self, load_balancer: &str) -> String {
        let Network { subnets, open, .. } = self;
        format!(
            "{{ subnet_ids = {subnets:?}, security_group_ids = [\"{open}\"], database = {{ subnet_group = \"data\", \
             security_group_ids = [\"{open}\"] }}, load_balancer = {{ name = \"{load_balancer}\", zone = \"Z0LB\" }} }}"
        )
    }
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

/// Applied, imported, failed over: the server, and what Terraform wants then. It is what it wanted before, and replaces nothing.
async fn after_a_failover_nothing_is_wanted_back(
    tried: Tried,
    network: fn(&Network, &str) -> String,
) -> Option<Arc<Ground>> {
    let Tried { environment, home, away, targets, name } = tried;
    let ground = Ground::find().await?;
    let made = ground.server.tell("seed", serde_json::json!({"zones": ["example.com"]})).await.unwrap();
    let zone = made["zones"]["example.com"].as_str().unwrap().to_owned();
    copy(&root().join("terraform"), &ground.folder().join("terraform"));
    let place = format!("terraform/environments/{environment}");
    let folder = ground.folder().join(&place);
    fs::write(folder.join("backend_override.tf"), "terraform {\n  backend \"local\" {}\n}\n").unwrap();
    let terraform = Arc::new(Terraform { folder, endpoint: ground.server.endpoint(), targets });
    let applying = terraform.clone();
    let before = tokio::task::spawn_blocking(move || {
        applying.init()?;
        let of = |region: &str| network(&applying.network(region), &format!("{region}.lb.example.com"));
        let networks = format!("{{ primary = {}, standby = {} }}", of(home), of(away));
        let variables = format!("zone_id = \"{zone}\"\nnetworks = {networks}\n");
        fs::write(applying.folder.join("test.tfvars"), variables).unwrap();
        applying.apply();
        Some(applying.wishes())
    })
    .await
    .unwrap()?;

    let (code, out, err) = ground.said(&["import", "terraform", &place]);
    assert_eq!(code, 0, "{out}{err}");
    let plan = fs::read_to_string(ground.folder().join("pilotlight.yaml")).unwrap();
    ground.write_text(&plan);
    let ground = Arc::new(ground);
    let (moving, asking) = (ground.clone(), terraform.clone());
    let after = tokio::task::spawn_blocking(move || {
        moving.start(&["serve"]);
        for words in [&["status", "--until", "following", "--within", "5m"][..], &["failover", "--to", away, "--yes"]] {
            let (code, out, err) = moving.said(words);
            assert_eq!(code, 0, "{plan}\n{words:?}: {out}\n{err}\n{}", moving.log());
        }
        asking.wishes()
    })
    .await
    .unwrap();
    assert_eq!(ground.status()["units"][0]["writer"], away);
    let answers = ground.server.ask(&format!("dns?name={name}")).await.unwrap();
    assert_eq!(answers[0]["set"], away, "users were not led over");
    // What moto does not keep was wished before, too.
    assert_eq!(after, before, "a failover changed what Terraform wants");
    assert!(after.iter().all(|wish| wish.starts_with("[\"update\"]")), "{after:?}");
    Some(ground)
}

/// RDS, ECS, and a name that an object moves.
#[tokio::test(flavor = "multi_thread")]
async fn of_dr_pilot_light() {
    let tried = Tried {
        environment: "dr-pilot-light",
        home: "us-east-1",
        away: "us-west-2",
        targets: &[],
        name: "web.example.com",
    };
    let Some(ground) = after_a_failover_nothing_is_wanted_back(tried, Network::of_rds).await else { return };
    let running = ground.server.ask("running?region=us-west-2&cluster=web&service=web").await.unwrap();
    assert_eq!(running["running"], 6, "the service did not move");
    let plan = fs::read_to_string(ground.folder().join("pilotlight.yaml")).unwrap();
    assert!(plan.contains("kind: rds") && plan.contains("closed_groups"), "{plan}");
}

/// Aurora, ECS, and a name that health checks lead. Without backups: moto has no selections of AWS Backup.
#[tokio::test(flavor = "multi_thread")]
async fn of_portfolio() {
    let tried = Tried {
        environment: "portfolio",
        home: "us-east-1",
        away: "us-west-2",
        targets: &[
            "module.database",
            "module.service_primary",
            "module.service_standby",
            "module.name",
            "module.monitoring",
            "module.rights",
        ],
        name: "portfolio.example.com",
    };
    let Some(ground) = after_a_failover_nothing_is_wanted_back(tried, Network::of_aurora).await else { return };
    let running = ground.server.ask("running?region=us-west-2&cluster=portfolio&service=portfolio").await.unwrap();
    assert_eq!(running["running"], 4, "the service did not move");
    let plan = fs::read_to_string(ground.folder().join("pilotlight.yaml")).unwrap();
    assert!(plan.contains("kind: aurora") && plan.contains("policy: failover"), "{plan}");
}

/// Besides that six services, and buckets whose rules a move turns. Without backups, for the same reason, and without images.
#[tokio::test(flavor = "multi_thread")]
async fn of_ecommerce() {
    let tried = Tried {
        environment: "ecommerce",
        home: "us-east-1",
        away: "eu-west-1",
        targets: &[
            "module.database",
            "module.objects",
            "module.service_primary",
            "module.service_standby",
            "module.name",
            "module.monitoring",
            "module.rights",
        ],
        name: "shop.example.com",
    };
    let Some(ground) = after_a_failover_nothing_is_wanted_back(tried, Network::of_aurora).await else { return };
    let running = ground.server.ask("running?region=eu-west-1&cluster=web&service=web").await.unwrap();
    assert_eq!(running["running"], 3, "the service did not move");
    let plan = fs::read_to_string(ground.folder().join("pilotlight.yaml")).unwrap();
    assert!(plan.contains("kind: s3") && plan.contains("existing_copied: true"), "{plan}");
    let (code, out, err) = ground.said(&["status", "--json"]);
    assert_eq!(code, 0, "{err}");
    let status: Value = serde_json::from_str(&out).unwrap();
    let regions = status["regions"].as_array().unwrap();
    let away = regions.iter().find(|r| r["region"] == "eu-west-1").unwrap()["components"].as_array().unwrap();
    let objects = away.iter().find(|c| c["component"] == "objects").unwrap();
    assert_eq!(objects["state"]["role"], "writer", "the bucket's rule was not turned: {objects}");
}
