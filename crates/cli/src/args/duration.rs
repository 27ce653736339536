//! Durations that can be typed; what is out of range is refused before anything begins.

use pilotlight_core::time::{parse_duration, show_duration};
use std::time::Duration;

/// Less than a second of requests says nothing.
pub(super) fn of_measuring(text: &str) -> Result<Duration, String> {
    let time = any(text)?;
    if time < Duration::from_secs(1) { Err("less than a second says nothing".to_owned()) } else { Ok(time) }
}

/// A plan takes no shorter lease; the longest is what somebody still waits for in front of a terminal.
pub(super) fn demo_lease(text: &str) -> Result<Duration, String> {
    between(text, "a lease", Duration::from_secs(1), Duration::from_secs(30))
}

/// More than the demo's RPO would be left to a person, and none is there.
pub(super) fn demo_lag(text: &str) -> Result<Duration, String> {
    between(text, "a lag", Duration::ZERO, Duration::from_secs(3))
}

fn between(text: &str, what: &str, shortest: Duration, longest: Duration) -> Result<Duration, String> {
    let given = any(text)?;
    if (shortest..=longest).contains(&given) {
        return Ok(given);
    }
    Err(format!("the demo takes {what} from {} to {}", show_duration(shortest), show_duration(longest)))
}

fn any(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "not a duration, such as 1500ms, 3s or 5m".to_owned())
}
