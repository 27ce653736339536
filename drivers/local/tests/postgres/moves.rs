//! Handing over without loss, with clients at work.

use crate::pair::{PATIENCE, Pair, component, now};
use crate::payer::Payer;
use nix::sys::signal::Signal;
use pilotlight_core::effect::{Effect, HandOver};
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::{FailureKind, Outcome};
use pilotlight_core::plan::Guarantee;
use pilotlight_core::time::show_duration;
use pilotlight_driver::Driver;
use std::time::Duration;

fn await_position(outcome: &Outcome) -> Effect {
    let position = outcome.output().and_then(|o| o.position.clone()).expect("a stop hands over a position");
    Effect::AwaitPosition { component: component(), region: "west".into(), position: HandOver::At(position) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_under_load_loses_nothing_and_can_be_turned_back() {
    let pair = Pair::started().await;
    let payers = [Payer::start(&pair, "east", 1_000_000, 1).await, Payer::start(&pair, "east", 2_000_000, 8).await];
    for payer in &payers {
        payer.has_paid(50).await;
    }
    let checkpoint = Effect::Checkpoint { component: component(), region: "east".into() };
    pair.apply("east", &checkpoint).await.expect("a checkpoint");

    let began = now();
    let stopped = pair.stop("east").await.expect("an orderly end");
    let after_stop = now();
    pair.apply("west", &await_position(&stopped)).await.expect("everything arrives");
    let after_await = now();
    let promoted = pair.promote("west").await.expect("a new writer");
    let after_promote = now();
    println!(
        "switch: stop {}, await {}, promote {}, in all {}",
        show_duration(after_stop.since(began)),
        show_duration(after_await.since(after_stop)),
        show_duration(after_promote.since(after_await)),
        show_duration(after_promote.since(began)),
    );
    println!("{stopped:?}\n{promoted:?}");
    let held = pair.paid("west").await;
    let mut count = 0;
    for payer in payers {
        let paid = payer.broken().await;
        let lost: Vec<_> = paid.acknowledged.difference(&held).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
        assert!(paid.last_sent.expect("it paid") <= after_stop, "sent after the stop, and acknowledged");
        count += paid.acknowledged.len();
    }
    assert!(count > 50, "only {count} payments were made, the test says nothing");

    // The old writer follows as it is: nothing of it is missing on the new one.
    let rejoined = pair.rejoin("east", "west").await.expect("the old writer follows");
    let text = &rejoined.output().expect("done").text;
    assert!(text.contains("follows as it is"), "{text}");
    pair.streams("east").await;
    pair.pay("west", 7).await.expect("the new writer takes payments");

    // And home again.
    let stopped = pair.stop("west").await.expect("an orderly end");
    let Effect::AwaitPosition { position, .. } = await_position(&stopped) else { unreachable!() };
    let home = Effect::AwaitPosition { component: component(), region: "east".into(), position };
    pair.apply("east", &home).await.expect("everything arrives");
    pair.promote("east").await.expect("home");
    assert!(pair.paid("east").await.contains(&7));
    pair.rejoin("west", "east").await.expect("west follows again");
    pair.streams("west").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_standby_does_not_hold_up_the_stop_for_ever() {
    let pair = Pair::started().await;
    pair.pay("east", 1).await.expect("a payment");
    let frozen = pilotlight_local::postgres::cluster::processes(pair.data_dir("west"));
    for pid in &frozen {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), Signal::SIGSTOP).expect("our own server");
    }
    let effect = Effect::StopWrites { component: component(), region: "east".into() };
    // It ends although nobody thaws the standby; a server that waited for it would do so until it is.
    let context = pair.context(Duration::from_secs(3));
    let stopped = tokio::time::timeout(PATIENCE, pair.east.apply(&effect, &context)).await.expect("the stop ends");
    let stopped = stopped.expect("the shutdown checkpoint stands whatever the replica does");
    assert!(matches!(stopped, Outcome::Warned { .. }), "{stopped:?}");
    // Nobody says that the frozen standby shows everything.
    let awaited = pair.west.apply(&await_position(&stopped), &pair.context(Duration::from_millis(500))).await;
    let failure = awaited.expect_err("a frozen standby shows nothing");
    assert_eq!(failure.kind, FailureKind::Transient, "{failure}");
    for pid in &frozen {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), Signal::SIGCONT).expect("our own server");
    }
    pair.resume("east").await.expect("taken back");
    pair.pay("east", 2).await.expect("it takes payments again");
}

/// One that sat it out would not be done by the deadline of a step. Under `bounded` too, where settings that were read anew just before would wake the recovery and have it sleep again.
#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_does_not_sit_out_the_pause_between_retries() {
    for guarantee in [Guarantee::BestEffort, Guarantee::Bounded] {
        let pair = Pair::started_with(guarantee).await;
        let west = pair.client("west").await.expect("a client");
        west.batch_execute("ALTER SYSTEM SET wal_retrieve_retry_interval = '10min'").await.expect("a setting");
        west.batch_execute("SELECT pg_reload_conf()").await.expect("a reload");
        pair.hit("east", Signal::SIGKILL);
        pair.fence("east").await.expect("a fence");
        pair.reaches("west", |role| matches!(role, Role::Standby { streaming: false, .. })).await;
        let began = now();
        pair.promote("west").await.expect("a new writer long before the pause is over");
        println!("promote during a pause of 10 min, {guarantee:?}: {}", show_duration(now().since(began)));
    }
}

