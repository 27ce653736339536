//! The gate of PostgreSQL: a process of its own, one thread, that confirms the commits of one writer while it may.
//!
//! It is a replication client that stores nothing. The writer waits for `ANY 1 (candidate, gate)`: with a valid lease the
//! gate confirms at once, so commits take as long as they do without a standby; without one they take as long as the
//! candidate takes, or wait. What that proves, and what it does not, stands in `docs/adr/0005-the-gate.md`.
//!
//! Border: nothing of the agent is in here, so that neither a probe nor a rewind of the agent can stand in the path of a
//! commit, and an agent can be replaced under load. No async, no second thread, no disk after the start.
//!
//! Invariants:
//! - nothing is confirmed that was not received, or that the server did not say it had on disk when the link began;
//! - nothing is confirmed at or after the moment the gate was told last ([`Orders`](order::Order)); the clock is read
//!   again before each send. A gate that was stopped between look and send is not believed: its own connection asks the
//!   server for a time limit that is shorter than what the moment lies before the end of the lease
//!   (`pilotlight_core::gate`);
//! - a gate that may not confirm hangs up, so it never holds up the stop of a server;
//! - it holds no slot and starts at the server's present end, so it never keeps WAL.

mod keeper;
mod link;
pub mod order;
mod stream;

pub use keeper::{GateError, run};
pub use link::{Link, open as link};
