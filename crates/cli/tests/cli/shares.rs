//! Going home by shares on real PostgreSQL, DNS and processes: every share served, one whose instances do not answer, and
//! traffic that goes ahead of the writer once a person has approved it, taken back as a whole and then gone home.
//!
//! The hidden verb that measures it fails when a share does not go back, the run does not wait or a row is lost, or
//! when something begins before its approval or is not taken back; its bounds are for a quiet machine, so here only what must hold
//! on any machine is asked.

use crate::bench::series_of;

#[test]
fn traffic_goes_home_by_shares_and_back_when_too_much_fails_or_somebody_says_so() {
    assert_eq!(series_of(&["failback"]), Some(4));
}
