//! The one loop of these tests that looks again until a deadline.

use std::time::Duration;

/// Of any wait: far longer than anything takes, so that a slow machine fails no test.
pub(crate) const LONGEST: Duration = Duration::from_secs(90);
/// Between two looks of a wait.
const TICK: Duration = Duration::from_millis(10);

/// Waits for a level; panics with what was seen last.
pub(crate) async fn until<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let mut seen = "nothing".to_owned();
    let waited = tokio::time::timeout(LONGEST, async {
        loop {
            match look().await {
                Ok(found) => return found,
                Err(now) => seen = now,
            }
            tokio::time::sleep(TICK).await;
        }
    });
    match waited.await {
        Ok(found) => found,
        Err(_) => panic!("waited {LONGEST:?} until {what}; last seen: {seen}"),
    }
}
