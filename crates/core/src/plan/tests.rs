//! What a plan means, and that no text makes the reader panic. Each kind of fault is in `faults`.

mod alarms;
mod aws;
mod controllers;
mod failback;
mod faults;
mod health;
mod shares;
mod tables;

use super::*;
use proptest::prelude::*;
use std::path::Path;

/// A plan with the keys that the sample leaves out.
const EVERY_KEY: &str = r#"x-note: { anything: [goes, here] }
application: shop
objectives: { rto: 4h, rpo: 15m, mtpd: 1 day, wrt: 2h, mttr: 30m }
home: b
regions: [a, b, c]
controller:
  listen: "[::1]:7400"
  url: https://dr.example.com
  token: { file: token }
  tls: { ca: ca.pem, certificate: cert.pem, key: /etc/key.pem }
policy: { mode: approve-first, least_fence: none, on_postmaster_death: failover, rejoin: automatic, cool_down: 0s }
components:
  db:
    kind: postgres
    unit: data
    password: { env: PGPASSWORD }
    regions:
      a: &server { host: db-a, port: 5432, data_dir: /pg, bin_dir: bin, run_as: pg }
      b: { host: db-b, port: 5432, data_dir: /pg }
      c: { host: db-c, port: 5432, data_dir: /pg }
  app:
    kind: process
    regions: { a: { shell: "exec ./app" }, b: { command: [./app, 7], env: { N: 7 } }, c: { command: [app] } }
    ready: { a: { tcp: { address: "db-a:80", timeout: 1s } } }
  people: { kind: webhook, url: { file: hook } }
verify:
  - sql: { dsn: "host=db-a user=x", query: select 1, expect: "1" }
  - http: { url: "https://[::1]/", status: 204, body_contains: ok }
    unit: data
"#;

fn sample() -> Plan {
    match Plan::read(SAMPLE, "sample.yaml") {
        Ok(plan) => plan,
        Err(faults) => panic!("{faults}"),
    }
}

#[test]
fn the_sample_is_a_plan() {
    let plan = sample();
    assert_eq!(plan.application, "payments".into());
    assert_eq!(plan.regions, ["east".into(), "west".into()]);
    assert_eq!(plan.home, "east".into());
    assert_eq!(plan.controller.members[0].url, "http://127.0.0.1:7400");
    assert_eq!(plan.controller.token, SecretRef::Env("PILOTLIGHT_TOKEN".into()));
    assert_eq!(plan.policy.renew, Duration::from_millis(500));
    assert_eq!(plan.policy.max_lag_bytes, Some(16 << 20));
    assert_eq!(plan.policy.on_writer_death, OnWriterDeath::Restart { attempts: 3 });
    assert_eq!(plan.units().len(), 1);
    assert_eq!(plan.in_unit(&"payments".into()).count(), plan.components.len());
    let Kind::Exec(exec) = &plan.components[&"warm-cache".into()].kind else { panic!("exec") };
    assert_eq!(exec.command.argv[..3], ["sh", "-eu", "-c"]);
    assert!(exec.command.idempotent);
    let Kind::Dns(dns) = &plan.components[&"name".into()].kind else { panic!("dns") };
    assert_eq!(dns.answers[&"west".into()].to_string(), "127.0.0.2");
    let Probe::Http { method, timeout_ms, .. } = &plan.verify[0].probe else { panic!("http") };
    assert_eq!((*method, *timeout_ms), (crate::effect::HttpMethod::Get, Duration::from_secs(2)), "POST sends no body");
    let Kind::Process(payments) = &plan.components[&"payments".into()].kind else { panic!("process") };
    let also_beside_a_standby = |probe: &Probe| matches!(probe, Probe::Tcp { .. });
    assert!(payments.ready.len() == 2 && payments.ready.values().all(also_beside_a_standby), "{:?}", payments.ready);
}

