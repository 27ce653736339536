//! Going home by shares on real PostgreSQL, DNS and processes: every share served, and one whose instances do not answer.
//!
//! The hidden verb that measures it fails when a share does not go back, the run does not wait or a row is lost; its bounds are
//! for a quiet machine, so here only what must hold on any machine is asked.

use crate::bench::series_of;

#[test]
fn traffic_goes_home_by_shares_and_back_when_too_much_fails() {
    assert_eq!(series_of(&["failback"]), Some(2));
}
