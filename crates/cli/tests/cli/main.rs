//! The command line as its users meet it: the real binary, a clean environment, stdout, stderr and exit code.

#![allow(clippy::unwrap_used)] // tests

mod bad_days;
mod bench;
mod demo;
mod examples;
mod faults;
mod hold;
mod import;
mod offline;
mod operator;
mod program;
mod proxy;
mod reference;
mod replay;
mod several;
mod shares;
mod wait;
