//! Real faults on real PostgreSQL: cuts, freezes, thaws, returns and deaths, each once or a few times. The long series
//! are `cargo xtask bench safety`; this is the same code, short.

use crate::program::{pilotlight, said};
use crate::wait::until;
use pilotlight_lab::net::{Net, Want};
use pilotlight_lab::required::{self, Need};
use pilotlight_local::connections::KernelLease;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Plays a series in a temporary folder of its own and answers its table.
fn play(words: &[&str]) -> Value {
    let _alone = crate::demo::alone();
    let folder = tempfile::tempdir().unwrap();
    crate::demo::open_to_all(folder.path());
    let mut command = pilotlight(folder.path());
    command.args(["safety", "--out", "rounds.json"]).args(words);
    let (_, out, err) = said(&command.env("TMPDIR", folder.path()).output().expect("the series runs"));
    let text = std::fs::read_to_string(folder.path().join("rounds.json"));
    let table: Value = serde_json::from_str(&text.unwrap_or_default()).unwrap_or_else(|e| panic!("{e}: {out}\n{err}"));
    eprintln!("{out}");
    assert_eq!(table["wrong"], serde_json::json!([]), "{err}");
    let rounds = table["rounds"].as_array().unwrap();
    assert!(rounds.iter().all(|r| r["missing"] == 0), "rows in neither the new side nor a bundle: {table:#}");
    assert_eq!(folders_in(folder.path()), Vec::<PathBuf>::new(), "the series left its folders behind");
    table
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

fn rounds<'a>(table: &'a Value, case: &str) -> Vec<&'a Value> {
    let rounds: Vec<_> = table["rounds"].as_array().unwrap().iter().filter(|r| r["case"] == case).collect();
    assert!(!rounds.is_empty(), "no round of {case}: {table:#}");
    rounds
}

/// The fence that can be had here; the kernel's needs namespaces and nftables.
fn fence() -> &'static str {
    let spaces = Net::make(Want::Spaces).map(drop).map_err(|e| (Need::Namespaces, e.to_string()));
    let here = spaces.and_then(|()| KernelLease::new("try", 1, []).check().map_err(|e| (Need::Nft, e.to_string())));
    if let Err((lacks, why)) = here {
        required::skip(lacks, format!("the fence of the kernel ({why})"));
        return "none";
    }
    "kernel"
}

/// Clients that keep an old connection, and waive the wait, were cut off before the new side wrote, and found no writer at
/// the old address afterwards; clients that know both were moved.
fn old_clients_were_cut_off(table: &Value, fence: &str, cases: &[&str]) {
    for round in cases.iter().flat_map(|case| rounds(table, case)) {
        let ms = |key: &str| round[key].as_f64().unwrap_or_else(|| panic!("no {key}: {round:#}"));
        let (cut, moved) = (ms("cut_ms"), ms("moved_ms"));
        eprintln!("{fence}, {}: old clients cut after {cut:.0} ms, moved after {moved:.0} ms", round["case"]);
        assert!(ms("old_client_gap_ms") > 0.0 && round["turned_away"].as_u64() > Some(0), "{round:#}");
    }
}

#[test]
fn a_region_that_is_cut_off_or_dies_has_one_writer_and_loses_its_place() {
    let fence = fence();
    let table = play(&["--case", "cut,freeze,mute,node,postgres,switchover", "-n", "1", "--fence", fence]);
    if fence != "none" {
        old_clients_were_cut_off(&table, fence, &["cut", "freeze", "switchover"]);
    }
    for case in ["cut", "mute", "node", "switchover"] {
        assert!(rounds(&table, case).iter().all(|r| r["moved"] == true), "{table:#}");
    }
    assert_eq!(rounds(&table, "switchover")[0]["lost"], 0);
    assert_eq!(rounds(&table, "postgres")[0]["lost"], 0, "a restart in place loses nothing");
}

#[test]
fn a_frozen_agent_or_gate_or_a_paused_machine_is_no_second_writer() {
    let table = play(&["--case", "freeze,pause,switchover", "-n", "3", "--lanes", "2", "--fence", "proxy"]);
    old_clients_were_cut_off(&table, "proxy", &["freeze", "switchover"]);
    assert!(rounds(&table, "freeze").iter().all(|r| r["moved"] == true && r["thaw_gap_ms"].is_number()), "{table:#}");
}

#[test]
fn what_is_no_loss_of_the_region_moves_nothing() {
    nothing_is_moved(&["third", "controllers", "link", "link-third"], "1");
}

