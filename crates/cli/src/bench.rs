//! Measures moves on this machine, beside the floor: what nobody can beat. Run by `cargo xtask bench failover`
//! and `cargo xtask bench aws`.
//!
//! Every outage is the longest silence a client saw; each case and its floor take turns, so that a machine that gets
//! slower gets slower for both.

pub(crate) mod aws;
pub(crate) mod crash;
pub(crate) mod failback;
pub(crate) mod figure;
pub(crate) mod floor;
pub(crate) mod idle;
pub(crate) mod latency;
pub(crate) mod leader;
pub(crate) mod pair;
pub(crate) mod region;
pub(crate) mod rounds;
pub(crate) mod safety;
pub(crate) mod series;
pub(crate) mod switchover;
