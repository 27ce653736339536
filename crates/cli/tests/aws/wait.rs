//! The one waiting loop of these tests: a level, a deadline and what was seen last; and the pace of a client.

use std::time::{Duration, Instant};

/// Asks until it is so; panics with the last answer when the time is over.
#[allow(clippy::disallowed_methods)] // the one place of these tests that reads the clock
pub(crate) async fn until<T>(what: &str, within: Duration, mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + within;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(seen) if Instant::now() > end => panic!("waited for {what}; last seen: {seen}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Between two writes of a client.
pub(crate) async fn pace() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}
