//! Points in time and lengths of time as they are written in plans and shown to people.
//!
//! Invariant: [`Mono`] values are only compared with values of the same process's clock; [`Wall`] values are for people
//! and for lining up logs, never for a decision about safety.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Milliseconds since the Unix epoch (UTC), from the system clock. May jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(pub u64);

impl Wall {
    /// Milliseconds from `earlier` to `self`, 0 when the clock went back: for people. Where 0 would be good news, see
    /// [`Wall::checked_since`].
    pub fn since(self, earlier: Wall) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Time from `earlier` to `self`; nothing when the clock went back.
    pub fn checked_since(self, earlier: Wall) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_millis)
    }
}

/// Time on one monotonic clock, counted from an origin of its own (boot or process start). Written as whole milliseconds:
/// recordings hold several of one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mono(#[serde(with = "as_ms")] pub Duration);

impl Mono {
    /// Time from `earlier` to `self`, zero when `earlier` lies later.
    pub fn since(self, earlier: Mono) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, by: Duration) -> Mono {
        Mono(self.0 + by)
    }
}

/// Two readings of two clocks are not one instant, and a wall clock may be slewed by one part in two thousand.
const CLOCK_SLACK: Duration = Duration::from_millis(250);
const SLEW: u32 = 1_000;

/// The wall clock was set: it went otherwise than the steady one since the last reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockSet {
    /// By so much.
    Forward(Duration),
    /// By so much.
    Back(Duration),
}

impl std::fmt::Display for ClockSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ClockSet::Forward(by) => write!(f, "set forward by {}", show_duration(*by)),
            ClockSet::Back(by) => write!(f, "set back by {}", show_duration(*by)),
        }
    }
}

/// Notices when a machine's wall clock is set. Wall times of before and after say nothing of each other.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClockWatch(Option<(Wall, Mono)>);

impl ClockWatch {
    /// Takes a reading of both clocks of one machine.
    pub fn read(&mut self, wall: Wall, mono: Mono) -> Option<ClockSet> {
        let (before, then) = self.0.replace((wall, mono))?;
        let steady = mono.since(then);
        let expected = Duration::from_millis(before.0) + steady;
        let shown = Duration::from_millis(wall.0);
        let slack = CLOCK_SLACK + steady / SLEW;
        let (forward, back) = (shown.saturating_sub(expected), expected.saturating_sub(shown));
        if forward > slack {
            return Some(ClockSet::Forward(forward));
        }
        (back > slack).then_some(ClockSet::Back(back))
    }
}

/// Reads `3s`, `250ms`, `15 minutes`, `1.5h`, `PT15M`, `7 days`. Returns `None` when it is none of these.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (text, iso) = match text.strip_prefix("PT") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let unit = unit.trim().to_ascii_lowercase();
    let seconds = match unit.as_str() {
        "ms" | "millisecond" | "milliseconds" if !iso => number / 1000.0,
        "s" | "sec" | "second" | "seconds" => number,
        "m" | "min" | "minute" | "minutes" => number * 60.0,
        "h" | "hour" | "hours" => number * 3600.0,
        "d" | "day" | "days" if !iso => number * 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

/// Writes a length of time the way people say it: `340 ms`, `3.2 s`, `4 min 05 s`, `2 h 03 min`.
pub fn show_duration(d: Duration) -> String {
    let ms = d.as_millis();
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", d.as_secs_f64()),
        60_000..3_600_000 => format!("{} min {:02} s", ms / 60_000, ms / 1_000 % 60),
        _ => format!("{} h {:02} min", ms / 3_600_000, ms / 60_000 % 60),
    }
}

/// Two lengths of time beside each other: in full where their short forms would look the same although they are not.
pub fn show_apart(one: Duration, other: Duration) -> (String, String) {
    let exact = one.as_millis() != other.as_millis() && show_duration(one) == show_duration(other);
    let show = |d: Duration| if exact { format!("{} ms", d.as_millis()) } else { show_duration(d) };
    (show(one), show(other))
}

