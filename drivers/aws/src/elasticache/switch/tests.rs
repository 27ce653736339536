//! How a move ends that AWS takes back: nobody is called.

use super::*;
use crate::access::Access;
use crate::words::datastore::Datastore;
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::plan::aws::{AwsPlan, ElastiCachePlan};
use pilotlight_driver::clock::{Clock, SystemClock};
use std::collections::BTreeMap;
use std::sync::Arc;

#[test]
fn a_move_that_ended_without_effect_is_over() {
    let plan =
        ElastiCachePlan { global_datastore: "ldgnf-cart".to_owned(), may_detach: false, regions: BTreeMap::new() };
    let access = Access::new(AwsPlan::default(), Arc::new(SystemClock));
    let driver = ElastiCacheDriver::new("cart".into(), plan, access);
    let now = SystemClock.wall();
    let (to, long_ago) = (Region::from("us-west-2"), Wall(now.0 - 120_000));
    let seen = |status: &str| Seen::of(Datastore { status: status.to_owned(), members: Vec::new() });
    let over = driver.may_still_come(&seen("available"), &to, long_ago).unwrap_err();
    assert_eq!(over.kind, FailureKind::Rejected);
    driver.may_still_come(&seen("available"), &to, now).expect("it may not be shown yet");
    driver.may_still_come(&seen("modifying"), &to, long_ago).expect("it goes on");
}
