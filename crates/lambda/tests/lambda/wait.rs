//! The one waiting loop of these tests: a level, a deadline and what was seen last.

use pilotlight_driver::clock::{Clock, SystemClock};
use std::time::Duration;

/// Asks until it is so; panics with the last answer when the time is over.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let end = SystemClock.mono() + Duration::from_secs(120);
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(seen) if SystemClock.mono() > end => panic!("waited for {what}; last seen: {seen}"),
            Err(_) => SystemClock.sleep(Duration::from_millis(100)).await,
        }
    }
}
