//! Recordings of the demo's faults, decided again: with the plan of then as it was, with a changed one as it says.

use crate::program::{pilotlight, said};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn recording(fault: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings").join(format!("{fault}.jsonl"))
}

/// The plan of a recording with one replacement.
fn changed(fault: &str, from: &str, to: &str, folder: &Path) -> PathBuf {
    let text = std::fs::read_to_string(recording(fault)).unwrap();
    let head: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let plan = head["plan"].as_str().unwrap();
    assert!(plan.contains(from), "{from} is not in {plan}");
    let file = folder.join(format!("changed-{}.yaml", to.len()));
    std::fs::write(&file, plan.replace(from, to)).unwrap();
    file
}

fn replay(fault: &str, plan: Option<&Path>) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let mut command = pilotlight(folder.path());
    command.args(["policy", "replay", "--json"]).arg(recording(fault));
    if let Some(plan) = plan {
        command.arg("--plan").arg(plan);
    }
    let (code, out, err) = said(&command.output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    serde_json::from_str(&out).unwrap()
}

fn verdicts(turns: &Value) -> Vec<&str> {
    let mut all: Vec<&str> = turns.as_array().unwrap().iter().map(|t| t["verdict"].as_str().unwrap()).collect();
    all.dedup();
    all
}

#[test]
fn every_recorded_verdict_is_reached_again() {
    for fault in ["region", "agent", "postmaster"] {
        let view = replay(fault, None);
        let notes = view["notes"].as_array().unwrap();
        assert!(!notes.iter().any(|n| n.as_str().unwrap().contains("others than were reached")), "{fault}: {notes:?}");
        assert!(view["observations"].as_u64().unwrap() > 5, "{fault}");
    }
    let region = replay("region", None);
    assert_eq!(verdicts(&region["recorded"])[..4], ["suspect", "healthy", "suspect", "region-lost"]);
    let starts = |view: &Value| view["recorded"].as_array().unwrap().iter().any(|t| t["starts"] == true);
    assert!(starts(&region) && starts(&replay("postmaster", None)));
    let agent = replay("agent", None);
    assert!(verdicts(&agent["recorded"]).contains(&"agent-lost") && !starts(&agent), "{agent:#}");
}

#[test]
fn a_changed_plan_shows_where_it_decides_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let by_hand = changed("region", "mode: automatic", "mode: manual", folder.path());
    let view = replay("region", Some(&by_hand));
    let found = view["differences"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{view:#}");
    assert!(found[0]["first"].as_str().unwrap().contains("starts a failover to west"), "{view:#}");
    assert!(found[0]["second"].as_str().unwrap().contains("leaves it to a person"), "{view:#}");
    let surer = changed("region", "mode: automatic", "mode: automatic\n  least_fence: proven", folder.path());
    let notes = replay("region", Some(&surer))["notes"].to_string();
    assert!(notes.contains("least_fence") && notes.contains("PL-0209"), "what is not replayed is said: {notes}");
    let more = changed("region", "mode: automatic", "mode: automatic\n  observers: [paris, oslo]", folder.path());
    let view = replay("region", Some(&more));
    assert!(verdicts(&view["changed"]).contains(&"minority"), "two of five are no majority: {view:#}");
    let notes = view["notes"].to_string();
    assert!(notes.contains("holds nothing of") && notes.contains("paris") && notes.contains("oslo"), "{notes}");
    let (code, out, _) = said(
        &pilotlight(folder.path())
            .args(["policy", "replay", "--plan"])
            .arg(&by_hand)
            .arg(recording("region"))
            .output()
            .unwrap(),
    );
    assert_eq!(code, 0);
    for part in ["as the plan of then decides", "as the changed plan decides", "differences", "changed: region lost"] {
        assert!(out.contains(part), "{part} is missing in\n{out}");
    }
}

#[test]
fn what_is_no_recording_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let told = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let output = pilotlight(folder.path()).args(["policy", "replay", name]).output().unwrap();
        let (code, out, err) = said(&output);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains("PL-0133"), "{err}");
        err
    };
    assert!(told("empty.jsonl", "").contains("holds no observation"));
    assert!(told("notes.jsonl", "hello\n").contains("notes.jsonl:1: it is no line of a recording"));
    let text = std::fs::read_to_string(recording("region")).unwrap();
    let (_, scenes) = text.split_once('\n').unwrap();
    assert!(told("headless.jsonl", scenes).contains("does not say whose"));
    assert!(told("newer.jsonl", &text.replacen("\"format\":1", "\"format\":9", 1)).contains("format 9"));
    std::fs::write(folder.path().join("torn.jsonl"), &text[..text.len() - 40]).unwrap();
    let (code, out, _) = said(&pilotlight(folder.path()).args(["policy", "replay", "torn.jsonl"]).output().unwrap());
    assert!(code == 0 && out.contains("not written to their end"), "{out}");
}

#[test]
fn a_plan_that_has_not_the_recorded_units_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let other = changed("region", "application: payments", "application: ledger", folder.path());
    let output =
        pilotlight(folder.path()).args(["policy", "replay", "--plan"]).arg(&other).arg(recording("region")).output();
    let (code, out, err) = said(&output.unwrap());
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("PL-0133") && err.contains("of unit payments, and the changed plan has only ledger"), "{err}");
}

/// The machine of the controller lost its power while a file was begun, or in the middle of a letter.
#[test]
fn a_file_that_was_cut_off_anywhere_leaves_the_others_readable() {
    let text = std::fs::read_to_string(recording("region")).unwrap();
    let lettered = text.replacen("# The plan of", "# Der Plan für", 1);
    let in_a_letter = lettered.find('ü').unwrap() + 1;
    for torn in [&lettered.as_bytes()[..200], &lettered.as_bytes()[..in_a_letter], &lettered.as_bytes()[..0]] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("observations")).unwrap();
        std::fs::write(folder.path().join("observations/observations-1.jsonl"), &text).unwrap();
        std::fs::write(folder.path().join("observations/observations-2.jsonl"), torn).unwrap();
        let output = pilotlight(folder.path()).args(["policy", "replay", "observations"]).output().unwrap();
        let (code, out, err) = said(&output);
        assert_eq!(code, 0, "{err}");
        assert_eq!(out.contains("1 lines at the end of a file"), !torn.is_empty(), "{out}");
    }
}
