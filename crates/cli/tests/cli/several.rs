//! Three real controllers on real PostgreSQL: the leader is killed with nothing under way, killed in the middle of a run,
//! frozen and thawed. The hidden verb that measures it fails when a bound is missed, a row is lost or a failover was
//! started; its bounds are for a quiet machine, so here only what must hold on any machine is asked.

use crate::bench::series_of;

/// A lease far longer than the default, so that on a slow machine the writer's does not end before another leads.
fn leaders(store: &str) {
    let Some(series) = series_of(&["leader", "--lease", "10s", "--store", store]) else { return };
    assert_eq!(series, 4);
}

#[test]
fn leaders_are_killed_and_frozen_on_a_folder() {
    leaders("folder");
}

#[test]
fn leaders_are_killed_and_frozen_on_etcd() {
    leaders("etcd");
}

#[test]
fn leaders_are_killed_and_frozen_on_s3() {
    leaders("s3");
}
