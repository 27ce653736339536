//! Probes of real servers.

use super::names::for_probes;
use super::*;
use crate::stage::database::Database;
use crate::stage::{self, Site};
use axum::http::StatusCode;
use axum::routing::{get, post};
use pilotlight_core::effect::{CommandLine, HttpMethod};
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::verdict::PortAnswer;
use pilotlight_driver::battery::{self, Bench, ProbeBench};
use pilotlight_driver::guard::Guarded;
use std::collections::BTreeMap;
use std::net::IpAddr;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// Knows one name.
struct OneName;

#[async_trait]
impl Names for OneName {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        match name {
            "payments.test" => Ok(vec![IpAddr::from([127, 0, 0, 1])]),
            _ => Err(Failure::unreachable(format!("there is no {name}"))),
        }
    }
}

fn driver() -> ProbeDriver {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let names: Arc<dyn Names> = Arc::new(OneName);
    let client = for_probes(reqwest::Client::builder(), Arc::clone(&names)).build().unwrap();
    let redactor = Redactor::new(["very-secret-token".to_owned()]);
    let (application, withheld) = ("payments".into(), Vec::new());
    let commands = ExecDriver { application, region: None, redactor: redactor.clone(), withheld };
    ProbeDriver::new(client, names, redactor).running(commands)
}

async fn site() -> Site {
    let router = axum::Router::new()
        .route("/health", get(async || "all is well"))
        .route("/pay", post(async || StatusCode::CREATED))
        .route("/broken", get(async || (StatusCode::SERVICE_UNAVAILABLE, "down with very-secret-token")));
    Site::start(router).await
}

fn http(url: String) -> Probe {
    Probe::Http { url, method: HttpMethod::Get, status: None, body_contains: None, timeout_ms: PATIENCE }
}

fn with_body(url: String, wanted: &str) -> Probe {
    let body_contains = Some(wanted.to_owned());
    Probe::Http { url, method: HttpMethod::Get, status: None, body_contains, timeout_ms: PATIENCE }
}

fn tcp(address: String, timeout_ms: Duration) -> Probe {
    Probe::Tcp { address, timeout_ms }
}

fn named(name: &str, expect: &[&str]) -> Probe {
    let expect = expect.iter().map(|ip| ip.parse().unwrap()).collect();
    Probe::Dns { name: name.to_owned(), server: None, expect, timeout_ms: PATIENCE }
}

fn program(text: &str, timeout_ms: Duration) -> Probe {
    let argv = ["sh", "-eu", "-c", text].map(str::to_owned).into();
    Probe::Exec { command: CommandLine { argv, env: BTreeMap::new(), idempotent: true }, timeout_ms }
}

#[tokio::test]
async fn http_says_what_was_seen_and_what_was_expected() {
    let (driver, site) = (driver(), site().await);
    assert_eq!(driver.ask(&http(site.url("/health")), PATIENCE).await.unwrap(), "answered 200 OK");
    let post = Probe::Http {
        url: site.url("/pay"),
        method: HttpMethod::Post,
        status: Some(201),
        body_contains: None,
        timeout_ms: PATIENCE,
    };
    assert_eq!(driver.ask(&post, PATIENCE).await.unwrap(), "answered 201 Created");
    let failure = driver.ask(&http(site.url("/broken")), PATIENCE).await.unwrap_err();
    assert_eq!(failure.message, "answered 503 Service Unavailable, expected any 2xx");
    assert_eq!(failure.output, "down with [secret]");
    let failure = driver.ask(&with_body(site.url("/health"), "not so well"), PATIENCE).await.unwrap_err();
    assert_eq!(failure.message, "answered 200 OK without \"not so well\" in its body");
    assert_eq!((failure.kind, failure.output.as_str()), (FailureKind::Transient, "all is well"));
    let failure = driver.ask(&http(stage::refused_url("/").await), PATIENCE).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.message.contains("refused"), "{failure}");
}

#[tokio::test]
async fn names_are_asked_of_whom_we_were_told() {
    let (driver, site) = (driver(), site().await);
    let port = site.address.port();
    let url = format!("http://payments.test:{port}/health");
    assert!(driver.ask(&http(url), PATIENCE).await.is_ok());
    assert!(driver.ask(&tcp(format!("payments.test:{port}"), PATIENCE), PATIENCE).await.is_ok());
    let failure = driver.ask(&http(format!("http://other.test:{port}/")), PATIENCE).await.unwrap_err();
    assert!(failure.message.contains("there is no other.test"), "{failure}");
    let failure = driver.ask(&tcp(format!("other.test:{port}"), PATIENCE), PATIENCE).await.unwrap_err();
    assert!(failure.message.contains("there is no other.test"), "{failure}");
}

#[tokio::test]
async fn nobody_waits_longer_than_told() {
    let silent = stage::silent().await;
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let began = tokio::time::Instant::now();
    let short = Duration::from_millis(200);
    let failure = driver().ask(&http(url), short).await.unwrap_err();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Unreachable, "no answer within 200 ms"));
    assert!(began.elapsed() < PATIENCE);
}

