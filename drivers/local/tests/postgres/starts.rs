//! Who starts a server, and what it becomes.

use crate::pair::{Pair, component, eventually, target};
use nix::sys::signal::Signal;
use pilotlight_core::effect::Effect;
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::{FailureKind, Outcome, Severity};
use pilotlight_driver::Driver;
use pilotlight_local::postgres::cluster;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Starts the server as the distribution's unit or a person would.
pub fn start_without_pilotlight(pair: &Pair, region: &str) {
    start_with(pair, region, "");
}

/// The same with something on the server's command line.
pub fn start_with(pair: &Pair, region: &str, options: &str) {
    use std::os::unix::process::CommandExt;
    // Where the first process of a container does not reap, a dead postmaster looks alive to PostgreSQL for ever.
    let _ = std::fs::remove_file(pair.data_dir(region).join("postmaster.pid"));
    let mut command = Command::new(cluster::bin_dir().unwrap().join("pg_ctl"));
    let log = pair.root.path().join(region).join("data/foreign.log");
    command
        .arg("-D")
        .arg(pair.data_dir(region))
        .arg("-l")
        .arg(log)
        .args(["-W", "-o", options, "start"])
        .current_dir("/");
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

/// A server in a container: namespaces of its own, and the data directory under another path.
struct Contained(std::process::Child);

impl Contained {
    fn start(pair: &Pair, region: &str) -> Contained {
        let opts = std::fs::read_to_string(pair.data_dir(region).join("postmaster.opts")).unwrap();
        let inside = pair.root.path().join("inside");
        std::fs::create_dir_all(&inside).unwrap();
        let script = "mount --bind \"$1\" \"$2\" && exec setpriv --reuid=postgres --regid=postgres --clear-groups \"$3\" -D \"$2\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--ipc", "--fork", "sh", "-c", script, "sh"]);
        command.arg(pair.data_dir(region)).arg(inside).arg(opts.split(' ').next().unwrap()).current_dir("/");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Contained(command.spawn().expect("unshare was tried before"))
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        // The first process of its namespace: all others in it go with it, and `unshare` ends after it.
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        let children = std::fs::read_to_string(children).unwrap_or_default();
        for pid in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
        }
        if children.is_empty() {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_seen_is_neither_called_fenced_nor_joined_by_a_second_one() {
    let allowed = Command::new("unshare").args(["--mount", "--pid", "--ipc", "--fork", "setpriv", "true"]).status();
    if !allowed.is_ok_and(|s| s.success()) || !nix::unistd::geteuid().is_root() {
        pilotlight_lab::required::skip(
            pilotlight_lab::required::Need::Namespaces,
            "this account may not make namespaces",
        );
        return;
    }
    let pair = Pair::started().await;
    pair.hit("east", Signal::SIGKILL);
    pair.reaches("east", |role| matches!(role, Role::Down { was_writer: true, .. })).await;
    cluster::kill(pair.data_dir("east"));
    // As whoever made the image has it: the server removes what another one left, and comes up as a writer.
    std::fs::remove_file(pair.data_dir("east").join("postmaster.pid")).unwrap();
    std::fs::remove_file(pair.data_dir("east").join("standby.signal")).unwrap();
    let contained = Contained::start(&pair, "east");
    eventually("it takes payments", || pair.pay("east", 1)).await;
    let pid_file = std::fs::read_to_string(pair.data_dir("east").join("postmaster.pid")).unwrap();
    // Whoever is at its port may not answer in time on a busy machine.
    let seen = eventually("it is there and cannot be seen", || async {
        let seen = pair.look("east").await;
        if seen.role == Some(Role::Unknown) { Ok(seen) } else { Err(format!("{seen:?}")) }
    })
    .await;
    assert!(seen.says().unwrap_or_default().contains("PL-0972"), "{seen:?}");
    for refused in [pair.fence("east").await, pair.resume("east").await, pair.stop("east").await] {
        let failure = refused.unwrap_err();
        assert!(failure.message.starts_with("PL-0972: ") && failure.hint.is_some(), "{failure:?}");
    }
    let now = std::fs::read_to_string(pair.data_dir("east").join("postmaster.pid")).unwrap();
    assert_eq!(now, pid_file, "nothing was done to the living server");
    pair.pay("east", 2).await.expect("it goes on");
    drop(contained);
    eventually("it is gone", || async {
        let role = pair.look("east").await.role;
        if matches!(role, Some(Role::Down { was_writer: true, .. })) { Ok(()) } else { Err(format!("{role:?}")) }
    })
    .await;
    pair.resume("east").await.expect("nobody else works there any more");
    assert_eq!(pair.paid("east").await, [1, 2].into());
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

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_place_keeps_the_command_line_but_not_what_undoes_that_a_writer_waits() {
    let pair = Pair::bare().await;
    pair.start_writer().await;
    cluster::kill(pair.data_dir("east"));
    std::fs::remove_file(pair.data_dir("east").join("standby.signal")).unwrap();
    start_with(&pair, "east", "-c work_mem=5MB --synchronous-commit=off");
    pair.reaches("east", |role| *role == Role::Writer).await;
    pair.hit("east", Signal::SIGKILL);
    pair.reaches("east", |role| matches!(role, Role::Down { was_writer: true, .. })).await;
    pair.resume("east").await.unwrap();
    let sql = "SELECT current_setting('work_mem'), current_setting('synchronous_commit')";
    let row = pair.client("east").await.unwrap().query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("5MB", "on"));
}
