//! Others who read a writer's log move its rescue slot neither on nor back: no failover can start from what they hold.

use crate::pair::{PASSWORD, Pair, component, eventually};
use crate::rows::{captured, fail_over};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pilotlight_core::effect::Effect;
use pilotlight_core::rescue::Rows;
use pilotlight_driver::Driver;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A program that is sent the log of east; gone when dropped.
struct Reader(Child);

impl Reader {
    fn hit(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(pair: &Pair, name: &str, args: &[&str]) -> Command {
    let postgres = std::fs::read_to_string(pair.data_dir("east").join("postmaster.opts")).unwrap();
    let mut command = Command::new(Path::new(postgres.split(' ').next().unwrap()).with_file_name(name));
    let source = format!("host=127.0.0.1 port={} user=pilot dbname=postgres", pair.server("east").port);
    command.env("PGPASSWORD", PASSWORD).args(["-d", &source]).args(args).stdin(Stdio::null());
    command
}

async fn text(pair: &Pair, sql: &str) -> String {
    let row = pair.client("east").await.unwrap().query_opt(sql, &[]).await.unwrap();
    row.and_then(|row| row.get::<_, Option<String>>(0)).unwrap_or_default()
}

/// Whether a reader has everything that is on the writer's disk now.
async fn has_all(pair: &Pair, name: &str) {
    let sql = format!(
        "SELECT (flush_lsn >= '{}')::text FROM pg_stat_replication WHERE application_name = '{name}'",
        text(pair, "SELECT pg_current_wal_flush_lsn()::text").await
    );
    eventually(&format!("{name} has everything"), || async {
        let seen = text(pair, &sql).await;
        if seen == "true" { Ok(()) } else { Err(seen) }
    })
    .await;
}

const CONFIRMED: &str =
    "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = 'pilotlight_rescue'";

/// What an agent does that has not moved the slot lately.
async fn keep(pair: &Pair) -> String {
    let effect = Effect::KeepRescue { component: component(), region: "east".into() };
    let agent = pair.driver_with("east", |_| {});
    agent.apply(&effect, &pair.context(Duration::from_secs(20))).await.unwrap();
    text(pair, CONFIRMED).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_standby_moves_the_slot_neither_on_nor_back() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    pair.pay("east", 1).await.unwrap();
    pair.keep_ready().await;
    let archive = pair.root.path().join("archive");
    std::fs::create_dir(&archive).unwrap();
    let archive = archive.to_str().unwrap();
    for (name, args) in [
        ("pg_receivewal", vec!["--create-slot", "--slot", "archive", "-D", archive]),
        ("pg_recvlogical", vec!["--create-slot", "--slot", "cdc", "--plugin", "test_decoding"]),
    ] {
        assert!(program(&pair, name, &args).status().unwrap().success(), "{name}");
    }
    let mut receives = program(&pair, "pg_receivewal", &["--slot", "archive", "-D", archive, "--synchronous"]);
    let receives = Reader(receives.spawn().unwrap());
    let mut decodes =
        program(&pair, "pg_recvlogical", &["--start", "--slot", "cdc", "-f", "/dev/null", "-s", "1", "-F", "1"]);
    let decodes = Reader(decodes.spawn().unwrap());
    has_all(&pair, "pg_receivewal").await;
    has_all(&pair, "pg_recvlogical").await;

    // Two that do not read on hold nothing back.
    let made = keep(&pair).await;
    receives.hit(Signal::SIGSTOP);
    decodes.hit(Signal::SIGSTOP);
    pair.pay("east", 2).await.unwrap();
    eventually("the payment arrives", || async {
        let paid = pair.paid("west").await;
        if paid.contains(&2) { Ok(()) } else { Err(format!("{paid:?}")) }
    })
    .await;
    let moved = eventually("the slot is moved on with the standby", || async {
        let now = keep(&pair).await;
        if now == made { Err(now) } else { Ok(now) }
    })
    .await;
    receives.hit(Signal::SIGCONT);
    decodes.hit(Signal::SIGCONT);

    // Without the standby they take what it will not have.
    pair.sever().await;
    let standbys =
        "SELECT string_agg(application_name, ' ') FROM pg_stat_replication WHERE application_name LIKE 'database%'";
    eventually("the standby is gone", || async {
        let left = text(&pair, standbys).await;
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    let before = keep(&pair).await;
    for number in 3..=20 {
        pair.pay("east", number).await.unwrap();
    }
    has_all(&pair, "pg_receivewal").await;
    has_all(&pair, "pg_recvlogical").await;
    assert_eq!(keep(&pair).await, before, "it stays where the standby was; {moved} before");
    drop((receives, decodes));
    fail_over(&pair).await;
    let about = captured(&pair).await;
    assert_eq!(about.rows, Rows::Kept { changes: 18, transactions: 18 }, "every lost row is told: {about:?}");
}
