//! Graphs that cannot be walked are said to be so; sound ones are measured and drawn.

use super::*;
use crate::derive::{Consent, Derivation, derive};
use crate::fixture::{descriptors, looks, standby, target, unit, usual};
use crate::observation::Role;
use crate::placement::{Intent, Mode, Placement, Verb};
use std::collections::BTreeMap;

fn switchover() -> Runbook {
    let plan = usual();
    let seen = BTreeMap::from([
        (target("database", "east"), looks(Role::Writer)),
        (target("database", "west"), looks(standby("east", true))),
    ]);
    let target = Placement::in_region(&"west".into());
    derive(&Derivation {
        plan: &plan,
        descriptors: &descriptors(&plan),
        intent: &Intent { unit: unit(), verb: Verb::Switchover, mode: Mode::Graceful, target },
        writer: &"east".into(),
        seen: &seen,
        reachable: &["east".into(), "west".into()].into(),
        candidate: None,
        least_fence: plan.policy.least_fence,
        consent: Consent::Given,
        attested_by: None,
    })
    .expect("all is well")
}

fn id(text: &str) -> StepId {
    StepId::new(text)
}

fn change(runbook: &Runbook, step: &str, change: impl FnOnce(&mut Step)) -> Result<(), Unsound> {
    let mut changed = runbook.clone();
    change(changed.steps.iter_mut().find(|s| s.id == id(step)).expect("a known step"));
    changed.validate()
}

#[test]
fn unsound_graphs_are_named() {
    let good = switchover();
    assert_eq!(good.validate(), Ok(()));
    assert_eq!(Runbook { steps: vec![], ..good.clone() }.validate(), Err(Unsound::Empty));
    let twice = change(&good, "grant-west", |s| s.id = id("route-name"));
    assert_eq!(twice, Err(Unsound::Twice { id: id("route-name") }));
    let unknown = change(&good, "grant-west", |s| s.needs.push(id("nobody")));
    assert_eq!(unknown, Err(Unsound::UnknownNeed { id: id("grant-west"), need: id("nobody") }));
    let circle = change(&good, "checkpoint-database-east", |s| s.needs.push(id("route-name")));
    let Err(Unsound::Circle { steps }) = circle else { panic!("{circle:?}") };
    assert!(steps.contains(&id("promote-database-west")) && !steps.contains(&id("scale-payments-west")), "{steps:?}");
    let unordered = change(&good, "await-position-database-west", |s| s.needs = vec![id("scale-payments-west")]);
    let (step, from) = (id("await-position-database-west"), id("stop-writes-database-east"));
    assert_eq!(unordered, Err(Unsound::UnorderedHandOver { id: step, from }));
    let nowhere = change(&good, "route-name", |s| {
        let Effect::Route { shares, .. } = &mut s.effect else { panic!("a route") };
        shares.values_mut().for_each(|share| *share = 0);
    });
    assert_eq!(nowhere, Err(Unsound::RouteToNowhere { id: id("route-name") }));
    let late = change(&good, "verify-1", |s| s.on_failure = OnFailure::Undo);
    assert_eq!(late, Err(Unsound::UndoTooLate { id: id("verify-1"), after: id("promote-database-west") }));
}

#[test]
fn the_longest_way_is_found() {
    let runbook = switchover();
    let (path, length) =
        runbook.critical_path(|s| Duration::from_secs(if s.id == id("scale-payments-west") { 10 } else { 1 }));
    let path: Vec<&str> = path.iter().map(|s| s.id.as_str()).collect();
    let expected = [
        "scale-payments-west",
        "stop-writes-database-east",
        "await-position-database-west",
        "grant-west",
        "promote-database-west",
        "route-name",
        "verify-1",
        "verify-2",
    ];
    assert_eq!(path[..8], expected);
    assert_eq!(length, Duration::from_secs(18), "{path:?}");
}

#[test]
fn a_runbook_is_drawn_in_words_and_as_a_graph() {
    let runbook = switchover();
    let text = runbook.to_text();
    assert!(
        text.starts_with("payments: switchover of main from east to west, with the source, nothing lost\n"),
        "{text}"
    );
    assert!(text.contains("no way back after it"), "{text}");
    let markdown = runbook.to_markdown();
    for step in &runbook.steps {
        assert!(text.contains(step.id.as_str()) && markdown.contains(step.id.as_str()), "{} is missing", step.id);
    }
    let edges: usize = runbook.steps.iter().map(|s| s.needs.len()).sum();
    assert_eq!(runbook.to_mermaid().matches(" --> ").count(), edges);
    assert_eq!(runbook.to_dot().matches(" -> ").count(), edges);
    assert_eq!(markdown.matches("```").count(), 2, "the graph is fenced once");
}

#[test]
fn names_from_the_plan_cannot_break_out_of_a_drawing() {
    let mut runbook = switchover();
    runbook.steps[0].title = "a \"b\" `c` [d](e)".into();
    assert!(runbook.to_markdown().contains(r#"a "b" \`c\` \[d\](e)"#));
    assert!(runbook.to_dot().contains(r#"label="a \"b\" `c` [d](e)""#));
    assert!(runbook.to_mermaid().contains("a #quot;b#quot;"));
}
