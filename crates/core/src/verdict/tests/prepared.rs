//! A failover that was prepared, and whose writer works again.

use super::*;

#[test]
fn a_prepared_failover_is_withdrawn_once_the_writer_has_worked_for_long_enough() {
    let (plan, run) = (usual(), RunId::new("r1"));
    let after = plan.policy.withdraw_after;
    let prepared = |same_for| History { running: Some(run.clone()), prepared: true, same_for, ..History::default() };
    let second = Duration::from_secs(1);
    let early = Decision::Hold(Reason::PreparedInVain { run: run.clone(), left: second });
    assert_eq!(decided(&plan, &calm(), &prepared(after - second)), early);
    assert_eq!(decided(&plan, &calm(), &prepared(after)), Decision::Withdraw { run: run.clone(), worked: after });
    let moving = Decision::Hold(Reason::RunMoving { run: run.clone() });
    assert_eq!(decided(&plan, &gone(), &prepared(after * 2)), moving, "the writer does not work");
    let begun = History { prepared: false, ..prepared(after * 2) };
    assert_eq!(decided(&plan, &calm(), &begun), moving, "something of it has begun");
    let hold = Hold { file: "h".into(), by: String::new(), since: None, why: String::new() };
    let held = History { hold: Some(hold), ..prepared(after * 2) };
    assert_eq!(decided(&plan, &calm(), &held), moving, "a person holds everything automatic");
}
