//! Copies with a tablespace outside of their data directories.

use crate::pair::{Pair, component, eventually};
use crate::rejoins::{assert_east_follows, lose_east_with_a_tail_of, with_rewind};
use pilotlight_core::effect::Effect;
use pilotlight_core::outcome::{FailureKind, Severity};
use pilotlight_driver::Driver;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A writer whose table `spaced` lies in a tablespace; answers its folder.
async fn writer_with_a_space(pair: &Pair) -> PathBuf {
    pair.start_writer().await;
    let owner = fs::metadata(pair.data_dir("east")).unwrap();
    let space = pair.root.path().join("space-east");
    fs::create_dir(&space).unwrap();
    chown(&space, Some(owner.uid()), Some(owner.gid())).unwrap();
    let east = pair.client("east").await.unwrap();
    east.batch_execute(&format!("CREATE TABLESPACE roomy LOCATION '{}'", space.display())).await.unwrap();
    east.batch_execute("CREATE TABLE spaced (n bigint) TABLESPACE roomy; INSERT INTO spaced VALUES (1)").await.unwrap();
    space
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// Everything that lies in a folder, with its length.
fn held(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(held(&entry.path())),
            false => found.push((entry.path(), entry.metadata().unwrap().len())),
        }
    }
    found.sort();
    found
}

async fn spaced(pair: &Pair, region: &str) -> Result<i64, String> {
    let rows = pair.client(region).await?.query("SELECT sum(n)::bigint FROM spaced", &[]).await;
    rows.map(|rows| rows[0].get(0)).map_err(|e| e.to_string())
}

fn rejoin(region: &str, upstream: &str) -> Effect {
    Effect::Rejoin { component: component(), region: region.into(), upstream: upstream.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_not_built_over_what_lies_at_the_place_of_a_tablespace() {
    let pair = Pair::bare().await;
    let space = writer_with_a_space(&pair).await;
    let before = held(&space);
    let found = pair.west.preflight(&rejoin("west", "east")).await.unwrap();
    let told = found.iter().find(|f| f.code == "PL-0355").unwrap_or_else(|| panic!("{found:#?}"));
    assert_eq!(told.severity, Severity::Blocker);
    let failure = pair.rejoin("west", "east").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(failure.message.starts_with("PL-0355: "), "{failure}");
    assert!(failure.message.contains("roomy") && failure.message.contains(&space.display().to_string()), "{failure}");
    assert!(!pair.data_dir("west").exists() && !pair.data_dir("west").with_extension("rebuild").exists());
    assert!(!before.is_empty());
    assert_eq!(held(&space), before, "what lies there is somebody's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_rewound_with_its_tablespace_where_it_is_and_not_built_if_that_fails() {
    let pair = Pair::bare().await;
    let space = writer_with_a_space(&pair).await;
    // West is a copy made by hand, its tablespace at another path, as two servers on one machine need it.
    pair.stop("east").await.unwrap();
    let theirs = pair.root.path().join("space-west");
    copy(&space, &theirs);
    copy(pair.data_dir("east"), pair.data_dir("west"));
    let link = fs::read_dir(pair.data_dir("west").join("pg_tblspc")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&link).unwrap();
    symlink(&theirs, &link).unwrap();
    let settings = pair.data_dir("west").join("pilotlight.conf");
    let [from, to] = ["east", "west"].map(|region| format!("port = {}\n", pair.server(region).port));
    fs::write(&settings, fs::read_to_string(&settings).unwrap().replace(&from, &to)).unwrap();
    fs::write(pair.data_dir("west").join("standby.signal"), "").unwrap();
    pair.resume("east").await.unwrap();
    pair.rejoin("west", "east").await.unwrap();
    pair.streams("west").await;
    lose_east_with_a_tail_of(&pair, "INSERT INTO spaced VALUES (10)").await;

    let (driver, _folder) = with_rewind(&pair, "#!/bin/sh\necho made to fail >&2\nexit 1\n");
    let found = driver.preflight(&rejoin("east", "west")).await.unwrap();
    let told = found.iter().find(|f| f.code == "PL-0355").unwrap_or_else(|| panic!("{found:#?}"));
    assert_eq!(told.severity, Severity::Warning, "it can be rewound");
    let failure = driver.apply(&rejoin("east", "west"), &pair.context(Duration::from_secs(60))).await.unwrap_err();
    assert!(failure.message.starts_with("PL-0355: ") && failure.message.contains("made to fail"), "{failure}");
    assert_eq!(spaced(&pair, "west").await, Ok(1), "the writer goes on");

    let rejoined = pair.rejoin("east", "west").await.unwrap();
    assert!(rejoined.output().unwrap().text.contains("rewound to"), "{rejoined:?}");
    assert_east_follows(&pair).await;
    pair.client("west").await.unwrap().batch_execute("INSERT INTO spaced VALUES (100)").await.unwrap();
    eventually("the tablespace is copied, without what was lost", || async {
        let sums = (spaced(&pair, "east").await, spaced(&pair, "west").await);
        if sums == (Ok(101), Ok(101)) { Ok(()) } else { Err(format!("{sums:?}")) }
    })
    .await;
    let link = fs::read_dir(pair.data_dir("east").join("pg_tblspc")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_link(link).unwrap(), space, "it stayed where it was");
}
