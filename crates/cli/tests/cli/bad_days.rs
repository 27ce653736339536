//! Bad days of those who start the processes: one clear message with code and hint each, and nothing half-written.

use crate::program::{pilotlight, said};
use pilotlight_core::id::Epoch;
use pilotlight_core::plan::Plan;
use pilotlight_driver::guard::Ledger;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Output, Stdio};

fn plan(folder: &Path, listen: &str) {
    let text = format!(
        "application: shop\nobjectives: {{ rto: 1m, rpo: 30s }}\nregions: [east, west]\n\
         controller: {{ listen: \"{listen}\", state: state, token: {{ env: PILOTLIGHT_TOKEN }} }}\n\
         policy: {{ mode: manual }}\n\
         components:\n  database:\n    kind: postgres\n    database: postgres\n    user: postgres\n    regions:\n\
         \x20     east: {{ host: 127.0.0.1, port: 1, data_dir: east }}\n\
         \x20     west: {{ host: 127.0.0.1, port: 2, data_dir: west }}\n"
    );
    fs::write(folder.join("pilotlight.yaml"), text).unwrap();
}

fn tried(folder: &Path, words: &[&str]) -> Output {
    pilotlight(folder).args(words).env("PILOTLIGHT_TOKEN", "secret").output().unwrap()
}

/// An address nobody else can take while the listener lives.
fn taken() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// An address where nobody listens now.
fn free() -> String {
    format!("127.0.0.1:{}", pilotlight_lab::ports::free(1).unwrap()[0])
}

#[test]
fn a_port_in_use_is_told_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (_held, address) = taken();
    plan(folder.path(), &address);
    let (code, _, err) = said(&tried(folder.path(), &["serve"]));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("PL-0404") && err.contains(&address) && err.contains("hint:"), "{err}");
    assert!(!folder.path().join("state").exists(), "a controller that could not listen made its folder");
}

#[test]
fn a_journal_that_lost_its_content_is_not_taken_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path(), &free());
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    for content in [&b""[..], b"SQLite format 3", &[0x5a; 8192]] {
        fs::write(state.join("pilotlight.db"), content).unwrap();
        let (code, _, err) = said(&tried(folder.path(), &["serve"]));
        assert_eq!(code, 1, "{err}");
        assert!(err.contains("PL-0502") && err.contains("hint:"), "{err}");
        assert_eq!(fs::read(state.join("pilotlight.db")).unwrap(), content, "the damaged file was changed");
    }
}

#[test]
fn a_database_that_was_removed_beside_a_guard_that_remembers_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path(), &free());
    let unit = Plan::read(&fs::read_to_string(folder.path().join("pilotlight.yaml")).unwrap(), "plan").unwrap();
    let unit = unit.units().into_iter().next().unwrap().clone();
    let guard = Ledger::open(&folder.path().join("state/guard")).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(guard.admit(&unit, Epoch(7))).unwrap();
    drop(guard);
    let mut command = pilotlight(folder.path());
    command.arg("serve").env("PILOTLIGHT_TOKEN", "secret").stderr(Stdio::piped());
    let mut serve = command.spawn().unwrap();
    let mut lines = BufReader::new(serve.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = lines.find(|line| line.contains("PL-0874") || line.starts_with("error"));
    serve.kill().unwrap();
    serve.wait().unwrap();
    let told = told.unwrap_or_default();
    assert!(told.contains("PL-0874: the store has epoch 0") && told.contains("epoch 7 was seen"), "{told}");
    assert!(told.contains("--raise-epoch"), "{told}");
}

#[test]
fn a_state_folder_that_cannot_be_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path(), &free());
    fs::write(folder.path().join("state"), "a file").unwrap();
    let (code, _, err) = said(&tried(folder.path(), &["serve"]));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("PL-0501") && err.contains("nothing was started"), "{err}");
}

