//! The time to live, against a real authority and on a clock that only moves when told.

use super::*;
use async_trait::async_trait;
use pilotlight_core::time::Wall;
use pilotlight_dns::{Authority, AuthorityParts, RunningAuthority};
use std::path::Path;

const TOKEN: &str = "secret";
const NAME: &str = "pay.example.test";
const EAST: [u8; 4] = [127, 0, 0, 2];
const WEST: [u8; 4] = [127, 0, 0, 3];

#[derive(Default)]
struct HandClock(Mutex<Duration>);

impl HandClock {
    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

#[async_trait]
impl Clock for HandClock {
    fn mono(&self) -> Mono {
        Mono(*self.0.lock().unwrap())
    }
    fn wall(&self) -> Wall {
        Wall(0)
    }
    async fn sleep(&self, _: Duration) {
        std::future::pending::<()>().await;
    }
}

async fn authority(state_dir: &Path, port: u16) -> RunningAuthority {
    let parts = AuthorityParts {
        listen: ([127, 0, 0, 1], port).into(),
        control: ([127, 0, 0, 1], 0).into(),
        state_dir: state_dir.to_owned(),
        zones: vec!["example.test".to_owned()],
        token: TOKEN.to_owned(),
        tls: None,
    };
    Authority::start(parts).await.unwrap()
}

async fn tell(authority: &RunningAuthority, epoch: u64, ttl_s: u32, address: [u8; 4]) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = format!("http://{}/v1/names/{NAME}", authority.control_addr);
    let body = serde_json::json!({
        "unit": "payments", "epoch": epoch, "ttl_s": ttl_s,
        "answers": [{ "region": "any", "address": IpAddr::from(address), "weight": 1 }],
    });
    let sent = reqwest::Client::new().put(url).bearer_auth(TOKEN).json(&body).send().await.unwrap();
    sent.error_for_status().unwrap();
}

/// On a busy machine a question may have no answer in time: then it is asked again.
async fn answered(resolver: &NameResolver) -> Vec<IpAddr> {
    let mut last = None;
    for _ in 0..50 {
        match resolver.addresses(NAME).await {
            Ok(addresses) => return addresses,
            Err(e) => last = Some(e),
        }
    }
    panic!("asked for ever: {last:?}")
}

/// What the server itself says against it.
async fn refused(resolver: &NameResolver, name: &str) -> ResolveError {
    let mut last = None;
    for _ in 0..50 {
        match resolver.addresses(name).await.unwrap_err() {
            ResolveError::NoAnswer { why, .. } => last = Some(why),
            e => return e,
        }
    }
    panic!("asked for ever: {last:?}")
}

#[tokio::test]
async fn an_answer_is_believed_for_its_time_to_live_and_not_longer() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path(), 0).await;
    let clock = Arc::new(HandClock::default());
    let resolver = NameResolver::new(authority.dns_addr, clock.clone()).unwrap();
    tell(&authority, 1, 5, EAST).await;
    assert_eq!(answered(&resolver).await, [IpAddr::from(EAST)]);
    tell(&authority, 2, 0, WEST).await;
    clock.advance(Duration::from_millis(4_999));
    assert_eq!(answered(&resolver).await, [IpAddr::from(EAST)], "asked again too early");
    clock.advance(Duration::from_millis(1));
    assert_eq!(resolver.known(NAME), None, "believed too long");
    assert_eq!(answered(&resolver).await, [IpAddr::from(WEST)]);
    // A time to live of 0: asked anew each time.
    tell(&authority, 3, 5, EAST).await;
    assert_eq!(answered(&resolver).await, [IpAddr::from(EAST)]);
    authority.stop().await.unwrap();
}

#[tokio::test]
async fn without_a_server_there_is_no_stale_answer_and_with_it_again_a_fresh_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = authority(folder.path(), 0).await;
    let address = first.dns_addr;
    let clock = Arc::new(HandClock::default());
    let resolver = NameResolver::new(address, clock.clone()).unwrap();
    assert!(resolver.addresses(NAME).await.is_err(), "a name that was never told");
    tell(&first, 1, 5, EAST).await;
    assert_eq!(answered(&resolver).await, [IpAddr::from(EAST)], "nothing was remembered for nothing");
    first.stop().await.unwrap();
    clock.advance(Duration::from_secs(5));
    assert!(resolver.addresses(NAME).await.is_err());
    let second = authority(folder.path(), address.port()).await;
    assert_eq!(answered(&resolver).await, [IpAddr::from(EAST)]);
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_name_outside_the_zone_one_without_an_address_and_a_silent_server_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path(), 0).await;
    let resolver = NameResolver::new(authority.dns_addr, Arc::new(HandClock::default())).unwrap();
    let outside = refused(&resolver, "pay.other.test").await;
    assert!(matches!(outside, ResolveError::Refused { .. }), "{outside:?}");
    let inside = refused(&resolver, NAME).await;
    assert!(matches!(inside, ResolveError::NoAddress { .. }), "{inside:?}");
    authority.stop().await.unwrap();
    let silent = resolver.addresses(NAME).await.unwrap_err();
    assert!(matches!(silent, ResolveError::NoAnswer { .. }), "{silent:?}");
}
