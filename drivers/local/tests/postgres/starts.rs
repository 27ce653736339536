//! Who starts a server, and what it becomes.

use crate::pair::{Pair, component, eventually, target};
use nix::sys::signal::Signal;
use pilotlight_core::effect::Effect;
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::{FailureKind, Outcome, Severity};
use pilotlight_driver::Driver;
use pilotlight_local::postgres::cluster;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Starts the server as the distribution's unit or a person would.
fn start_without_pilotlight(pair: &Pair, region: &str) {
    use std::os::unix::process::CommandExt;
    // Where the first process of a container does not reap, a dead postmaster looks alive to PostgreSQL for ever.
    std::fs::remove_file(pair.data_dir(region).join("postmaster.pid")).unwrap();
    let bin = std::fs::read_to_string(pair.data_dir(region).join("postmaster.opts")).unwrap();
    let postgres = PathBuf::from(bin.split(' ').next().unwrap());
    let mut command = Command::new(postgres.with_file_name("pg_ctl"));
    let log = pair.root.path().join(region).join("data/foreign.log");
    command.arg("-D").arg(pair.data_dir(region)).arg("-l").arg(log).args(["-W", "start"]).current_dir("/");
    if nix::unistd::geteuid().is_root() {
        let user = nix::unistd::User::from_name("postgres").unwrap().unwrap();
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_writer_that_somebody_else_starts_comes_up_read_only() {
    let pair = Pair::started().await;
    pair.pay("east", 1).await.unwrap();
    pair.hit("east", Signal::SIGKILL);
    pair.reaches("east", |role| *role == Role::Down { clean: false, was_writer: true }).await;
    start_without_pilotlight(&pair, "east");
    pair.reaches("east", |role| *role == Role::Standby { upstream: None, streaming: false }).await;
    let refused = pair.pay("east", 2).await.unwrap_err();
    assert!(refused.contains("read-only"), "{refused}");

    // Killed once more it is still known as the writer's copy, and starting it through Pilotlight makes it write.
    pair.hit("east", Signal::SIGKILL);
    pair.reaches("east", |role| matches!(role, Role::Down { was_writer: true, .. })).await;
    start_without_pilotlight(&pair, "east");
    pair.reaches("east", |role| matches!(role, Role::Standby { .. })).await;
    pair.resume("east").await.unwrap();
    pair.pay("east", 3).await.unwrap();
    assert!(pair.paid("east").await.contains(&1));
    pair.streams("west").await;
    eventually("the standby has followed to the new timeline", || async {
        let paid = pair.paid("west").await;
        if paid.contains(&3) { Ok(()) } else { Err(format!("{paid:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_writer_is_started_in_place_with_all_it_acknowledged() {
    let pair = Pair::started().await;
    for number in 1..=20 {
        pair.pay("east", number).await.unwrap();
    }
    pair.hit("east", Signal::SIGKILL);
    pair.reaches("east", |role| *role == Role::Down { clean: false, was_writer: true }).await;
    let began = crate::pair::now();
    pair.resume("east").await.unwrap();
    println!("restart in place: {:?}", crate::pair::now().since(began));
    assert_eq!(pair.paid("east").await, (1..=20).collect());
    assert!(pair.data_dir("east").join("standby.signal").exists(), "armed while it runs");
    assert!(matches!(pair.resume("east").await, Ok(Outcome::Skipped { .. })));
    pair.streams("west").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_never_resumed_as_a_writer() {
    let pair = Pair::started().await;
    let failure = pair.resume("west").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected, "{failure}");
    cluster::kill(pair.data_dir("west"));
    assert_eq!(pair.look("west").await.role, Some(Role::Down { clean: true, was_writer: false }));
    let failure = pair.resume("west").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected, "{failure}");
    let failure = pair.stop("west").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected, "{failure}");
    pair.rejoin("west", "east").await.unwrap();
    pair.streams("west").await;
    let failure = pair.stop("west").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected, "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_pilotlight_did_not_start_is_armed_by_the_first_sentinel() {
    let pair = Pair::bare().await;
    cluster::init(&pair.new_server("east")).await.unwrap();
    pair.resume("east").await.unwrap();
    std::fs::remove_file(pair.data_dir("east").join("standby.signal")).unwrap();
    let sentinel = pilotlight_core::observation::Sentinel { number: 1, written: pilotlight_core::time::Wall(5) };
    let effect = Effect::WriteSentinel { component: component(), region: "east".into(), sentinel };
    pair.apply("east", &effect).await.unwrap();
    assert!(pair.data_dir("east").join("standby.signal").exists());
    assert_eq!(pair.look("east").await.sentinel, Some(sentinel));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_program_and_a_busy_port_end_in_one_clear_message() {
    let pair = Pair::bare().await;
    cluster::init(&pair.new_server("east")).await.unwrap();
    let without = pair.driver_with("east", |server| server.bin_dir = Some(PathBuf::from("/nowhere")));
    let resume = Effect::ResumeWrites { component: component(), region: "east".into() };
    let failure = without.apply(&resume, &pair.context(Duration::from_secs(5))).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(failure.message.contains("PL-0701") && failure.hint.is_some(), "{failure:?}");
    let seen = without.observe(&target("east")).await.unwrap();
    assert_eq!(seen.role, Some(Role::Unknown));
    let says = seen.says().unwrap_or_default();
    assert!(says.contains("PL-0701") && says.contains("/nowhere") && says.contains("bin_dir"), "{says}");
    let found = without.preflight(&resume).await.unwrap();
    assert_eq!((found[0].code.as_str(), found[0].severity), ("PL-0701", Severity::Blocker));
    assert!(found[0].message.starts_with("database in east: ") && !found[0].hint.is_empty(), "{found:?}");
    let checkpoint = Effect::Checkpoint { component: component(), region: "east".into() };
    let codes = without.preflight(&checkpoint).await.unwrap().into_iter().map(|f| f.code).collect::<Vec<_>>();
    assert_eq!(codes, ["PL-0701", "PL-0301"], "a missing program hides nothing else");

    let taken = std::net::TcpListener::bind(("127.0.0.1", pair.server("east").port)).unwrap();
    let failure = pair.resume("east").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Transient, "{failure:?}");
    assert!(failure.output.contains("Address already in use"), "{failure:?}");
    assert!(pair.data_dir("east").join("standby.signal").exists(), "armed although it did not start");
    drop(taken);
    pair.resume("east").await.unwrap();
}
