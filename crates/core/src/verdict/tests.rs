//! Every word with the observations that lead to it, and every decision that follows.

use super::*;
use crate::fixture::{FENCED, looks, standby, target, unit, usual};
use crate::id::RunId;
use crate::placement::{Intent, Mode, Verb};
use crate::plan::{DecisionMode, RejoinMode};
use crate::position::{Lag, LagQuality};
use crate::shared::Shared;
use crate::time::{Mono, Wall};
use std::collections::BTreeMap;

mod chosen;
mod drained;
mod prepared;
mod unheard;
mod unseen;

const NOW: u64 = 100_000;

fn at(ms: u64) -> Mono {
    Mono(Duration::from_millis(ms))
}

fn lag(bytes: Option<u64>, ms: Option<u64>) -> Lag {
    Lag {
        received_bytes: bytes,
        replay_bytes: None,
        seconds_ms: ms.map(Duration::from_millis),
        quality: LagQuality::Exact,
        age_ms: Duration::ZERO,
    }
}

/// East writes, west streams, both heard 200 ms ago, the lease runs.
pub(super) fn calm() -> Sight {
    let agent = |region: &str, state: State| {
        let seen = BTreeMap::from([(target("database", region), (state.into(), at(NOW - 300)))]);
        Shared::from(AgentSight { last_heard: Some(at(NOW - 200)), seen, ..AgentSight::default() })
    };
    let west = State { lag: Some(lag(Some(0), Some(20))), ..looks(standby("east", true)) };
    Sight {
        now: at(NOW),
        agents: BTreeMap::from([
            ("east".into(), agent("east", looks(Role::Writer))),
            ("west".into(), agent("west", west)),
        ]),
        ports: BTreeMap::from([port(PortAnswer::Answers)]),
        health: BTreeMap::new(),
        outlooks: BTreeMap::new(),
        lease: LeaseSight::Held { left: Duration::from_secs(2) },
        candidate: None,
        changed: None,
    }
}

fn port(answer: PortAnswer) -> (Target, PortSight) {
    (target("database", "east"), PortSight { answer, at: at(NOW - 100) })
}

impl Sight {
    fn role(mut self, region: &str, role: Role) -> Self {
        let agent = self.agents.get_mut(&Region::from(region)).expect("a known region");
        agent.seen.values_mut().next().expect("one look").0.role = Some(role);
        self
    }

    fn silent(mut self, region: &str, for_ms: u64) -> Self {
        self.agents.get_mut(&Region::from(region)).expect("a known region").last_heard = Some(at(NOW - for_ms));
        self
    }

    fn never(mut self, region: &str) -> Self {
        self.agents.get_mut(&Region::from(region)).expect("a known region").last_heard = None;
        self
    }

    fn lease(mut self, lease: LeaseSight) -> Self {
        self.lease = lease;
        self
    }

    fn dialled(mut self, answer: PortAnswer) -> Self {
        self.ports.extend([port(answer)]);
        self
    }

    /// What the agent of west saw at the writer's port, so many milliseconds ago.
    fn seen_from_west(mut self, answer: PortAnswer, ago: u64) -> Self {
        let port = PortSight { answer, at: at(NOW - ago) };
        let outlook = Outlook {
            heard: Some(at(NOW - 100)),
            ports: BTreeMap::from([(target("database", "east"), port)]),
            ..Outlook::default()
        };
        self.outlooks.insert(Witness::Agent("west".into()), outlook.into());
        self
    }

    fn observer(mut self, name: &str, ago: u64) -> Self {
        let outlook = Outlook { heard: Some(at(NOW - ago)), ..Outlook::default() };
        self.outlooks.insert(Witness::Observer(name.into()), outlook.into());
        self
    }

    fn blind(mut self) -> Self {
        self.ports.clear();
        self
    }
}

fn gone() -> Sight {
    calm()
        .silent("east", 3_500)
        .role("west", standby("east", false))
        .lease(LeaseSight::Lapsed)
        .dialled(PortAnswer::Refused)
}

