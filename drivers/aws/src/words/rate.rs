//! How often a service may be called: the rates that AWS publishes, kept by all drivers of a process together.

use pilotlight_core::time::Mono;
use std::time::Duration;

/// Calls that AWS counts together, and how many of them we make at most in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket {
    /// Which, within its service.
    pub name: &'static str,
    /// Calls a second, for as long as it takes.
    pub per_second: u32,
    /// So many at once after a rest.
    pub at_once: u32,
}

/// The bucket of a call. Others of the account call too, so it holds less than what AWS publishes.
///
/// Route 53 allows five calls a second for a whole account. ECS allows five changes of services a second and fifty at once,
/// twenty looks a second and a hundred at once. CloudWatch allows 9 looks at alarms, 400 at a metric and 500 writes of metrics a second, by
/// default and per account. Of RDS and Auto Scaling AWS publishes none; those of the others were not compared.
pub fn bucket(service: &str, action: &str) -> Bucket {
    let of = |name, per_second, at_once| Bucket { name, per_second, at_once };
    match (service, action) {
        ("route53", _) => of("all", 4, 1),
        ("ecs", "UpdateService") => of("change", 4, 20),
        ("ecs", "DescribeServices") => of("look", 10, 20),
        ("ecs" | "globalaccelerator", _) => of("all", 5, 2),
        _ => of("all", 8, 4),
    }
}

/// When the next call may leave: an even stream with room for a burst.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    next: Mono,
}

impl Stream {
    /// Takes the next place and says how long to wait for it.
    pub fn take(&mut self, now: Mono, bucket: Bucket) -> Duration {
        let gap = Duration::from_secs(1) / bucket.per_second.max(1);
        // What was not used lately may be used at once.
        let earliest = Mono(now.0.saturating_sub(gap * bucket.at_once));
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
        let bucket = Bucket { name: "all", per_second: 5, at_once: 3 };
        let mut stream = Stream::default();
        let start = Mono(Duration::from_secs(100));
        let mut leaves: Vec<Duration> = (0..50).map(|_| start.0 + stream.take(start, bucket)).collect();
        leaves.sort_unstable();
        let in_first = |d: u64| leaves.iter().filter(|at| **at < start.0 + Duration::from_secs(d)).count();
        assert_eq!(leaves.iter().filter(|at| **at == start.0).count(), 4, "a burst, and the first of the stream");
        assert!(in_first(1) <= 8, "{}", in_first(1));
        assert!(in_first(5) <= 28, "{}", in_first(5));
    }

    /// A bucket as AWS keeps it, filled at its published rate, must never be empty for us.
    #[test]
    fn no_bucket_exceeds_what_aws_publishes() {
        let published = [
            ("route53", "GetChange", 5.0, 5.0),
            ("ecs", "UpdateService", 5.0, 50.0),
            ("ecs", "DescribeServices", 20.0, 100.0),
            ("monitoring", "DescribeAlarms", 9.0, 9.0),
            ("monitoring", "GetMetricStatistics", 400.0, 400.0),
            ("monitoring", "PutMetricData", 500.0, 500.0),
        ];
        for (service, action, rate, size) in published {
            let mut stream = Stream::default();
            let start = Mono(Duration::from_secs(100));
            let (mut level, mut last): (f64, Duration) = (size, start.0);
            for _ in 0..500 {
                let leaves = start.0 + stream.take(start, bucket(service, action));
                level = (level + (leaves - last).as_secs_f64() * rate).min(size) - 1.0;
                last = leaves;
                assert!(level >= 0.0, "{service} {action} at {leaves:?}");
            }
        }
    }

    #[test]
    fn pauses_grow_and_differ() {
        assert!(pause(0, 0.0) >= Duration::from_millis(100));
        assert!(pause(3, 1.0) > pause(2, 0.0));
        assert!(pause(30, 1.0) <= Duration::from_secs(8));
        assert_ne!(pause(2, 0.1), pause(2, 0.9));
    }
}
