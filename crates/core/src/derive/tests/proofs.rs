//! What a move proves at its end.

use super::*;
use crate::plan::Proof;

#[test]
fn a_unit_proves_what_counts_for_it() {
    let mut scene = Scene::new(usual(), Verb::Failover, "west").without("east");
    scene.plan.verify[0].unit = Some("files".into());
    scene.plan.verify.push(Proof { unit: Some(unit()), ..scene.plan.verify[1].clone() });
    let graph = scene.graph();
    let proofs: Vec<&str> = graph.iter().map(String::as_str).filter(|step| step.contains("verify-")).collect();
    assert_eq!(proofs, ["verify-1 < route-name", "verify-2 < verify-1", "notify-end-chat < verify-2"]);
    let title = scene.runbook().step(&"verify-2".into()).expect("it is there").title.clone();
    assert_eq!(title, "Check that it works (2 of 2)");
    scene.plan.verify.iter_mut().for_each(|proof| proof.unit = Some("files".into()));
    assert_eq!(scene.graph().last().map(String::as_str), Some("notify-end-chat < route-name"), "it proves nothing");
}
