//! The page of decisions is what the code decides.

use super::*;
use crate::plan::SAMPLE;

#[test]
fn the_page_of_decisions_is_what_the_code_decides() {
    let mut plan = Plan::read(SAMPLE, "sample.yaml").expect("the sample has no fault");
    plan.policy.max_replay_bytes = Some(64 << 20);
    let page = decisions(&plan);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/decisions.md");
    if std::env::var_os("PILOTLIGHT_WRITE_DOCS").is_some() {
        std::fs::write(file, &page).expect("the docs can be written");
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(kept == page, "docs/decisions.md is not what is decided; write it anew and look at the difference");
}

#[test]
fn a_plan_foresees_what_it_starts_and_what_it_holds() {
    let mut plan = Plan::read(SAMPLE, "sample.yaml").expect("the sample has no fault");
    let Foresight { starts, holds } = foresee(&plan);
    assert_eq!(starts.len(), 2, "{starts:#?}");
    assert!(starts.iter().all(|s| s.ends_with("a failover to west starts by itself")), "{starts:#?}");
    for part in ["all down", "in the minority", "pilotlight hold off", "may lose the last", "16777217 bytes", "RUN"] {
        assert!(holds.iter().any(|h| h.contains(part)), "{part} is missing in {holds:#?}");
    }
    plan.policy.unhealthy_for = Some(Duration::from_secs(60));
    assert_eq!(foresee(&plan).starts.len(), 3);
    plan.policy.mode = DecisionMode::Manual;
    let Foresight { starts, .. } = foresee(&plan);
    assert!(starts.iter().all(|s| s.contains("leaves it to a person")), "{starts:#?}");
}
