//! Controller and agents over real loopback HTTP, with the real engine on a real file; only the world is a fake one.
//!
//! Time is real, leases are short. Nothing sleeps to wait for something: every wait is for a level, with a deadline and what
//! was seen last.

mod at_rest;
mod cooling;
mod damage;
mod door;
mod drills;
mod failover;
mod health;
mod lab;
mod notes;
mod plans;
mod policy;
mod ports;
mod process;
mod quiet;
mod rescue;
mod several;
mod shown;
mod steering;
mod stores;
mod strangers;
mod troubled;
pub(crate) mod wait;
