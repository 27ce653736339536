//! local

pub mod dns;
