//! `pilotlight import terraform`, from the state that `terraform/environments/dr-pilot-light` left on the AWS test server
//! (`terraform show -json`, without the resources that no plan is made of).

use crate::program::{run, said};
use std::fs;
use std::path::{Path, PathBuf};

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/terraform-ecs.json")
}

#[test]
fn a_recorded_state_becomes_a_plan_that_has_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let state = recorded();
    let words = ["import", "terraform", state.to_str().unwrap()];
    let (code, out, err) = said(&run(folder.path(), &words));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("wrote pilotlight.yaml") && out.contains("pilotlight check"), "{out}");
    let plan = fs::read_to_string(folder.path().join("pilotlight.yaml")).unwrap();
    for part in [
        "application: web",
        "rto: 1800s",
        "home: us-east-1",
        "kind: ecs",
        "kind: rds",
        "active: 6",
        "standby_provider: FARGATE_SPOT",
        "us-west-2: { cluster: web, service: web }",
        "kind: route53",
        "kind: sns",
        "x-drill:",
    ] {
        assert!(plan.contains(part), "{part} is missing in\n{plan}");
    }
    let (code, out, err) = said(&run(folder.path(), &["check"]));
    assert_eq!((code, err.as_str()), (0, ""), "{out}\n{plan}");
    // What cannot be mapped is a finding; of this state everything can.
    let (code, out, err) = said(&run(folder.path(), &[words[0], words[1], words[2], "--force"]));
    assert_eq!(code, 0, "{out}{err}");
    assert!(!err.contains("has no kind"), "{err}");
}

#[test]
fn a_plan_is_replaced_only_by_force_and_no_state_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pilotlight.yaml"), "mine").unwrap();
    let state = recorded();
    let (code, _, err) = said(&run(folder.path(), &["import", "terraform", state.to_str().unwrap()]));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("PL-0002"), "{err}");
    assert_eq!(fs::read_to_string(folder.path().join("pilotlight.yaml")).unwrap(), "mine");
    let (code, _, err) = said(&run(folder.path(), &["import", "terraform", "pilotlight.yaml", "--force"]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("PL-0850") && err.contains("terraform show -json"), "{err}");
    let (code, _, err) = said(&run(folder.path(), &["import", "terraform", "nowhere"]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("cannot read nowhere") && err.contains("hint: name the folder"), "{err}");
    fs::write(folder.path().join("empty.json"), r#"{"format_version": "1.0"}"#).unwrap();
    let (code, _, err) = said(&run(folder.path(), &["import", "terraform", "empty.json", "--force"]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("PL-0851"), "{err}");
    assert_eq!(fs::read_to_string(folder.path().join("pilotlight.yaml")).unwrap(), "mine");
}
