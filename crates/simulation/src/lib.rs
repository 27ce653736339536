//! Pilotlight in a world of seeded chance and virtual time.
//!
//! The controller (decisions, engine, granter, agents' hub) and the agents (lease guard, guard of effects, own decisions)
//! are the real code, each process on a runtime that runs only when the world lets it. What is simulated is the world
//! around them: machines and their clocks, networks, disks, PostgreSQL, names, clients and people. See
//! docs/simulation.md for what is modelled and what is not.
//!
//! A seed is a world: the same faults, the same delays, the same order of everything, the same log, byte for byte.
//!
//! Border: nothing in here is part of the product; no other crate but the xtask uses it.

mod agent;
mod bug;
mod chance;
mod controller;
mod database;
mod drivers;
mod exchange;
mod fault;
mod gate;
mod laws;
mod mistaken;
mod place;
mod process;
mod queue;
mod setup;
mod shrink;
mod storage;
mod timeline;
mod world;

pub use bug::Bug;
pub use fault::Fault;
pub use laws::{Broken, Law};
pub use setup::{Promise, Setup};
pub use shrink::shrink;
pub use world::{Options, Story};

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use world::World;

thread_local! {
    /// What broke down on this thread.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    /// A world is lived through on this thread now: what breaks down is the world's.
    static LIVING: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Lives through the world of a seed.
pub fn live(seed: u64, options: &Options) -> Story {
    HOOK.call_once(listen_for_panics);
    PANIC.with_borrow_mut(Option::take);
    LIVING.set(true);
    let lived = catch_unwind(AssertUnwindSafe(|| World::new(seed, options).run()));
    LIVING.set(false);
    let panic = PANIC.with_borrow_mut(Option::take);
    let mut story = lived.unwrap_or_default();
    if let (Some(what), None) = (panic, &story.broken) {
        story.broken = Some(Broken { law: Law::NoPanic, what, at_ns: 0 });
    }
    story
}

/// A task's panic ends only the task; the law wants to know of it all the same.
fn listen_for_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !LIVING.try_with(Cell::get).unwrap_or(false) {
            return before(info);
        }
        let ours = PANIC.try_with(|panic| {
            let mut panic = panic.borrow_mut();
            if panic.is_none() {
                *panic = Some(info.to_string());
            }
        });
        if ours.is_err() {
            before(info);
        }
    }));
}
