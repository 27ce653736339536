//! A lost writer comes back: as it is, rewound, or built anew.

use crate::pair::{Pair, component};
use crate::starts::start_with;
use nix::sys::signal::Signal;
use pilotlight_core::effect::Effect;
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::{FailureKind, Severity};
use pilotlight_core::plan::Rebuild;
use pilotlight_driver::Driver;
use pilotlight_driver::clock::SystemClock;
use pilotlight_local::postgres::{Confirmed, PostgresDriver, PostgresParts, cluster};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// East acknowledges a payment that never reaches west, and dies; west takes over.
pub async fn lose_east_with_a_tail(pair: &Pair) {
    lose_east_with_a_tail_of(pair, "").await;
}

/// The same with something more at the end of the tail.
pub async fn lose_east_with_a_tail_of(pair: &Pair, more: &str) {
    pair.pay("east", 1).await.unwrap();
    crate::pair::eventually("the payment arrives", || async {
        let paid = pair.paid("west").await;
        if paid.contains(&1) { Ok(()) } else { Err(format!("{paid:?}")) }
    })
    .await;
    let west = pair.client("west").await.unwrap();
    west.batch_execute("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'").await.unwrap();
    west.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    pair.reaches("west", |role| matches!(role, Role::Standby { streaming: false, .. })).await;
    for number in 2..=50 {
        pair.pay("east", number).await.unwrap();
    }
    for statement in more.split(';').filter(|s| !s.trim().is_empty()) {
        pair.client("east").await.unwrap().batch_execute(statement).await.unwrap();
    }
    pair.hit("east", Signal::SIGKILL);
    pair.fence("east").await.unwrap();
    pair.promote("west").await.unwrap();
    pair.pay("west", 100).await.unwrap();
}

