//! The whole way on what AWS runs: a plan with Aurora, ECS and Route 53 in two regions, `pilotlight serve` and no agent,
//! against the AWS test server, measured from outside. Without the server's environment the tests are skipped with the
//! reason.

#![allow(clippy::unwrap_used)] // tests

mod applied_by_terraform;
mod by_hand;
mod detached;
mod examples;
mod found_before;
mod ground;
mod moves;
mod objects;
mod seen;
mod switch;
mod wait;
