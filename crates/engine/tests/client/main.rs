//! The outside client against a real authority and real services, one per region on a loopback address of its own.

#![allow(clippy::unwrap_used, reason = "the functions here are only called by tests")]

mod place;

use pilotlight_core::id::Region;
use pilotlight_core::measure::{Sample, outage, traffic};
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_engine::measure::{
    Client, ClientError, ClientHandle, ClientLive, ClientParts, LogLine, RequestOutcome, read_log,
};
use place::{EAST, Place, WEST};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn parts(place: &Place, folder: &Path, rate: u32) -> ClientParts {
    let _ = rustls::crypto::ring::default_provider().install_default();
    ClientParts {
        url: place.url(),
        dns_server: place.dns(),
        rate,
        // No request fails because this machine is busy.
        timeout: Duration::from_secs(20),
        log_path: folder.join("requests.jsonl"),
        keep: 100_000,
        clock: Arc::new(SystemClock),
    }
}

/// Waits until the live view is as wanted; says what it was when it never is.
async fn until(client: &ClientHandle, what: &str, wanted: impl Fn(&ClientLive) -> bool) -> ClientLive {
    let mut live = client.watch();
    let waited = tokio::time::timeout(PATIENCE, live.wait_for(|l| wanted(l))).await.map(|l| l.unwrap().clone());
    waited.unwrap_or_else(|_| panic!("never {what}; last seen: {:?}", client.live()))
}

fn outcomes(lines: &[LogLine]) -> BTreeSet<String> {
    lines.iter().map(|l| format!("{:?}", l.outcome)).collect()
}

fn regions(samples: &[Sample]) -> BTreeSet<&str> {
    samples.iter().filter(|s| s.ok).filter_map(|s| s.region.as_ref()).map(Region::as_str).collect()
}

#[tokio::test]
async fn every_payment_is_sent_once_and_logged() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let east = place.serve(EAST).await;
    place.route(1, EAST).await;
    let client = Client::start(parts(&place, folder.path(), 100)).await.unwrap();
    let live = until(&client, "100 acknowledged", |l| l.acked >= 100).await;
    assert_eq!(live.region, Some("east".into()));
    let name = client.name().to_owned();
    let log = client.stop().await;

    let lines = read_log(&folder.path().join("requests.jsonl")).unwrap();
    let samples: Vec<Sample> = lines.iter().map(|l| l.sample().unwrap()).collect();
    assert_eq!(log.samples, samples, "memory and disk say the same");
    assert_eq!((log.forgotten, log.skipped, log.file_error), (0, 0, None));
    assert_eq!(log.logged, lines.len() as u64);
    let paid = east.paid();
    // On a busy machine the name may have had no answer in time: then there was nobody to send it to.
    let sent: Vec<&LogLine> = lines.iter().filter(|l| l.outcome == RequestOutcome::Acked).collect();
    let ids: Vec<String> = sent.iter().map(|l| l.id.clone()).collect();
    assert_eq!(paid.iter().collect::<BTreeSet<_>>(), ids.iter().collect());
    assert_eq!(paid.len(), sent.len(), "a payment was sent twice");
    assert!(ids.iter().all(|id| id.starts_with(&format!("{name}-"))));
    assert!(sent.iter().all(|l| l.address == Some(EAST.into()) && l.end_us > l.start_us));
    assert!(east.connections() < paid.len(), "{} connections for {} payments", east.connections(), paid.len());
    place.stop().await;
}

#[tokio::test]
async fn when_a_region_dies_the_client_follows_the_name_within_its_time_to_live() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let (east, west) = (place.serve(EAST).await, place.serve(WEST).await);
    place.route(1, EAST).await;
    let client = Client::start(parts(&place, folder.path(), 200)).await.unwrap();
    until(&client, "paid in the east", |l| l.acked >= 50).await;
    let east = east.kill();
    until(&client, "failing", |l| l.failed > 0 && l.acked_last_second < 200).await;
    place.route(2, WEST).await;
    let moved = SystemClock.mono();
    let live = until(&client, "paid in the west", |l| l.region == Some("west".into())).await;
    until(&client, "paid for long enough to be stale", |l| l.acked > live.acked + 600).await;
    let log = client.stop().await;

    assert_eq!(regions(&log.samples), BTreeSet::from(["east", "west"]));
    assert!(outage(&log.samples).unwrap().until.is_some());
    // Whatever was sent a time to live after the name was moved was not sent by the old answer, which may have taken as long
    // again to arrive.
    let stale = |l: &LogLine| l.address == Some(EAST.into()) && l.start_us > us(moved + Duration::from_secs(2));
    let lines = read_log(&folder.path().join("requests.jsonl")).unwrap();
    assert_eq!(lines.into_iter().filter(stale).collect::<Vec<_>>(), []);
    let acked: BTreeSet<u64> = log.samples.iter().filter(|s| s.ok).map(|s| s.id).collect();
    assert_eq!(acked.len() as u64, traffic(&log.samples).acked);
    let held: BTreeSet<u64> = [&east, &west].iter().flat_map(|s| s.paid()).filter_map(|id| number(&id)).collect();
    assert!(acked.is_subset(&held), "acknowledged and not held");
    place.stop().await;
}

fn us(at: Mono) -> u64 {
    u64::try_from(at.0.as_micros()).unwrap()
}