fn judge(sight: &Sight) -> Judgement {
    verdict(&usual(), &unit(), Some(&Region::from("east")), sight)
}

const WAIT: LeaseSight = LeaseSight::WaitingOutStart { left: Duration::from_secs(1) };

#[test]
fn every_word_has_the_sights_that_lead_to_it() {
    let dead = Role::Down { clean: false, was_writer: true };
    let lapsed = LeaseSight::Lapsed;
    let mut unseen = calm();
    unseen.agents.values_mut().for_each(|a| a.seen.clear());
    let mut stale = calm();
    stale.agents.values_mut().flat_map(|a| a.seen.values_mut()).for_each(|(_, when)| *when = at(NOW - 20_000));
    let table: Vec<(&str, Sight, Verdict)> = vec![
        ("all is well", calm(), Verdict::Healthy),
        ("the lease ran out while a run holds it back, the agent is heard", calm().lease(lapsed), Verdict::Healthy),
        ("nobody was ever heard", calm().never("east").never("west"), Verdict::NoDataYet),
        ("heard, but no look yet", unseen, Verdict::NoDataYet),
        ("just started, the old region never heard", gone().never("east").lease(WAIT), Verdict::NoDataYet),
        ("just started, lease waited out", gone().never("east"), Verdict::RegionLost),
        ("down, its agent is at it", calm().role("east", dead), Verdict::Suspect),
        ("hangs", calm().role("east", Role::Unresponsive), Verdict::Suspect),
        ("heard, but its looks are old", stale, Verdict::Suspect),
        ("silent, the lease runs, the port refuses", gone().lease(calm().lease), Verdict::Suspect),
        ("a late heartbeat is none missed", calm().silent("east", 1_200), Verdict::Healthy),
        ("given up", calm().role("east", FENCED), Verdict::WriterDead),
        ("only the agent is dead: the port answers", gone().dialled(PortAnswer::Answers), Verdict::AgentLost),
        ("frozen agent: the stream goes on", gone().role("west", standby("east", true)), Verdict::AgentLost),
        (
            "an unnamed source may be the writer",
            gone().role("west", Role::Standby { upstream: None, streaming: true }),
            Verdict::AgentLost,
        ),
        ("a stream from elsewhere is no sign of life", gone().role("west", standby("west", true)), Verdict::RegionLost),
        ("the whole region, refused", gone(), Verdict::RegionLost),
        ("the whole region, no answer", gone().dialled(PortAnswer::Unreachable), Verdict::RegionLost),
        ("the port was not looked at", gone().blind(), Verdict::Unknown),
        ("another place still reaches the writer", gone().seen_from_west(PortAnswer::Answers, 200), Verdict::AgentLost),
        (
            "another place does not reach it either",
            gone().seen_from_west(PortAnswer::Refused, 200),
            Verdict::RegionLost,
        ),
        (
            "what another place saw before the silence is old",
            gone().seen_from_west(PortAnswer::Answers, 3_600),
            Verdict::RegionLost,
        ),
        ("nobody is heard any more", gone().silent("west", 9_000), Verdict::AllDown),
        (
            "nobody is heard, the port answers",
            gone().silent("west", 9_000).dialled(PortAnswer::Answers),
            Verdict::Unknown,
        ),
        ("the role cannot be seen", calm().role("east", Role::Unknown), Verdict::Unknown),
        ("the writer follows somebody", calm().role("east", standby("west", true)), Verdict::Unknown),
    ];
    for (what, sight, expected) in table {
        let judgement = judge(&sight);
        assert_eq!(judgement.verdict, expected, "{what}: {judgement:#?}");
        assert!(judgement.evidence.iter().all(|e| !e.says.is_empty()), "{what}");
        let decision = decide(&usual(), &unit(), &judgement, &History::default(), Wall(0));
        let moves = matches!(expected, Verdict::WriterDead | Verdict::RegionLost);
        match decision {
            Decision::Hold(reason) => assert!(!moves && reason.to_string().len() > 20, "{what}: {reason}"),
            decision => assert!(moves, "{what}: {decision:?}"),
        }
    }
    let nameless = verdict(&usual(), &unit(), None, &calm());
    assert_eq!((nameless.verdict, nameless.evidence.len()), (Verdict::Unknown, 1));
}

