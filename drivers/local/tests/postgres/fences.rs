//! Fences: nothing acknowledges afterwards, in whatever state the server was.

use crate::pair::{PATIENCE, Pair, component, eventually, moment, now};
use crate::payer::Payer;
use nix::sys::signal::Signal;
use pilotlight_core::effect::{Effect, FenceAssurance};
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::Outcome;
use pilotlight_core::time::show_duration;
use pilotlight_driver::Driver;
use pilotlight_local::postgres::cluster;
use std::time::Duration;

fn assert_proven(outcome: &Outcome) {
    let assurance = outcome.output().and_then(|o| o.assurance);
    assert_eq!(assurance, Some(FenceAssurance::Proven), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_backend_outlives_the_fence_of_a_killed_postmaster() {
    let pair = Pair::started().await;
    let payers = [Payer::start(&pair, "east", 1_000_000, 64).await, Payer::start(&pair, "east", 2_000_000, 64).await];
    for payer in &payers {
        payer.has_paid(64).await;
    }
    let target = crate::pair::target("east");
    let mut watching = pair.east.watch(&target);
    // Once, so that it has seen the living postmaster.
    std::future::poll_fn(|context| std::task::Poll::Ready(watching.as_mut().poll(context).is_pending())).await;
    let killed = now();
    pair.hit("east", Signal::SIGKILL);
    tokio::time::timeout(PATIENCE, watching).await.expect("the watch notices");
    let noticed = now();
    let state = pair.look("east").await;
    let looked = now();
    assert!(matches!(state.role, Some(Role::Down { was_writer: true, .. } | Role::Unresponsive)), "{state:?}");
    assert_eq!(state.facts.get("postmaster").map(String::as_str), Some("dead"));
    let outcome = pair.fence("east").await.expect("a fence");
    let fenced = now();
    assert_proven(&outcome);
    println!(
        "postmaster killed: noticed after {}, looked in {}, fenced in {}",
        show_duration(noticed.since(killed)),
        show_duration(looked.since(noticed)),
        show_duration(fenced.since(looked)),
    );
    for payer in payers {
        let paid = payer.broken().await;
        let last = paid.last_sent.expect("it paid before");
        assert!(last <= fenced, "sent {:?} after the fence, and acknowledged", last.since(fenced));
        assert!(paid.acknowledged.len() > 10, "the test says nothing");
    }
    assert_eq!(cluster::processes(pair.data_dir("east")), Vec::<i32>::new());

    let began = now();
    let promoted = pair.promote("west").await.expect("a new writer");
    println!("promote after the writer's death: {} {promoted:?}", show_duration(now().since(began)));
    pair.pay("west", 7).await.expect("it takes payments");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_seen_and_fenced() {
    let pair = Pair::started().await;
    // Its connection is kept, so its backend is among those that freeze.
    assert_eq!(pair.look("east").await.role, Some(Role::Writer));
    let pids = cluster::processes(pair.data_dir("east"));
    // First the backends alone: the look has to give up by itself, nobody thaws them.
    for pid in &pids[1..] {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), Signal::SIGSTOP).expect("our own server");
    }
    let state = tokio::time::timeout(PATIENCE, pair.look("east")).await.expect("a look that gives up");
    assert_eq!(state.role, Some(Role::Unresponsive), "{state:?}");
    pair.hit("east", Signal::SIGSTOP);
    // A process that waits for its turn on a busy machine is shown as stopped when it would have had it.
    let state = eventually("it is seen to be stopped", || async {
        let state = pair.look("east").await;
        let stopped = state.facts.get("postmaster").is_some_and(|says| says == "stopped");
        if stopped && state.role == Some(Role::Unresponsive) { Ok(state) } else { Err(format!("{state:?}")) }
    })
    .await;
    assert_eq!(
        state.facts.get("control").map(String::as_str),
        Some("in production"),
        "it took writes when it was frozen"
    );
    let began = now();
    assert_proven(&pair.fence("east").await.expect("a fence"));
    println!("fence of a frozen server: {}", show_duration(now().since(began)));
    let state = pair.look("east").await;
    assert_eq!(state.role, Some(Role::Fenced { assurance: FenceAssurance::Proven }));
    // Again, and with nothing there.
    assert_proven(&pair.fence("east").await.expect("a fence"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_of_nothing_is_proven() {
    let pair = Pair::bare().await;
    assert_proven(&pair.fence("east").await.expect("a fence"));
    assert_eq!(pair.look("east").await.role, Some(Role::Fenced { assurance: FenceAssurance::Proven }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_overtakes_a_start() {
    let pair = Pair::bare().await;
    pair.start_writer().await;
    for wait_ms in [0, 20, 60, 150] {
        cluster::kill(pair.data_dir("east"));
        let resume = Effect::ResumeWrites { component: component(), region: "east".into() };
        let starting = {
            let (east, context) = (pair.east.clone(), pair.context(Duration::from_secs(20)));
            tokio::spawn(async move { east.apply(&resume, &context).await })
        };
        moment(Duration::from_millis(wait_ms)).await;
        assert_proven(&pair.fence("east").await.expect("a fence"));
        assert_eq!(cluster::processes(pair.data_dir("east")), Vec::<i32>::new(), "after {wait_ms} ms");
        let started = starting.await.expect("no panic");
        assert_eq!(cluster::processes(pair.data_dir("east")), Vec::<i32>::new(), "after {wait_ms} ms: {started:?}");
        assert!(pair.data_dir("east").join("standby.signal").exists());
        assert!(matches!(pair.look("east").await.role, Some(Role::Fenced { .. })));
    }
    eventually("it can be started again", || async { pair.resume("east").await.map_err(|f| f.to_string()) }).await;
}