#[test]
fn every_optional_key_is_read() {
    let mut plan = Plan::read(EVERY_KEY, "p").unwrap_or_else(|f| panic!("{f}"));
    plan.resolve_paths(Path::new("/etc/dr"));
    assert_eq!(plan.objectives.mtpd, Some(Duration::from_secs(86_400)));
    assert_eq!(plan.policy.lease, Duration::from_secs(10));
    assert_eq!(plan.policy.renew, Duration::from_secs(10) / 6);
    assert_eq!(plan.policy.on_writer_death, OnWriterDeath::Failover);
    assert_eq!(plan.controller.token, SecretRef::File("/etc/dr/token".into()));
    assert_eq!(plan.controller.members[0].state, Path::new("/etc/dr/state/controller"));
    let tls = plan.controller.tls.as_ref().unwrap();
    assert_eq!((tls.ca.as_path(), tls.key.as_path()), (Path::new("/etc/dr/ca.pem"), Path::new("/etc/key.pem")));
    assert_eq!(plan.components[&"db".into()].unit, "data".into());
    let Kind::Postgres(db) = &plan.components[&"db".into()].kind else { panic!("postgres") };
    let a = &db.regions[&"a".into()];
    assert_eq!((a.bin_dir.as_deref(), a.run_as.as_deref()), (Some(Path::new("/etc/dr/bin")), Some("pg")));
    let Kind::Process(app) = &plan.components[&"app".into()].kind else { panic!("process") };
    assert_eq!((app.active, app.standby), (1, 0));
    assert_eq!(app.regions[&"b".into()].argv, ["/etc/dr/./app", "7"]);
    assert_eq!(app.regions[&"b".into()].env[&"N".to_owned()], "7");
    assert_eq!(app.regions[&"c".into()].argv, ["app"]);
    assert_eq!(app.ready[&"a".into()], Probe::Tcp { address: "db-a:80".into(), timeout_ms: Duration::from_secs(1) });
    let Kind::Webhook(people) = &plan.components[&"people".into()].kind else { panic!("webhook") };
    assert_eq!(people.url, SecretRef::File("/etc/dr/hook".into()));
    assert_eq!(plan.verify.len(), 2);
    let asked = |unit: &str| plan.proofs(&unit.into()).cloned().collect::<Vec<_>>();
    let [both, data] = [&plan.verify[0], &plan.verify[1]].map(|proof| proof.probe.clone());
    assert_eq!((asked("data"), asked("shop")), (vec![both.clone(), data], vec![both]));
}

#[test]
fn every_word_means_something_of_its_own() {
    let read = |from: &str, to: &str| {
        assert!(SAMPLE.contains(from), "{from}");
        Plan::read(&SAMPLE.replacen(from, to, 1), "p").unwrap_or_else(|f| panic!("{to}: {f}"))
    };
    for (word, mode) in [("approve-first", DecisionMode::ApproveFirst), ("manual", DecisionMode::Manual)] {
        assert_eq!(read("mode: automatic", &format!("mode: {word}")).policy.mode, mode);
    }
    for fence in ["provider-attested", "connections-cut", "traffic-only", "none", "proven", "lapsed"] {
        let text = SAMPLE.replacen("mode: automatic", "mode: manual", 1);
        let plan = Plan::read(&text.replacen("fence: lapsed", &format!("fence: {fence}"), 1), "p").unwrap();
        assert_eq!(serde_json::to_value(plan.policy.least_fence).unwrap(), fence);
        assert_eq!(fence.replace('-', " "), plan.policy.least_fence.to_string());
    }
    for (word, hook) in [("before-move", Hook::BeforeMove), ("after-move", Hook::AfterMove)] {
        let plan = read("when: before-route", &format!("when: {word}"));
        let Kind::Exec(exec) = &plan.components[&"warm-cache".into()].kind else { panic!("exec") };
        assert_eq!(exec.when, hook);
    }
    assert_eq!(
        read("{ restart: { attempts: 3 } }", "{ restart: {} }").policy.on_writer_death,
        OnWriterDeath::Restart { attempts: 3 }
    );
    assert_eq!(
        read("{ restart: { attempts: 3 } }", "restart").policy.on_writer_death,
        OnWriterDeath::Restart { attempts: 3 }
    );
    assert_eq!(read("attempts: 3", "attempts: 7").policy.on_writer_death, OnWriterDeath::Restart { attempts: 7 });
    assert_eq!(read("rejoin: manual", "rejoin: automatic").policy.rejoin, RejoinMode::Automatic);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let read = Plan::read_bytes(&bytes, "p");
        prop_assert!(read.is_err());
    }

    #[test]
    fn no_text_of_yaml_signs_makes_it_panic(text in "[a-c0:\\-{}\\[\\],&*!|>'\"#%@?~ \\n\\t\\r]{0,120}") {
        if let Err(faults) = Plan::read(&text, "p") {
            prop_assert!(faults.iter().all(|f| f.line >= 1 && f.column >= 1 && f.width >= 1));
        }
    }

    /// A good plan with one part cut out, doubled or replaced: faults or a plan, and every place lies in the text.
    #[test]
    fn no_damage_to_a_good_plan_makes_it_panic(from in 0..SAMPLE.len(), len in 0..80usize, put in ".{0,12}") {
        let to = (from + len).min(SAMPLE.len());
        let (Some(head), Some(tail)) = (SAMPLE.get(..from), SAMPLE.get(to..)) else { return Ok(()) };
        let text = format!("{head}{put}{tail}");
        if let Err(faults) = Plan::read(&text, "p") {
            let lines = text.lines().count() + 1;
            prop_assert!(faults.iter().count() > 0);
            prop_assert!(faults.iter().all(|f| f.line >= 1 && f.line <= lines), "{faults}");
        }
    }
}
