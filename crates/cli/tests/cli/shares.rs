//! Going home by shares on real PostgreSQL, DNS and processes: every share served, and one whose instances do not answer.
//!
//! The hidden verb that measures it fails when a share does not go back, the run does not wait or a row is lost; its bounds are
//! for a quiet machine, so here only what must hold on any machine is asked.

use crate::program::{pilotlight, said};
use serde_json::Value;

#[test]
fn traffic_goes_home_by_shares_and_back_when_too_much_fails() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["bench", "failback", "--runs", "1", "--out", "figures.json"];
    let (code, out, err) = said(&pilotlight(folder.path()).args(words).output().unwrap());
    assert!(code == 0 || (code == 1 && out.contains("MISSED")), "{code}: {out}\n{err}");
    let text = std::fs::read_to_string(folder.path().join("figures.json")).unwrap();
    let measured: Value = serde_json::from_str(&text).unwrap();
    let figures = measured["series"].as_array().expect("a list of series");
    assert_eq!(figures.len(), 2, "{text}");
    for figure in figures {
        assert_eq!(figure["lost"], 0, "rows that were acknowledged are there: {figure}");
        assert!(figure["outage_ms"][0].is_number(), "{figure}");
    }
}
