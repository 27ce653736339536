//! What is asked of a file system seldom, and never waited for: one that hangs holds up nobody.

use pilotlight_core::outcome::Finding;
use pilotlight_core::time::Mono;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A file system that hangs is not waited for: what was seen before is said on.
const PATIENCE: Duration = Duration::from_millis(200);

/// What was found last, and when it was asked for.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    at: Option<Mono>,
    found: Vec<Finding>,
}

impl Seldom {
    /// Asks in a thread of its own where the last time is so long ago; what was found by then.
    pub async fn look<F>(self: &Arc<Self>, now: Mono, every: Duration, ask: F) -> Vec<Finding>
    where
        F: FnOnce() -> Vec<Finding> + Send + 'static,
    {
        if self.is_due(now, every) {
            let seldom = self.clone();
            let asking = tokio::task::spawn_blocking(move || {
                // Not under the lock while a file system is asked.
                let found = ask();
                seldom.lock().found = found;
            });
            let _ = tokio::time::timeout(PATIENCE, asking).await;
        }
        self.said()
    }

    /// What was found last.
    pub fn said(&self) -> Vec<Finding> {
        self.lock().found.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is time to look again; then that counts as done.
    fn is_due(&self, now: Mono, every: Duration) -> bool {
        let mut seen = self.lock();
        let due = seen.at.is_none_or(|at| now.since(at) >= every);
        if due {
            seen.at = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    #[test]
    fn it_is_asked_seldom() {
        let seldom = Seldom::default();
        let asked = (0..25).filter(|second| seldom.is_due(at(*second), EVERY));
        assert_eq!(asked.collect::<Vec<u64>>(), [0, 10, 20]);
    }

    #[tokio::test]
    async fn a_file_system_that_hangs_is_not_waited_for() {
        let seldom = Arc::new(Seldom::default());
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let hanging = move || {
            let _ = held.recv();
            Vec::new()
        };
        assert_eq!(seldom.look(at(0), EVERY, hanging).await, []);
        assert_eq!(seldom.look(at(10), EVERY, Vec::new).await, [], "nor is anybody else held up");
        drop(let_go);
    }
}
