//! Types and pure decisions of Pilotlight.
//!
//! Border: no clock, no files, no network, no randomness, no async. Time comes in as a value, a decision goes out as a
//! value. The executor, the simulator and the tests drive the very same functions.
//!
//! The line of flow is the order of the modules: a [`plan`] is read, regions are [`observation`]s, a [`verdict`] is
//! reached, [`derive`] makes a [`runbook`], [`run`] is the state machine that walks it, [`measure`] says what it took.

pub mod behind;
pub mod candidate;
pub mod cause;
pub mod certificate;
pub mod code;
pub mod derive;
pub mod disk;
pub mod drill;
pub mod effect;
pub mod exposed;
#[cfg(test)]
pub(crate) mod fixture;
pub mod gate;
pub mod health;
pub mod id;
pub mod leader;
pub mod lease;
pub mod local;
pub mod measure;
pub mod observation;
pub mod outcome;
mod pairs;
pub mod placement;
pub mod plan;
pub mod position;
pub mod protocol;
pub mod recording;
pub mod remembered;
pub mod rescue;
pub mod run;
pub mod runbook;
pub mod shared;
pub mod terraform;
pub mod time;
pub mod verdict;
