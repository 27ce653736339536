//! What `pilotlight import terraform` is given where no Terraform is: a program of that name, which shows a state whose output
//! says what the example's plan says. That an environment's own output says the same is for the tests of `terraform/`; that a
//! real state can be imported for those of `applied_by_terraform.rs`.

use crate::ground::Ground;
use pilotlight_core::plan::Plan;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Called as `terraform -chdir=FOLDER show -json -no-color`.
const SHOWS: &str = r#"
import json, sys, yaml

chdir, *words = sys.argv[1:]
assert words == ["show", "-json", "-no-color"], words
with open(chdir.removeprefix("-chdir=") + "/said.yaml") as file:
    said = yaml.safe_load(file)
kept = ["application", "objectives", "regions", "home", "shares", "aws", "alarms", "components"]
output = {"value": {key: said[key] for key in kept if key in said}}
print(json.dumps({"format_version": "1.0", "values": {"outputs": {"pilotlight": output}, "root_module": {}}}))
"#;

/// The environment that the page names, as if it were applied: its output says what `plan` says.
pub(super) fn applied(ground: &Ground, example: &Path, environment: &str, plan: &str) {
    let kept = example.join(environment);
    assert!(kept.join("outputs.tf").exists(), "there is no environment {}", kept.display());
    let folder = ground.at().join(environment);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("said.yaml"), plan).unwrap();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| example.join("../../target"), PathBuf::from);
    let python = target.canonicalize().unwrap().join("moto/bin/python");
    let bin = ground.folder().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let (program, shows) = (bin.join("terraform"), folder.join("shows.py"));
    fs::write(&shows, SHOWS).unwrap();
    fs::write(&program, format!("#!/bin/sh\nexec '{}' '{}' \"$@\"\n", python.display(), shows.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The imported plan moves what the example's moves. It is put where the test's world is: another port, the server for AWS.
pub(super) fn imported(ground: &Ground, file: &str, plan: &Plan) {
    let file = ground.at().join(file);
    let text = fs::read_to_string(&file).unwrap();
    let made = Plan::read(&text, "imported").unwrap();
    assert_eq!(made.components, plan.components, "{text}");
    assert_eq!((&made.home, &made.shares, &made.objectives), (&plan.home, &plan.shares, &plan.objectives));
    assert_eq!((&made.aws, &made.alarms), (&plan.aws, &plan.alarms), "{text}");
    fs::write(&file, ground.placed(&text)).unwrap();
}
