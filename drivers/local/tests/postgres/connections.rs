//! The kernel's fence around a server's clients, each test in a network namespace of its own thread: rules of one test
//! are seen by nobody else and vanish with it.

use crate::pair::{Pair, eventually, now};
use crate::payer::Payer;
use nix::sched::{CloneFlags, unshare};
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::Severity;
use pilotlight_driver::clock::SystemClock;
use pilotlight_driver::gate::Gate;
use pilotlight_lab::required::{self, Need};
use pilotlight_local::connections::{KernelGate, KernelLease, Standing, settle, settle_others};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Puts the test's thread into a network of its own. `false`, with the reason printed, where the machine does not allow it.
fn alone() -> bool {
    if let Err(e) = unshare(CloneFlags::CLONE_NEWNET) {
        required::skip(Need::Namespaces, format!("no network namespace of our own ({e})"));
        return false;
    }
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(up.is_ok_and(|status| status.success()), "the loopback of the namespace cannot be used");
    if let Err(e) = KernelLease::new("try", 1, []).check() {
        required::skip(Need::Nft, format!("the kernel takes no rules ({e})"));
        return false;
    }
    true
}

/// A writer and a fence around its clients, not yet armed; `None` where the machine allows no fence, which is printed.
async fn fenced() -> Option<(Pair, KernelLease)> {
    if !alone() {
        return None;
    }
    let pair = Pair::bare().await;
    pair.start_writer().await;
    let fence = KernelLease::new("database", pair.server("east").port, []);
    Some((pair, fence))
}

#[tokio::test]
async fn clients_pass_while_the_lease_runs_and_the_agent_always() {
    let Some((pair, fence)) = fenced().await else { return };
    fence.arm().expect("a closed fence");
    assert!(fence.is_armed().unwrap());
    let refused = pair.client("east").await.expect_err("no client passes a closed fence");
    assert!(refused.contains("refused") || refused.contains("reset"), "{refused}");
    // A driver that has never connected: its packets carry the mark.
    let newcomer = pair.driver_with("east", |_| {});
    let state = pilotlight_driver::Driver::observe(&newcomer, &crate::pair::target("east")).await.expect("a look");
    assert_eq!(state.role, Some(Role::Writer), "{state:?}");

    fence.allow_for(Duration::from_secs(60)).expect("an open fence");
    pair.pay("east", 1).await.expect("clients pass");
    fence.arm().expect("nothing to do");
    pair.pay("east", 2).await.expect("arming what is armed closes nothing");
    fence.close().expect("closed");
    pair.pay("east", 3).await.expect_err("closed at once");
    fence.lift().expect("no fence");
    fence.lift().expect("no fence twice");
    pair.pay("east", 4).await.expect("no fence, no limit");
}

#[tokio::test]
async fn a_fence_set_up_around_a_writer_at_work_turns_nobody_away() {
    let Some((pair, fence)) = fenced().await else { return };
    let payer = Payer::start(&pair, "east", 1, 1).await;
    for turn in 1..=5 {
        payer.has_paid(turn * 20).await;
        fence.allow_for(Duration::from_secs(60)).expect("an open fence");
        pair.pay("east", 10_000 + turn).await.expect("a new client passes at once");
        payer.has_paid(turn * 20 + 10).await;
        fence.lift().expect("no fence");
    }
}

#[tokio::test]
async fn a_lease_that_nobody_renews_ends_old_connections_whatever_they_waive() {
    let Some((pair, fence)) = fenced().await else { return };
    fence.arm().expect("a closed fence");
    let (lease, longer) = (Duration::from_secs(3), Duration::from_secs(6));
    fence.allow_for(lease).expect("an open fence");
    let first_end = now() + lease;
    let payer = Payer::start(&pair, "east", 1, 1).await;
    payer.has_paid(20).await;
    fence.allow_for(longer).expect("a longer lease");
    let end = now() + longer;
    // From here on nobody renews: the agent is frozen, or dead. A client that was not told would wait for minutes.
    let last = payer.broken().await.last_sent.expect("it paid");
    assert!(last <= end, "sent {:?} after the lease, and acknowledged", last.since(end));
    assert!(
        last > first_end,
        "the renewal did not hold: closed {:?} before the end of the first",
        first_end.since(last)
    );
    let state = pair.look("east").await;
    assert_eq!(state.role, Some(Role::Writer), "the server itself goes on: {state:?}");
}

