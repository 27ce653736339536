//! Three real controllers on real PostgreSQL: the leader is killed with nothing under way, killed in the middle of a run,
//! frozen and thawed. The hidden verb that measures it fails when a bound is missed, a row is lost or a failover was
//! started; its bounds are for a quiet machine, so here only what must hold on any machine is asked.

use crate::program::{pilotlight, said};
use serde_json::Value;

/// A lease far longer than the default, so that on a slow machine the writer's does not end before another leads.
fn leaders(store: &str) {
    let folder = tempfile::tempdir().unwrap();
    let words = ["bench", "leader", "--runs", "1", "--lease", "6s", "--store", store, "--out", "figures.json"];
    let (code, out, err) = said(&pilotlight(folder.path()).args(words).output().unwrap());
    if err.contains("is not installed") {
        eprintln!("skipped: {err}");
        return;
    }
    assert!(code == 0 || (code == 1 && out.contains("MISSED")), "{code}: {out}\n{err}");
    let text = std::fs::read_to_string(folder.path().join("figures.json")).unwrap();
    let measured: Value = serde_json::from_str(&text).unwrap();
    let figures = measured["series"].as_array().expect("a list of series");
    assert_eq!(figures.len(), 4, "{text}");
    for figure in figures {
        assert_eq!(figure["lost"], 0, "rows that were acknowledged are there: {figure}");
        assert!(figure["outage_ms"][0].is_number(), "another led: {figure}");
    }
}

#[test]
fn leaders_are_killed_and_frozen_on_a_folder() {
    leaders("folder");
}

#[test]
fn leaders_are_killed_and_frozen_on_etcd() {
    leaders("etcd");
}
