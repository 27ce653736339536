//! Tables of the agent's own decision and the properties that must hold for any input.

use super::{Local, LocalAction, RESTART_WINDOW, STANDBY_RETRY, decide};
use crate::effect::FenceAssurance;
use crate::id::{Epoch, Region, Unit};
use crate::observation::Role;
use crate::plan::OnWriterDeath;
use crate::protocol::UnitView;
use crate::time::Mono;
use proptest::prelude::*;
use std::time::Duration;

fn view(writer: Option<&str>) -> UnitView {
    UnitView {
        unit: Unit::from("payments"),
        epoch: Epoch(3),
        writer: writer.map(Region::from),
        lease_ms: None,
        candidate: None,
        candidacy: 0,
        offered: vec![],
    }
}

const DOWN_WRITER: Role = Role::Down { clean: false, was_writer: true };
const DOWN_STANDBY: Role = Role::Down { clean: true, was_writer: false };
const STANDBY: Role = Role::Standby { upstream: None, streaming: true };
const FENCED: Role = Role::Fenced { assurance: FenceAssurance::Proven };

/// One row of the table: what is known and the kind of answer.
struct Row {
    says: &'static str,
    role: Role,
    /// `None`: nothing heard; `Some(None)`: nobody writes.
    writer: Option<Option<&'static str>>,
    lease: bool,
    granted: bool,
    want: &'static str,
}

fn word(action: &LocalAction) -> &'static str {
    match action {
        LocalAction::None => "none",
        LocalAction::RestartWriter => "restart",
        LocalAction::Fence { .. } => "fence",
        LocalAction::GiveUp { .. } => "give up",
        LocalAction::StartStandby { .. } => "start standby",
    }
}

#[test]
fn every_role_under_every_writer() {
    let east = Some(Some("east"));
    let west = Some(Some("west"));
    let row = |says, role, writer, lease, granted, want| Row { says, role, writer, lease, granted, want };
    let rows = [
        row("writes with its lease", Role::Writer, east, true, true, "none"),
        row("writes, lease over", Role::Writer, east, false, true, "fence"),
        row("writes, replaced", Role::Writer, west, true, true, "fence"),
        row("writes, moving, lease still valid", Role::Writer, Some(None), true, true, "none"),
        row("writes, moving, lease over", Role::Writer, Some(None), false, true, "fence"),
        row("writes, never ours, nothing heard", Role::Writer, None, false, false, "none"),
        row("writes, was ours, nothing heard", Role::Writer, None, false, true, "fence"),
        row("writes, rest of a lease on file", Role::Writer, None, true, true, "none"),
        row("hangs with its lease", Role::Unresponsive, east, true, true, "none"),
        row("hangs, lease over", Role::Unresponsive, east, false, true, "fence"),
        row("died with its lease", DOWN_WRITER, east, true, true, "restart"),
        row("died, lease over", DOWN_WRITER, east, false, true, "none"),
        row("died, replaced", DOWN_WRITER, west, false, true, "fence"),
        row("died, moving", DOWN_WRITER, Some(None), true, true, "none"),
        row("died, nothing heard", DOWN_WRITER, None, true, true, "none"),
        row("standby stopped", DOWN_STANDBY, west, false, false, "start standby"),
        row("standby stopped, to be promoted", DOWN_STANDBY, east, true, true, "none"),
        row("standby stopped, moving", DOWN_STANDBY, Some(None), false, false, "none"),
        row("damaged copy", Role::Down { clean: false, was_writer: false }, west, false, false, "none"),
        row("follows", STANDBY, west, false, false, "none"),
        row("follows, granted but not promoted yet", STANDBY, east, true, true, "none"),
        row("fenced, replaced", FENCED, west, false, true, "none"),
        row("fenced, still the store's writer", FENCED, east, true, true, "none"),
        row("not seen", Role::Unknown, west, false, true, "none"),
    ];
    for row in rows {
        let unit = row.writer.map(view);
        let local = Local {
            region: &Region::from("east"),
            unit: unit.as_ref(),
            asked: true,
            lease_valid: row.lease,
            once_granted: row.granted,
            role: &row.role,
            was_writer: true,
            may_write: true,
            remains: false,
            in_production: false,
            seen_alive: true,
            gated: false,
            unnamed: false,
            on_writer_death: OnWriterDeath::Restart { attempts: 1 },
            restarts: &[],
            standby_start: None,
            now: Mono(Duration::from_secs(1_000)),
        };
        assert_eq!(word(&decide(&local)), row.want, "{}", row.says);
    }
}

