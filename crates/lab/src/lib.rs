//! Regions on one machine out of real processes, with ways to lose them.
//!
//! A lab is a folder; a region is a folder in it. Everything that runs "in" a region has its working directory there:
//! that is how the lab finds what to kill, and why it never touches a process it did not start. Nothing here knows
//! plans or drivers; the command line wires those in.
//!
//! Not here: cuts, freezes and slow links between regions; this lab can only kill.

pub mod bare;
pub mod certificates;
pub mod database;
pub mod folder;
pub mod payments;
pub mod ports;
pub mod region;
pub mod writer;