#[test]
fn a_fence_seen_before_the_unit_changed_says_nothing_about_now() {
    let undone = |changed: u64| Sight { changed: Some(at(changed)), ..calm().role("east", FENCED) };
    assert_eq!(judge(&undone(NOW - 100)).verdict, Verdict::NoDataYet, "a switch was undone after the look");
    assert_eq!(judge(&undone(NOW - 400)).verdict, Verdict::NoDataYet, "the heartbeat may have been late");
    assert_eq!(judge(&undone(NOW - 1_000)).verdict, Verdict::WriterDead);
    let back = |changed: u64| Sight { changed: Some(at(changed)), ..calm().role("west", FENCED) };
    assert_eq!(judge(&back(NOW - 100)).returned, [], "a rejoin may have ended after the look");
    assert_eq!(judge(&back(NOW - 1_000)).returned.len(), 1);
}

#[test]
fn an_old_port_look_from_before_the_silence_is_no_evidence() {
    let mut sight = gone();
    sight.ports.values_mut().for_each(|p| p.at = at(NOW - 3_600));
    assert_eq!(judge(&sight).verdict, Verdict::Unknown);
}

#[test]
fn evidence_says_who_what_and_how_old() {
    let judgement = judge(&gone());
    let shown: Vec<String> = judgement.evidence.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "controller: agent of east silent for 3.5 s",
            "controller: the lease is over",
            "controller: port of database in east refuses connections (100 ms ago)",
            "agent of west: database no longer streams from east (300 ms ago)",
        ]
    );
    assert_eq!(judgement.scope.to_string(), "region east");
    let wire = serde_json::to_string(&judgement).expect("plain data");
    assert_eq!(serde_json::from_str::<Judgement>(&wire).expect("reads back"), judgement);
}

fn failover_to(region: &str) -> Intent {
    let target = crate::placement::Placement::in_region(&region.into());
    Intent { unit: unit(), verb: Verb::Failover, mode: Mode::Ungraceful, target }
}

fn decided(plan: &Plan, sight: &Sight, history: &History) -> Decision {
    let judgement = verdict(plan, &unit(), Some(&Region::from("east")), sight);
    decide(plan, &unit(), &judgement, history, Wall(10_000_000))
}

#[test]
fn policy_and_history_decide_what_a_loss_leads_to() {
    let mut plan = usual();
    let calm_history = History::default();
    assert_eq!(decided(&plan, &gone(), &calm_history), Decision::Start(failover_to("west")));
    let moving = History { running: Some(RunId::new("r1")), ..History::default() };
    assert_eq!(decided(&plan, &gone(), &moving), Decision::Hold(Reason::RunMoving { run: RunId::new("r1") }));
    let early = History { gives_way: true, ..moving };
    let ends = Decision::End { run: RunId::new("r1"), intent: failover_to("west") };
    assert_eq!(decided(&plan, &gone(), &early), ends, "it prepared a move of a writer that is lost");
    let held =
        History { hold: Some(Hold { file: "h".into(), by: String::new(), since: None, why: String::new() }), ..early };
    assert!(matches!(decided(&plan, &gone(), &held), Decision::Hold(Reason::RunMoving { .. })), "what bars a failover");
    let before = |seconds, acknowledged| History {
        last_failover: Some(LastFailover {
            run: RunId::new("r1"),
            at: Wall(20_000_000),
            acknowledged,
            failed: false,
            unread: None,
            counted: Duration::from_secs(seconds),
        }),
        ..History::default()
    };
    let left = Duration::from_secs(3_600 - 1);
    let cooling = Decision::Hold(Reason::CoolDown { run: RunId::new("r1"), left });
    assert_eq!(decided(&plan, &gone(), &before(1, false)), cooling);
    assert_eq!(decided(&plan, &gone(), &before(1, true)), Decision::Start(failover_to("west")));
    assert_eq!(decided(&plan, &gone(), &before(3_600, false)), Decision::Start(failover_to("west")));
    plan.policy.mode = DecisionMode::ApproveFirst;
    assert_eq!(decided(&plan, &gone(), &calm_history), Decision::Ask(failover_to("west")));
    plan.policy.mode = DecisionMode::Manual;
    assert_eq!(decided(&plan, &gone(), &calm_history), Decision::Hold(Reason::Manual { to: "west".into() }));
}

