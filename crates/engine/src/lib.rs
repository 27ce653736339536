//! engine

pub mod measure;
pub mod report;
