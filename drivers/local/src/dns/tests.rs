//! The driver on the real authority, and on things that only look like one.

use super::*;
use crate::probe::{ProbeDriver, SystemNames};
use crate::redact::Redactor;
use crate::stage::wait::PATIENCE;
use pilotlight_core::effect::Probe;
use pilotlight_core::id::{EffectKey, Epoch};
use pilotlight_core::outcome::FailureKind;
use pilotlight_dns::{Authority, AuthorityParts, RunningAuthority};
use pilotlight_driver::battery::{Bench, TrafficBench, traffic};
use pilotlight_driver::guard::Guarded;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "secret";

fn parts(folder: &Path) -> AuthorityParts {
    AuthorityParts {
        listen: "127.0.0.1:0".parse().unwrap(),
        control: "127.0.0.1:0".parse().unwrap(),
        state_dir: folder.to_owned(),
        zones: vec!["example.test".to_owned()],
        token: TOKEN.to_owned(),
        tls: None,
    }
}

fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn plan(server: SocketAddr, control: SocketAddr) -> DnsPlan {
    DnsPlan {
        name: "pay.example.test".to_owned(),
        ttl: Duration::from_millis(900),
        server,
        control_url: format!("http://{control}/"),
        answers: BTreeMap::from([
            ("east".into(), IpAddr::from([127, 0, 0, 2])),
            ("west".into(), IpAddr::from([127, 0, 0, 3])),
        ]),
    }
}

fn driver(server: SocketAddr, control: SocketAddr) -> DnsDriver {
    DnsDriver::new("name".into(), plan(server, control), TOKEN.to_owned(), http())
}

fn on(authority: &RunningAuthority) -> DnsDriver {
    driver(authority.dns_addr, authority.control_addr)
}

fn context(epoch: u64) -> Context {
    Context {
        unit: "payments".into(),
        epoch: Epoch(epoch),
        key: EffectKey::new(&"run".into(), &"route".into(), 1),
        deadline: PATIENCE,
        cancel: CancellationToken::new(),
    }
}

fn route(shares: &[(&str, u32)]) -> Effect {
    let shares = shares.iter().map(|(region, share)| (Region::from(*region), *share)).collect();
    Effect::Route { component: "name".into(), shares }
}

fn target() -> Target {
    Target { component: "name".into(), region: None }
}

struct Real {
    authority: RunningAuthority,
    driver: Guarded<DnsDriver>,
}

impl Bench for Real {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }
}

#[async_trait]
impl TrafficBench for Real {
    async fn name(&self) -> (Component, Region, Region) {
        ("name".into(), "east".into(), "west".into())
    }

    async fn users_go_to(&self) -> Vec<Region> {
        let plan = &self.driver.inner().plan;
        let served = query::addresses(self.authority.dns_addr, &plan.name, true, PATIENCE, query::Asked::Authority)
            .await
            .unwrap();
        let region = |ip: IpAddr| plan.answers.iter().find(|(_, a)| **a == ip).map(|(r, _)| r.clone());
        served.into_iter().filter_map(region).collect()
    }
}

#[tokio::test]
async fn the_battery_of_traffic_holds_on_the_real_authority() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::start(parts(&folder.path().join("dns"))).await.unwrap();
    let driver = Guarded::open(on(&authority), &folder.path().join("guard")).unwrap();
    let first = Context { unit: "battery".into(), ..context(0) };
    driver.apply(&route(&[("east", 100)]), &first).await.unwrap();
    let real = Real { authority, driver };
    traffic(&real).await.assert_kept();
    // A probe of the same name sees what users are told.
    let shown = real.users_go_to().await;
    let expect: Vec<IpAddr> = shown.iter().map(|region| real.driver.inner().plan.answers[region]).collect();
    let (name, server) = (real.driver.inner().plan.name.clone(), Some(real.authority.dns_addr));
    let ask = |expect| Probe::Dns { name: name.clone(), server, expect, timeout_ms: PATIENCE };
    let probes = ProbeDriver::new(http(), Arc::new(SystemNames), Redactor::default());
    let seen = probes.ask(&ask(expect), PATIENCE).await.unwrap();
    assert!(seen.starts_with("leads to 127.0.0."), "{seen}");
    let failure = probes.ask(&ask(vec![IpAddr::from([127, 0, 0, 9])]), PATIENCE).await.unwrap_err();
    assert!(failure.message.contains("expected 127.0.0.9"), "{failure}");
    real.authority.stop().await.unwrap();
}