fn with_lag(mut sight: Sight, lag: Option<Lag>) -> Sight {
    let west = sight.agents.get_mut(&Region::from("west")).expect("known");
    west.seen.values_mut().next().expect("one look").0.lag = lag;
    sight
}

#[test]
fn receive_lag_and_exposure_are_different_gates() {
    let mut plan = usual();
    plan.policy.max_lag_bytes = Some(1_000);
    let go = || Decision::Start(failover_to("west"));
    let hold = |reason| Decision::Hold(reason);
    let west = || Region::from("west");
    let rpo = Duration::from_secs(5);
    let behind = |ms| hold(Reason::PastRpo { region: west(), exposure: Duration::from_millis(ms), rpo });
    let table = [
        (lag(Some(1_000), Some(100)), go()),
        (lag(Some(1_001), Some(100)), hold(Reason::Behind { region: west(), bytes: 1_001, allowed: 1_000 })),
        // The writer has been silent for 3.5 s; a copy of a dead writer seems to age by that. It may have gone on for a lease.
        (lag(Some(0), Some(5_400)), go()),
        (lag(Some(0), Some(5_600)), behind(5_100)),
        (lag(None, Some(100)), hold(Reason::LagUnknown { region: west() })),
        (
            Lag { quality: LagQuality::ProviderMetric, age_ms: Duration::from_secs(6), ..lag(Some(0), Some(3_600)) },
            behind(9_100),
        ),
    ];
    for (lag, expected) in table {
        assert_eq!(decided(&plan, &with_lag(gone(), Some(lag.clone())), &History::default()), expected, "{lag:?}");
    }
    assert_eq!(
        decided(&plan, &with_lag(gone(), None), &History::default()),
        hold(Reason::LagUnknown { region: west() })
    );
    plan.policy.max_lag_bytes = None;
    assert_eq!(
        decided(&plan, &with_lag(gone(), None), &History::default()),
        hold(Reason::LagUnknown { region: west() })
    );
}

#[test]
fn sentinels_measure_exposure_on_the_writers_clock() {
    let mut plan = usual();
    plan.policy.max_lag_bytes = Some(1_000);
    // A lease of three seconds is on top, of an RPO of five.
    for (held, opens) in [(58_000, true), (57_999, false)] {
        let sight = with_lag(gone(), None).wrote("database", 12, 60_000, 0).shows("database", 7, held);
        let decision = decided(&plan, &sight, &History::default());
        assert_eq!(matches!(decision, Decision::Start(_)), opens, "{decision:?}");
    }
}

