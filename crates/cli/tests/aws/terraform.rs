//! What users complain of most: after a failover the next `terraform plan` wants everything back. Here an environment is
//! applied to the AWS test server, a plan is imported from its state, Pilotlight fails over, and `terraform plan` is asked
//! again. Skipped, with the reason, where terraform or its AWS provider cannot be had. Minutes: the provider waits fixed
//! times for databases.

use crate::ground::Ground;
use pilotlight_lab::required::{self, Need};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

const EAST: &str = "us-east-1";
const WEST: &str = "us-west-2";

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

    /// What the next apply would do, without what it would leave alone.
    fn wishes(&self) -> BTreeSet<String> {
        self.run(&["plan", "-input=false", "-no-color", "-var-file=test.tfvars", "-out=wishes"]).unwrap();
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
    fn network(&self, region: &str, load_balancer: &str) -> String {
        let subnets = self.aws(region, &["ec2", "describe-subnets"]);
        let ids: Vec<&str> =
            subnets["Subnets"].as_array().unwrap().iter().take(2).filter_map(|s| s["SubnetId"].as_str()).collect();
        let groups = self.aws(region, &["ec2", "describe-security-groups"]);
        let group = groups["SecurityGroups"][0]["GroupId"].as_str().unwrap();
        // With a group that lets nobody in Pilotlight can stop a writer that lives.
        let vpc = subnets["Subnets"][0]["VpcId"].as_str().unwrap();
        let words =
            ["ec2", "create-security-group", "--group-name", "closed", "--description", "closed", "--vpc-id", vpc];
        let made = self.aws(region, &words);
        let closed = made["GroupId"].as_str().unwrap();
        let words = [
            "rds",
            "create-db-subnet-group",
            "--db-subnet-group-name",
            "data",
            "--db-subnet-group-description",
            "d",
            "--subnet-ids",
        ];
        self.aws(region, &[&words[..], &ids[..]].concat());
        format!(
            "{{ subnet_ids = {ids:?}, security_group_ids = [\"{group}\"], db_subnet_group = \"data\", \
             db_security_group_ids = [\"{group}\"], db_closed_group_ids = [\"{closed}\"], load_balancer = \"{load_balancer}\" }}"
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

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_terraform_wants_nothing_back() {
    let Some(mut ground) = Ground::find().await else { return };
    let made = ground.server.tell("seed", serde_json::json!({"zones": ["example.com"]})).await.unwrap();
    let zone = made["zones"]["example.com"].as_str().unwrap().to_owned();
    copy(&root().join("terraform"), &ground.folder().join("terraform"));
    let folder = ground.folder().join("terraform/environments/dr-pilot-light");
    fs::write(folder.join("backend_override.tf"), "terraform {\n  backend \"local\" {}\n}\n").unwrap();
    let terraform = Arc::new(Terraform { folder, endpoint: ground.server.endpoint() });
    let applying = terraform.clone();
    let before = tokio::task::spawn_blocking(move || {
        if let Err(why) = applying.run(&["init", "-input=false", "-no-color"]) {
            let why = why.lines().take(6).collect::<Vec<_>>().join(" ");
            required::skip(Need::Terraform, format!("terraform init: {why}"));
            return None;
        }
        let (east, west) =
            (applying.network(EAST, "east.web.example.com"), applying.network(WEST, "west.web.example.com"));
        let variables = format!("zone_id = \"{zone}\"\nnetworks = {{ primary = {east}, standby = {west} }}\n");
        fs::write(applying.folder.join("test.tfvars"), variables).unwrap();
        applying.run(&["apply", "-auto-approve", "-input=false", "-no-color", "-var-file=test.tfvars"]).unwrap();
        Some(applying.wishes())
    })
    .await
    .unwrap();
    let Some(before) = before else { return };

    let (code, out, err) = ground.said(&["import", "terraform", "terraform/environments/dr-pilot-light"]);
    assert_eq!(code, 0, "{out}{err}");
    let plan = fs::read_to_string(ground.folder().join("pilotlight.yaml")).unwrap();
    assert!(plan.contains("kind: rds") && plan.contains("closed_groups"), "{plan}");
    ground.write_text(&plan);
    ground.serve_any().await;
    let ground = Arc::new(ground);
    let (moving, asking) = (ground.clone(), terraform.clone());
    let after = tokio::task::spawn_blocking(move || {
        let (code, out, err) = moving.said(&["failover", "--to", WEST, "--yes"]);
        assert_eq!(code, 0, "{out}\n{err}\n{}", moving.log());
        asking.wishes()
    })
    .await
    .unwrap();
    let running = ground.server.ask(&format!("running?region={WEST}&cluster=web&service=web")).await.unwrap();
    assert_eq!(running["running"], 6, "the service did not move");
    let answers = ground.server.ask("dns?name=web.example.com").await.unwrap();
    assert_eq!(answers[0]["set"], WEST, "users were not led over");
    // What moto does not keep was wished before, too.
    assert_eq!(after, before, "a failover changed what Terraform wants");
    assert!(after.iter().all(|wish| wish.starts_with("[\"update\"]")), "{after:?}");
}
