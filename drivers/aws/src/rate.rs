//! How often a service may be called: the rates that AWS publishes, kept by all drivers of a process together.

use pilotlight_core::time::Mono;
use std::time::Duration;

/// Calls a second that we make at most to a service in a region, below what AWS publishes or documents as usual.
///
/// Route 53 allows five a second for a whole account; others of the account call it too. For the rest AWS publishes rates
/// for some calls only; the lowest of those we use is ECS `UpdateService`, five a second.
pub fn most_per_second(service: &str) -> u32 {
    match service {
        "route53" => 4,
        "ecs" | "globalaccelerator" => 5,
        _ => 8,
    }
}

/// When the next call may leave: an even stream with room for a short burst.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    next: Mono,
}

impl Stream {
    /// Takes the next place and says how long to wait for it.
    pub fn take(&mut self, now: Mono, per_second: u32) -> Duration {
        let gap = Duration::from_secs(1) / per_second.max(1);
        // What was not used lately may be used at once, up to half a second's worth.
        let earliest = Mono(now.0.saturating_sub(Duration::from_millis(500)));
        let place = Mono(self.next.0.max(earliest.0));
        self.next = Mono(place.0 + gap);
        place.0.saturating_sub(now.0)
    }
}

/// A pause before the nth repetition, `chance` in 0..=1: up to twice as long each time, never less than half of it.
pub fn pause(repetition: u32, chance: f64) -> Duration {
    let most = Duration::from_millis(200 << repetition.min(6)).min(Duration::from_secs(8));
    most.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_never_exceeds_its_rate_for_long() {
        let mut stream = Stream::default();
        let start = Mono(Duration::from_secs(100));
        let mut leaves: Vec<Duration> = (0..50).map(|_| start.0 + stream.take(start, 5)).collect();
        leaves.sort_unstable();
        let in_first = |d: u64| leaves.iter().filter(|at| **at < start.0 + Duration::from_secs(d)).count();
        assert!(in_first(1) <= 8, "{}", in_first(1));
        assert!(in_first(5) <= 28, "{}", in_first(5));
    }

    #[test]
    fn pauses_grow_and_differ() {
        assert!(pause(0, 0.0) >= Duration::from_millis(100));
        assert!(pause(3, 1.0) > pause(2, 0.0));
        assert!(pause(30, 1.0) <= Duration::from_secs(8));
        assert_ne!(pause(2, 0.1), pause(2, 0.9));
    }
}
