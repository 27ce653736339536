//! Measures from outside: a client that pays like a user, its request log, and what they say about a move.
//!
//! Border: the arithmetic is in [`pilotlight_core::measure`]; here is what touches network, clock and files. PostgreSQL
//! stays out: [`held`] is told by its caller how to ask a writer what it holds.
//!
//! Invariants:
//! - a payment is sent at most once: nothing here sends an id a second time, whatever became of the first;
//! - only a complete 2xx answer is an acknowledgement; every other end may or may not have been recorded;
//! - a name is believed for its time to live and not a moment longer.

pub mod client;
mod connections;
pub mod held;
mod pace;
pub mod request_log;
mod resolve;
mod tally;

pub use client::{Client, ClientError, ClientHandle, ClientParts};
pub use held::{HeldError, held_numbers};
pub use request_log::{ClientLog, LogLine, RequestOutcome, read_log};
pub use resolve::{NameResolver, ResolveError};
pub use tally::{ClientLive, LastFailure};
