//! The `pilotlight` binary: arguments, wiring, rendering, exit codes.

#[allow(dead_code)]
mod command;

fn main() {}
