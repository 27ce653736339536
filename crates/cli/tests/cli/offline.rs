//! What works without a controller.

use crate::program::{pilotlight, run, said, shell};
use std::fs;

#[test]
fn a_first_plan_is_written_and_has_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = said(&run(folder.path(), &["init"]));
    assert_eq!(code, 0);
    assert!(out.contains("wrote pilotlight.yaml"), "{out}");
    let (code, out, err) = said(&run(folder.path(), &["check"]));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("what that leaves unproven"), "{out}");
    let (code, _, err) = said(&run(folder.path(), &["init"]));
    assert_eq!(code, 3);
    assert!(err.contains("PL-0002") && err.contains("--force"), "{err}");
}

#[test]
fn every_fault_of_a_plan_is_told_at_once_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plan.yaml"), "application: shop\nregionz: [a, b]\nobjectives: { rto: soon }\n")
        .unwrap();
    let (code, out, err) = said(&run(folder.path(), &["check", "plan.yaml"]));
    assert_eq!((code, out.as_str()), (2, ""));
    for told in ["plan.yaml:2:1", "regions", "plan.yaml:3:20", "soon"] {
        assert!(err.contains(told), "{told} is missing in\n{err}");
    }
    let (code, out, _) = said(&run(folder.path(), &["check", "--plan", "plan.yaml", "--json"]));
    assert_eq!(code, 2);
    let faults: serde_json::Value = serde_json::from_str(&out).expect("JSON on stdout");
    assert!(faults["faults"].as_array().is_some_and(|f| f.len() > 2), "{out}");
}

#[test]
fn a_code_is_explained_offline() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = said(&run(folder.path(), &["explain", "PL-0403"]));
    assert_eq!(code, 0);
    assert!(out.contains("What to do"), "{out}");
    let (code, _, err) = said(&run(folder.path(), &["explain", "PL-9999"]));
    assert_eq!(code, 2);
    assert!(!err.contains("nearest") && err.contains("pilotlight explain --list"), "{err}");
    let (code, _, err) = said(&run(folder.path(), &["explain", "PL-O403"]));
    assert_eq!(code, 2);
    assert!(err.contains("the nearest is PL-0403"), "{err}");
}

#[test]
fn wrong_words_end_with_two_and_help_with_zero() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(said(&run(folder.path(), &["fail-over"])).0, 2);
    assert_eq!(said(&run(folder.path(), &[])).0, 2);
    let (code, out, _) = said(&run(folder.path(), &["--help"]));
    assert_eq!(code, 0);
    for verb in
        ["demo", "init", "check", "serve", "agent", "status", "runbook", "failover", "switchover", "failback", "run"]
    {
        assert!(out.contains(&format!("\n  {verb}")), "{verb} is missing in\n{out}");
    }
    let (code, out, _) = said(&run(folder.path(), &["completions", "bash"]));
    assert_eq!(code, 0);
    assert!(out.contains("_pilotlight"), "no completion function");
}

#[test]
fn what_is_not_understood_has_a_code_and_says_what_to_type() {
    let folder = tempfile::tempdir().unwrap();
    for (words, told) in [
        (&["failover", "west"][..], "`pilotlight failover --to west`"),
        (&["run", "pause"], "`pilotlight run list`"),
        (&["rejoin", "--to", "west"], "`pilotlight rejoin`? it takes in every region that came back"),
        (&["runbook", "show", "rejoin", "--to", "west"], "`pilotlight runbook show rejoin`? it takes in every region"),
        (&["runbook", "show", "drain", "--to", "west"], "`pilotlight runbook show drain --from REGION`"),
        (&["runbook", "show", "failover", "--from", "east"], "with `--to REGION`"),
        (&["demo", "--lease", "0s"], "from 1.0 s to 30.0 s"),
        (&["demo", "--lease", "1h"], "from 1.0 s to 30.0 s"),
        (&["demo", "--lag", "soon"], "not a duration"),
        (&["demo", "--lag", "1h"], "from 0 ms to 3.0 s"),
        (&["measure", "--for", "soon"], "not a duration"),
        (&["measure", "--for", "0s"], "less than a second"),
    ] {
        let (code, out, err) = said(&run(folder.path(), words));
        assert_eq!((code, out.as_str()), (2, ""), "{words:?}: {err}");
        assert!(err.starts_with("error[PL-0870]: ") && err.contains(told), "{words:?}: {err}");
        assert_eq!(err.matches("error").count() + err.matches("hint:").count(), 2, "{words:?}: {err}");
    }
}

#[test]
fn no_plan_no_controller_no_secret_are_three_different_messages() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = said(&run(folder.path(), &["status"]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("cannot read the plan") && err.contains("pilotlight init"), "{err}");
    assert_eq!(said(&run(folder.path(), &["init"])).0, 0);
    let (code, _, err) = said(&run(folder.path(), &["status"]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("is not set") || err.contains("cannot read the secret"), "{err}");
}

/// A limit on the size of files refuses a write halfway, as a full disk does.
#[test]
fn a_request_log_that_is_cut_off_ends_with_a_whole_line_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(said(&run(folder.path(), &["init"])).0, 0);
    let program = pilotlight(folder.path()).get_program().to_owned();
    let limited = r#"trap "" XFSZ; ulimit -f 4; exec "$0" measure --for 3s --log requests.jsonl"#;
    let mut limit = shell(folder.path());
    let (code, out, err) = said(&limit.args(["-c", limited]).arg(program).output().unwrap());
    assert_eq!(code, 1, "{out}{err}");
    let log = fs::read_to_string(folder.path().join("requests.jsonl")).unwrap();
    assert!(log.ends_with('\n') && log.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()), "{log}");
    assert!(
        out.starts_with("sends ") && out.contains(" requests a second to http") && out.contains("they are real"),
        "{out}"
    );
    assert_eq!(out.matches("PL-0004: nothing more is written").count(), 1, "{out}");
    assert!(
        err.contains(&format!("error[PL-0004]: the request log requests.jsonl has {} of ", log.lines().count())),
        "{err}"
    );
    assert!(err.contains("hint: "), "{err}");
}

#[test]
fn output_that_cannot_be_written_is_an_error_and_no_defect() {
    let full = || fs::File::options().write(true).open("/dev/full");
    if full().is_err() {
        println!("skipped: this system has no /dev/full");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(said(&run(folder.path(), &["init"])).0, 0);
    for words in [
        &["explain", "PL-0001"][..],
        &["explain", "--list"],
        &["check"],
        &["check", "--json"],
        &["check", "--schema"],
        &["check", "--live"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let (code, _, err) = said(&pilotlight(folder.path()).args(words).stdout(full().unwrap()).output().unwrap());
        assert_eq!(code, 1, "{words:?}: {err}");
        assert!(err.starts_with("error[PL-0004]: the output cannot be written: "), "{words:?}: {err}");
        assert_eq!(err.matches("error[").count() + err.matches("hint: ").count(), 2, "{words:?}: {err}");
    }
}
