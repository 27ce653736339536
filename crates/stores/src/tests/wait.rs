//! The one loop of these tests that looks again until a deadline.

use std::time::Duration;

/// Tries until it works; panics with what was seen last.
pub(super) async fn until<T, E: std::fmt::Display>(what: &str, attempt: impl AsyncFn() -> Result<T, E>) -> T {
    let mut last = String::new();
    for _ in 0..1_800 {
        match attempt().await {
            Ok(found) => return found,
            Err(e) => last = e.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited for {what}; last seen: {last}");
}