#[tokio::test]
async fn the_agents_gate_keeps_the_kernels_lease() {
    let Some((pair, lease)) = fenced().await else { return };
    let gate = KernelGate::start(lease.clone(), "database", Arc::new(SystemClock)).expect("its thread");
    let passes = || async { pair.pay("east", now().0.as_nanos() as u64).await };
    gate.close();
    eventually("a closed fence", || async {
        match passes().await {
            Ok(()) => Err("clients pass".to_owned()),
            Err(_) => Ok(()),
        }
    })
    .await;
    let lasts = Duration::from_secs(6);
    let end = now() + lasts;
    gate.allow(end);
    gate.allow(now());
    eventually("an open fence", passes).await;
    let payer = Payer::start(&pair, "east", 1, 1).await;
    payer.has_paid(10).await;
    let last = payer.broken().await.last_sent.expect("it paid");
    assert!(last <= end, "sent {:?} after the end, and acknowledged", last.since(end));
    assert!(last + lasts / 2 >= end, "the lease did not hold: closed {:?} before its end", end.since(last));
    gate.rest();
    eventually("no fence around a standby", passes).await;
    gate.allow(now() + Duration::from_secs(60));
    eventually("a fence again", || async {
        if lease.is_armed().expect("the kernel answers") { Ok(()) } else { Err("none".to_owned()) }
    })
    .await;
    eventually("an open fence", passes).await;
}

/// What the agent tells of its copy with each look, so that `status` and `check --live` say it.
#[tokio::test]
async fn a_fence_that_the_kernel_takes_no_orders_for_is_told_until_it_is_mended() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("nft");
    let lease = KernelLease::new("nobody", 1, []).by(program.to_str().expect("a path in UTF-8"));
    let gate = KernelGate::start(lease, "database", Arc::new(SystemClock)).expect("its thread");
    assert_eq!(gate.trouble(), None, "it was told nothing");
    gate.allow(now() + Duration::from_secs(60));
    let told = eventually("the trouble", || async { gate.trouble().ok_or_else(|| "none".to_owned()) }).await;
    assert_eq!((told.code.as_str(), told.severity), ("PL-0336", Severity::Warning));
    assert!(told.message.contains("cannot run") && told.message.contains("connections of database"), "{told:?}");
    // Its place only; nobody's rules are touched.
    std::os::unix::fs::symlink("/bin/true", &program).expect("a program");
    eventually("the end of it", || async { gate.trouble().map_or(Ok(()), |told| Err(format!("{told:?}"))) }).await;
}

/// The kernel drops what it was told last meanwhile, and clients with it.
#[tokio::test]
async fn a_program_that_hangs_is_told_ended_and_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (script, number) = (folder.path().join("nft.sh"), folder.path().join("number"));
    // Not itself: what it started holds its output open, as `nft` does behind `sudo`.
    let hangs = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", number.display());
    std::fs::write(&script, hangs).expect("a script");
    let lease = KernelLease::new("nobody", 1, []).by(&format!("sh {}", script.display()));
    let gate = KernelGate::start(lease, "database", Arc::new(SystemClock)).expect("its thread");
    gate.allow(now() + Duration::from_secs(60));
    let told = eventually("the trouble", || async { gate.trouble().ok_or_else(|| "none".to_owned()) }).await;
    assert_eq!(told.code, "PL-0336");
    assert!(told.message.ends_with("`nft` has not ended for 2 seconds"), "{told:?}");
    let number = std::fs::read_to_string(&number).expect("it runs");
    let mended = folder.path().join("mended");
    std::fs::write(&mended, "exit 0").and_then(|()| std::fs::rename(&mended, &script)).expect("a script");
    eventually("the end of it", || async { gate.trouble().map_or(Ok(()), |told| Err(format!("{told:?}"))) }).await;
    // Nobody may have waited for it: then its number is still there, and its words are not.
    let left = std::fs::read(format!("/proc/{}/cmdline", number.trim())).unwrap_or_default();
    assert!(left.is_empty(), "{:?} still runs", String::from_utf8_lossy(&left));
}

