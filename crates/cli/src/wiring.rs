//! Which driver does what: the only place of Pilotlight that makes drivers.
//!
//! Inside a region every driver is behind one guard: one memory of epochs and keys per agent. At the controller a copy
//! inside a region is reached through its agent; names, notes and the controller's own probes and commands are done here.

pub(crate) mod aws;
pub(crate) mod controller;
mod fence;
pub(crate) mod lab;
mod ledger;
pub(crate) mod names;
pub(crate) mod place;
pub(crate) mod region;
pub(crate) mod secrets;
pub(crate) mod store;
pub(crate) mod term;

use pilotlight_core::effect::Descriptor;
use pilotlight_core::id::Component;
use pilotlight_engine::router::Router;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Drivers behind one door.
pub(crate) struct Wired {
    /// All of them.
    pub(crate) driver: Arc<Router>,
    /// What each component's driver says of itself.
    pub(crate) descriptors: BTreeMap<Component, Descriptor>,
}
