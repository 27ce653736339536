//! The granter with paused time.

use super::Granter;
use crate::engine::tests::clock::TokioClock;
use crate::store::UnitRecord;
use pilotlight_core::id::{Epoch, Region, Unit};
use pilotlight_core::leader::Term;
use pilotlight_core::lease::{LeaseSight, granters_lease};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const LEASE: Duration = Duration::from_secs(3);

fn record(version: u64, writer: Option<&str>) -> UnitRecord {
    let writer = writer.map(Region::from);
    UnitRecord {
        unit: "payments".into(),
        epoch: Epoch(1),
        writer,
        run: None,
        failed_over: None,
        failed_over_before: None,
        candidate: None,
        candidacy: 0,
        settled: false,
        term: Term::default(),
        version,
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_writer_is_granted_the_lease() {
    let granter = Granter::new(Arc::new(TokioClock::new()), LEASE);
    granter.knows(&record(1, Some("east")));
    assert_eq!(granter.heartbeat(&"east".into())[0].lease_ms, Some(LEASE));
    assert_eq!(granter.heartbeat(&"west".into())[0].lease_ms, None);
    granter.knows(&record(2, None));
    assert_eq!(granter.heartbeat(&"east".into())[0].lease_ms, None, "a unit that is being moved has no writer");
    granter.knows(&record(1, Some("east")));
    assert_eq!(granter.heartbeat(&"east".into())[0].lease_ms, None, "older news are ignored");
}

#[tokio::test(start_paused = true)]
async fn a_fresh_granter_waits_one_whole_lease_although_it_granted_nothing() {
    let granter = Granter::new(Arc::new(TokioClock::new()), LEASE);
    let unit = Unit::from("payments");
    granter.knows(&record(1, None));
    assert!(matches!(granter.sight(&unit), LeaseSight::WaitingOutStart { .. }));
    let began = Instant::now();
    granter.lapsed(&unit).await;
    assert!(began.elapsed() >= granters_lease(LEASE), "{:?}", began.elapsed());
    assert_eq!(granter.sight(&unit), LeaseSight::Lapsed);
}

#[tokio::test(start_paused = true)]
async fn the_end_is_counted_from_the_last_grant() {
    let granter = Arc::new(Granter::new(Arc::new(TokioClock::new()), LEASE));
    let unit = Unit::from("payments");
    granter.knows(&record(1, Some("east")));
    tokio::time::advance(LEASE * 2).await;
    granter.heartbeat(&"east".into());
    let began = Instant::now();
    granter.knows(&record(2, None));
    granter.lapsed(&unit).await;
    assert!(began.elapsed() >= granters_lease(LEASE), "{:?}", began.elapsed());
    assert!(began.elapsed() < granters_lease(LEASE) + Duration::from_millis(50), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_stands_apart_keeps_what_it_had_and_a_run_gives_it_nothing_new() {
    let granter = Granter::new(Arc::new(TokioClock::new()), LEASE);
    let lease = |region: &str, apart| granter.heartbeat_unless(&region.into(), |_| apart)[0].lease_ms;
    granter.knows(&record(1, Some("east")));
    assert_eq!(lease("east", true), Some(LEASE), "no run leads the unit to it: it is the writer");
    granter.knows(&UnitRecord { run: Some("run-1".into()), ..record(2, Some("east")) });
    assert_eq!(lease("east", true), Some(LEASE), "it held the lease before");
    granter.knows(&UnitRecord { run: Some("run-1".into()), ..record(3, Some("west")) });
    assert_eq!(lease("west", true), None);
    assert_eq!(lease("west", false), Some(LEASE), "it agrees now");
    assert_eq!(lease("west", true), Some(LEASE), "and what it has is renewed");
}
