//! A number that only grows, and those who wait for it.
//!
//! They are woken in the order in which they began to wait. The channel that the runtime has for this (`watch`) wakes in an
//! order of its own chance, with which no run could be repeated in a simulation.

use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// See the module.
#[derive(Debug, Default)]
pub struct Level {
    value: AtomicU64,
    grown: Notify,
}

impl Level {
    /// A level that stands at `value`.
    pub fn new(value: u64) -> Self {
        Self { value: AtomicU64::new(value), grown: Notify::new() }
    }

    /// Where it stands.
    pub fn get(&self) -> u64 {
        self.value.load(Ordering::SeqCst)
    }

    /// It grows to `value`, unless it is there already.
    pub fn raise(&self, value: u64) {
        self.value.fetch_max(value, Ordering::SeqCst);
        self.grown.notify_waiters();
    }

    /// It grows by one.
    pub fn step(&self) {
        self.value.fetch_add(1, Ordering::SeqCst);
        self.grown.notify_waiters();
    }

    /// Returns once it stands at `value` or higher.
    pub async fn reaches(&self, value: u64) {
        loop {
            // It waits from here on, so what grows after the look is not missed.
            let grown = self.grown.notified();
            if self.get() >= value {
                return;
            }
            grown.await;
        }
    }

    /// Returns once it stands higher than `seen`.
    pub async fn passes(&self, seen: u64) {
        self.reaches(seen.saturating_add(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn those_who_wait_are_woken_in_their_order_and_by_nothing_below() {
        let (level, woken) = (Arc::new(Level::new(1)), Arc::new(Mutex::new(Vec::new())));
        level.reaches(1).await;
        let wait = |name: u32, value: u64| {
            let (level, woken) = (level.clone(), woken.clone());
            tokio::spawn(async move {
                level.reaches(value).await;
                woken.lock().unwrap().push(name);
            })
        };
        let waiting: Vec<_> = (0..20).map(|name| wait(name, if name == 7 { 3 } else { 2 })).collect();
        tokio::task::yield_now().await;
        level.step();
        for (name, waits) in waiting.into_iter().enumerate() {
            if name == 7 {
                assert!(!waits.is_finished(), "it waits for more");
                level.raise(3);
                waits.await.unwrap();
            } else {
                waits.await.unwrap();
            }
        }
        let order: Vec<u32> = (0..20).filter(|name| *name != 7).collect();
        assert_eq!(woken.lock().unwrap().iter().copied().filter(|n| *n != 7).collect::<Vec<_>>(), order);
        level.raise(2);
        assert_eq!(level.get(), 3, "it never falls");
    }
}
