//! The agent and its `pg_rewind` are killed while it copies: the way to the upstream lets some megabytes through and then
//! nothing, so both hang in the middle for as long as the test likes.

use crate::pair::{Pair, component, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pilotlight_core::effect::Effect;
use pilotlight_driver::Driver;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How both halves of the test find each other.
const TOLD: &str = "PILOTLIGHT_TEST_REWIND";
/// So much of the upstream comes through; its table alone is several times as large.
const THROUGH: usize = 8 << 20;

/// The agent that dies: rejoins east in a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn rejoin_in_a_process_of_its_own() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let (root, ports) = told.split_once('\n').unwrap();
    let driver = crate::pair::driver_at(Path::new(root), ports);
    let effect = Effect::Rejoin { component: component(), region: "east".into(), upstream: "west".into() };
    println!("{:?}", driver.apply(&effect, &crate::pair::context()).await);
}

/// A way to `port` that gets narrow: answers its own port and how much has come through. Ends with the test.
fn narrow_way(port: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (at, through) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = through.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (there, back) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut &there, &mut &server));
            let count = count.clone();
            std::thread::spawn(move || carry(back, client, &count));
        }
    });
    (at, through)
}

/// Carries answers until too much has come; then it holds the connection and carries no more.
fn carry(mut from: TcpStream, mut to: TcpStream, through: &AtomicUsize) {
    let mut chunk = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        if through.fetch_add(n, Ordering::SeqCst) + n > THROUGH {
            loop {
                std::thread::park();
            }
        }
        if to.write_all(&chunk[..n]).is_err() {
            return;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// The processes of `pg_rewind` that write to a directory.
fn rewinding(directory: &Path) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let words = |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let is = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        text.split('\0').next().is_some_and(|program| program.ends_with("pg_rewind"))
            && text.contains(&*directory.to_string_lossy())
    };
    pids.filter(|pid| is(&words(pid))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_rewind_was_killed_while_it_copied_is_not_started_and_is_built_anew() {
    let pair = Pair::started().await;
    crate::rejoins::lose_east_with_a_tail(&pair).await;
    let west = pair.client("west").await.unwrap();
    let fill = "CREATE TABLE filler AS SELECT g, repeat('x', 500) AS x FROM generate_series(1, 60000) g";
    west.batch_execute(fill).await.unwrap();
    let (narrow, through) = narrow_way(pair.server("west").port);
    let told = format!("{}\n{} {narrow}", pair.root.path().display(), pair.server("east").port);
    let mut agent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "rewinds::rejoin_in_a_process_of_its_own", "--nocapture"])
        .env(TOLD, told)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let data = pair.data_dir("east").to_owned();
    let at_work = eventually("pg_rewind is in the middle of the copy", || async {
        let (come, pids) = (through.load(Ordering::SeqCst), rewinding(&data));
        if come > THROUGH && !pids.is_empty() { Ok(pids) } else { Err(format!("{come} bytes, {pids:?}")) }
    })
    .await;
    // The agent first, so that it cannot put anything right.
    agent.kill().unwrap();
    agent.wait().unwrap();
    for pid in at_work {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    eventually("pg_rewind is gone", || async {
        let left = rewinding(&data);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    let file: String = west.query_one("SELECT pg_relation_filepath('filler')", &[]).await.unwrap().get(0);
    let size = |region: &str| std::fs::metadata(pair.data_dir(region).join(&file)).map_or(0, |m| m.size());
    assert!(size("east") < size("west"), "the copy was over: {} of {} bytes", size("east"), size("west"));

    let refused = pair.resume("east").await.unwrap_err();
    assert!(refused.message.starts_with("PL-0970: "), "{refused:?}");
    assert!(pair.client("east").await.is_err(), "half a copy was started");
    let rejoined = pair.rejoin("east", "west").await.unwrap();
    let text = &rejoined.output().unwrap().text;
    assert!(text.contains("built anew") && text.contains("cut short"), "{text}");
    crate::rejoins::assert_east_follows(&pair).await;
    let bundles = pair.bundles("east").await;
    assert_eq!((bundles.len(), bundles[0].about.commits), (1, 49), "its tail was kept before: {bundles:?}");
    assert_eq!(size("east"), size("west"));
}
