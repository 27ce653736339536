//! What a writer may have acknowledged after it was last heard, in what is told and in what is weighed.

use super::*;
use crate::observation::{Newest, Sentinel};
use crate::plan::{BeyondRpo, Guarantee};

const LEASE: u64 = 3_000;
/// The lease less the time after which the server hangs up on a silent gate.
const GATE: u64 = 2_250;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Sight {
    /// East's agent said when it was last heard that this sentinel is the newest there.
    pub(super) fn wrote(mut self, component: &str, number: u64, ms: u64, steady_from: u64) -> Self {
        let newest = Newest { sentinel: Sentinel { number, written: Wall(ms) }, steady_from };
        let east = self.agents.get_mut(&Region::from("east")).expect("known");
        east.sentinels.insert(component.into(), (newest, at(NOW - 3_500)));
        self
    }

    /// West's copy shows this sentinel.
    pub(super) fn shows(mut self, component: &str, number: u64, ms: u64) -> Self {
        let west = self.agents.get_mut(&Region::from("west")).expect("known");
        let (copy, _) = west.seen.get_mut(&target(component, "west")).expect("seen");
        copy.sentinel = Some(Sentinel { number, written: Wall(ms) });
        self
    }
}

/// The writer wrote a sentinel at 60 s, and West, the candidate, shows one of so long before; the region is lost.
fn lost(behind: u64) -> Sight {
    let sight = with_lag(gone(), None).wrote("database", 12, 60_000, 0).shows("database", 7, 60_000 - behind);
    Sight { candidate: Some("west".into()), ..sight }
}

fn promising(guarantee: Guarantee, beyond_rpo: BeyondRpo, rpo: u64) -> Plan {
    let mut plan = usual();
    (plan.policy.guarantee, plan.policy.beyond_rpo, plan.objectives.rpo) = (guarantee, beyond_rpo, ms(rpo));
    plan
}

fn told(plan: &Plan, sight: &Sight) -> Option<u64> {
    let judgement = verdict(plan, &unit(), Some(&Region::from("east")), sight);
    judgement.exposure_of(&"west".into()).and_then(|d| u64::try_from(d.as_millis()).ok())
}

#[test]
fn what_is_told_covers_what_the_old_side_may_go_on_acknowledging() {
    use BeyondRpo::{Expose, Stall};
    use Guarantee::{BestEffort, Bounded, Strict};
    let dead = Sight { candidate: Some("west".into()), ..lost(500) }.silent("east", 200).role("east", FENCED);
    let unopposed = Sight { candidate: None, ..lost(500) };
    for (what, plan, sight, expected) in [
        ("its agent fences it when the lease is over", promising(BestEffort, Expose, 5_000), lost(500), 500 + LEASE),
        ("its gate closes before", promising(Bounded, Expose, 5_000), lost(500), 500 + GATE),
        ("a shorter RPO changes nothing of what is told", promising(Bounded, Expose, 1_000), lost(500), 500 + GATE),
        ("it acknowledges nothing that the candidate lacks", promising(Strict, Expose, 5_000), lost(500), 500),
        ("the gate closes with the RPO", promising(Bounded, Stall, 2_000), lost(500), 2_000),
        ("or with the lease, if that is sooner", promising(Bounded, Stall, 9_000), lost(500), 500 + GATE),
        ("it was past the RPO already", promising(Bounded, Stall, 2_000), lost(2_100), 2_100),
        ("nobody was to replace it, so it needs no lease", promising(Bounded, Expose, 5_000), unopposed.clone(), 4_000),
        ("nor under strict", promising(Strict, Expose, 5_000), unopposed, 4_000),
        ("its agent says that it is fenced", promising(BestEffort, Expose, 5_000), dead.clone(), 500),
        ("under every guarantee", promising(Bounded, Expose, 5_000), dead, 500),
        ("it is heard", promising(BestEffort, Expose, 5_000), lost(500).silent("east", 200), 500),
    ] {
        assert_eq!(told(&plan, &sight), Some(expected), "{what}");
    }
    assert_eq!(
        told(&promising(Guarantee::Bounded, Expose, 5_000), &with_lag(gone(), None)),
        None,
        "no sentinel says it"
    );
}

