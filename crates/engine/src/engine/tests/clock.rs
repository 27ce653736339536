//! A clock over tokio's time, so that a paused test waits for nothing.

use async_trait::async_trait;
use pilotlight_core::time::{Mono, Wall};
use pilotlight_driver::clock::Clock;
use std::time::Duration;
use tokio::time::Instant;

/// Starts at a fixed wall time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokioClock(Instant);

impl TokioClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

#[async_trait]
impl Clock for TokioClock {
    fn mono(&self) -> Mono {
        Mono(self.0.elapsed())
    }

    fn wall(&self) -> Wall {
        let ms = u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX);
        Wall(1_795_221_912_345 + ms)
    }

    async fn sleep(&self, d: Duration) {
        tokio::time::sleep(d).await;
    }
}
