//! The one loop of this crate's tests that looks again until a deadline.

use std::fmt::Debug;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Longer than anything a test waits for takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until it sees something.
///
/// # Panics
/// When it has not by the deadline, saying what was seen last.
pub(crate) async fn until_some<T, S: Debug>(look: impl AsyncFn() -> Result<T, S>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(last) => assert!(Instant::now() < end, "still {last:?} after {PATIENCE:?}"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Looks until it sees this.
///
/// # Panics
/// When it has not by the deadline, saying what was seen last.
pub(crate) async fn until<T: PartialEq + Debug>(wanted: T, look: impl AsyncFn() -> T) {
    until_some(async || match look().await {
        seen if seen == wanted => Ok(()),
        other => Err(format!("{other:?}, not {wanted:?}")),
    })
    .await;
}