#[tokio::test]
async fn passwords_are_not_part_of_a_name() {
    let dsn = "postgres://app:hidden@payments.test:5433/shop";
    let sql = Probe::Sql { dsn: dsn.to_owned(), query: "select 1".to_owned(), expect: None, timeout_ms: PATIENCE };
    assert_eq!(name(&sql), "query payments.test:5433/shop");
    assert_eq!(name(&http("http://app:hidden@payments.test/x".to_owned())), "GET http://payments.test/x");
    let (dsn, query) = ("hidden=".to_owned(), "select 1".to_owned());
    let unreadable = Probe::Sql { dsn, query, expect: None, timeout_ms: PATIENCE };
    let failure = driver().ask(&unreadable, PATIENCE).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert_eq!(name(&unreadable), "query a data source that cannot be read");
}

#[tokio::test]
async fn sql_compares_the_first_value_of_the_first_row() {
    let (driver, database) = (driver(), Database::start().await);
    let sql = |query: &str, expect: Option<&str>| Probe::Sql {
        dsn: database.dsn().replace("127.0.0.1", "payments.test"),
        query: query.to_owned(),
        expect: expect.map(str::to_owned),
        timeout_ms: PATIENCE,
    };
    for (query, expect, seen) in [
        ("select 1, 2", Some("1"), "returned \"1\""),
        ("select pg_is_in_recovery()", Some("f"), "returned \"f\""),
        ("select 7", None, "returned \"7\""),
        ("select null", None, "returned a row"),
    ] {
        assert_eq!(driver.ask(&sql(query, expect), PATIENCE).await.as_deref(), Ok(seen), "{query}");
    }
    for (query, expect, seen) in [
        ("select 1", Some("2"), "returned \"1\", expected \"2\""),
        ("select null", Some("2"), "returned null, expected \"2\""),
        ("select 1 where false", None, "returned no row, expected at least one"),
        ("select 1 from nowhere", None, "relation \"nowhere\" does not exist"),
        ("select 'very-secret-token'", Some("x"), "returned \"[secret]\""),
    ] {
        let failure = driver.ask(&sql(query, expect), PATIENCE).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Transient, "{query}");
        assert!(failure.message.contains(seen), "{query}: {failure}");
    }
    let dsn = database.dsn().replace("user=postgres", "user=nobody");
    let stranger = Probe::Sql { dsn, query: "select 1".to_owned(), expect: None, timeout_ms: PATIENCE };
    let failure = driver.ask(&stranger, PATIENCE).await.unwrap_err();
    assert!(failure.message.contains("role \"nobody\" does not exist"), "{failure}");
}

#[tokio::test]
async fn a_port_answers_refuses_or_is_out_of_reach() {
    let listening = stage::silent().await;
    let address = listening.local_addr().unwrap().to_string();
    assert_eq!(port(&address, PATIENCE).await, PortAnswer::Answers);
    assert_eq!(port(&stage::refused().await.to_string(), PATIENCE).await, PortAnswer::Refused);
    assert_eq!(port("no-such-host.invalid:1", PATIENCE).await, PortAnswer::Unreachable);
    assert_eq!(port("rubbish", PATIENCE).await, PortAnswer::Unreachable);
}

struct Real {
    driver: Guarded<ProbeDriver>,
    site: Site,
    silent: tokio::net::TcpListener,
    _folder: TempDir,
}

impl Bench for Real {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }
}

#[async_trait]
impl ProbeBench for Real {
    async fn working(&self) -> Vec<Probe> {
        let address = self.site.address.to_string();
        vec![
            http(self.site.url("/health")),
            with_body(self.site.url("/health"), "well"),
            tcp(address, PATIENCE),
            named("payments.test", &[]),
            named("payments.test", &["127.0.0.9", "127.0.0.1"]),
            program("true", PATIENCE),
        ]
    }

    async fn failing(&self) -> Vec<(Probe, String)> {
        let refused = stage::refused().await;
        let dsn = format!("host=127.0.0.1 port={} user=nobody dbname=none", refused.port());
        vec![
            (http(self.site.url("/broken")), "503".to_owned()),
            (with_body(self.site.url("/health"), "ill"), "ill".to_owned()),
            (tcp(refused.to_string(), PATIENCE), "refused".to_owned()),
            (
                Probe::Sql { dsn, query: "select 1".to_owned(), expect: None, timeout_ms: PATIENCE },
                "refused".to_owned(),
            ),
            (named("payments.test", &["127.0.0.9"]), "expected 127.0.0.9".to_owned()),
            (named("nobody.test", &[]), "there is no nobody.test".to_owned()),
            (program("echo the queue is full; exit 2", PATIENCE), "the queue is full".to_owned()),
        ]
    }

    async fn silent(&self) -> Vec<Probe> {
        let (address, short) = (self.silent.local_addr().unwrap(), Duration::from_millis(200));
        let dsn = format!("host=127.0.0.1 port={} user=nobody dbname=none", address.port());
        vec![
            Probe::Http {
                url: format!("http://{address}/"),
                method: HttpMethod::Post,
                status: None,
                body_contains: None,
                timeout_ms: short,
            },
            Probe::Sql { dsn, query: "select 1".to_owned(), expect: None, timeout_ms: short },
            program("tail -f /dev/null", short),
        ]
    }
}

#[tokio::test]
async fn real_probes_keep_every_law() {
    let folder = TempDir::new().unwrap();
    let driver = Guarded::open(driver(), folder.path()).unwrap();
    let (site, silent) = (site().await, stage::silent().await);
    battery::probe(&Real { driver, site, silent, _folder: folder }).await.assert_kept();
}