#[test]
fn a_hanging_standby_is_left_alone_whoever_writes() {
    let unit = view(Some("west"));
    let (region, restarts) = (Region::from("east"), []);
    let local = base(&region, &unit, &Role::Unresponsive, &restarts);
    assert_eq!(decide(&Local { was_writer: false, ..local.clone() }), LocalAction::None);
    assert_eq!(word(&decide(&Local { was_writer: true, ..local })), "fence");
}

#[test]
fn what_outlived_the_writer_is_dealt_with_as_its_death() {
    let region = Region::from("east");
    let (mine, others) = (view(Some("east")), view(Some("west")));
    let local = Local { remains: true, ..base(&region, &mine, &Role::Unresponsive, &[]) };
    assert_eq!(word(&decide(&local)), "restart");
    let failover = Local { on_writer_death: OnWriterDeath::Failover, ..local.clone() };
    assert_eq!(word(&decide(&failover)), "give up");
    assert_eq!(word(&decide(&Local { lease_valid: false, ..local.clone() })), "fence");
    assert_eq!(word(&decide(&Local { unit: Some(&others), ..local.clone() })), "fence");
    assert_eq!(decide(&Local { was_writer: false, ..local }), LocalAction::None, "a standby's remains");
}

#[test]
fn a_restarted_agent_fences_what_may_be_left_of_a_writer() {
    let region = Region::from("east");
    let (mine, moving, others) = (view(Some("east")), view(None), view(Some("west")));
    // Just started: the copy has hung ever since, so no definite role was seen.
    let fresh = Local {
        remains: true,
        lease_valid: false,
        was_writer: false,
        seen_alive: false,
        ..base(&region, &mine, &Role::Unresponsive, &[])
    };
    for (unit, says) in
        [(Some(&mine), "ours"), (Some(&moving), "moving"), (Some(&others), "replaced"), (None, "cut off")]
    {
        assert_eq!(word(&decide(&Local { unit, ..fresh.clone() })), "fence", "{says}");
        let gated = Local { unit, gated: true, ..fresh.clone() };
        assert_eq!(word(&decide(&gated)), "fence", "{says}: no gate is closed for sessions that nobody leads");
    }
    let left_alone = [
        (Local { may_write: false, ..fresh.clone() }, "it was seen as a standby"),
        (Local { once_granted: false, ..fresh.clone() }, "the region never held the lease"),
        (Local { lease_valid: true, ..fresh.clone() }, "the lease is valid"),
        (Local { remains: false, ..fresh.clone() }, "its main process lives"),
        (Local { unit: None, asked: false, ..fresh }, "there is better knowledge to wait for"),
    ];
    for (local, says) in left_alone {
        assert_eq!(decide(&local), LocalAction::None, "{says}");
    }
}

#[test]
fn a_restarted_agent_fences_a_writer_that_hung_before_it_came() {
    let region = Region::from("east");
    let (mine, others) = (view(Some("east")), view(Some("west")));
    let fresh = Local {
        in_production: true,
        lease_valid: false,
        was_writer: false,
        seen_alive: false,
        ..base(&region, &mine, &Role::Unresponsive, &[])
    };
    for (unit, says) in [(Some(&mine), "ours"), (Some(&others), "replaced"), (None, "cut off")] {
        assert_eq!(word(&decide(&Local { unit, ..fresh.clone() })), "fence", "{says}");
    }
    let gated = Local { gated: true, ..fresh.clone() };
    assert_eq!(decide(&gated), LocalAction::None, "its gate is closed");
    assert_eq!(word(&decide(&Local { unit: Some(&others), ..gated })), "fence", "another region is the writer");
    let left_alone = [
        (Local { in_production: false, ..fresh.clone() }, "it hung as a standby, or while it started"),
        (Local { may_write: false, ..fresh.clone() }, "it was seen as a standby"),
        (Local { once_granted: false, ..fresh.clone() }, "the region never held the lease"),
        (Local { lease_valid: true, ..fresh.clone() }, "the lease is valid"),
        (Local { unit: None, asked: false, ..fresh }, "there is better knowledge to wait for"),
    ];
    for (local, says) in left_alone {
        assert_eq!(decide(&local), LocalAction::None, "{says}");
    }
}