fn nft(words: &str) {
    let done = Command::new("nft").args(words.split(' ')).status();
    assert!(done.is_ok_and(|status| status.success()), "nft {words}");
}

/// As a reload of the machine's own rules does, which begins with a flush.
#[tokio::test]
async fn a_fence_whose_rules_somebody_took_away_is_there_again() {
    let Some((pair, lease)) = fenced().await else { return };
    let table = format!("inet pilotlight_database_{}", pair.server("east").port);
    let ways = ["flush ruleset".to_owned(), format!("flush table {table}"), format!("flush chain {table} in")];
    let gate = KernelGate::start(lease, "database", Arc::new(SystemClock)).expect("its thread");
    let passes = || async { pair.pay("east", now().0.as_nanos() as u64).await };
    let held_back = || async {
        match passes().await {
            Ok(()) => Err("clients pass".to_owned()),
            Err(_) => Ok(()),
        }
    };
    gate.close();
    for way in &ways {
        eventually("a closed fence", held_back).await;
        nft(way);
        // Nobody says it again: the lease is over once.
    }
    eventually("a closed fence", held_back).await;
    for (first, way) in (1..).step_by(1_000_000).zip(&ways) {
        let end = now() + Duration::from_secs(4);
        gate.allow(end);
        eventually("an open fence", passes).await;
        nft(way);
        // The next renewal.
        gate.allow(end);
        let payer = Payer::start(&pair, "east", first, 1).await;
        let last = payer.broken().await.last_sent.expect("it paid");
        assert!(last <= end, "{way}: sent {:?} after the end, and acknowledged", last.since(end));
    }
}

/// Nobody renews the fence of an earlier plan.
#[tokio::test]
async fn a_fence_that_a_newer_plan_does_not_want_is_taken_away() {
    let Some((pair, fence)) = fenced().await else { return };
    let (folder, port) = (pair.state_dir("east"), pair.server("east").port);
    let settles = |wanted| settle(&folder, "database", wanted, "nft").expect("nft");
    settles(Some(Standing::Kernel(port)));
    fence.allow_for(Duration::from_secs(60)).expect("an open fence");
    settles(Some(Standing::Kernel(port)));
    assert!(fence.is_armed().unwrap(), "the same plan leaves it");
    fence.close().expect("a lease that is over");
    settle(&folder, "database", None, "no-such-program").expect_err("clients are cut off");
    pair.pay("east", 1).await.expect_err("it stands");
    settles(None);
    pair.pay("east", 2).await.expect("it is gone");
}

/// Its name is not in the plan any more, or nobody can read what stood.
#[tokio::test]
async fn the_fence_of_a_component_that_is_gone_is_taken_away() {
    if !alone() {
        return;
    }
    let state = tempfile::tempdir().expect("a folder");
    let names = ["kept", "re-named", "garbled"];
    let fences = names.map(|name| KernelLease::new(name, 5_432, []));
    let neighbour = KernelLease::new("garbled_too", 5_432, []);
    neighbour.arm().expect("a closed fence");
    for (name, fence) in names.iter().zip(&fences) {
        settle(&state.path().join(name), name, Some(Standing::Kernel(5_432)), "nft").expect("nft");
        fence.arm().expect("a closed fence");
    }
    std::fs::write(state.path().join("garbled/connection-fence.json"), "{").expect("a note");
    let kept = |name: &str| name == "kept";
    let failed = settle_others(state.path(), kept, "no-such-program");
    assert_eq!(failed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["re-named"], "tried again");
    let garble = |name| std::fs::write(state.path().join(name).join("connection-fence.json"), "{").expect("a note");
    garble("garbled");
    garble("kept");
    let still = Some(Standing::Kernel(5_432));
    settle(&state.path().join("kept"), "kept", still, "nft").expect("nft");
    let failed = settle_others(state.path(), kept, "nft");
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(fences.map(|fence| fence.is_armed().expect("nft")), [true, false, false]);
    assert!(neighbour.is_armed().expect("nft"), "another component's");
}
