//! Failover, failback and refusals.

use crate::ground::{EAST, Ground, SPEED, WEST};
use crate::seen::{follows, heard};
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

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_region_is_failed_over_and_taken_home_again() {
    let Some(ground) = Ground::find().await else { return };
    let zone = ground.seed().await;
    ground.write_plan(&zone, "mode: manual, lease: 3s, renew: 500ms");
    ground.serve().await;
    let ground = Arc::new(ground);

    // What is there already is refused.
    let (code, said) = ground.say(&["failover", "--to", EAST, "--yes"]).await;
    assert!(code == 3 && said.contains("PL-0201"), "{code} {said}");

    let stop = Arc::new(AtomicBool::new(false));
    let user = tokio::spawn(use_it(ground.clone(), stop.clone()));
    ground.until("writes at home", |_| Ok(())).await;
    for _ in 0..3 {
        ground.write().await.unwrap();
    }
    ground.region(EAST, "hang", "down").await;
    let lost_at = ground.now().await;
    // A planned move needs the source, and says so.
    ground.until_status("the region to be silent", |status| heard(status, EAST) == Some(false)).await;
    let (code, said) = ground.say(&["switchover", "--to", WEST, "--yes"]).await;
    assert!(code == 3 && said.contains("PL-0204"), "{code} {said}");

    let asked_at = ground.now().await;
    let (code, said) = ground.say(&["failover", "--to", WEST, "--yes"]).await;
    let done_at = ground.now().await;
    assert_eq!(code, 0, "{said}");
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
    ground.until_status("the copy to follow", |status| follows(status, "database", EAST)).await;
    let began = ground.now().await;
    let (code, said) = ground.say(&["failback", "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    println!("failback: run {:.0} s modelled", ground.now().await - began);
    let (region, _) = ground.write().await.unwrap();
    assert_eq!(region, EAST);
    let held = ground.held(EAST, "pay-east").await;
    assert!(
        written.iter().all(|number| held.contains(number)),
        "a planned move loses nothing: {written:?} in {held:?}"
    );
    ground.until_status("the other copy to follow", |status| follows(status, "database", WEST)).await;
    let (code, said) = ground.say(&["check", "--live"]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("account 123456789012") && said.contains("ok       a switchover: could be"), "{said}");
    // The test keys belong to nobody whose policies could be simulated: that is told, and is no pass.
    assert!(said.contains("PL-0946") && said.contains("cannot be told"), "{said}");
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
    let judged = |status: &Value| {
        let verdict = &status["units"][0]["judgement"]["verdict"];
        !verdict.is_null() && verdict != "healthy" && verdict != "no-data-yet"
    };
    ground.until_status("the lost region to be judged", judged).await;
    let held = ground.status()["units"][0].clone();
    assert_eq!(held["writer"], EAST, "{held}");
    assert_eq!(held["run"], Value::Null, "{held}");
    let cause = held["judgement"]["evidence"].as_array().cloned().unwrap_or_default();
    assert!(!cause.is_empty(), "{held}");
    assert!(ground.held(WEST, "pay-west").await.is_empty());
}
