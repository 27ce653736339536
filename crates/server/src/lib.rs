//! The controller: the API, the agents' sessions, decisions, grants of the lease and runs.
//!
//! Border: knows no technology. What to decide stands in core, how a run is walked in the engine; here are the wires: what
//! agents say becomes a sight, a sight a decision, a decision a run.
//!
//! Invariant: everything that must outlive the process is in the engine's store and journal; what is kept here may be lost
//! at any moment.

mod accord;
pub mod api;
mod behind;
mod controller;
mod desk;
pub mod drills;
mod exposed;
mod front;
pub mod hold;
pub mod hub;
mod looks;
mod managed;
mod moves;
mod notes;
mod offstage;
mod orders;
mod others;
mod past;
mod quiet;
mod recorder;
mod remembered;
mod reports;
mod seat;
mod serve;
mod terms;
mod tokens;
mod traffic;

pub use hub::{Hub, RemoteAgent};
pub use offstage::{Offstage, OffstageTerm};
pub use orders::{Order, Orders};
pub use pilotlight_door::Bounds;
pub use pilotlight_driver::port::PortLook;
pub use recorder::RecordingTo;
pub use serve::{Assemble, ControllerParts, Door, Listen, ServeError, ServerParts, Standing, bind, serve};
pub use tokens::Tokens;

#[cfg(test)]
mod tests;