/// `2026-11-21T00:45:12.345Z` for a wall time. Civil-date arithmetic after H. Hinnant's `civil_from_days`.
pub fn show_wall(at: Wall) -> String {
    let (y, mo, d, h, mi, s, ms) = civil(at);
    format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{ms:03}Z")
}

/// `20261121-004512`: a wall time fit for file names and run ids.
pub fn stamp(at: Wall) -> String {
    let (y, mo, d, h, mi, s, _) = civil(at);
    format!("{y:04}{mo:02}{d:02}-{h:02}{mi:02}{s:02}")
}

fn civil(at: Wall) -> (i64, u64, u64, u64, u64, u64, u64) {
    let days = at.0 / 86_400_000;
    let ms = at.0 % 86_400_000;
    let z = days as i64 + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097) as u64;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let d = doy - (153 * mp + 2) / 5 + 1;
    let mo = if mp < 10 { mp + 3 } else { mp - 9 };
    let y = yoe as i64 + era * 400 + i64::from(mo <= 2);
    (y, mo, d, ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}

/// Serde as whole milliseconds, for fields named `*_ms`.
pub mod as_ms {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    /// Writes whole milliseconds.
    pub fn serialize<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    /// Reads whole milliseconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        Ok(Duration::from_millis(u64::deserialize(d)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in [
            ("3s", 3_000),
            ("250ms", 250),
            ("15 minutes", 900_000),
            ("1.5h", 5_400_000),
            ("PT15M", 900_000),
            ("7 days", 604_800_000),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "3", "s", "3 parsecs", "-1s", "PT3ms", "1e400h"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn times_that_differ_never_look_the_same_beside_each_other() {
        let shown = |one, other| {
            let (one, other) = show_apart(Duration::from_millis(one), Duration::from_millis(other));
            format!("{one}, {other}")
        };
        assert_eq!(shown(5_001, 5_000), "5001 ms, 5000 ms");
        assert_eq!(shown(3_600_000, 3_601_000), "3600000 ms, 3601000 ms");
        assert_eq!(shown(5_000, 5_000), "5.0 s, 5.0 s");
        assert_eq!(shown(5_200, 5_000), "5.2 s, 5.0 s");
    }

    #[test]
    fn a_wall_clock_that_is_set_is_noticed_and_one_that_is_slewed_is_not() {
        let ms = Duration::from_millis;
        for (wall, mono, expected) in [
            (61_000, 1_000, None),
            (61_240, 1_000, None),
            (60_760, 1_000, None),
            (61_251 + 1, 1_000, Some(ClockSet::Forward(ms(252)))),
            (60_000, 1_000, Some(ClockSet::Back(ms(1_000)))),
            (3_661_000, 1_000, Some(ClockSet::Forward(ms(3_600_000)))),
            (0, 1_000, Some(ClockSet::Back(ms(61_000)))),
            // Ten minutes of sleep, slewed by a third of a second.
            (660_300, 600_000, None),
        ] {
            let mut watch = ClockWatch::default();
            assert_eq!(watch.read(Wall(60_000), Mono(ms(5_000))), None, "the first reading says nothing");
            assert_eq!(watch.read(Wall(wall), Mono(ms(5_000 + mono))), expected, "{wall} after {mono}");
            assert_eq!(watch.read(Wall(wall + 10), Mono(ms(5_010 + mono))), None, "it is told once");
        }
        assert_eq!(ClockSet::Back(ms(3_600_000)).to_string(), "set back by 1 h 00 min");
    }

    #[test]
    fn wall_time_is_shown_in_utc() {
        assert_eq!(show_wall(Wall(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(show_wall(Wall(951_782_400_001)), "2000-02-29T00:00:00.001Z");
        assert_eq!(stamp(Wall(1_795_221_912_345)), "20261121-004512");
    }
}