#[test]
fn a_returned_region_rejoins_by_itself_only_if_it_has_to_and_may() {
    let mut plan = usual();
    let dead = Role::Down { clean: false, was_writer: true };
    let rejoins = |plan: &Plan, role: Role, history: &History| decided(plan, &calm().role("west", role), history);
    let none = History::default();
    for role in [FENCED, dead, standby("north", false)] {
        let decision = rejoins(&plan, role.clone(), &none);
        let Decision::Start(intent) = decision else { panic!("{role:?}: {decision:?}") };
        assert_eq!((intent.verb, intent.target.writer), (Verb::Rejoin, "east".into()));
    }
    // What its agent does by itself, or what nobody understands, is left alone.
    for role in
        [standby("east", false), Role::Down { clean: true, was_writer: false }, Role::Unknown, Role::Unresponsive]
    {
        assert_eq!(rejoins(&plan, role.clone(), &none), Decision::Hold(Reason::Healthy), "{role:?}");
    }
    let failed = History { failed_rejoins: BTreeMap::from([("west".into(), Wall(9_999_000))]), ..History::default() };
    let left = REJOIN_PAUSE - Duration::from_secs(1);
    let pause = Decision::Hold(Reason::RejoinFailed { region: "west".into(), left });
    assert_eq!(rejoins(&plan, FENCED, &failed), pause);
    plan.policy.rejoin = RejoinMode::Manual;
    assert_eq!(rejoins(&plan, FENCED, &none), Decision::Hold(Reason::RejoinByHand { region: "west".into() }));
}

#[test]
fn a_minority_decides_nothing() {
    let mut plan = usual();
    plan.policy.observers = ["paris", "oslo", "rome"].map(Into::into).to_vec();
    let judged = |sight: &Sight| verdict(&plan, &unit(), Some(&Region::from("east")), sight);
    // Six observers: the controller and west are two of them.
    for (sight, expected) in [
        (gone(), Verdict::Minority),
        (gone().observer("paris", 200), Verdict::Minority),
        (gone().observer("paris", 200).observer("oslo", 9_000), Verdict::Minority),
        (gone().observer("paris", 200).observer("oslo", 300), Verdict::RegionLost),
        (gone().observer("paris", 200).observer("stranger", 300), Verdict::Minority),
        (calm(), Verdict::Healthy),
    ] {
        let judgement = judged(&sight);
        assert_eq!(judgement.verdict, expected, "{judgement:#?}");
    }
    let judgement = judged(&gone());
    assert!(judgement.evidence.last().unwrap().says.contains("hears 2 of 6 observers"), "{judgement:#?}");
    let held = decide(&plan, &unit(), &judgement, &History::default(), Wall(0));
    let Decision::Hold(reason) = held else { panic!("{held:?}") };
    assert_eq!(reason.code(), Some(crate::code::MINORITY));
    // Half is not more than half.
    plan.policy.observers = vec!["paris".into()];
    let half = verdict(&plan, &unit(), Some(&Region::from("east")), &gone());
    assert_eq!((half.verdict, half.quorum), (Verdict::Minority, Quorum { heard: 2, all: 4 }));
}

#[test]
fn a_hold_keeps_everything_automatic_from_starting() {
    let hold = Hold { file: "hold".into(), by: "ada".into(), since: Some(Wall(0)), why: "network work".into() };
    let held = History { hold: Some(hold.clone()), ..History::default() };
    let reason = Decision::Hold(Reason::Held { hold });
    assert_eq!(decided(&usual(), &gone(), &held), reason);
    assert_eq!(decided(&usual(), &calm().role("west", FENCED), &held), reason);
    assert_eq!(decided(&usual(), &calm(), &held), Decision::Hold(Reason::Healthy), "nothing would start anyway");
    let Decision::Hold(reason) = reason else { unreachable!() };
    let said = "ada holds everything automatic since 1970-01-01T00:00:00.000Z (network work): hold; end it";
    assert!(reason.to_string().starts_with(said), "{reason}");
}

#[test]
fn a_failed_attempt_is_the_last_until_somebody_has_seen_it() {
    let last = |failed, acknowledged| {
        let (run, counted) = (RunId::new("r1"), Duration::from_secs(3_600));
        let last = LastFailover { run, at: Wall(0), acknowledged, failed, unread: None, counted };
        History { last_failover: Some(last), ..History::default() }
    };
    let mut plan = usual();
    plan.policy.cool_down = Duration::from_secs(1);
    let failed = Decision::Hold(Reason::AttemptFailed { run: RunId::new("r1") });
    assert_eq!(decided(&plan, &gone(), &last(true, false)), failed, "long after the cool-down");
    assert_eq!(decided(&plan, &gone(), &last(true, true)), Decision::Start(failover_to("west")));
    assert_eq!(decided(&plan, &gone(), &last(false, false)), Decision::Start(failover_to("west")));
}

