//! The engine against the fake world: what goes well, what goes wrong, and every place where it can be killed.

pub(crate) mod clock;
mod faults;
mod kills;
mod leases;
mod people;
mod plain;
mod put_back;
mod scene;
mod shares;
mod starts;
mod stored;
mod wishes;
mod witness;
