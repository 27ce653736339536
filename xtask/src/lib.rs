//! What `cargo xtask` does, as functions, so that tests can call them.

pub mod tidy;
