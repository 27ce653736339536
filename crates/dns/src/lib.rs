//! The built-in authoritative DNS server: the place where a failover becomes visible to users.
//!
//! It answers names it was told over a control interface ([`pilotlight_core::protocol::dns`]) and knows nothing of
//! plans, runs or health: what it was told last it answers for ever. It is a process of its own, so that the loss of
//! every controller changes nothing for users.
//!
//! Invariants:
//! - a name that was told once is never empty: a put that would leave it without an address is refused;
//! - a put with an epoch older than the newest one seen for its unit is refused, also after a restart;
//! - what was answered with 200 is on disk: after `kill -9` the same is answered as before;
//! - a put that cannot be stored changes nothing: the old answer stays.

pub mod answer;
pub mod authority;
pub mod book;
pub mod choice;
mod control;
pub mod shelf;
mod tcp;

pub use authority::{Authority, AuthorityParts, RunningAuthority, StartError, TlsFiles};
pub use shelf::OpenError;