#[tokio::test]
async fn the_authority_itself_refuses_an_older_epoch_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::start(parts(folder.path())).await.unwrap();
    let done = on(&authority).apply(&route(&[("east", 0), ("west", 100)]), &context(5)).await.unwrap();
    assert_eq!(done.output().unwrap().text, "pay.example.test answers east 0 %, west 100 % (version 1)");
    authority.stop().await.unwrap();
    let authority = Authority::start(parts(folder.path())).await.unwrap();
    let refused = on(&authority).apply(&route(&[("east", 100), ("west", 0)]), &context(4)).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected);
    assert!(refused.message.contains("epoch 4") && refused.message.contains('5'), "{refused}");
    let state = on(&authority).observe(&target()).await.unwrap();
    assert_eq!(state.shares, Some(BTreeMap::from([("east".into(), 0), ("west".into(), 100)])));
    assert_eq!((state.epoch, state.facts["served"].as_str()), (Some(Epoch(5)), "127.0.0.3"));
    assert_eq!(state.facts["ttl_s"], "1", "part of a second is rounded up");
    authority.stop().await.unwrap();
}

#[tokio::test]
async fn shares_are_only_said_when_published_and_served_agree() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let authority = Authority::start(parts(folder.path())).await.unwrap();
    assert_eq!(on(&authority).observe(&target()).await.unwrap().shares, None, "never told");
    on(&authority).apply(&route(&[("east", 100)]), &context(1)).await.unwrap();
    assert!(on(&authority).observe(&target()).await.unwrap().shares.is_some());

    // Users ask another server than the one that is told.
    let stale = Authority::start(parts(other.path())).await.unwrap();
    on(&stale).apply(&route(&[("west", 100)]), &context(1)).await.unwrap();
    let state = driver(stale.dns_addr, authority.control_addr).observe(&target()).await.unwrap();
    assert_eq!(state.shares, None);
    assert_eq!((state.facts["published"].as_str(), state.facts["served"].as_str()), ("127.0.0.2", "127.0.0.3"));
    let gone = stale.dns_addr;
    stale.stop().await.unwrap();
    let state = driver(gone, authority.control_addr).observe(&target()).await.unwrap();
    assert_eq!((state.shares, state.epoch), (None, Some(Epoch(1))));
    authority.stop().await.unwrap();
}

/// Takes connections, reads the request, answers `GET` with 404 and does to a `PUT` what the test wants.
async fn impostor(put: Option<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap_or(0);
            let answer = if buffer[..read].starts_with(b"GET") { Some("404 Not Found") } else { put };
            match answer {
                Some("") => {}
                Some(status) => {
                    let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                    let _ = stream.write_all(text.as_bytes()).await;
                }
                // Holds the connection open until the other side goes.
                None => drop(stream.read(&mut buffer).await),
            }
        }
    });
    address
}