/// The agent was killed while its region was cut off, and its successor is heard; it has written nothing yet.
#[test]
fn what_was_written_before_an_agent_was_started_anew_is_told_too() {
    use BeyondRpo::{Expose, Stall};
    use Guarantee::{BestEffort, Bounded, Strict};
    let anew = |away: u64| {
        let mut sight = Sight { candidate: Some("west".into()), ..lost(500) }.silent("east", 100).role("east", FENCED);
        let east = sight.agents.get_mut(&Region::from("east")).expect("known");
        east.sentinels.values_mut().for_each(|(_, told)| *told = at(NOW - 300 - away));
        east.met = Some(at(NOW - 300));
        sight
    };
    let unopposed = |away| Sight { candidate: None, ..anew(away) };
    for (what, plan, sight, expected) in [
        ("its successor has come at once", promising(BestEffort, Expose, 5_000), anew(700), 500 + 700),
        ("no longer than its lease", promising(BestEffort, Expose, 5_000), anew(9_000), 500 + LEASE),
        ("or than its gate was open", promising(Bounded, Expose, 5_000), anew(9_000), 500 + GATE),
        ("which closes with the RPO", promising(Bounded, Stall, 2_000), anew(9_000), 2_000),
        ("the candidate has it all", promising(Strict, Expose, 5_000), anew(9_000), 500),
        ("it needed no lease", promising(Strict, Expose, 5_000), unopposed(9_000), 500 + 9_000),
    ] {
        assert_eq!(told(&plan, &sight), Some(expected), "{what}");
    }
    // It has written one since: how far the copy is behind that is known.
    let mut sight = anew(9_000);
    let east = sight.agents.get_mut(&Region::from("east")).expect("known");
    east.sentinels.values_mut().for_each(|(_, told)| *told = at(NOW - 100));
    assert_eq!(told(&promising(BestEffort, Expose, 5_000), &sight), Some(500));
}

/// East, which is lost, wrote the sentinels of two databases, one of them much newer than the other. In one unit, and in two.
fn two_databases() -> [(Plan, Sight); 2] {
    let mut plan = promising(Guarantee::BestEffort, BeyondRpo::Expose, 5_000);
    let database = plan.components[&"database".into()].clone();
    plan.components.insert("accounts".into(), database);
    let mut two_units = plan.clone();
    two_units.components.get_mut(&"accounts".into()).expect("just added").unit = "books".into();
    let mut sight = with_lag(gone(), None);
    for region in ["east", "west"] {
        let agent = sight.agents.get_mut(&Region::from(region)).expect("known");
        let look = agent.seen[&target("database", region)].clone();
        agent.seen.insert(target("accounts", region), look);
    }
    let answer = sight.ports[&target("database", "east")];
    sight.ports.insert(target("accounts", "east"), answer);
    let sight = sight.wrote("database", 1_000_000, 60_000, 0).wrote("accounts", 500, 60_000, 300);
    [(plan, sight.clone()), (two_units, sight)]
}

#[test]
fn the_sentinels_of_two_databases_say_nothing_of_each_other() {
    for (plan, sight) in two_databases() {
        let lags = sight.clone().shows("database", 999_400, 0).shows("accounts", 500, 60_000);
        assert_eq!(told(&plan, &lags), Some(60_000 + LEASE), "number 500 is another database's");
        let rpo = plan.objectives.rpo;
        let past = Reason::PastRpo { region: "west".into(), exposure: ms(60_000 + LEASE), rpo };
        assert_eq!(decided(&plan, &lags, &History::default()), Decision::Hold(past));
        // Its agent came back and wrote to the other database: of this one it has told nothing yet.
        let mut anew = lags.silent("east", 100).role("east", FENCED);
        let east = anew.agents.get_mut(&Region::from("east")).expect("known");
        east.met = Some(at(NOW - 3_000));
        let accounts = east.sentinels.get_mut(&"accounts".into()).expect("wrote");
        accounts.1 = at(NOW - 100);
        assert_eq!(told(&plan, &anew), Some(60_000 + 500), "half a second passed unheard");
        // One wall clock was set before number 300, which is long before what the other database shows.
        let level = sight.shows("database", 999_998, 58_000).shows("accounts", 499, 59_000);
        assert_eq!(told(&plan, &level), Some(2_000 + LEASE));
    }
}