/// Sets what only a start reads, and starts west again.
async fn restart_west_with(pair: &Pair, settings: &[(&str, &str)]) {
    let west = pair.client("west").await.expect("a client");
    for (name, value) in settings {
        west.batch_execute(&format!("ALTER SYSTEM SET {name} = '{value}'")).await.expect("a setting");
    }
    pilotlight_local::postgres::cluster::kill(pair.data_dir("west"));
    pair.rejoin("west", "east").await.expect("it follows again");
    pair.streams("west").await;
}

/// PostgreSQL renames the last segment of the old timeline before the end of recovery where the log is archived.
const ARCHIVING: [(&str, &str); 2] = [("archive_mode", "on"), ("archive_command", "/bin/true")];

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_leaves_received_changes_behind_says_so_whether_the_log_is_archived_or_not() {
    for archiving in [&ARCHIVING[..0], &ARCHIVING[..]] {
        let pair = Pair::started().await;
        let stop_short = [("recovery_target_name", "here"), ("recovery_target_action", "pause")];
        restart_west_with(&pair, &[&stop_short[..], archiving].concat()).await;
        let east = pair.client("east").await.expect("a client");
        east.query("SELECT pg_create_restore_point('here')", &[]).await.expect("a restore point");
        for number in 1..=5 {
            pair.pay("east", number).await.expect("a payment");
        }
        let end = east.query_one("SELECT pg_current_wal_flush_lsn()::text", &[]).await.expect("an end");
        let all = format!("SELECT pg_last_wal_receive_lsn() >= '{}'", end.get::<_, String>(0));
        let west = pair.client("west").await.expect("a client");
        crate::pair::eventually("west has received everything", || async {
            let row = west.query_one(&all, &[]).await.map_err(|e| e.to_string())?;
            if row.get::<_, bool>(0) { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
        pair.fence("east").await.expect("a fence");
        let promoted = pair.promote("west").await.expect("it has happened");
        let Outcome::Warned { warning, .. } = &promoted else { panic!("{archiving:?}: {promoted:?}") };
        assert!(warning.starts_with("PL-0971: ") && warning.contains("may be missing"), "{archiving:?}: {warning}");
        assert!(pair.data_dir("west").join("standby.signal").exists(), "it is armed as any writer is");
        pair.pay("west", 7).await.expect("it takes payments");
        assert!(!pair.data_dir("west").with_extension("promoted").exists(), "nothing is left beside it");
    }
}

/// The old writer dies in the middle of sending a record. `None` when the socket threw away what was on its way.
async fn promoted_after_a_torn_record(archiving: &[(&str, &str)]) -> Option<Outcome> {
    let pair = Pair::started().await;
    restart_west_with(&pair, archiving).await;
    let (east, west) = (pair.client("east").await.expect("a client"), pair.client("west").await.expect("a client"));
    east.batch_execute("SELECT pg_switch_wal()").await.expect("a new segment");
    pair.pay("east", 1).await.expect("a payment");
    crate::pair::eventually("the payment arrives", || async {
        let paid = pair.paid("west").await;
        if paid.contains(&1) { Ok(()) } else { Err(format!("{paid:?}")) }
    })
    .await;
    let receiver = west.query_one("SELECT pid FROM pg_stat_wal_receiver", &[]).await.expect("a receiver");
    let receiver = nix::unistd::Pid::from_raw(receiver.get::<_, i32>(0));
    // More than the sockets between them hold, in one record of one segment.
    nix::sys::signal::kill(receiver, Signal::SIGSTOP).expect("our own server");
    let large = "SELECT pg_logical_emit_message(true, 'large', repeat('x', 14000000))";
    east.batch_execute(large).await.expect("a large record");
    let sent = "SELECT count(*) FROM pg_stat_replication WHERE pg_current_wal_flush_lsn() - sent_lsn < 13000000";
    crate::pair::eventually("the beginning of it is sent", || async {
        let row = east.query_one(sent, &[]).await.map_err(|e| e.to_string())?;
        if row.get::<_, i64>(0) == 1 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    pair.fence("east").await.expect("a fence");
    nix::sys::signal::kill(receiver, Signal::SIGCONT).expect("our own server");
    pair.reaches("west", |role| matches!(role, Role::Standby { streaming: false, .. })).await;
    let behind = "SELECT (pg_last_wal_receive_lsn() - pg_last_wal_replay_lsn())::text";
    let torn = west.query_one(behind, &[]).await.expect("positions").get::<_, String>(0);
    println!("{archiving:?}: {torn} bytes of a torn record");
    let promoted = pair.promote("west").await.expect("a new writer");
    assert!(pair.paid("west").await.contains(&1));
    (torn != "0").then_some(promoted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_torn_by_the_writers_death_is_no_doubt_whether_the_log_is_archived_or_not() {
    for archiving in [&ARCHIVING[..0], &ARCHIVING[..]] {
        let mut promoted = None;
        for _ in 0..5 {
            promoted = promoted_after_a_torn_record(archiving).await;
            if promoted.is_some() {
                break;
            }
        }
        let promoted = promoted.expect("a torn record in one of five");
        assert!(matches!(promoted, Outcome::Done { .. }), "{archiving:?}: {promoted:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_waits_for_nobody_whatever_its_files_say() {
    let pair = Pair::started_with(Guarantee::Bounded).await;
    let west = pair.client("west").await.expect("a client");
    // In the file, and not read yet: the new writer would read it soon after.
    let spoil = "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (nobody_is_called_so)'";
    west.batch_execute(spoil).await.expect("a setting");
    pair.hit("east", Signal::SIGKILL);
    pair.fence("east").await.expect("a fence");
    pair.promote("west").await.expect("a new writer");
    pair.pay("west", 7).await.expect("it takes payments");
    let names = west.query_one("SELECT current_setting('synchronous_standby_names')", &[]).await.expect("a setting");
    assert_eq!(names.get::<_, String>(0), "");
}
