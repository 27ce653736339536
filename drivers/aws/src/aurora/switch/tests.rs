//! How a move ends that AWS takes back: nobody is called.

use super::*;
use crate::access::Access;
use crate::words::cluster::{Copy, Global, Member, Moving};
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::plan::aws::{AuroraMember, AuroraPlan, AwsPlan};
use pilotlight_driver::clock::{Clock, SystemClock};
use std::sync::Arc;

const EAST: &str = "arn:aws:rds:us-east-1:123456789012:cluster:pay";
const WEST: &str = "arn:aws:rds:us-west-2:123456789012:cluster:pay";

fn seen(status: &str, moving: Option<&str>) -> Seen {
    let member = |arn: &str, is_writer| Member { arn: arn.to_owned(), is_writer, sync: None };
    let moving = moving.map(|s| Moving { status: s.to_owned(), to: Some(WEST.to_owned()) });
    let members = vec![member(EAST, true), member(WEST, false)];
    let global = Some(Global { status: status.to_owned(), members, moving });
    let copy = Copy { arn: Some(WEST.to_owned()), status: Some("available".to_owned()), ..Copy::default() };
    Seen { global, copy, closed: Default::default(), engine: None, deletion_protection: true, has_instances: true }
}

#[test]
fn a_move_that_is_taken_back_is_over() {
    let (cluster, open_groups, closed_groups) = ("pay".to_owned(), Vec::new(), Vec::new());
    let member = AuroraMember { cluster, address: None, open_groups, closed_groups };
    let regions = ["us-east-1", "us-west-2"].map(|r| (Region::from(r), member.clone())).into();
    let plan = AuroraPlan { global_cluster: "pay".to_owned(), may_detach: false, regions, ..AuroraPlan::default() };
    let access = Access::new(AwsPlan::default(), Arc::new(SystemClock));
    let driver = AuroraDriver::new("database".into(), plan, access);
    let now = SystemClock.wall();
    let long_ago = Wall(now.0 - 120_000);
    let (from, to) = (Region::from("us-east-1"), Region::from("us-west-2"));
    let end = |seen: &Seen, since| driver.switched(seen, &from, &to, true, since).map_err(|f| f.kind);
    assert_eq!(end(&seen("failing-over", Some("cancelling")), now).unwrap_err(), FailureKind::Rejected);
    assert_eq!(end(&seen("available", None), long_ago).unwrap_err(), FailureKind::Rejected);
    assert!(end(&seen("available", None), now).unwrap().is_none(), "it may not be shown yet");
    assert!(end(&seen("failing-over", Some("failing-over")), long_ago).unwrap().is_none());
}
