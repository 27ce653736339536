//! A gate that cannot do what it is told, as people see it.

use super::lab::Lab;
use crate::api::view::StatusView;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::time::Mono;
use pilotlight_driver::gate::Gate;
use std::sync::Arc;

struct Troubled;

impl Gate for Troubled {
    fn name(&self) -> &str {
        "troubled"
    }

    fn allow(&self, _: Mono) {}

    fn close(&self) {}

    fn trouble(&self) -> Option<Finding> {
        let (message, hint) = ("nft is gone".to_owned(), "install it".to_owned());
        Some(Finding { code: "PL-0336".to_owned(), severity: Severity::Warning, message, hint })
    }

    fn bypasses(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The code of what was found of each component in the region.
fn told(status: &StatusView, region: &str) -> Vec<String> {
    let components = status.regions.iter().filter(|r| r.region.as_str() == region).flat_map(|r| &r.components);
    components.flat_map(|c| c.state.findings.iter().map(|found| format!("{} {}", c.component, found.code))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_in_trouble_is_told_beside_its_copy_and_no_other() {
    let mut lab = Lab::new();
    lab.start_controller();
    lab.start_agent("west");
    lab.gates = vec![Arc::new(Troubled)];
    lab.start_agent("east");
    let status = lab.until("the trouble", |s| s.is_well("east") && !told(s, "east").is_empty()).await;
    assert_eq!((told(&status, "east"), told(&status, "west")), (vec!["database PL-0336".to_owned()], Vec::new()));
}