fn number(id: &str) -> Option<u64> {
    id.rsplit_once('-')?.1.parse().ok()
}

#[tokio::test]
async fn a_region_that_says_no_cannot_hold_its_users() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let (east, _west) = (place.serve(EAST).await, place.serve(WEST).await);
    place.route(1, EAST).await;
    let client = Client::start(parts(&place, folder.path(), 100)).await.unwrap();
    until(&client, "paid in the east", |l| l.acked >= 50).await;
    east.refuse();
    let live = until(&client, "refused", |l| l.failed_last_second > 20).await;
    let failure = live.last_failure.unwrap();
    assert_eq!(failure.outcome, RequestOutcome::Refused);
    assert!(failure.error.contains("503") && failure.error.contains("not the writer"), "{failure:?}");
    place.route(2, WEST).await;
    until(&client, "paid in the west", |l| l.region == Some("west".into())).await;
    let calm = until(&client, "calm again", |l| l.failed_last_second == 0 && l.acked_last_second > 20).await;
    assert_eq!(calm.address, Some(WEST.into()));
    client.stop().await;
    place.stop().await;
}

#[tokio::test]
async fn a_service_that_hangs_does_not_slow_the_client_down() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let east = place.serve(EAST).await;
    place.route(1, EAST).await;
    let hurried = ClientParts { timeout: Duration::from_millis(500), ..parts(&place, folder.path(), 100) };
    let client = Client::start(hurried).await.unwrap();
    until(&client, "paid", |l| l.acked >= 20).await;
    east.hang();
    // One that waited for each would time out twice a second.
    until(&client, "timed out far more often than one after the other", |l| l.failed_last_second > 20).await;
    let log = client.stop().await;
    let lines = read_log(&folder.path().join("requests.jsonl")).unwrap();
    assert!(
        outcomes(&lines).is_superset(&BTreeSet::from(["Acked".into(), "Timeout".into()])),
        "{:?}",
        outcomes(&lines)
    );
    assert_eq!(log.skipped, 0, "the bound is above what can hang");
    let late = lines.iter().filter(|l| l.outcome == RequestOutcome::Timeout);
    assert!(late.clone().all(|l| l.end_us - l.start_us >= 500_000), "gave up too early");
    place.stop().await;
}

#[tokio::test]
async fn a_connection_that_breaks_after_sending_leaves_the_payment_in_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let east = place.serve(EAST).await;
    place.route(1, EAST).await;
    let client = Client::start(parts(&place, folder.path(), 50)).await.unwrap();
    until(&client, "paid", |l| l.acked >= 20).await;
    east.hang();
    until(&client, "hanging", |_| east.hanging() > 3).await;
    drop(east);
    // Those that hung are in doubt; then there is nobody to send anything to.
    let refused = |l: &ClientLive| l.last_failure.as_ref().is_some_and(|f| f.outcome == RequestOutcome::Error);
    until(&client, "failed", |l| l.failed > 5 && refused(l)).await;
    client.stop().await;
    let mut count = BTreeMap::new();
    for line in read_log(&folder.path().join("requests.jsonl")).unwrap() {
        *count.entry(format!("{:?}", line.outcome)).or_insert(0_u32) += 1;
        if line.outcome != RequestOutcome::Acked {
            assert!(line.error.is_some() && line.address == Some(EAST.into()), "{line:?}");
        }
    }
    assert!(count.contains_key("InDoubt") && count.contains_key("Error"), "{count:?}");
    place.stop().await;
}

#[tokio::test]
async fn without_a_name_nothing_is_sent_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let client = Client::start(parts(&place, folder.path(), 50)).await.unwrap();
    let live = until(&client, "failed", |l| l.failed > 5).await;
    let failure = live.last_failure.unwrap();
    assert_eq!(failure.outcome, RequestOutcome::Error);
    assert!(failure.error.contains("has no address"), "{failure:?}");
    client.stop().await;
    place.stop().await;
}

#[tokio::test]
async fn memory_is_bounded_and_a_full_disk_does_not_end_the_measurement() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let _east = place.serve(EAST).await;
    place.route(1, EAST).await;
    let full = ClientParts { keep: 10, log_path: "/dev/full".into(), ..parts(&place, folder.path(), 100) };
    let client = Client::start(full).await.unwrap();
    let live = until(&client, "50 acknowledged", |l| l.acked >= 50).await;
    let middle = client.snapshot().await;
    assert_eq!(middle.samples.len(), 10);
    assert!(middle.forgotten >= 40);
    let log = client.stop().await;
    assert_eq!((log.samples.len(), log.logged), (10, 0));
    assert!(log.file_error.unwrap().contains("space"));
    assert!(live.file_error.is_some_and(|e| e.contains("space")), "it is said when it happens");
    place.stop().await;
}

#[tokio::test]
async fn a_start_that_cannot_work_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let good = parts(&place, folder.path(), 1);
    for url in ["pay.example.test/pay", "https://pay.example.test/pay", "http:///", ""] {
        let bad = ClientParts { url: url.to_owned(), ..good.clone() };
        assert!(matches!(Client::start(bad).await, Err(ClientError::Url { .. })), "{url}");
    }
    let nowhere = ClientParts { log_path: folder.path().join("no/such/folder"), ..good };
    assert!(matches!(Client::start(nowhere).await, Err(ClientError::Log { .. })));
    place.stop().await;
}