pub async fn assert_east_follows(pair: &Pair) {
    pair.streams("east").await;
    pair.pay("west", 101).await.unwrap();
    crate::pair::eventually("east has what west has, and nothing else", || async {
        let (east, west) = (pair.paid("east").await, pair.paid("west").await);
        if east == west && east.contains(&101) { Ok(()) } else { Err(format!("{east:?}")) }
    })
    .await;
    assert!(!pair.paid("east").await.contains(&2), "what was never replicated is not in the history any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_with_a_tail_of_its_own_is_rewound_and_its_tail_kept() {
    let pair = Pair::started().await;
    lose_east_with_a_tail(&pair).await;
    let rejoined = pair.rejoin("east", "west").await.unwrap();
    let text = &rejoined.output().unwrap().text;
    println!("{text}");
    assert!(text.contains("rewound to"), "{text}");
    assert!(!text.contains(crate::pair::PASSWORD));
    assert_east_follows(&pair).await;
    let bundles = pair.bundles("east").await;
    assert_eq!(bundles.len(), 1, "the rejoin kept the tail by itself: {bundles:?}");
    assert_eq!((bundles[0].about.commits, &bundles[0].about.missing), (49, &None));
    // Its own configuration survived the copy of the other side's.
    let own = std::fs::read_to_string(pair.data_dir("east").join("pilotlight.conf")).unwrap();
    assert!(own.contains(&format!("port = {}\n", pair.server("east").port)), "{own}");
    assert!(matches!(pair.rejoin("east", "west").await, Ok(pilotlight_core::outcome::Outcome::Skipped { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_cannot_be_rewound_is_built_anew() {
    let pair = Pair::started().await;
    lose_east_with_a_tail(&pair).await;
    let (driver, _folder) = with_rewind(&pair, "#!/bin/sh\necho made to fail >&2\nexit 1\n");
    let effect = Effect::Rejoin { component: component(), region: "east".into(), upstream: "west".into() };
    let found = driver.preflight(&effect).await.unwrap();
    let foretold = found.iter().find(|f| f.code == "PL-0352").unwrap_or_else(|| panic!("{found:#?}"));
    assert!(foretold.message.contains("will be rewound to"), "{foretold:?}");
    assert!(foretold.message.contains("was never measured here"), "{foretold:?}");
    let rejoined = driver.apply(&effect, &pair.context(Duration::from_secs(60))).await.unwrap();
    let text = &rejoined.output().unwrap().text;
    assert!(text.contains("built anew") && text.contains("made to fail"), "{text}");
    assert_east_follows(&pair).await;
    assert!(
        !pair.data_dir("east").with_extension("replaced").exists(),
        "the old copy is gone once the new one streams"
    );
    assert!(!pair.data_dir("east").with_extension("rebuild").exists());
}

/// A driver of east with another `pg_rewind`, and what holds its programs. Not beside the data: programs may not be run
/// from every place where files may be kept. `REAL` in the script stands for the real one.
pub fn with_rewind(pair: &Pair, script: &str) -> (PostgresDriver, tempfile::TempDir) {
    let postgres = std::fs::read_to_string(pair.data_dir("east").join("postmaster.opts")).unwrap();
    let bin = Path::new(postgres.split(' ').next().unwrap()).parent().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let other = folder.path().to_owned();
    for entry in std::fs::read_dir(&bin).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() != "pg_rewind" {
            std::os::unix::fs::symlink(&path, other.join(path.file_name().unwrap())).unwrap();
        }
    }
    let script = script.replace("REAL", &bin.join("pg_rewind").display().to_string());
    std::fs::write(other.join("pg_rewind"), script).unwrap();
    std::fs::set_permissions(other.join("pg_rewind"), std::fs::Permissions::from_mode(0o755)).unwrap();
    (pair.driver_with("east", |server| server.bin_dir = Some(other.clone())), folder)
}

/// All is rewound, the new histories and the upstream's configuration are there, and nobody came to put things right.
pub async fn cut_a_rewind(pair: &Pair) {
    let (driver, folder) = with_rewind(pair, "#!/bin/sh\nREAL \"$@\" && touch \"${0%/*}/rewound\"\nexec sleep 600\n");
    let effect = Effect::Rejoin { component: component(), region: "east".into(), upstream: "west".into() };
    let context = pair.context(Duration::from_secs(60));
    let rewound = crate::pair::eventually("it is rewound", || async {
        if folder.path().join("rewound").exists() { Ok(()) } else { Err("not yet".to_owned()) }
    });
    let (cut, ()) = tokio::join!(driver.apply(&effect, &context), async {
        rewound.await;
        context.cancel.cancel();
    });
    cut.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_rewind_was_cut_short_is_built_anew_with_its_own_configuration() {
    let pair = Pair::started().await;
    lose_east_with_a_tail(&pair).await;
    cut_a_rewind(&pair).await;
    let port = format!("port = {}\n", pair.server("east").port);
    let own = || std::fs::read_to_string(pair.data_dir("east").join("pilotlight.conf")).unwrap();
    assert!(!own().contains(&port), "the upstream's configuration is there: {}", own());
    let refused = pair.resume("east").await.unwrap_err();
    assert!(refused.message.starts_with("PL-0970: "), "{refused:?}");
    let kept = pair.capture(None).await.unwrap();
    assert!(format!("{kept:?}").contains("49 lost transactions are kept"), "{kept:?}");

    // Without what it held before, nothing is built over it.
    let bundle = std::path::PathBuf::from(pair.bundles("east").await[0].folder.clone());
    let aside = bundle.with_extension("aside");
    std::fs::rename(&bundle, &aside).unwrap();
    let refused = pair.rejoin("east", "west").await.unwrap_err();
    assert!(refused.message.starts_with("PL-0970: ") && refused.hint.is_some(), "{refused:?}");
    std::fs::rename(&aside, &bundle).unwrap();

    let rejoined = pair.rejoin("east", "west").await.unwrap();
    let text = &rejoined.output().unwrap().text;
    assert!(text.contains("built anew") && text.contains("cut short"), "{text}");
    assert_east_follows(&pair).await;
    assert!(own().contains(&port), "{}", own());
    assert!(matches!(pair.rejoin("east", "west").await, Ok(pilotlight_core::outcome::Outcome::Skipped { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_goes_on_behind_a_hole_does_not_end_at_the_hole() {
    let pair = Pair::started().await;
    for number in [60, 61] {
        pair.pay("east", number).await.unwrap();
        pair.client("east").await.unwrap().batch_execute("SELECT pg_switch_wal()").await.unwrap();
    }
    lose_east_with_a_tail(&pair).await;
    let fork = std::fs::read_to_string(pair.data_dir("west").join("pg_wal/00000002.history")).unwrap();
    let low = u64::from_str_radix(fork.split_whitespace().nth(1).unwrap().split_once('/').unwrap().1, 16).unwrap();
    let hole = format!("00000001{:016X}", low / (16 << 20) - 1);
    std::fs::remove_file(pair.data_dir("east").join("pg_wal").join(&hole)).unwrap();
    for refused in [pair.capture(None).await, pair.rejoin("east", "west").await] {
        let failure = refused.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Rejected);
        assert!(failure.message.starts_with("PL-0238: "), "{failure}");
    }
    pair.capture(Some("mara")).await.unwrap();
    let rejoined = pair.rejoin("east", "west").await.unwrap();
    let text = &rejoined.output().unwrap().text;
    assert!(text.contains("built anew") && text.contains("cannot be read to its end"), "{text}");
    assert_east_follows(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_starts_from_nothing_is_built() {
    let pair = Pair::bare().await;
    pair.start_writer().await;
    pair.pay("east", 1).await.unwrap();
    let rejoined = pair.rejoin("west", "east").await.unwrap();
    assert!(rejoined.output().unwrap().text.contains("built anew"), "{rejoined:?}");
    pair.streams("west").await;
    assert!(pair.paid("west").await.contains(&1));
}

/// Each file alone makes a directory no database, and neither says that there is nothing in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_data_directory_is_neither_replaced_nor_taken_for_an_empty_one() {
    let pair = Pair::started().await;
    lose_east_with_a_tail(&pair).await;
    // As after a restore of the machine without the agent's folder: nothing but the directory tells what it was.
    std::fs::remove_dir_all(pair.state_dir("east")).unwrap();
    let data = pair.data_dir("east").to_owned();
    let tail = || std::fs::read_dir(data.join("pg_wal")).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    let before = tail();
    for file in ["global/pg_control", "PG_VERSION"] {
        let aside = pair.root.path().join("aside");
        std::fs::rename(data.join(file), &aside).unwrap();
        let seen = pair.look("east").await;
        assert_eq!(seen.role, Some(Role::Unknown), "without {file}: {seen:?}");
        let says = seen.says().unwrap_or_default();
        assert!(says.contains("PL-0970") && says.contains(file), "{says}");
        for refused in [pair.rejoin("east", "west").await, pair.capture(None).await, pair.capture(Some("mara")).await] {
            let failure = refused.unwrap_err();
            assert_eq!(failure.kind, FailureKind::Rejected, "without {file}");
            assert!(failure.message.starts_with("PL-0970: ") && failure.hint.is_some(), "{failure:?}");
        }
        assert_eq!(tail(), before, "without {file}");
        std::fs::rename(&aside, data.join(file)).unwrap();
    }
    let control = data.join("global/pg_control");
    let whole = std::fs::read(&control).unwrap();
    let mut torn = whole.clone();
    torn[100] ^= 1;
    std::fs::write(&control, torn).unwrap();
    assert_eq!(pair.look("east").await.role, Some(Role::Unknown), "a torn control file");
    let failure = pair.rejoin("east", "west").await.unwrap_err();
    assert!(failure.message.starts_with("PL-0970: "), "{failure:?}");
    std::fs::write(&control, whole).unwrap();
    pair.rejoin("east", "west").await.unwrap();
    assert_east_follows(&pair).await;
    assert_eq!(pair.bundles("east").await.len(), 1, "its tail was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_directory_is_built_and_one_with_something_else_in_it_is_not() {
    let pair = Pair::bare().await;
    pair.start_writer().await;
    std::fs::create_dir_all(pair.data_dir("west")).unwrap();
    std::fs::write(pair.data_dir("west").join("notes"), "mine").unwrap();
    let failure = pair.rejoin("west", "east").await.unwrap_err();
    assert!(failure.message.starts_with("PL-0970: "), "{failure:?}");
    std::fs::remove_file(pair.data_dir("west").join("notes")).unwrap();
    assert_eq!(pair.look("west").await.role, Some(Role::Down { clean: true, was_writer: false }));
    pair.rejoin("west", "east").await.unwrap();
    pair.streams("west").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_not_built_where_the_plan_leaves_that_to_a_person() {
    let mut pair = Pair::bare().await;
    pair.plan.rebuild = Rebuild::ByHand;
    pair.start_writer().await;
    let driver = pair.driver_with("west", |_| {});
    let effect = Effect::Rejoin { component: component(), region: "west".into(), upstream: "east".into() };
    let found = driver.preflight(&effect).await.unwrap();
    assert!(found.iter().any(|f| f.code == "PL-0353" && f.severity == Severity::Blocker), "{found:#?}");
    let failure = driver.apply(&effect, &pair.context(Duration::from_secs(60))).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(failure.message.starts_with("PL-0353: "), "{failure}");
    assert!(!pair.data_dir("west").exists() && !pair.data_dir("west").with_extension("rebuild").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_another_system_is_left_alone() {
    let pair = Pair::bare().await;
    pair.start_writer().await;
    cluster::init(&pair.new_server("west")).await.unwrap();
    let failure = pair.rejoin("west", "east").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(failure.message.contains("another system"), "{failure}");
}

/// How a start names a configuration that is not in the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// By its file, as Debian does it.
    File,
    /// By its folder, which PostgreSQL takes for that of the data where the configuration names none.
    Folder,
}

/// The data directories have no configuration.
async fn configured_elsewhere(named: Named) -> Pair {
    let pair = Pair::started().await;
    for region in ["west", "east"] {
        let (data, folder) = (pair.data_dir(region), pair.root.path().join(region).join("etc"));
        cluster::kill(data);
        std::fs::create_dir(&folder).unwrap();
        for name in ["postgresql.conf", "pilotlight.conf", "pg_hba.conf", "pg_ident.conf"] {
            std::fs::rename(data.join(name), folder.join(name)).unwrap();
        }
        let config = folder.join("postgresql.conf");
        let place = |name: &str| folder.join(name).display().to_string();
        let (name, places) = match named {
            Named::File => {
                let beside =
                    format!("hba_file = '{}'\nident_file = '{}'\n", place("pg_hba.conf"), place("pg_ident.conf"));
                (format!("-c config_file={}", config.display()), beside)
            }
            Named::Folder => (format!("-D {}", folder.display()), format!("data_directory = '{}'\n", data.display())),
        };
        std::fs::OpenOptions::new().append(true).open(&config).unwrap().write_all(places.as_bytes()).unwrap();
        if region == "east" {
            std::fs::remove_file(data.join("standby.signal")).unwrap();
        }
        start_with(&pair, region, &format!("{name} -c work_mem=5MB"));
    }
    pair.reaches("east", |role| *role == Role::Writer).await;
    // Started again by the agent, which also reaps it: pg_rewind takes a dead server that nobody reaps for a living one.
    cluster::kill(pair.data_dir("east"));
    pair.resume("east").await.unwrap();
    pair.streams("west").await;
    pair
}

async fn assert_east_is_configured_elsewhere(pair: &Pair) {
    assert!(!pair.data_dir("east").join("postgresql.conf").exists());
    let east = pair.client("east").await.unwrap();
    let row = east.query_one("SELECT current_setting('config_file'), current_setting('work_mem')", &[]).await.unwrap();
    let config = pair.root.path().join("east/etc/postgresql.conf").display().to_string();
    assert_eq!((row.get::<_, String>(0), row.get::<_, String>(1)), (config, "5MB".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_configuration_lies_elsewhere_is_rewound_and_comes_back_on_a_new_disk() {
    comes_back(&configured_elsewhere(Named::File).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_is_one_whose_start_names_the_folder_of_the_configuration() {
    comes_back(&configured_elsewhere(Named::Folder).await).await;
}

async fn comes_back(pair: &Pair) {
    lose_east_with_a_tail(pair).await;
    let rejoined = pair.rejoin("east", "west").await.unwrap();
    let text = &rejoined.output().unwrap().text;
    assert!(text.contains("rewound to"), "{text}");
    assert_east_follows(pair).await;
    assert_east_is_configured_elsewhere(pair).await;

    // Its disk is lost: of how the server was started only the agent knows.
    pair.fence("east").await.unwrap();
    std::fs::remove_dir_all(pair.data_dir("east")).unwrap();
    pair.capture(Some("mara")).await.unwrap();
    let rejoined = pair.rejoin("east", "west").await.unwrap();
    assert!(rejoined.output().unwrap().text.contains("built anew"), "{rejoined:?}");
    pair.streams("east").await;
    assert_east_is_configured_elsewhere(pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_configuration_lies_elsewhere_is_built_anew() {
    let pair = configured_elsewhere(Named::File).await;
    lose_east_with_a_tail(&pair).await;
    let (driver, _folder) = with_rewind(&pair, "#!/bin/sh\nexit 1\n");
    let effect = Effect::Rejoin { component: component(), region: "east".into(), upstream: "west".into() };
    let rejoined = driver.apply(&effect, &pair.context(Duration::from_secs(60))).await.unwrap();
    assert!(rejoined.output().unwrap().text.contains("built anew"), "{rejoined:?}");
    assert_east_follows(&pair).await;
    assert_east_is_configured_elsewhere(&pair).await;
}

/// Nobody has told the agent where it lies, and the copy brings none.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_copy_without_any_configuration_says_what_to_do() {
    let pair = configured_elsewhere(Named::File).await;
    cluster::kill(pair.data_dir("west"));
    std::fs::remove_dir_all(pair.data_dir("west")).unwrap();
    std::fs::remove_dir_all(pair.state_dir("west")).unwrap();
    let failure = pair.rejoin("west", "east").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected, "{failure:?}");
    assert!(failure.message.contains("no postgresql.conf") && failure.hint.is_some(), "{failure:?}");
    let config = pair.root.path().join("west/etc/postgresql.conf");
    start_with(&pair, "west", &format!("-c config_file={}", config.display()));
    pair.streams("west").await;
    cluster::kill(pair.data_dir("west"));
    pair.rejoin("west", "east").await.unwrap();
    pair.streams("west").await;
}

/// What is quoted for libpq is quoted once more for the server's file, where a backslash is an escape as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_with_a_quote_and_a_backslash_follows_too() {
    let pair = Pair::started().await;
    let east = pair.client("east").await.unwrap();
    east.batch_execute(r"CREATE ROLE odd SUPERUSER LOGIN PASSWORD 'p''w\x'").await.unwrap();
    lose_east_with_a_tail(&pair).await;
    let mut plan = pair.plan.clone();
    plan.user = "odd".to_owned();
    let driver = PostgresDriver::new(PostgresParts {
        component: component(),
        region: "east".into(),
        plan,
        state_dir: pair.state_dir("east"),
        password: Some(r"p'w\x".to_owned()),
        passphrase: None,
        confirmed: Confirmed::default(),
        clock: Arc::new(SystemClock),
    });
    let effect = Effect::Rejoin { component: component(), region: "east".into(), upstream: "west".into() };
    driver.unwrap().apply(&effect, &pair.context(Duration::from_secs(60))).await.unwrap();
    assert_east_follows(&pair).await;
}
