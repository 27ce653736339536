//! What a person may pass over by hand, and when.

use super::*;

#[test]
fn what_carries_the_move_is_passed_over_only_after_it_was_tried() {
    let promote = Effect::Promote { component: component(), region: region() };
    let grant = Effect::Grant { unit: Unit::from("payments"), region: region() };
    let mut walk = Walk::new(vec![step("grant", &[], grant), step("promote", &["grant"], promote)]);
    let skip = |step: &str| Event::StepSkipped { step: StepId::from(step), by: "ada".into(), why: "it is so".into() };
    assert!(!walk.try_push(skip("grant")) && !walk.try_push(skip("promote")));
    let failure = Failure::new(FailureKind::Rejected, "no");
    assert!(walk.try_push(Event::StepStarted { step: StepId::from("grant"), attempt: 1 }));
    assert!(walk.try_push(Event::StepReturned { step: StepId::from("grant"), attempt: 1, result: Err(failure) }));
    assert!(!walk.try_push(skip("promote")), "it was not tried");
    assert!(walk.try_push(skip("grant")), "a person has looked");
}
