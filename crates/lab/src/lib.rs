//! Regions on one machine out of real processes, with ways to lose them.
//!
//! A lab is a folder; a region is a folder in it. Everything that runs "in" a region has its working directory there:
//! that is how the lab finds what to kill and what to freeze, and why it never touches a process it did not start.
//! Where the machine allows it each place also has a network of its own, which can be cut ([`net`]). Nothing here knows
//! plans or drivers; the command line wires those in.

pub mod aws;
pub mod bare;
pub mod certificates;
pub mod database;
pub mod engines;
pub mod folder;
pub mod net;
pub mod payments;
pub mod ports;
pub mod region;
pub mod required;
pub mod writer;