#[test]
fn gates_end_writes_with_the_lease_so_nothing_is_fenced_then() {
    let region = Region::from("east");
    let (mine, moving, others) = (view(Some("east")), view(None), view(Some("west")));
    let over = Local { lease_valid: false, gated: true, ..base(&region, &mine, &Role::Writer, &[]) };
    assert_eq!(decide(&over), LocalAction::None);
    assert_eq!(decide(&Local { unit: Some(&moving), ..over.clone() }), LocalAction::None);
    assert_eq!(decide(&Local { unit: None, ..over.clone() }), LocalAction::None);
    assert_eq!(word(&decide(&Local { unit: Some(&others), ..over.clone() })), "fence", "another region is the writer");
    let opposed = opposed(&mine);
    let torn = Local { role: &Role::Unresponsive, remains: true, ..over };
    let said = decide(&Local { unit: Some(&opposed), ..torn.clone() });
    assert_eq!(word(&said), "fence", "backends without their postmaster have nothing left to lose");
    assert_eq!(word(&decide(&torn)), "restart", "nobody can take its place");
}

#[test]
fn a_dead_unopposed_writer_is_restarted_without_a_lease_where_the_plan_says_restart() {
    let region = Region::from("east");
    let (mine, others) = (view(Some("east")), view(Some("west")));
    let dead = Local { lease_valid: false, gated: true, ..base(&region, &mine, &DOWN_WRITER, &[]) };
    assert_eq!(word(&decide(&dead)), "restart");
    let opposed = opposed(&mine);
    assert_eq!(
        decide(&Local { unit: Some(&opposed), ..dead.clone() }),
        LocalAction::None,
        "somebody may take its place"
    );
    assert_eq!(decide(&Local { gated: false, ..dead.clone() }), LocalAction::None, "it would not wait for a candidate");
    assert_eq!(decide(&Local { unit: None, ..dead.clone() }), LocalAction::None, "nothing was heard");
    assert_eq!(word(&decide(&Local { unit: Some(&others), ..dead.clone() })), "fence", "replaced");
    let failover = Local { on_writer_death: OnWriterDeath::Failover, ..dead.clone() };
    assert_eq!(decide(&failover), LocalAction::None, "giving it up is a matter for who holds the lease");
    let tried = [Mono(Duration::from_secs(990))];
    assert_eq!(word(&decide(&Local { restarts: &tried, ..dead })), "give up");
}

#[test]
fn a_standby_without_a_name_is_made_to_follow_under_one() {
    let region = Region::from("west");
    let east = view(Some("east"));
    let follows = Role::Standby { upstream: Some(Region::from("east")), streaming: true };
    let local = Local { unnamed: true, was_writer: false, ..base(&region, &east, &follows, &[]) };
    assert_eq!(decide(&local), LocalAction::StartStandby { upstream: Region::from("east") });
    assert_eq!(decide(&Local { unnamed: false, ..local.clone() }), LocalAction::None);
    assert_eq!(
        decide(&Local { standby_start: Some(local.now), ..local.clone() }),
        LocalAction::None,
        "not at once again"
    );
    let mine = view(Some("west"));
    assert_eq!(decide(&Local { unit: Some(&mine), ..local }), LocalAction::None, "it is to be promoted");
}

#[test]
fn restarts_are_counted_over_the_window() {
    let unit = view(Some("east"));
    let region = Region::from("east");
    let now = Mono(Duration::from_secs(10_000));
    let ago = |d: Duration| Mono(now.0 - d);
    let recent = [ago(Duration::from_secs(30)), ago(Duration::from_secs(5))];
    let old = [ago(RESTART_WINDOW), ago(Duration::from_secs(5))];
    let with = |policy, restarts, alive| {
        let local = base(&region, &unit, &DOWN_WRITER, restarts);
        word(&decide(&Local { on_writer_death: policy, seen_alive: alive, now, ..local }))
    };
    assert_eq!(with(OnWriterDeath::Restart { attempts: 2 }, &recent, true), "give up");
    assert_eq!(with(OnWriterDeath::Restart { attempts: 3 }, &recent, true), "restart");
    assert_eq!(with(OnWriterDeath::Restart { attempts: 2 }, &old, true), "restart");
    assert_eq!(with(OnWriterDeath::Failover, &[], true), "give up");
    // The machine has just come up: starting is not restarting, but it is tried only once.
    assert_eq!(with(OnWriterDeath::Failover, &[], false), "restart");
    assert_eq!(with(OnWriterDeath::Failover, &old[1..], false), "give up");
}

