//! The PostgreSQL driver against real servers, each test with a pair of its own on loopback.
// Modules of a test are seen by nobody else, and clippy does not take them for tests.
#![allow(unreachable_pub, clippy::unwrap_used)]

#[path = "postgres/battery.rs"]
mod battery;
#[path = "postgres/beforehand.rs"]
mod beforehand;
#[path = "postgres/connections.rs"]
mod connections;
#[path = "postgres/disks.rs"]
mod disks;
#[path = "postgres/fences.rs"]
mod fences;
#[path = "postgres/gates.rs"]
mod gates;
#[path = "postgres/gone.rs"]
mod gone;
#[path = "postgres/identities.rs"]
mod identities;
#[path = "postgres/looks.rs"]
mod looks;
#[path = "postgres/moves.rs"]
mod moves;
#[path = "postgres/owners.rs"]
mod owners;
#[path = "postgres/pair.rs"]
mod pair;
#[path = "postgres/payer.rs"]
mod payer;
#[path = "postgres/rejoins.rs"]
mod rejoins;
#[path = "postgres/rescues.rs"]
mod rescues;
#[path = "postgres/rewinds.rs"]
mod rewinds;
#[path = "postgres/rows.rs"]
mod rows;
#[path = "postgres/silence.rs"]
mod silence;
#[path = "postgres/slots.rs"]
mod slots;
#[path = "postgres/spaces.rs"]
mod spaces;
#[path = "postgres/starts.rs"]
mod starts;
#[path = "postgres/ties.rs"]
mod ties;
#[path = "postgres/twins.rs"]
mod twins;
#[path = "postgres/wires.rs"]
mod wires;
