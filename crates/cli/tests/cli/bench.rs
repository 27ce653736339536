//! The hidden verb that measures, once, for what must hold on any machine: its bounds are for a quiet one.

use crate::program::{pilotlight, said};
use pilotlight_lab::required::{self, Need};
use serde_json::Value;

/// Lets it measure one round; how many series there were, each with its figure and without a lost row. `None` when
/// something it needs is not installed, which is printed.
pub(crate) fn series_of(case: &[&str]) -> Option<usize> {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = pilotlight(folder.path());
    bench.arg("bench").args(case).args(["--runs", "1", "--out", "figures.json"]);
    let (code, out, err) = said(&bench.output().unwrap());
    if err.contains("is not installed") {
        required::skip(if err.contains("moto_server") { Need::Moto } else { Need::Etcd }, err);
        return None;
    }
    assert!(code == 0 || (code == 1 && out.contains("MISSED")), "{code}: {out}\n{err}");
    let text = std::fs::read_to_string(folder.path().join("figures.json")).unwrap();
    let measured: Value = serde_json::from_str(&text).unwrap();
    let series = measured["series"].as_array().expect("a list of series");
    for one in series {
        assert_eq!(one["lost"], 0, "rows that were acknowledged are there: {one}");
        assert!(one["outage_ms"][0].is_number(), "it was measured: {one}");
    }
    Some(series.len())
}