#[test]
fn a_frozen_agent_or_a_way_cut_in_one_direction_moves_nothing() {
    nothing_is_moved(&["agent", "one-way"], "3");
}

/// Twice the default, so that no lease ends because this machine is busy.
const LONG_LEASE: &str = "6s";

fn nothing_is_moved(cases: &[&str], times: &str) {
    let table = play(&["--case", &cases.join(","), "-n", times, "--lanes", "2", "--lease", LONG_LEASE]);
    let lease = table["lease_ms"].as_f64().unwrap();
    for case in cases {
        // How soon is for the benchmark to say: writes went on, and not only when a lease was over.
        let goes_on = |r: &&Value| r["silence_ms"].as_f64().is_some_and(|ms| ms < lease) && r["restarted"] == false;
        let all = rounds(&table, case);
        assert!(all.iter().all(|r| r["moved"] == false && r["lost"] == 0), "{table:#}");
        assert!(all.iter().all(goes_on), "{case}: {table:#}");
    }
}

#[test]
fn a_slow_network_moves_nothing_and_commits_do_not_wait_for_it() {
    let table = play(&["--case", "slow", "-n", "2", "--lanes", "2", "--lease", LONG_LEASE]);
    for round in rounds(&table, "slow") {
        assert!(round["moved"] == false && round["lost"] == 0 && round["restarted"] == false, "{round:#}");
        // The word of whoever is far away takes 160 or 600 ms; the gate's does not leave the machine.
        assert!(round["quickest_ms"].as_f64().is_some_and(|ms| ms < 160.0), "{round:#}");
    }
}

#[test]
fn a_region_that_returns_at_the_worst_moment_is_no_second_writer() {
    let table = play(&["--case", "return", "-n", "3"]);
    assert_eq!(rounds(&table, "return").len(), 3);
}

#[test]
fn a_controller_killed_at_any_step_leaves_a_run_that_ends() {
    let table = play(&["--case", "controller,leader-step", "-n", "2", "--lanes", "2"]);
    let places = |case| rounds(&table, case).into_iter().map(|r| r["detail"].as_str().unwrap().to_owned());
    let met: BTreeSet<String> = places("controller").chain(places("leader-step")).collect();
    assert_eq!(met.len(), 4, "each round has a place of its own: {met:?}");
}

#[test]
fn deaths_at_random_instants_leave_one_writer_and_runs_that_end() {
    let table = play(&["--case", "random", "-n", "4", "--lanes", "2", "--seed", "7"]);
    assert_eq!(rounds(&table, "random").len(), 4, "one for each of four that may die besides the region");
}

#[test]
fn a_person_may_say_that_an_unopposed_writer_is_off_and_not_against_what_is_seen() {
    let table = play(&["--case", "unopposed", "-n", "1"]);
    assert!(rounds(&table, "unopposed").iter().all(|r| r["moved"] == true), "{table:#}");
}

#[test]
fn a_dead_writer_that_nobody_can_replace_is_restarted_without_a_lease() {
    let table = play(&["--case", "alone", "-n", "1"]);
    assert!(rounds(&table, "alone").iter().all(|r| r["moved"] == false && r["lost"] == 0), "{table:#}");
}

#[test]
fn relays_do_where_there_are_no_namespaces() {
    let table = play(&["--case", "cut,return", "-n", "1", "--net", "relays"]);
    assert_eq!(table["net"], "relays on loopback");
}

#[test]
fn what_a_killed_series_left_is_swept_by_the_next() {
    let _alone = crate::demo::alone();
    let folder = tempfile::tempdir().unwrap();
    crate::demo::open_to_all(folder.path());
    let series = || {
        let mut command = pilotlight(folder.path());
        command.args(["safety", "--case", "postgres", "-n", "1"]).env("TMPDIR", folder.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut first = series().spawn().expect("the series starts");
    let running =
        || folders_in(folder.path()).iter().map(|f| pilotlight_lab::region::processes(f).len()).sum::<usize>();
    until("agents and databases to run", Duration::from_secs(60), || match running() {
        0..=9 => Err(format!("{} processes", running())),
        _ => Ok(()),
    });
    let left = folders_in(folder.path());
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(running() > 0, "nothing was left, so nothing can be swept");
    assert!(series().status().expect("the series runs").success());
    assert!(left.iter().all(|f| !f.exists()), "not swept: {left:?}");
    assert_eq!(folders_in(folder.path()), Vec::<PathBuf>::new());
}
