//! TLS between the regions' servers: all that goes from one to the other is wrapped, and only to who is meant.

use crate::pair::{Pair, component, eventually};
use crate::rejoins::{assert_east_follows, lose_east_with_a_tail, with_rewind};
use crate::rows::{apply, captured, fail_over, run};
use pilotlight_core::effect::Effect;
use pilotlight_core::outcome::{Outcome, Severity};
use pilotlight_core::plan::{Guarantee, PostgresPlan, PostgresTls};
use pilotlight_driver::Driver;
use pilotlight_lab::certificates;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// The plan trusts an authority of its own, which made one certificate for both servers.
fn wrapped(plan: &mut PostgresPlan, root: &Path) {
    let files = certificates::make(&root.join("tls"), &["127.0.0.1"]).expect("certificates");
    plan.tls = Some(PostgresTls { ca: files.ca, identity: None });
}

async fn started() -> Pair {
    Pair::planned(Guarantee::BestEffort, None, wrapped).await.with_both().await
}

/// How the standbys of a region's server are connected: name, and whether by TLS.
async fn followers(pair: &Pair, region: &str) -> Vec<(String, bool)> {
    let sql =
        "SELECT application_name, ssl FROM pg_stat_replication JOIN pg_stat_ssl USING (pid) WHERE state = 'streaming'";
    let rows = pair.client(region).await.unwrap().query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Lines of a server's log about programs that came in: those that give this name, or none.
fn came_in(pair: &Pair, region: &str, name: Option<&str>) -> Vec<String> {
    let log = std::fs::read_to_string(pair.state_dir(region).join("database-server.log")).unwrap_or_default();
    let is_it = |line: &&str| match name {
        Some(name) => line.contains(&format!("application_name={name}")),
        None => !line.contains("application_name="),
    };
    log.lines().filter(|l| l.contains("authorized")).filter(is_it).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_streams_a_move_and_a_rewind_work_and_all_of_it_is_wrapped() {
    let pair = started().await;
    assert_eq!(followers(&pair, "east").await, [("database_west".to_owned(), true)]);
    let stop = Effect::StopWrites { component: component(), region: "east".into() };
    let found = pair.east.preflight(&stop).await.unwrap();
    assert!(found.iter().all(|f| f.code != "PL-0964"), "{found:?}");
    // There and back in order.
    pair.stop("east").await.unwrap();
    pair.promote("west").await.unwrap();
    pair.rejoin("east", "west").await.unwrap();
    pair.streams("east").await;
    assert_eq!(followers(&pair, "west").await, [("database_east".to_owned(), true)]);
    pair.stop("west").await.unwrap();
    pair.promote("east").await.unwrap();
    pair.rejoin("west", "east").await.unwrap();
    pair.streams("west").await;
    // And a loss, whose rewind reads from the new writer.
    lose_east_with_a_tail(&pair).await;
    let rejoined = pair.rejoin("east", "west").await.unwrap();
    let text = &rejoined.output().unwrap().text;
    assert!(text.contains("rewound to"), "{text}");
    assert_east_follows(&pair).await;
    // pg_rewind gives no name; the clients of this test give none either, and come without TLS.
    let rewinds = came_in(&pair, "west", None);
    assert!(rewinds.iter().any(|l| l.contains("SSL enabled")), "{rewinds:?}");
    // An empty directory is filled by a base backup, once a person has given up what it held.
    pair.fence("east").await.unwrap();
    std::fs::remove_dir_all(pair.data_dir("east")).unwrap();
    pair.capture(Some("mara")).await.unwrap();
    pair.rejoin("east", "west").await.unwrap();
    pair.streams("east").await;
    let backups = came_in(&pair, "west", Some("pg_basebackup"));
    assert!(!backups.is_empty() && backups.iter().all(|l| l.contains("SSL enabled")), "{backups:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_authority_is_not_followed_and_the_message_says_why() {
    let pair = started().await;
    let mut plan = pair.plan.clone();
    let other = certificates::make(&pair.root.path().join("other"), &["127.0.0.1"]).unwrap();
    plan.tls = Some(PostgresTls { ca: other.ca, identity: None });
    let west = pair.driver_under("west", &plan);
    let rejoin = Effect::Rejoin { component: component(), region: "west".into(), upstream: "east".into() };
    let refused = west.apply(&rejoin, &pair.context(std::time::Duration::from_secs(20))).await.unwrap_err();
    assert!(refused.message.contains("does not fit the plan's `tls`"), "{refused}");
    let found = west.preflight(&rejoin).await.unwrap();
    let silent = found.iter().find(|f| f.code == "PL-0301").unwrap_or_else(|| panic!("{found:?}"));
    assert!(silent.severity == Severity::Blocker && silent.message.contains("`tls`"), "{silent:?}");
    // The standby was left as it was.
    pair.streams("west").await;
    // A name that the certificate is not for is no better.
    plan.tls.clone_from(&pair.plan.tls);
    plan.regions.get_mut(&"east".into()).unwrap().host = "localhost".to_owned();
    let misnamed = pair.driver_under("west", &plan).preflight(&rejoin).await.unwrap();
    assert!(misnamed.iter().any(|f| f.code == "PL-0301" && f.message.contains("`tls`")), "{misnamed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_followed_without_tls_takes_it_on_by_a_rejoin() {
    let pair = started().await;
    let info = format!(
        "host=127.0.0.1 port={} user=pilot password='{}' application_name=database_west sslmode=disable",
        pair.server("east").port,
        crate::pair::PASSWORD
    );
    run(&pair, "west", &format!("ALTER SYSTEM SET primary_conninfo = '{}'", info.replace('\'', "''"))).await;
    run(&pair, "west", "SELECT pg_reload_conf()").await;
    let becomes = async |wanted: bool| {
        eventually("it follows", || async {
            let seen = followers(&pair, "east").await;
            if seen == [("database_west".to_owned(), wanted)] { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    };
    becomes(false).await;
    assert!(!matches!(pair.rejoin("west", "east").await.unwrap(), Outcome::Skipped { .. }));
    becomes(true).await;
    assert!(matches!(pair.rejoin("west", "east").await.unwrap(), Outcome::Skipped { .. }), "nothing is left to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_rows_are_compared_and_applied_over_tls() {
    let change = |plan: &mut PostgresPlan, root: &Path| {
        wrapped(plan, root);
        plan.rescue = Pair::rows();
    };
    let pair = Pair::planned(Guarantee::BestEffort, None, change).await.with_both().await;
    pair.keep_ready().await;
    pair.sever().await;
    pair.keep_ready().await;
    pair.pay("east", 1).await.unwrap();
    fail_over(&pair).await;
    let about = captured(&pair).await;
    // Without TLS the role is kept out.
    let file = pair.data_dir("west").join("pg_hba.conf");
    let rules = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("hostnossl all pilotlight_rescue all reject\n{rules}")).unwrap();
    run(&pair, "west", "SELECT pg_reload_conf()").await;
    let fence = Effect::Fence { component: component(), region: "east".into() };
    let found = pair.east.preflight(&fence).await.unwrap();
    assert!(found.iter().all(|f| f.code != "PL-0967"), "{found:?}");
    assert!(matches!(apply(&pair, &about, Some("mara")).await.unwrap(), Outcome::Done { .. }));
    assert!(pair.paid("west").await.contains(&1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ended_is_told_with_its_place() {
    let pair = started().await;
    let told = async |plan: &PostgresPlan| {
        let seen = pair.driver_under("east", plan).observe(&crate::pair::target("east")).await.unwrap();
        seen.findings.into_iter().filter(|f| f.code == "PL-0965").map(|f| f.message).collect::<Vec<_>>()
    };
    assert!(told(&pair.plan).await.is_empty(), "those of the lab hold for long");
    let mut plan = pair.plan.clone();
    let old = pair.root.path().join("old.pem");
    certificates::put_ended(&old).unwrap();
    plan.tls = Some(PostgresTls { ca: old.clone(), identity: None });
    let authority = told(&plan).await;
    assert!(authority.len() == 1 && authority[0].contains(&old.display().to_string()), "{authority:?}");
    assert!(authority[0].contains("ended at 2002-01-01"), "{authority:?}");
    // What the server shows is where its settings say.
    let rows = pair.client("east").await.unwrap().query("SHOW ssl_cert_file", &[]).await.unwrap();
    let shown = pair.data_dir("east").join(rows[0].get::<_, String>(0));
    certificates::put_ended(&shown).unwrap();
    let server = told(&pair.plan).await;
    assert!(server.len() == 1 && server[0].contains("the server's certificate"), "{server:?}");
}

/// Files of a region's own in its data directory: certificate, key, a folder of configuration. What they are is the same for both
/// regions, for the plan trusts one authority; whose they are stands at their end.
async fn with_files_of_its_own(pair: &Pair, region: &str, work_mem: &str) {
    let (data, tls) = (pair.data_dir(region), pair.root.path().join("tls"));
    let owner = std::fs::metadata(data).unwrap();
    let give = |path: &Path| std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    for folder in ["tls", "conf.d"].map(|name| data.join(name)) {
        std::fs::create_dir(&folder).unwrap();
        give(&folder);
    }
    for (from, to) in [("server.pem", "server.crt"), ("server.key", "tls/its.key")] {
        // Copied with its mode: a key that others may read is refused.
        std::fs::copy(tls.join(from), data.join(to)).unwrap();
        let text = std::fs::read_to_string(tls.join(from)).unwrap();
        std::fs::write(data.join(to), format!("{text}# {region}\n")).unwrap();
        give(&data.join(to));
    }
    let own = data.join(format!("conf.d/{region}.conf"));
    std::fs::write(&own, format!("work_mem = '{work_mem}'\n")).unwrap();
    give(&own);
    let settings = data.join("pilotlight.conf");
    let text = std::fs::read_to_string(&settings).unwrap();
    let ours = "ssl_cert_file = 'server.crt'\nssl_key_file = 'tls/its.key'\ninclude_dir 'conf.d'\n";
    std::fs::write(&settings, text + ours).unwrap();
    run(pair, region, "SELECT pg_reload_conf()").await;
}

async fn assert_east_has_files_of_its_own(pair: &Pair) {
    let data = pair.data_dir("east");
    for name in ["server.crt", "tls/its.key"] {
        let text = std::fs::read_to_string(data.join(name)).unwrap();
        assert!(text.ends_with("# east\n"), "{name}: {text}");
    }
    let own: Vec<_> = std::fs::read_dir(data.join("conf.d")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(own, ["east.conf"]);
    let sql = "SELECT current_setting('work_mem'), current_setting('ssl')";
    let row = pair.client("east").await.unwrap().query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("5MB", "on"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_and_a_folder_of_configuration_are_its_own_after_a_rewind_and_after_a_rebuild() {
    for script in ["#!/bin/sh\nexec REAL \"$@\"\n", "#!/bin/sh\nexit 1\n"] {
        let pair = started().await;
        with_files_of_its_own(&pair, "east", "5MB").await;
        with_files_of_its_own(&pair, "west", "7MB").await;
        lose_east_with_a_tail(&pair).await;
        let (driver, _folder) = with_rewind(&pair, script);
        let effect = Effect::Rejoin { component: component(), region: "east".into(), upstream: "west".into() };
        let rejoined = driver.apply(&effect, &pair.context(Duration::from_secs(60))).await.unwrap();
        let text = &rejoined.output().unwrap().text;
        assert!(text.contains(if script.contains("REAL") { "rewound to" } else { "built anew" }), "{text}");
        assert_east_follows(&pair).await;
        assert_east_has_files_of_its_own(&pair).await;
    }
}
