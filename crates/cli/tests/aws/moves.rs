//! Failover, failback and refusals.

use crate::ground::{EAST, Ground, SPEED, WEST};
use crate::wait::pace;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a user who writes all the time saw, in modelled seconds.
#[derive(Debug, Default)]
struct Outage {
    acknowledged: Vec<(String, u64)>,
    first_failed: Option<f64>,
    first_good_again: Option<f64>,
}

/// Writes until told to stop. Runs in a task of its own while moves are made.
async fn use_it(ground: Arc<Ground>, stop: Arc<AtomicBool>) -> Outage {
    let mut outage = Outage::default();
    while !stop.load(Ordering::Relaxed) {
        let now = ground.now().await;
        match ground.write().await {
            Ok(write) => {
                if outage.first_failed.is_some() && outage.first_good_again.is_none() {
                    outage.first_good_again = Some(now);
                }
                outage.acknowledged.push(write);
            }
            Err(_) => outage.first_failed = outage.first_failed.or(Some(now)),
        }
        pace().await;
    }
    outage
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn say(ground: &Arc<Ground>, words: &'static [&'static str]) -> (i32, String, String) {
    let ground = ground.clone();
    blocking(move || ground.said(words)).await
}

fn role(status: &Value, region: &str) -> Value {
    let regions = status["regions"].as_array().cloned().unwrap_or_default();
    let region = regions.into_iter().find(|r| r["region"] == region).unwrap_or_default();
    let components = region["components"].as_array().cloned().unwrap_or_default();
    components.into_iter().find(|c| c["component"] == "database").unwrap_or_default()["state"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_region_is_failed_over_and_taken_home_again() {
    let Some(ground) = Ground::find().await else { return };
    let zone = ground.seed().await;
    ground.write_plan(&zone, "mode: manual, lease: 3s, renew: 500ms");
    ground.serve().await;
    let ground = Arc::new(ground);

    // What is there already is refused.
    let (code, out, err) = say(&ground, &["failover", "--to", EAST, "--yes"]).await;
    assert_eq!(code, 3, "{out}{err}");
    assert!(err.contains("PL-0201"), "{err}");

    let stop = Arc::new(AtomicBool::new(false));
    let user = tokio::spawn(use_it(ground.clone(), stop.clone()));
    ground.until("writes at home", |_| Ok(())).await;
    for _ in 0..3 {
        ground.write().await.unwrap();
    }
    ground.region(EAST, "hang", "down").await;
    let lost_at = ground.now().await;
    // A planned move needs the source, and says so.
    let waiting = ground.clone();
    blocking(move || {
        let started = waiting;
        tokio::runtime::Handle::current().block_on(started.until("the region to be silent", |ground| {
            let status = ground.status();
            let east = status["regions"].as_array().cloned().unwrap_or_default();
            let heard = east.iter().find(|r| r["region"] == EAST).map(|r| r["heard"].clone()).unwrap_or_default();
            if heard == false { Ok(()) } else { Err(format!("{east:?}")) }
        }));
    })
    .await;
    let (code, _, err) = say(&ground, &["switchover", "--to", WEST, "--yes"]).await;
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("PL-0204"), "{err}");

    let asked_at = ground.now().await;
    let (code, out, err) = say(&ground, &["failover", "--to", WEST, "--yes"]).await;
    let done_at = ground.now().await;
    assert_eq!(code, 0, "{out}\n{err}\n{}", ground.log());
    let calls = ground.calls(asked_at, EAST).await;
    assert!(calls.iter().all(|action| action.starts_with("Describe")), "only looks reach a lost region: {calls:?}");
    let status = ground.status();
    assert_eq!(status["units"][0]["writer"], WEST, "{status}");
    let (region, _) = ground.write().await.unwrap();
    assert_eq!(region, WEST);
    stop.store(true, Ordering::Relaxed);
    let outage = user.await.unwrap();
    let (failed, good) = (outage.first_failed.unwrap(), outage.first_good_again.unwrap());
    // The database takes 60 modelled seconds and the tasks 90 beside it; then Route 53 takes 30.
    let (run, path) = (done_at - asked_at, 120.0);
    println!(
        "failover: run {run:.0} s modelled, critical path of AWS {path} s, ours {:.2} s real; outage {:.0} s modelled of \
         which {:.0} s until it was asked for; {} writes acknowledged",
        (run - path).max(0.0) / SPEED,
        good - failed,
        asked_at - lost_at,
        outage.acknowledged.len()
    );

    // The region comes back; AWS makes its copy follow again.
    ground.region(EAST, "up", "up").await;
    let written: Vec<u64> = {
        let mut written = Vec::new();
        for _ in 0..5 {
            written.push(ground.write().await.unwrap().1);
        }
        written
    };
    let following = ground.clone();
    blocking(move || {
        tokio::runtime::Handle::current().block_on(following.until("the copy to follow", |ground| {
            let state = role(&ground.status(), EAST);
            let follows = state["role"] == "standby" && state["streaming"] == true;
            if follows { Ok(()) } else { Err(state.to_string()) }
        }));
    })
    .await;
    let began = ground.now().await;
    let (code, out, err) = say(&ground, &["failback", "--yes"]).await;
    assert_eq!(code, 0, "{out}\n{err}\n{}", ground.log());
    println!("failback: run {:.0} s modelled", ground.now().await - began);
    let (region, _) = ground.write().await.unwrap();
    assert_eq!(region, EAST);
    let held = ground.held(EAST, "pay-east").await;
    assert!(
        written.iter().all(|number| held.contains(number)),
        "a planned move loses nothing: {written:?} in {held:?}"
    );
    let following = ground.clone();
    blocking(move || {
        tokio::runtime::Handle::current().block_on(following.until("the other copy to follow", |ground| {
            let state = role(&ground.status(), WEST);
            if state["streaming"] == true { Ok(()) } else { Err(state.to_string()) }
        }));
    })
    .await;
    let (code, out, err) = say(&ground, &["check", "--live"]).await;
    assert_eq!(code, 0, "{out}\n{err}");
    assert!(out.contains("account 123456789012") && out.contains("ok       a switchover: could be"), "{out}");
    // The test keys belong to nobody whose policies could be simulated: that is told, and is no pass.
    assert!(out.contains("PL-0946") && out.contains("cannot be told"), "{out}");
    assert!(ground.folder().join("state").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_promoted_without_a_person_behind_a_fence_that_is_only_attested() {
    let Some(ground) = Ground::find().await else { return };
    let zone = ground.seed().await;
    // AWS attests a fence; the policy asks for more, and nobody is asked.
    ground.write_plan(&zone, "mode: automatic, guarantee: best-effort, lease: 3s, renew: 500ms");
    ground.serve().await;
    let ground = Arc::new(ground);
    ground.region(EAST, "refuse", "down").await;
    let waiting = ground.clone();
    let held = blocking(move || {
        tokio::runtime::Handle::current().block_on(waiting.until("the lost region to be judged", |ground| {
            let unit = ground.status()["units"][0].clone();
            let verdict = unit["judgement"]["verdict"].clone();
            if verdict == "healthy" || verdict == "no-data-yet" { Err(unit.to_string()) } else { Ok(unit) }
        }))
    })
    .await;
    assert_eq!(held["writer"], EAST, "{held}");
    assert_eq!(held["run"], Value::Null, "{held}");
    let cause = held["judgement"]["evidence"].as_array().cloned().unwrap_or_default();
    assert!(!cause.is_empty(), "{held}");
    assert!(ground.held(WEST, "pay-west").await.is_empty());
}
