//! engine

pub mod report;
