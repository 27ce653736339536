//! What operators type while nobody answers: one clear message each, and the exit code that says what to do next.

use crate::program::{pilotlight, said};
use crate::wait::until;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// A plan whose controller is an address of this machine where nobody listens.
fn plan(folder: &Path) {
    let silent = format!("127.0.0.1:{}", pilotlight_lab::ports::free(1).unwrap()[0]);
    let text = format!(
        "application: shop\nobjectives: {{ rto: 1m, rpo: 30s }}\nregions: [east, west]\n\
         controller: {{ listen: {silent}, state: state, token: {{ env: PILOTLIGHT_TOKEN }} }}\n\
         policy: {{ mode: manual }}\n\
         components:\n  database:\n    kind: postgres\n    database: postgres\n    user: postgres\n    regions:\n\
         \x20     east: {{ host: 127.0.0.1, port: 1, data_dir: east }}\n\
         \x20     west: {{ host: 127.0.0.1, port: 2, data_dir: west }}\n"
    );
    fs::write(folder.join("pilotlight.yaml"), text).unwrap();
}

#[test]
fn a_controller_that_is_not_there_is_named_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path());
    for words in [&["status"][..], &["run", "list"], &["switchover", "--dry-run"], &["runbook", "show", "failover"]] {
        let output = pilotlight(folder.path()).args(words).env("PILOTLIGHT_TOKEN", "secret").output().unwrap();
        let (code, out, err) = said(&output);
        assert_eq!((code, out.as_str()), (1, ""), "{words:?}: {err}");
        assert!(err.contains("PL-0403") && !err.contains("secret"), "{words:?}: {err}");
    }
}

#[test]
fn what_is_wrong_with_the_command_is_told_without_asking_anybody() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path());
    for (words, told) in [
        (&["switchover", "--to", "mars", "--dry-run"][..], "PL-0871"),
        (&["drain", "--from", "mars"], "PL-0871"),
        (&["failover", "--writer-is-off", "mars"], "PL-0871"),
        (&["runbook", "show", "failover", "--to", "mars"], "PL-0871"),
        (&["runbook", "show", "drain", "--from", "mars"], "PL-0871"),
        (&["runbook", "show", "failover", "--unit", "orders"], "the plan has no unit orders"),
        (&["switchover", "--unit", "orders"], "the plan has no unit orders"),
        (&["acknowledge", "--unit", "orders"], "the plan has no unit orders"),
        (&["report", "--requests", "nope.jsonl"], "PL-0005"),
        (&["observe"], "the plan has no observer"),
    ] {
        let output = pilotlight(folder.path()).args(words).env("PILOTLIGHT_TOKEN", "secret").output().unwrap();
        let (code, out, err) = said(&output);
        assert_eq!((code, out.as_str()), (2, ""), "{words:?}: {err}");
        assert!(err.contains(told) && !err.contains("PL-0403") && err.contains("hint: "), "{words:?}: {err}");
        assert!(told != "PL-0871" || err.contains("no region mars") && err.contains("east, west"), "{words:?}: {err}");
    }
}

#[test]
fn what_is_waited_for_in_vain_is_told_meanwhile_and_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path());
    let wait = |words: &[&str]| {
        let mut command = pilotlight(folder.path());
        said(&command.arg("status").args(words).env("PILOTLIGHT_TOKEN", "secret").output().unwrap())
    };
    for what in ["heard", "following"] {
        let (code, out, err) = wait(&["--until", what, "--within", "3s"]);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert_eq!(err.matches("waiting: the controller at").count(), 1, "told once: {err}");
        assert!(err.contains("PL-0006") && err.contains("after 3.0 s still missing"), "{err}");
    }
    for words in [&["--within", "1s"][..], &["--until", "heard", "--within", "soon"], &["--until", "better"]] {
        assert_eq!(wait(words).0, 2, "{words:?}");
    }
}

#[test]
fn a_live_check_lists_what_it_could_not_reach() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path());
    let mut command = pilotlight(folder.path());
    let output = command.args(["check", "--live"]).env("PILOTLIGHT_TOKEN", "secret").output().unwrap();
    let (code, out, err) = said(&output);
    assert_eq!(code, 1, "{err}");
    for told in ["ok       controller.token", "BLOCKER  PL-0880: database in east", "BLOCKER  PL-0403: controller at"] {
        assert!(out.contains(told), "{told} is missing in\n{out}");
    }
}

#[test]
fn an_authority_that_cannot_listen_says_why_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    // An address that documents may use, and no machine has.
    for (listen, told) in [("192.0.2.1:53530", "PL-0883"), (taken.as_str(), "PL-0404")] {
        let mut command = pilotlight(folder.path());
        command.args(["dns", "--zone", "demo.test", "--control", "127.0.0.1:0", "--state", "dns", "--listen", listen]);
        let (code, _, err) = said(&command.env("PILOTLIGHT_TOKEN", "secret").output().unwrap());
        assert_eq!(code, 1, "{listen}: {err}");
        assert!(err.contains(&format!("error[{told}]")) && err.contains("hint: "), "{listen}: {err}");
        assert!(!folder.path().join("dns").exists(), "{listen}: its folder was left behind");
    }
}

#[test]
fn an_agent_of_an_unknown_region_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path());
    let mut command = pilotlight(folder.path());
    command.args(["agent", "--region", "north", "--state", "agent"]).env("PILOTLIGHT_TOKEN", "secret");
    let (code, _, err) = said(&command.output().unwrap());
    assert_eq!(code, 2);
    assert!(err.contains("no region north") && err.contains("east, west"), "{err}");
}

#[test]
fn measuring_needs_a_plan_that_says_where_users_go() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path());
    let (code, _, err) = said(&pilotlight(folder.path()).arg("measure").output().unwrap());
    assert_eq!(code, 2);
    assert!(err.contains("no `measure:` section"), "{err}");
}

/// A controller without agents; ended with the test.
struct Serving(Child);

impl Serving {
    fn start(folder: &Path) -> Self {
        let mut command = pilotlight(folder);
        command.arg("serve").env("PILOTLIGHT_TOKEN", "secret").stdout(Stdio::null()).stderr(Stdio::null());
        let serving = Self(command.spawn().unwrap());
        until("the controller to answer", Duration::from_secs(60), || {
            let output = pilotlight(folder).arg("status").env("PILOTLIGHT_TOKEN", "secret").output().unwrap();
            let (code, _, err) = said(&output);
            if code == 0 { Ok(()) } else { Err(err) }
        });
        serving
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_controller_that_refuses_is_believed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path());
    let _serving = Serving::start(folder.path());
    let ask = |words: &[&str], token| {
        said(&pilotlight(folder.path()).args(words).env("PILOTLIGHT_TOKEN", token).output().unwrap())
    };
    for words in [&["run", "watch", "nosuch"][..], &["run", "show", "nosuch"], &["report", "nosuch"]] {
        let (code, _, err) = ask(words, "secret");
        assert_eq!(code, 2, "{words:?}: {err}");
        assert!(err.contains("there is no run nosuch") && err.contains("run list"), "{words:?}: {err}");
    }
    for words in [&["status"][..], &["run", "watch", "nosuch"]] {
        let (code, _, err) = ask(words, "guessed");
        assert_eq!(code, 2, "{words:?}: {err}");
        assert!(err.contains("controller.token") && !err.contains("guessed"), "{words:?}: {err}");
    }
}
