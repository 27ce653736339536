//! Two servers are promoted from one copy: both call their timeline 2, and PostgreSQL compares neither histories nor logs.

use crate::pair::{Pair, component, eventually};
use crate::rejoins::assert_east_follows;
use crate::starts::start_without_pilotlight;
use nix::sys::signal::Signal;
use pilotlight_core::candidate::Waits;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::Region;
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::Outcome;
use pilotlight_core::plan::Guarantee;
use pilotlight_core::position::Order;
use pilotlight_core::rescue::Rows;
use pilotlight_driver::Driver;
use std::io::Write;
use std::time::Duration;

/// Where both part from timeline 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parting {
    /// East has 2 to 10 on timeline 1, and is promoted after them.
    Apart,
    /// West has all of timeline 1 that east has.
    SamePlace,
}

/// What each says of the timelines before its own.
fn history(pair: &Pair, region: &str) -> String {
    std::fs::read_to_string(pair.data_dir(region).join("pg_wal/00000002.history")).unwrap()
}

/// East is lost, was started read-only by somebody else and made the writer again where it is, and is lost for good with rows
/// 11 to 20; west, which heard nothing of that, is promoted by a failover.
async fn both_promoted(pair: &Pair, parting: Parting, settled: bool) {
    pair.pay("east", 1).await.unwrap();
    eventually("the payment arrives", || async {
        if pair.paid("west").await.contains(&1) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    pair.keep_ready().await;
    if parting == Parting::Apart {
        pair.sever().await;
        for number in 2..=10 {
            pair.pay("east", number).await.unwrap();
        }
        pair.hit("east", Signal::SIGKILL);
        pair.reaches("east", |role| matches!(role, Role::Down { was_writer: true, .. })).await;
    } else {
        // Nothing in the segment in which they part says which transactions had begun.
        pair.client("east").await.unwrap().batch_execute("SELECT pg_switch_wal()").await.unwrap();
        pair.stop("east").await.unwrap();
        pair.sever().await;
    }
    start_without_pilotlight(pair, "east");
    pair.reaches("east", |role| matches!(role, Role::Standby { upstream: None, .. })).await;
    pair.resume("east").await.unwrap();
    for number in 11..=20 {
        pair.pay("east", number).await.unwrap();
    }
    if settled {
        // Only then its control file, too, is of its own timeline.
        pair.client("east").await.unwrap().batch_execute("CHECKPOINT").await.unwrap();
    }
    let before = pair.look("east").await.position.unwrap();
    pair.hit("east", Signal::SIGKILL);
    pair.fence("east").await.unwrap();
    pair.promote("west").await.unwrap();
    pair.pay("west", 100).await.unwrap();
    let after = pair.look("west").await.position.unwrap();
    let (east, west) = (history(pair, "east"), history(pair, "west"));
    assert_eq!(east == west, parting == Parting::SamePlace, "{east}{west}");
    let order = pair.west.compare(&crate::pair::target("west"), &before, &after).await.unwrap();
    assert_eq!(order == Order::Diverged, parting == Parting::Apart, "{before} and {after}: {order:?}");
}

fn configure(pair: &Pair, line: &str) {
    let config = pair.data_dir("east").join("postgresql.auto.conf");
    std::fs::OpenOptions::new().append(true).open(config).unwrap().write_all(line.as_bytes()).unwrap();
}

async fn comes_back_with_a_bundle(pair: &Pair, parting: Parting) -> Rows {
    both_promoted(pair, parting, parting == Parting::Apart).await;
    if parting == Parting::SamePlace {
        // It passes for a standby's data, which is believed where the logs do not tell.
        configure(pair, "primary_conninfo = 'host=127.0.0.1 port=1'\n");
    }
    let effect = Effect::Rejoin { component: component(), region: "east".into(), upstream: "west".into() };
    let found = pair.east.preflight(&effect).await.unwrap();
    let captured = pair.capture(None).await.unwrap();
    assert!(matches!(captured, Outcome::Done { .. }), "{captured:?}");
    let rejoined = pair.rejoin("east", "west").await.unwrap();
    let text = &rejoined.output().unwrap().text;
    println!("{text}");
    assert!(text.contains("built anew") && text.contains("its timeline 2 is another"), "{text}");
    assert_east_follows(pair).await;
    assert!(pair.paid("east").await.is_disjoint(&(11..=20).collect()));
    let bundles = pair.bundles("east").await;
    assert_eq!(bundles.len(), 1, "{bundles:?}");
    let about = &bundles[0].about;
    let [paid] = about.touched.as_slice() else { panic!("{about:?}") };
    let lost = if parting == Parting::Apart { 19 } else { 10 };
    assert_eq!((paid.table.as_str(), paid.inserted, &about.missing), ("public.paid", lost, &None), "{about:?}");
    // Where its end was not walked for it, the forecast has the histories only.
    let foretold = found.iter().any(|f| f.code == "PL-0350" && f.message.contains("its timeline 2 is another"));
    assert!(foretold || parting == Parting::SamePlace, "{found:#?}");
    assert!(matches!(pair.rejoin("east", "west").await, Ok(Outcome::Skipped { .. })));
    about.rows.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_with_another_timeline_of_the_same_number_comes_back_with_a_bundle() {
    comes_back_with_a_bundle(&Pair::started().await, Parting::Apart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_promoted_at_the_same_place_is_told_by_its_log() {
    comes_back_with_a_bundle(&Pair::started().await, Parting::SamePlace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_rows_are_in_the_bundle() {
    let rows = comes_back_with_a_bundle(&Pair::started_rescuing(Pair::rows()).await, Parting::Apart).await;
    assert!(matches!(rows, Rows::Kept { changes: 19, .. }), "{rows:?}");
}

/// A client that takes the log and says that it is on disk; ends with the test.
struct Receiver(std::process::Child);

impl Receiver {
    fn start(pair: &Pair, info: &str) -> Receiver {
        let opts = std::fs::read_to_string(pair.data_dir("east").join("postmaster.opts")).unwrap();
        let postgres = std::path::PathBuf::from(opts.split(' ').next().unwrap());
        let mut command = std::process::Command::new(postgres.with_file_name("pg_receivewal"));
        let folder = pair.root.path().join("received");
        std::fs::create_dir(&folder).unwrap();
        command.arg("-D").arg(folder).args(["-S", "stays", "--synchronous", "-d", info]);
        Receiver(command.spawn().unwrap())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Somebody turned the copy to the writer, under this name, and started it: PostgreSQL streams to it.
async fn turned_by_hand(name: &str) -> (Pair, Receiver) {
    let pair = Pair::started_with(Guarantee::Strict).await;
    both_promoted(&pair, Parting::Apart, false).await;
    let (port, password) = (pair.server("west").port, crate::pair::PASSWORD);
    let info = format!("host=127.0.0.1 port={port} user=pilot password='{password}' application_name={name}");
    configure(&pair, &format!("primary_conninfo = '{}'\n", info.replace('\'', "''")));
    start_without_pilotlight(&pair, "east");
    // One that cannot be asked is believed.
    eventually("east can be asked", || async { pair.client("east").await.map(drop) }).await;
    // Its own receiver comes and goes, since what it gets does not fit what it has; this one stays.
    let west = pair.client("west").await.unwrap();
    west.batch_execute("SELECT pg_create_physical_replication_slot('stays')").await.unwrap();
    let receiver = Receiver::start(&pair, &info);
    (pair, receiver)
}

/// Three regions, of which two look alike where their names are cut: one has the copy, the other the writer's own server.
#[tokio::test(flavor = "multi_thread")]
async fn of_regions_that_look_alike_the_one_with_another_history_is_no_candidate() {
    let name = "pl_1_database_east-of-all-the-_0badcafe";
    let (pair, _receiver) = turned_by_hand(name).await;
    for (copy, other) in [("rivers", "seas"), ("seas", "rivers")] {
        let mut plan = pair.plan.clone();
        plan.regions.remove(&Region::from("east"));
        for (end, server) in [(copy, "east"), (other, "west")] {
            plan.regions.insert(Region::from(format!("east-of-all-the-{end}").as_str()), pair.server(server).clone());
        }
        let driver = pair.driver_under("west", &plan);
        let waits = Waits { candidate: Some(name.to_owned()), gate: false };
        let effect = Effect::WaitFor { component: component(), region: "west".into(), waits };
        let refused = format!("east-of-all-the-{copy} has another history");
        eventually("the copy is refused", || async {
            match driver.apply(&effect, &pair.context(Duration::from_secs(10))).await {
                Err(e) if e.message.contains(&refused) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_with_another_history_is_no_candidate() {
    let name = "pl_1_database_east_0badcafe";
    let (pair, receiver) = turned_by_hand(name).await;
    let waits = Waits { candidate: Some(name.to_owned()), gate: false };
    eventually("it is refused", || async {
        match pair.wait_for("west", &waits).await {
            Err(e) if e.message.contains("another history") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let log = || std::fs::read_to_string(pair.data_dir("east").join("foreign.log")).unwrap();
    eventually("PostgreSQL streams all the same", || async {
        let log = log();
        if log.contains("on timeline 2") { Ok(()) } else { Err(log) }
    })
    .await;
    drop(receiver);
    // Its log was written over, which the bundle says.
    let rejoined = pair.rejoin("east", "west").await.unwrap();
    assert!(rejoined.output().unwrap().text.contains("its timeline 2 is another"), "{rejoined:?}");
    assert_east_follows(&pair).await;
    let bundles = pair.bundles("east").await;
    assert!(bundles[0].about.notes.iter().any(|n| n.contains("written over its log")), "{bundles:?}");
    let waits = Waits { candidate: pair.look("east").await.follows_as, gate: false };
    eventually("west waits for what was built anew", || async {
        pair.wait_for("west", &waits).await.map_err(|e| e.to_string())
    })
    .await;
}