#[test]
fn a_standby_that_does_not_start_is_tried_again_after_a_while() {
    let unit = view(Some("west"));
    let region = Region::from("east");
    let local = base(&region, &unit, &DOWN_STANDBY, &[]);
    let tried = |ago: Duration| Local { standby_start: Some(Mono(local.now.0 - ago)), ..local.clone() };
    assert_eq!(decide(&tried(STANDBY_RETRY / 2)), LocalAction::None);
    assert_eq!(decide(&tried(STANDBY_RETRY)), LocalAction::StartStandby { upstream: Region::from("west") });
}

#[test]
fn a_fresh_agent_asks_before_it_fences() {
    let region = Region::from("east");
    let unit = view(Some("east"));
    let local = Local { unit: None, lease_valid: false, ..base(&region, &unit, &Role::Writer, &[]) };
    assert_eq!(decide(&Local { asked: false, ..local.clone() }), LocalAction::None);
    assert_eq!(word(&decide(&local)), "fence");
}

/// The same with a candidate in the store.
fn opposed(view: &UnitView) -> UnitView {
    let candidate = crate::candidate::Admitted { region: Region::from("west"), names: Default::default() };
    UnitView { candidate: Some(candidate), ..view.clone() }
}

fn base<'a>(region: &'a Region, unit: &'a UnitView, role: &'a Role, restarts: &'a [Mono]) -> Local<'a> {
    Local {
        region,
        unit: Some(unit),
        asked: true,
        lease_valid: true,
        once_granted: true,
        role,
        was_writer: true,
        may_write: true,
        remains: false,
        in_production: false,
        seen_alive: true,
        gated: false,
        unnamed: false,
        on_writer_death: OnWriterDeath::Restart { attempts: 1 },
        restarts,
        standby_start: None,
        now: Mono(Duration::from_secs(1_000)),
    }
}

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![
        Just(Role::Writer),
        any::<bool>().prop_map(|streaming| Role::Standby { upstream: None, streaming }),
        any::<(bool, bool)>().prop_map(|(clean, was_writer)| Role::Down { clean, was_writer }),
        Just(Role::Unresponsive),
        Just(FENCED),
        Just(Role::Unknown),
    ]
}

fn any_writer() -> impl Strategy<Value = Option<Option<&'static str>>> {
    prop_oneof![Just(None), Just(Some(None)), Just(Some(Some("east"))), Just(Some(Some("west")))]
}

fn any_policy() -> impl Strategy<Value = OnWriterDeath> {
    prop_oneof![Just(OnWriterDeath::Failover), (0u32..4).prop_map(|attempts| OnWriterDeath::Restart { attempts })]
}

proptest! {
    #[test]
    fn the_invariants_hold_for_any_input(
        role in any_role(),
        writer in any_writer(),
        flags in any::<[bool; 10]>(),
        policy in any_policy(),
        restarts in proptest::collection::vec(0u64..2_000, 0..5),
    ) {
        let unit = writer.map(view);
        let [asked, lease_valid, once_granted, was_writer, may_write, remains, in_production, seen_alive, gated, unnamed] =
            flags;
        let restarts: Vec<Mono> = restarts.into_iter().map(|s| Mono(Duration::from_secs(s))).collect();
        let local = Local {
            region: &Region::from("east"),
            unit: unit.as_ref(),
            asked, lease_valid, once_granted, was_writer, may_write, remains, in_production, seen_alive, gated, unnamed,
            role: &role,
            on_writer_death: policy,
            restarts: &restarts,
            standby_start: None,
            now: Mono(Duration::from_secs(2_000)),
        };
        let action = decide(&local);
        let mine = writer == Some(Some("east"));
        let others = writer == Some(Some("west"));
        if action == LocalAction::RestartWriter {
            let restarts = matches!(policy, OnWriterDeath::Restart { .. });
            prop_assert!((lease_valid || (gated && restarts)) && mine);
            let remains = role == Role::Unresponsive && was_writer && remains;
            let died = matches!(role, Role::Down { was_writer: true, .. });
            prop_assert!(died || remains, "only a dead writer is restarted");
        }
        if let LocalAction::StartStandby { upstream } = &action {
            prop_assert!(others && upstream.as_str() == "west");
            let still = matches!(role, Role::Down { was_writer: false, .. });
            prop_assert!(still || unnamed, "only a standby that lies still is started as one, or one without a name");
        }
        if matches!(role, Role::Fenced { .. }) || (matches!(role, Role::Standby { .. }) && !unnamed) {
            prop_assert_eq!(&action, &LocalAction::None);
        }
        if role == Role::Writer && (others || (!lease_valid && !gated && writer.is_some())) {
            prop_assert_eq!(word(&action), "fence");
        }
    }
}