#[test]
fn an_agent_refuses_the_folder_of_another_region() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path(), &free());
    fs::create_dir(folder.path().join("agent")).unwrap();
    fs::write(folder.path().join("agent/region"), "shop east\n").unwrap();
    let (code, _, err) = said(&tried(folder.path(), &["agent", "--region", "west", "--state", "agent"]));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("PL-0503") && err.contains("shop east, not shop west") && err.contains("--state"), "{err}");
}

#[test]
fn a_missing_or_empty_secret_has_a_code_and_its_name() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path(), &free());
    for words in [&["status"][..], &["serve"], &["agent", "--region", "east", "--state", "agent"]] {
        let (code, _, err) = said(&pilotlight(folder.path()).args(words).output().unwrap());
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("PL-0121") && err.contains("PILOTLIGHT_TOKEN"), "{err}");
        let (code, _, err) = said(&pilotlight(folder.path()).args(words).env("PILOTLIGHT_TOKEN", "").output().unwrap());
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("PL-0121") && err.contains("empty"), "{err}");
        let broken = pilotlight(folder.path()).args(words).env("PILOTLIGHT_TOKEN", "sec\nret").output().unwrap();
        let (code, _, err) = said(&broken);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("PL-0121") && err.contains("line break") && !err.contains("ret\""), "{err}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the plan is there");
}

#[test]
fn a_dns_authority_without_its_port_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (_held, address) = taken();
    let words = ["dns", "--listen", "127.0.0.1:0", "--control", &address, "--zone", "shop.test", "--state", "dns"];
    let (code, _, err) = said(&tried(folder.path(), &words));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("PL-0404") && err.contains(&address) && err.contains("hint:"), "{err}");
}

#[test]
fn a_name_that_the_plan_does_not_have_is_told_with_those_it_has() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path(), &free());
    for (words, known) in [
        (&["agent", "--region", "mars", "--state", "agent"][..], "east, west"),
        (&["serve", "--member", "mars"], "controller"),
        (&["hold", "on", "--member", "mars"], "controller"),
        (&["acknowledge", "--unit", "mars/../moons"], "shop"),
    ] {
        let (code, _, err) = said(&tried(folder.path(), words));
        assert_eq!(code, 2, "{words:?}: {err}");
        assert!(err.contains("PL-0871") && err.contains("mars") && err.contains(known), "{words:?}: {err}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the plan is there");
}

#[test]
fn a_zone_that_cannot_be_is_told_with_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["dns", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--zone", "a..b", "--state", "dns"];
    let (code, _, err) = said(&tried(folder.path(), &words));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("PL-0870") && err.contains("a..b") && err.contains("--zone"), "{err}");
}

#[test]
fn a_demo_that_has_no_place_for_its_report_does_not_begin() {
    let folder = tempfile::tempdir().unwrap();
    let command =
        pilotlight(folder.path()).args(["demo", "--report", "/dev/null/x"]).env("TMPDIR", folder.path()).output();
    let (code, out, err) = said(&command.unwrap());
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("PL-0004") && err.contains("/dev/null/x") && err.contains("hint:"), "{err}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "it began");
}

#[test]
fn a_reader_that_stops_early_is_no_defect() {
    let folder = tempfile::tempdir().unwrap();
    for words in [&["explain", "--list"][..], &["check", "--schema"], &["explain", "PL-0104"]] {
        let mut command = pilotlight(folder.path());
        let mut child = command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""), "{words:?}");
    }
}

#[test]
fn a_name_that_would_lead_elsewhere_is_refused_before_anybody_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path(), &free());
    for words in [
        &["run", "show", "../../etc/passwd"][..],
        &["run", "watch", "a?b"],
        &["run", "pause", "a/b"],
        &["report", "a b"],
        &["rescue", "show", "../status"],
    ] {
        let (code, _, err) = said(&tried(folder.path(), words));
        assert_eq!(code, 2, "{words:?}: {err}");
        let told = if words[0] == "rescue" { "PL-0603" } else { "PL-0601" };
        assert!(err.contains(told) && err.contains("list") && err.contains(words[words.len() - 1]), "{words:?}: {err}");
    }
}
