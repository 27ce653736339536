//! The drivers against the AWS test server: each battery, and each way AWS answers badly.
//!
//! One server serves all tests; each test makes things of its own names. Without the server's environment the tests are
//! skipped with the reason.

#![allow(clippy::unwrap_used)]

mod accelerator;
mod alarms;
mod aurora;
mod aurora_back;
mod backups;
mod bad_days;
mod capacity;
mod dns;
mod drive;
mod elasticache;
mod ground;
mod images;
mod made;
mod messages;
mod needs;
mod nodes;
mod objects;
mod origins;
mod pages;
mod publish;
mod rds;
mod rights;
mod roles;
mod silent;
mod switch;
