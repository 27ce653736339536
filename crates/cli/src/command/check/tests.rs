//! What `check` prints, and how it ends.

use super::*;
use pilotlight_core::plan::SAMPLE;
use std::fs;

/// Checks a text; its file is called `plan.yaml` in whatever is printed.
fn check(text: &[u8], json: bool) -> (String, String, Option<Exit>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.yaml");
    fs::write(&path, text).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run(&path, json, &mut out, &mut err).unwrap();
    let plain = |bytes| String::from_utf8(bytes).unwrap().replace(&format!("{}/", folder.path().display()), "");
    (plain(out), plain(err), exit)
}

#[test]
fn faults_are_drawn_with_their_lines() {
    let text = SAMPLE.replace("  lease: 3s ", "  leese: 3s ").replace("standby: 1 ", "standby: 9 ");
    let (out, err, exit) = check(text.as_bytes(), false);
    assert_eq!((out.as_str(), exit), ("", Some(Exit::Usage)));
    let line = |needle: &str| 1 + text.lines().position(|l| l.contains(needle)).unwrap();
    let (leese, standby) = (line("leese"), line("standby: 9"));
    let wanted = format!(
        "error[PL-0104]: there is no key `policy.leese`
  --> plan.yaml:{leese}:3
   |
{leese} |   leese: 3s                   # a lost region is failed over after it; the gate closes with it
   |   ^^^^^ did you mean `lease`?
   = allowed: `mode`, `guarantee`, `beyond_rpo`, `lease`, `renew`, `least_fence`, `on_postmaster_death`, `cool_down`, `withdraw_after`, `max_lag`, `max_replay_lag`, `unhealthy_for`, `observers`, `hold_file`, `rejoin`

error[PL-0118]: more instances stand by than serve the traffic
  --> plan.yaml:{standby}:14
   |
{standby} |     standby: 9                # instances where it is not
   |              ^
   = allowed: at most as many as `active`
   = hint: Swap the two, or raise `active`: a failover would take instances away.

2 faults in plan.yaml
  more: pilotlight explain PL-0104
"
    );
    assert_eq!(err, wanted);
}

#[test]
fn no_secret_is_drawn_under_any_fault_of_its_line() {
    for (from, to) in [
        ("token: { env: PILOTLIGHT_TOKEN }", "token: hunter2"),
        ("token: { env: PILOTLIGHT_TOKEN }", "tokn: hunter2"),
        ("token: { env: PILOTLIGHT_TOKEN }", "admin_password: 'hunter2'"),
        ("token: { env: PILOTLIGHT_TOKEN }", "token: \"hunter2\\\n    hunter2\""),
        ("token: { env: PILOTLIGHT_TOKEN }", "token: hunter2: hunter2"),
        ("  lease: 3s ", "  more: { leese: 3s, token: hunter2, leezy: 3s }\n  lease: 3s "),
        ("components:\n", "components:\n  chat: { kind: webhook, url: https://hooks.test/hunter2, leezy: 3s }\n"),
    ] {
        let text = SAMPLE.replacen(from, to, 1);
        assert_ne!(text, SAMPLE, "{from}");
        let (_, err, exit) = check(text.as_bytes(), false);
        assert_eq!(exit, Some(Exit::Usage), "{to}");
        assert!(!err.contains("hunter2") && err.contains(" | "), "{to}:\n{err}");
    }
    let (_, err, _) = check(SAMPLE.replacen("{ env: PILOTLIGHT_TOKEN }", "hunter2", 1).as_bytes(), false);
    assert!(err.contains(" |   token: *******  ") && !err.contains("# secrets"), "{err}");
}

#[test]
fn a_good_plan_says_what_it_means_and_what_stays_unproven() {
    let (out, err, exit) = check(SAMPLE.as_bytes(), false);
    assert_eq!((err.as_str(), exit), ("", None));
    for part in [
        "plan.yaml has no fault",
        "payments in east, west, at home in east",
        "RTO 30.0 s",
        "RPO 5.0 s",
        "what starts a move by itself, or asks a person to\n  - writer dead",
        "what holds still\n  - healthy",
        "one writer\n  bounded: a write is acknowledged when the candidate has it",
        "unproven\n  - no second layer fences connections",
        "database: PostgreSQL in east 127.0.0.1:5433, west 127.0.0.1:5434; writer at home in east",
        "name: the name pay.demo.test, answers kept for 1.0 s",
    ] {
        // Where lines are broken is the terminal's business.
        assert!(words(&out).contains(&words(part)), "`{part}` is not in:\n{out}");
    }
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn json_is_one_document_on_out_alone() {
    let (out, err, exit) = check(SAMPLE.as_bytes(), true);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((err.as_str(), exit), ("", None));
    assert_eq!((&json["ok"], &json["meaning"]["rto_ms"]), (&true.into(), &30_000.into()));

    let (out, err, exit) = check(b"a: 1\n", true);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((err.as_str(), exit), ("", Some(Exit::Usage)));
    assert_eq!(json["ok"], false);
    let first = &json["faults"][0];
    assert_eq!((&first["code"], &first["line"], &first["key_path"]), (&"PL-0104".into(), &1.into(), &"a".into()));
}

#[test]
fn what_is_no_text_or_no_file_ends_in_one_clear_message() {
    let (_, err, exit) = check(b"a: \xff\n", false);
    assert!(err.starts_with("error[PL-0100]: the file is not text"), "{err}");
    assert_eq!(exit, Some(Exit::Usage));

    let folder = tempfile::tempdir().unwrap();
    for missing in [folder.path().join("none.yaml"), folder.path().to_owned()] {
        let mut err = Vec::new();
        let exit = run(&missing, false, &mut Vec::new(), &mut err).unwrap();
        let err = String::from_utf8(err).unwrap();
        assert!(err.starts_with("error[PL-0100]: cannot read the plan "), "{err}");
        assert_eq!(exit, Some(Exit::Usage));
    }
}

#[test]
fn paths_of_a_plan_start_at_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.yaml");
    fs::write(&path, SAMPLE).unwrap();
    let plan = plan(&path).unwrap();
    assert_eq!(plan.controller.members[0].state, folder.path().join("state/controller"));
    assert!(plan.controller.members[0].state.is_absolute());
}

#[test]
fn the_schema_is_a_json_document() {
    let mut out = Vec::new();
    schema(&mut out).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json["title"], "Pilotlight plan");
}
