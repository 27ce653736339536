//! Drivers for what runs on plain machines. Each is used behind [`pilotlight_driver::guard::Guarded`].

pub mod connections;
pub mod dns;
pub mod exec;
mod group;
pub mod postgres;
pub mod probe;
pub mod process;
pub mod redact;
#[cfg(test)]
mod stage;
pub mod webhook;
