//! What cannot be seen, read or trusted: copies, histories, clocks.

use super::*;
use crate::code;
use crate::observation::{Condition, Holds};
use crate::plan::Guarantee;

#[test]
fn a_history_that_cannot_be_read_holds_what_would_be_started_on_top_of_it() {
    let unread = || Unread { code: code::JOURNAL_DAMAGED, why: "failover-1 is damaged at record 7".to_owned() };
    let last = |acknowledged| LastFailover {
        run: RunId::from("failover-1"),
        at: Wall(0),
        acknowledged,
        failed: false,
        unread: Some(unread()),
        counted: Duration::ZERO,
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

/// Nothing is there that the region's agent could start; `data` as its driver says it.
fn without_data(region: &str, role: Role, data: &str) -> Sight {
    let mut sight = calm().role(region, role);
    let agent = sight.agents.get_mut(&Region::from(region)).expect("known");
    agent.seen.values_mut().for_each(|(state, _)| {
        state.facts.insert("data".to_owned(), data.to_owned());
    });
    sight
}

#[test]
fn a_writer_whose_data_directory_is_empty_is_a_persons_to_replace() {
    let never = Role::Down { clean: true, was_writer: false };
    for (role, data) in [(Role::Unknown, "gone"), (never, "none")] {
        let empty = without_data("east", role, data);
        let judgement = judge(&empty);
        assert_eq!((judgement.verdict, judgement.no_data), (Verdict::Suspect, true), "{data}");
        assert!(judgement.evidence[0].to_string().contains("is not there"), "{:?}", judgement.evidence);
        let mut plan = usual();
        let held = decided(&plan, &empty, &History::default());
        assert_eq!(
            held,
            Decision::Hold(Reason::NoData),
            "{data}: a candidate is good, and nothing proves the writer dead"
        );
        assert_eq!(Reason::NoData.code(), Some(code::DATA_DAMAGED));
        assert!(Reason::NoData.to_string().ends_with("pilotlight failover"));
        plan.policy.unhealthy_for = Some(Duration::from_secs(60));
        let long = History { same_for: Duration::from_secs(60), ..History::default() };
        assert!(
            matches!(decided(&plan, &empty, &long), Decision::Start(_)),
            "{data}: the plan says how long it is borne"
        );
    }
    // Given up and fenced before its disk went: dead all the same.
    assert_eq!(judge(&without_data("east", FENCED, "gone")).verdict, Verdict::WriterDead);
    let hangs = judge(&calm().role("east", Role::Unresponsive));
    assert_eq!((hangs.verdict, hangs.no_data), (Verdict::Suspect, false));
}

#[test]
fn a_copy_whose_disk_is_away_is_not_called_back_by_itself() {
    let back = without_data("west", FENCED, "gone");
    assert_eq!(judge(&back).returned, []);
    assert_eq!(decided(&usual(), &back, &History::default()), Decision::Hold(Reason::Healthy));
    assert_eq!(judge(&calm().role("west", FENCED)).returned.len(), 1);
}

/// The writer wrote sentinel 20 at 60 s of its wall clock, which was last set before `steady_from`; the copy shows that one.
fn sentinels(shown: u64, shown_at: u64, steady_from: u64) -> Sight {
    with_lag(gone(), None).wrote("database", 20, 60_000, steady_from).shows("database", shown, shown_at)
}

#[test]
fn a_wall_clock_that_was_set_neither_hides_nor_invents_a_loss() {
    let unknown = Decision::Hold(Reason::LagUnknown { region: "west".into() });
    let rpo = usual().objectives.rpo;
    let past = |ms| Decision::Hold(Reason::PastRpo { region: "west".into(), exposure: Duration::from_millis(ms), rpo });
    let starts = Decision::Start(failover_to("west"));
    for (what, sight, expected) in [
        ("nothing was set, two seconds are missing", sentinels(18, 58_000, 1), starts.clone()),
        ("nothing was set, twenty seconds are missing", sentinels(2, 40_000, 1), past(23_000)),
        ("set back by an hour in between", sentinels(18, 3_658_000, 19), unknown.clone()),
        ("set back by so little that the times still rise", sentinels(2, 59_000, 19), unknown.clone()),
        ("set forward by an hour in between", sentinels(18, 0, 19), unknown.clone()),
        ("set back, and the agent does not know it", sentinels(18, 3_658_000, 1), unknown),
        ("set, and the copy shows one that was written since", sentinels(19, 59_000, 19), starts.clone()),
        ("it shows the newest, whatever the clock said", sentinels(20, 3_600_000, 1), starts.clone()),
        ("it shows one of which the agent has not told yet", sentinels(21, 0, 1), starts),
    ] {
        assert_eq!(decided(&usual(), &sight, &History::default()), expected, "{what}");
    }
}

#[test]
fn a_cool_down_goes_by_what_leaders_counted_whatever_a_wall_clock_says() {
    let mut plan = usual();
    plan.policy.cool_down = Duration::from_secs(3_600);
    let judgement = judge(&gone());
    for (what, now, counted, left) in [
        ("the wall clock was set forward by a day", 172_800_000, 1, Some(3_599)),
        ("the wall clock was set back by a day", 0, 3_600, None),
        ("nobody has counted anything", 172_800_000, 0, Some(3_600)),
    ] {
        let last = LastFailover {
            run: RunId::from("failover-1"),
            at: Wall(86_400_000),
            acknowledged: false,
            failed: false,
            unread: None,
            counted: Duration::from_secs(counted),
        };
        let history = History { last_failover: Some(last), ..History::default() };
        let held = match decide(&plan, &unit(), &judgement, &history, Wall(now)) {
            Decision::Hold(reason @ Reason::CoolDown { left, .. }) => {
                assert!(reason.to_string().contains("`pilotlight acknowledge`"), "{reason}");
                Some(left.as_secs())
            }
            Decision::Start(_) => None,
            other => panic!("{what}: {other:?}"),
        };
        assert_eq!(held, left, "{what}");
    }
}

#[test]
fn the_hint_for_a_region_that_is_no_candidate_does_not_lead_into_a_refusal() {
    let mut plan = usual();
    plan.policy.guarantee = Guarantee::Bounded;
    let sight = Sight { candidate: None, ..gone() };
    let mut judgement = verdict(&plan, &unit(), Some(&Region::from("east")), &sight);
    let held = |judgement: &Judgement| match decide(&plan, &unit(), judgement, &History::default(), Wall(10_000_000)) {
        Decision::Hold(reason) => reason,
        other => panic!("{other:?}"),
    };
    let lost = held(&judgement);
    assert_eq!(lost, Reason::NotAdmitted { region: "west".into(), lost: Some("east".into()) });
    assert!(lost.to_string().ends_with("`pilotlight failover --writer-is-off east`"), "{lost}");
    judgement.verdict = Verdict::WriterDead;
    let heard = held(&judgement);
    assert!(
        !heard.to_string().contains("--writer-is-off"),
        "its agent is heard, which refuses a person's word: {heard}"
    );
    assert_eq!((lost.code(), heard.code()), (Some(code::NOT_ADMITTED), Some(code::NOT_ADMITTED)));
    judgement.candidates.clear();
    assert_eq!(held(&judgement).code(), Some(code::NOBODY_TAKES_OVER));
    assert!(Reason::Unclear.to_string().contains("--writer-is-off"));
}
