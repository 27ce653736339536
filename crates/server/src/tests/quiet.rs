//! What must not move anything.

use super::lab::{LEASE, Lab};
use super::wait::until;
use pilotlight_core::effect::Effect;
use pilotlight_core::observation::Role;
use pilotlight_driver::clock::{Clock, SystemClock};

fn fences(lab: &Lab) -> usize {
    lab.world.journal().iter().filter(|a| matches!(a.effect, Effect::Fence { .. })).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_restarts_within_its_lease_goes_unnoticed() {
    // Far longer than a restart takes, on a busy machine too.
    let lease = LEASE * 4;
    let mut lab = Lab::up(|p| p.policy.lease = lease).await;
    lab.kill_agent("east");
    lab.start_agent("east");
    let began = SystemClock.mono();
    until("longer than a lease has passed", async || {
        assert_eq!(lab.world.writers("database"), ["east".into()]);
        let passed = SystemClock.mono().since(began);
        if passed > lease + LEASE { Ok(()) } else { Err(format!("{passed:?}")) }
    })
    .await;
    lab.until("all is well", |s| s.is_well("east") && s.regions.iter().all(|r| r.heard)).await;
    assert_eq!(lab.runs().await, vec![]);
    assert_eq!(fences(&lab), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_alone_that_is_lost_moves_nothing() {
    let mut lab = Lab::up(|_| ()).await;
    lab.kill_agent("east");
    let status = lab.until("only the agent is lost", |s| s.is("agent lost")).await;
    let evidence = format!("{:?}", status.units[0].judgement.as_ref().unwrap().evidence);
    assert!(evidence.contains("accepts connections"), "{evidence}");
    assert_eq!(lab.runs().await, vec![]);
    assert_eq!(lab.world.writers("database"), ["east".into()]);
    lab.start_agent("east");
    lab.until("all is well again", |s| s.is_well("east")).await;
    assert_eq!(lab.runs().await, vec![]);
    assert_eq!(
        fences(&lab),
        0,
        "the note said the lease was over, but the controller answered before anything was done"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_down_at_once_holds_still() {
    let mut lab = Lab::up(|_| ()).await;
    lab.lose("east");
    lab.lose("west");
    lab.until("all is down", |s| s.is("all down")).await;
    assert_eq!(lab.runs().await, vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_is_not_entered_before_every_agent_was_heard() {
    let mut lab = Lab::new();
    lab.start_controller();
    lab.start_agent("east");
    let waits = |s: &crate::api::view::StatusView| {
        format!("{:?}", s.units[0].decision).contains("waiting for the agent of west")
    };
    let status = lab.until("it waits for west", waits).await;
    assert_eq!(status.units[0].epoch, None);
    assert_eq!(
        lab.world.copy("database", "east").unwrap().role,
        Role::Writer,
        "a writer that never had a lease is left alone"
    );
    lab.start_agent("west");
    let status = lab.until("all is well", |s| s.is_well("east")).await;
    assert_eq!(status.units[0].epoch.map(|e| e.0), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_are_not_entered() {
    let mut lab = Lab::new();
    lab.world.set_role("database", "west", |_| Role::Writer);
    lab.start_controller();
    lab.start_agent("east");
    lab.start_agent("west");
    lab.until("it says so", |s| format!("{:?}", s.units[0].decision).contains("stop all but one")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_was_stopped_is_started_by_its_agent() {
    let lab = Lab::up(|_| ()).await;
    lab.world.kill("database", "west");
    lab.until_role("west", |r| matches!(r, Role::Standby { streaming: true, .. })).await;
    lab.no_rule_was_broken();
}