#[test]
fn a_writer_that_does_not_work_is_borne_for_as_long_as_the_policy_says() {
    let mut plan = usual();
    let hangs = calm().role("east", Role::Unresponsive);
    let after = |ms| History { same_for: Duration::from_millis(ms), ..History::default() };
    assert_eq!(decided(&plan, &hangs, &after(900_000)), Decision::Hold(Reason::Suspect), "no time is named");
    plan.policy.unhealthy_for = Some(Duration::from_secs(60));
    let left = Duration::from_secs(20);
    assert_eq!(decided(&plan, &hangs, &after(40_000)), Decision::Hold(Reason::NotForLong { left }));
    assert_eq!(decided(&plan, &hangs, &after(60_000)), Decision::Start(failover_to("west")));
    // A silent agent is the lease's affair, however long it takes.
    let silent = gone().lease(calm().lease);
    assert_eq!(decided(&plan, &silent, &after(900_000)), Decision::Hold(Reason::Suspect));
    let alone = calm().role("east", Role::Unresponsive).silent("west", 9_000);
    plan.policy.observers = vec!["paris".into()];
    let minority = Decision::Hold(Reason::Minority { quorum: Quorum { heard: 2, all: 4 } });
    assert_eq!(decided(&plan, &alone, &after(60_000)), minority);
}

#[test]
fn replay_lag_is_a_hurdle_of_its_own() {
    let mut plan = usual();
    let behind = |replay_bytes| Some(Lag { replay_bytes, ..lag(Some(0), Some(20)) });
    let held = |replay| with_lag(gone(), behind(replay));
    assert_eq!(decided(&plan, &held(Some(9_000)), &History::default()), Decision::Start(failover_to("west")));
    plan.policy.max_replay_bytes = Some(8_000);
    let reason = Reason::ReplayBehind { region: "west".into(), bytes: 9_000, allowed: 8_000 };
    assert_eq!(decided(&plan, &held(Some(9_000)), &History::default()), Decision::Hold(reason));
    assert_eq!(decided(&plan, &held(Some(8_000)), &History::default()), Decision::Start(failover_to("west")));
    assert_eq!(decided(&plan, &held(None), &History::default()), Decision::Start(failover_to("west")));
}

#[test]
fn the_matrix_says_who_sees_whom_and_how_old_that_is() {
    let mut plan = usual();
    plan.policy.observers = vec!["paris".into()];
    let reach = gone().seen_from_west(PortAnswer::Refused, 200).observer("paris", 400).reach(&plan);
    let shown: Vec<String> = reach
        .rows
        .iter()
        .map(|r| {
            let cells: Vec<String> =
                r.cells.iter().map(|c| format!("{:?} {:?}", c.contact, c.age_ms.map(|a| a.as_millis()))).collect();
            format!("{} {}: {}", r.observer, r.heard, cells.join(", "))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "agent of east false: Itself None, NotLooked None, NotLooked Some(3500)",
            "agent of west true: Refused Some(200), Itself None, Sees Some(200)",
            "controller true: Refused Some(100), Sees Some(200), Itself None",
            "observer paris true: NotLooked None, NotLooked None, Sees Some(400)",
        ]
    );
    assert_eq!(reach.quorum, Quorum { heard: 3, all: 4 });
}

#[test]
fn a_sight_can_be_written_down_and_read_again() {
    let sight = gone().seen_from_west(PortAnswer::Refused, 200).observer("paris", 400);
    let text = serde_json::to_string(&sight).expect("plain data");
    assert_eq!(serde_json::from_str::<Sight>(&text).expect("reads back"), sight);
}
