//! The hold: a file that is written and removed with nobody to ask.

use crate::program::{pilotlight, run, said};

#[test]
fn a_hold_is_written_and_removed_while_no_controller_runs() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(said(&run(folder.path(), &["init"])).0, 0);
    let file = folder.path().join("state/controller/hold");
    // No token either: what works offline needs no secret.
    let (code, out, err) = said(&run(folder.path(), &["hold", "on", "--why", "network work"]));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("nothing starts by itself") && out.contains("cannot be asked"), "{out}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("by: ") && text.contains("why: network work"), "{text}");
    assert_eq!(said(&run(folder.path(), &["hold", "on"])).0, 0, "again is no fault");
    let (code, out, _) = said(&run(folder.path(), &["hold", "off"]));
    assert!(code == 0 && out.contains("is gone") && !file.exists(), "{out}");
    let (code, out, _) = said(&run(folder.path(), &["hold", "off"]));
    assert!(code == 0 && out.contains("off already"), "{out}");
}

#[test]
fn a_hold_that_only_one_of_several_controllers_sees_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(said(&run(folder.path(), &["init"])).0, 0);
    let plan = folder.path().join("pilotlight.yaml");
    let one = std::fs::read_to_string(&plan).unwrap();
    let ports = pilotlight_lab::ports::free(2).unwrap();
    let members = format!(
        "  members: {{ a: {{ listen: 127.0.0.1:{} }}, b: {{ listen: 127.0.0.1:{} }} }}\n  store: {{ folder: shared }}\n",
        ports[0], ports[1]
    );
    let both = one.replace("  listen: 127.0.0.1:7400\n", &members);
    assert_ne!(one, both, "the sample says where its controller listens");
    std::fs::write(&plan, both).unwrap();
    for (wish, told) in [("on", "only one that sees this file is held"), ("off", "is let go")] {
        let mut hold = pilotlight(folder.path());
        hold.args(["hold", wish, "--member", "a"]).env("PILOTLIGHT_TOKEN", "secret");
        let (code, out, err) = said(&hold.output().unwrap());
        assert_eq!((code, err.as_str()), (1, ""), "{out}");
        assert!(out.contains("BUT the controllers cannot be asked") && out.contains(told), "{out}");
    }
}

#[test]
fn a_hold_that_cannot_be_written_says_that_nothing_holds() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(said(&run(folder.path(), &["init"])).0, 0);
    std::fs::write(folder.path().join("state"), "no folder").unwrap();
    let (code, _, err) = said(&run(folder.path(), &["hold", "on"]));
    assert_eq!(code, 1);
    assert!(err.contains("PL-0004") && err.contains("nothing holds yet"), "{err}");
}

#[test]
fn an_observer_needs_a_name_of_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(said(&run(folder.path(), &["init"])).0, 0);
    let mut command = pilotlight(folder.path());
    command.args(["observe", "--name", "paris"]).env("PILOTLIGHT_TOKEN", "secret");
    let (code, _, err) = said(&command.output().unwrap());
    assert_eq!(code, 2);
    assert!(err.contains("PL-0132") && err.contains("policy.observers"), "{err}");
}