#[test]
fn a_sentinel_without_a_name_counts_where_the_plan_has_one_database_only() {
    let unnamed = |mut sight: Sight| {
        let east = sight.agents.get_mut(&Region::from("east")).expect("known");
        let (newest, told) = east.sentinels.remove(&"database".into()).expect("wrote");
        east.sentinels.clear();
        (east.sentinel, east.steady_from, east.told) = (Some(newest.sentinel), newest.steady_from, Some(told));
        sight
    };
    let plan = promising(Guarantee::BestEffort, BeyondRpo::Expose, 5_000);
    assert_eq!(told(&plan, &unnamed(lost(500))), Some(500 + LEASE), "an agent of an older version");
    for (plan, sight) in two_databases() {
        let level = sight.shows("database", 1_000_000, 60_000).shows("accounts", 500, 60_000);
        assert_eq!(told(&plan, &level), Some(LEASE));
        assert_eq!(told(&plan, &unnamed(level)), None);
    }
}

#[test]
fn an_rpo_of_a_lease_or_more_bars_what_may_be_lost_unheard_too() {
    let decision = |plan: &Plan, behind| decided(plan, &lost(behind), &History::default());
    let past =
        |exposure, rpo| Decision::Hold(Reason::PastRpo { region: "west".into(), exposure: ms(exposure), rpo: ms(rpo) });
    let go = || Decision::Start(failover_to("west"));
    let exposes = |guarantee, rpo| promising(guarantee, BeyondRpo::Expose, rpo);
    // The lag alone is within the RPO; with what came after it, it is not.
    let bounded = exposes(Guarantee::Bounded, LEASE);
    assert_eq!(decision(&bounded, LEASE - GATE), go());
    assert_eq!(decision(&bounded, 2_500), past(2_500 + GATE, LEASE));
    let best_effort = exposes(Guarantee::BestEffort, LEASE);
    assert_eq!(decision(&best_effort, 0), go());
    assert_eq!(decision(&best_effort, 1), past(LEASE + 1, LEASE));
    // A shorter one was accepted in the plan: the lag alone is weighed, and the whole of it is told.
    let short = exposes(Guarantee::Bounded, LEASE - 1);
    assert_eq!(decision(&short, LEASE - 1), go());
    assert_eq!(decision(&short, LEASE), past(LEASE + GATE, LEASE - 1));
    assert_eq!(decision(&exposes(Guarantee::Strict, LEASE), 60_000), go(), "it lacks nothing that was acknowledged");
    let stalls = |behind| decision(&promising(Guarantee::Bounded, BeyondRpo::Stall, LEASE), behind);
    assert_eq!((stalls(LEASE), stalls(LEASE + 1)), (go(), past(LEASE + 1, LEASE)));
    let Decision::Hold(reason) = past(4_750, LEASE) else { unreachable!() };
    assert!(reason.to_string().contains("may lose the last 4.8 s"), "{reason}");
}

#[test]
fn a_writer_that_was_given_up_and_is_alone_names_the_way_back() {
    let alone = calm().role("east", FENCED).role("west", Role::Down { clean: false, was_writer: true });
    let held = Decision::Hold(Reason::NoCandidate { given_up: Some("east".into()) });
    assert_eq!(decided(&usual(), &alone, &History::default()), held);
    let Decision::Hold(reason) = held else { panic!("it is held") };
    assert!(reason.to_string().contains("`pilotlight failover --to east`"), "{reason}");
    let lost = alone.silent("east", 60_000).lease(LeaseSight::Lapsed);
    assert_eq!(judge(&lost).given_up(), None, "nobody is heard who could start it");
}
