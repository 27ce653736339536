//! What cannot be seen, read or trusted: copies, histories, clocks.

use super::*;
use crate::code;
use crate::observation::{Condition, Holds};

#[test]
fn a_history_that_cannot_be_read_holds_what_would_be_started_on_top_of_it() {
    let unread = || Unread { code: code::JOURNAL_DAMAGED, why: "failover-1 is damaged at record 7".to_owned() };
    let last = |acknowledged| LastFailover {
        run: RunId::from("failover-1"),
        at: Wall(0),
        acknowledged,
        failed: false,
        unread: Some(unread()),
    };
    let held = Decision::Hold(Reason::HistoryUnread { unread: unread() });
    let history = |acknowledged| History { last_failover: Some(last(acknowledged)), ..History::default() };
    assert_eq!(decided(&usual(), &gone(), &history(false)), held);
    assert_eq!(decided(&usual(), &calm(), &history(false)), held, "said while all is well, too");
    assert!(matches!(decided(&usual(), &gone(), &history(true)), Decision::Start(_)), "a person has looked");
    let rejoins = History { rejoins_unread: Some(unread()), ..History::default() };
    assert_eq!(decided(&usual(), &calm(), &rejoins), held);
    assert!(matches!(decided(&usual(), &gone(), &rejoins), Decision::Start(_)), "a rejoin is no failover");
    let Decision::Hold(reason) = held else { panic!("it is held") };
    assert_eq!(reason.code(), Some(code::JOURNAL_DAMAGED));
}

#[test]
fn a_copy_that_cannot_be_seen_says_why_wherever_it_is_met() {
    let says = "PL-0701: pg_controldata is not in /nowhere; install it";
    for role in [Role::Unknown, Role::Unresponsive] {
        let mut sight = calm().role("east", role);
        for (state, _) in sight.agents.values_mut().flat_map(|a| a.seen.values_mut()) {
            state.facts.insert("says".to_owned(), says.to_owned());
        }
        let evidence = judge(&sight).evidence[0].to_string();
        assert!(evidence.contains(says), "{evidence}");
        let (target, (state, _)) = sight.agents[&"east".into()].seen.iter().next().expect("one copy");
        let holds = Condition::IsWriter { target: target.clone() }.holds(state);
        assert!(matches!(&holds, Holds::Unknown(why) if why.contains(says)), "{holds:?}");
    }
    let held = decided(&usual(), &calm().role("east", Role::Unknown), &History::default());
    assert_eq!(held, Decision::Hold(Reason::Unclear));
    assert_eq!(Reason::Unclear.code(), Some(code::NOT_SEEN));
}
