//! Executes runs: durably, in order, at most once per effect, whatever dies meanwhile.
//!
//! [`Engine`] is the front: start, recover, control, view. A run is walked by the executor, which performs the commands
//! of [`pilotlight_core::run`] and appends its events to a [`journal`]. Epochs, writers and the runs that hold a unit are
//! in a [`store`]; [`granter`] gives leases out and knows when they are over; [`router`] finds the driver of an effect;
//! [`lead`] stops a controller that does not lead any more; [`measure`] watches from outside, [`report`] says afterwards what happened.
//!
//! Border: knows no technology. Everything that touches the world goes through [`pilotlight_driver::Driver`].
//!
//! Invariants:
//! - no effect leaves before its intent is durable;
//! - a controller that loses one append of a run never touches that run again;
//! - the order of an effect's steps stands in one function (`executor::attempt`).

pub mod dry_run;
pub mod engine;
mod executor;
pub mod granter;
pub mod journal;
pub mod lead;
pub mod measure;
pub mod report;
pub mod router;
pub mod sqlite;
pub mod storage;
pub mod store;

pub use engine::{Archive, Behind, Control, ControlError, Engine, EngineParts, RunSummary, StartError};