#[tokio::test]
async fn each_way_to_fail_says_whether_something_may_have_changed() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = impostor(None).await;
    for (control, kind) in [
        (nobody, FailureKind::Unreachable),
        (silent, FailureKind::OutcomeUnknown),
        (impostor(Some("")).await, FailureKind::OutcomeUnknown),
        (impostor(Some("500 Internal Server Error")).await, FailureKind::OutcomeUnknown),
        (impostor(Some("507 Insufficient Storage")).await, FailureKind::Transient),
        (impostor(Some("412 Precondition Failed")).await, FailureKind::Transient),
        (impostor(Some("409 Conflict")).await, FailureKind::Rejected),
        (impostor(Some("401 Unauthorized")).await, FailureKind::Rejected),
        (impostor(Some("200 OK")).await, FailureKind::OutcomeUnknown),
    ] {
        let context = Context { deadline: if control == silent { LOOK } else { PATIENCE }, ..context(1) };
        let failure = driver(nobody, control).apply(&route(&[("east", 100)]), &context).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(!failure.message.contains(TOKEN));
    }
    let cancelled = context(1);
    cancelled.cancel.cancel();
    let hanging = driver(nobody, impostor(None).await);
    let failure = hanging.apply(&route(&[("east", 100)]), &cancelled).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutcomeUnknown);
}

#[tokio::test]
async fn a_preflight_names_what_would_stand_in_the_way_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::start(parts(folder.path())).await.unwrap();
    let codes = |findings: Vec<Finding>| findings.into_iter().map(|f| (f.code, f.severity)).collect::<Vec<_>>();
    let good = route(&[("east", 100), ("west", 0)]);
    assert_eq!(on(&authority).preflight(&good).await.unwrap(), []);
    assert_eq!(on(&authority).observe(&target()).await.unwrap().epoch, None, "a preflight published something");

    let lost = on(&authority).preflight(&route(&[("north", 100)])).await.unwrap();
    assert_eq!(codes(lost), [("PL-0321".to_owned(), Severity::Blocker)]);
    let wrong = DnsDriver::new("name".into(), on(&authority).plan, "wrong".into(), http());
    assert_eq!(codes(wrong.preflight(&good).await.unwrap()), [("PL-0322".to_owned(), Severity::Blocker)]);
    let (dns, control) = (authority.dns_addr, authority.control_addr);
    let elsewhere = DnsPlan { name: "pay.example.org".into(), ..plan(dns, control) };
    let elsewhere = DnsDriver::new("name".into(), elsewhere, TOKEN.into(), http());
    let found = codes(elsewhere.preflight(&good).await.unwrap());
    assert_eq!(found, [("PL-0322".to_owned(), Severity::Blocker), ("PL-0323".to_owned(), Severity::Blocker)]);

    for (ttl_s, rto_s, expected) in [
        (30, Some(300), None),
        (200, Some(300), Some(Severity::Warning)),
        (300, Some(300), Some(Severity::Blocker)),
        (60, None, None),
        (61, None, Some(Severity::Note)),
    ] {
        let slow = DnsPlan { ttl: Duration::from_secs(ttl_s), ..plan(dns, control) };
        let mut slow = DnsDriver::new("name".into(), slow, TOKEN.into(), http());
        if let Some(rto_s) = rto_s {
            slow = slow.with_rto(Duration::from_secs(rto_s));
        }
        let found = codes(slow.preflight(&good).await.unwrap());
        assert_eq!(found, expected.map(|s| ("PL-0324".to_owned(), s)).into_iter().collect::<Vec<_>>(), "{ttl_s}");
    }
    authority.stop().await.unwrap();
    let gone = codes(driver(dns, control).preflight(&good).await.unwrap());
    assert_eq!(gone, [("PL-0322".to_owned(), Severity::Blocker), ("PL-0323".to_owned(), Severity::Blocker)]);
}

#[tokio::test]
async fn what_was_published_with_a_long_time_to_live_is_found_although_the_plan_is_short() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::start(parts(folder.path())).await.unwrap();
    let slow = DnsPlan { ttl: Duration::from_secs(3_600), ..on(&authority).plan };
    let slow = DnsDriver::new("name".into(), slow, TOKEN.into(), http());
    slow.apply(&route(&[("east", 100)]), &context(1)).await.unwrap();
    let findings = on(&authority).with_rto(Duration::from_secs(60)).preflight(&route(&[("west", 100)])).await.unwrap();
    assert_eq!(findings.len(), 1);
    assert!(findings[0].hint.contains("before it is needed"), "{findings:?}");
    authority.stop().await.unwrap();
}
