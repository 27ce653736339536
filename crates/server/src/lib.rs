//! The controller: the API, the agents' sessions, decisions, grants of the lease and runs.

pub mod hub;
