//! Disks with little room, and with none: what is told beforehand, and what holds when it comes to that.

use crate::pair::{PATIENCE, Pair, component, now};
use crate::rows::run;
use pilotlight_core::effect::Effect;
use pilotlight_core::outcome::Finding;
use pilotlight_driver::Driver;
use pilotlight_lab::required::{Need, skip};
use pilotlight_local::postgres::cluster;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A small file system, gone when dropped.
struct Small(PathBuf);

impl Small {
    fn mounted(at: &Path, size: &str) -> Option<Small> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "tmpfs"]).arg(at).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        if !mounted {
            skip(Need::Mounts, "this account may not mount a small file system");
        }
        mounted.then(|| Small(at.to_owned()))
    }

    /// Writes until nothing more goes in; answers what has to go to make room.
    fn fill(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        let mut file = std::fs::File::create(&path).expect("a file");
        for size in [1 << 20, 1 << 12, 1] {
            let piece = vec![7; size];
            while file.write_all(&piece).is_ok() {}
        }
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What a driver that was just made finds of that code: one that has looked says the same for a while.
async fn found(pair: &Pair, region: &str, code: &str) -> Vec<Finding> {
    let effect = Effect::Fence { component: component(), region: region.into() };
    let (driver, of_code) = (pair.driver_under(region, &pair.plan), |f: &Finding| f.code == code);
    let told: Vec<Finding> = driver.preflight(&effect).await.unwrap().into_iter().filter(of_code).collect();
    let seen = driver.observe(&crate::pair::target(region)).await.unwrap().findings;
    assert_eq!(seen.into_iter().filter(of_code).collect::<Vec<_>>(), told, "a look says the same as a preflight");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn little_room_for_rescue_bundles_is_told_and_more_room_ends_it() {
    let pair = Pair::started().await;
    assert_eq!(found(&pair, "east", "PL-0961").await, []);
    let folder = pair.state_dir("east").join("rescue");
    std::fs::create_dir_all(&folder).unwrap();
    let Some(small) = Small::mounted(&folder, "8m") else { return };
    assert_eq!(found(&pair, "east", "PL-0961").await, [], "an empty one has room");
    let filler = small.fill("filler");
    let full = found(&pair, "east", "PL-0961").await;
    let [one] = full.as_slice() else { panic!("{full:?}") };
    assert!(one.message.contains("database in east, agent's folder with rescue bundles"), "{one:?}");
    assert!(one.message.contains("0 MB of 8 MB are free"), "{one:?}");
    std::fs::remove_file(filler).unwrap();
    assert_eq!(found(&pair, "east", "PL-0961").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_nobody_reads_and_nothing_bounds_is_told_by_its_name() {
    let pair = Pair::started().await;
    assert_eq!(found(&pair, "east", "PL-0963").await, []);
    run(&pair, "east", "SELECT pg_create_physical_replication_slot('forgotten', true)").await;
    let held = found(&pair, "east", "PL-0963").await;
    let [one] = held.as_slice() else { panic!("{held:?}") };
    assert!(
        one.message.contains("nobody reads `forgotten`") && one.hint.contains("pg_drop_replication_slot"),
        "{one:?}"
    );
    // More may be kept than any disk has, by a slot that is bounded, or by what is kept for copies that are away.
    run(&pair, "east", "ALTER SYSTEM SET max_slot_wal_keep_size = '1000TB'").await;
    let settings = ["SELECT pg_reload_conf()", "SELECT pg_drop_replication_slot('forgotten')"];
    run(&pair, "east", settings[0]).await;
    let much = told_in_time(&pair, "may grow to").await;
    assert!(much.contains("max_wal_size and what slots may keep"), "{much}");
    run(&pair, "east", settings[1]).await;
    run(&pair, "east", "ALTER SYSTEM SET wal_keep_size = '1000TB'").await;
    run(&pair, "east", settings[0]).await;
    let much = told_in_time(&pair, "wal_keep_size").await;
    assert!(much.contains("may grow to"), "{much}");
}

/// A setting that was changed counts a moment later.
async fn told_in_time(pair: &Pair, says: &str) -> String {
    let began = now();
    loop {
        let held = found(pair, "east", "PL-0963").await;
        match held.iter().find(|f| f.message.contains(says)) {
            Some(one) => return one.message.clone(),
            None => assert!(now().since(began) < PATIENCE, "{held:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_disk_is_full_is_silenced_and_replaced_and_loses_nothing_once_there_is_room() {
    let pair = Pair::bare().await;
    let Some(small) = Small::mounted(&pair.root.path().join("east"), "300m") else { return };
    let pair = pair.with_both().await;
    pair.pay("east", 1).await.unwrap();
    pair.sever().await;
    pair.pay("east", 2).await.unwrap();
    let filler = small.fill("filler");
    // Until its log needs another file.
    let mut refused = None;
    for number in 3..200 {
        let client = pair.client("east").await;
        let switched = match &client {
            Ok(client) => client.batch_execute("SELECT pg_switch_wal()").await.map_err(|e| format!("{e:?}")),
            Err(e) => Err(e.clone()),
        };
        if let Err(e) = switched.and(pair.pay("east", number).await) {
            refused = Some(e);
            break;
        }
    }
    assert!(refused.is_some(), "the disk was full, and all was written");
    let low = found(&pair, "east", "PL-0961").await;
    assert!(low.iter().any(|f| f.message.contains("data directory")), "also of a server that is down: {low:?}");

    // What the server took away as it ended is taken by others.
    let more = small.fill("more");
    // The agent's folder is on the same disk: the fence cannot be noted, so it is not called one; but nothing writes any more.
    let unsure = pair.fence("east").await.unwrap_err();
    assert_eq!(unsure.kind, pilotlight_core::outcome::FailureKind::OutcomeUnknown, "{unsure}");
    assert_eq!(cluster::processes(pair.data_dir("east")), Vec::<i32>::new());
    pair.promote("west").await.unwrap();
    pair.pay("west", 1_000).await.unwrap();
    let control = || std::fs::read(pair.data_dir("east").join("global/pg_control")).unwrap();
    let before = control();
    let held = pair.rejoin("east", "west").await.unwrap_err();
    assert!(before == control(), "nothing is rewound while its bundle has no room: {held}");

    for file in [filler, more] {
        std::fs::remove_file(file).unwrap();
    }
    pair.fence("east").await.unwrap();
    pair.rejoin("east", "west").await.unwrap();
    pair.streams("east").await;
    let bundles = pair.bundles("east").await;
    assert!(bundles.len() == 1 && bundles[0].about.commits >= 1, "what only the full disk held is kept: {bundles:?}");
    // Servers are found by their folders while these are there, and the folder goes once nothing is mounted in it.
    cluster::kill(pair.data_dir("east"));
    drop(small);
}
