//! How much room a file system has, how long that lasts at the present rate, how far a log may grow: what a person has to hear of
//! it before it is full. A full disk ends a writer, and keeps a rescue bundle from being made.
//!
//! Border: pure; it warns and decides nothing. Who asks the file system, and how often, is said elsewhere.

use crate::code::{self, Code};
use crate::outcome::{Finding, Severity};
use crate::time::{Mono, show_duration};
use std::collections::VecDeque;
use std::time::Duration;

/// Less than a tenth of the file system is little, unless it is more than this.
const MUCH: u64 = 10 << 30;

/// Full so soon is worth a word, however much is free.
const SOON: Duration = Duration::from_secs(2 * 3_600);

/// Between two looks that count.
const APART: Duration = Duration::from_secs(10);

/// What is older says nothing of the present rate.
const SPAN: Duration = Duration::from_secs(600);

/// A rate over less is a rate of a moment: logs grow and are cut again.
const LEAST: Duration = Duration::from_secs(60);

/// What a file system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// All of it, in bytes.
    pub bytes: u64,
    /// What is left to an account without rights of its own.
    pub free: u64,
    /// How many files it can hold; zero where that is not fixed.
    pub files: u64,
    /// How many more.
    pub files_free: u64,
}

/// Successive looks at the room of one file system, on a steady clock.
#[derive(Debug, Clone, Default)]
pub struct Filling(VecDeque<(Mono, u64)>);

impl Filling {
    /// Takes a look. One that comes too soon after another is left out.
    pub fn look(&mut self, at: Mono, free: u64) {
        if self.0.back().is_some_and(|(last, _)| at.since(*last) < APART) {
            return;
        }
        // Somebody made room, or a log was cut: what was lost before says nothing of what is lost from here on.
        if self.0.front().is_some_and(|(_, first)| free >= *first) {
            self.0.clear();
        }
        while self.0.front().is_some_and(|(first, _)| at.since(*first) > SPAN) {
            self.0.pop_front();
        }
        self.0.push_back((at, free));
    }

    /// How long what is left lasts at the present rate; nothing while it is not known or does not shrink.
    pub fn lasts(&self) -> Option<Duration> {
        let ((first, before), (last, now)) = (self.0.front()?, self.0.back()?);
        let took = last.since(*first);
        let lost = before.checked_sub(*now).filter(|lost| *lost > 0)?;
        if took < LEAST {
            return None;
        }
        let ms = u128::from(*now) * took.as_millis() / u128::from(lost);
        u64::try_from(ms).ok().map(Duration::from_millis)
    }
}

/// What is to be said of a file system that holds these things.
pub fn of_room(holds: &str, room: Room, lasts: Option<Duration>) -> Vec<Finding> {
    let mut found = Vec::new();
    let soon = lasts.filter(|left| *left < SOON);
    let until = soon.map(|left| format!("; at the rate of the last minutes it is full in {}", show_duration(left)));
    let (free, bytes) = (size(room.free), size(room.bytes));
    let said = format!("{holds}: {free} of {bytes} are free{}", until.unwrap_or_default());
    let hint = "make room or a larger disk: on a full one the writer stops, and what was lost cannot be kept";
    if room.free < (room.bytes / 10).min(MUCH) {
        found.push(finding(code::DISK_LOW, said, hint));
    } else if soon.is_some() {
        found.push(finding(code::DISK_FILLS, said, hint));
    }
    if room.files > 0 && room.files_free < room.files / 20 {
        let said = format!("{holds}: {} of {} files can still be made (inodes)", room.files_free, room.files);
        found.push(finding(code::DISK_LOW, said, "remove files; room in bytes does not help"));
    }
    found
}

/// A log, and what may make it grow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// What it takes now.
    pub takes: u64,
    /// What it takes between two checkpoints at the most, as far as the server keeps to it.
    pub usual: u64,
    /// What is kept for copies that are away.
    pub kept: u64,
    /// What holds it back: a name, whether somebody reads it, how much it keeps now, where it is cut off.
    pub holds: Vec<Hold>,
}

/// What holds a log back until somebody has read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its name.
    pub name: String,
    /// Somebody reads it now.
    pub read: bool,
    /// How much of the log it keeps now.
    pub keeps: u64,
    /// The most that it may keep; nothing where that is not bounded.
    pub most: Option<u64>,
}

/// What is to be said of a log in a place with so much room.
pub fn of_log(whose: &str, log: &Log, free: u64) -> Vec<Finding> {
    let mut found = Vec::new();
    for Hold { name, keeps, .. } in log.holds.iter().filter(|h| h.most.is_none() && !h.read) {
        let message =
            format!("{whose}: nobody reads `{name}`, it keeps {} of the log, and nothing bounds it", size(*keeps));
        let hint = "drop it with pg_drop_replication_slot, or set max_slot_wal_keep_size: the log grows until its disk is full";
        found.push(finding(code::LOG_HELD, message, hint));
    }
    let most = log.holds.iter().filter_map(|h| h.most).max().unwrap_or_default();
    let (may, room) = (log.usual.saturating_add(log.kept.max(most)), log.takes.saturating_add(free));
    if may > room {
        let why = if most > log.kept { "what slots may keep" } else { "wal_keep_size" };
        let message = format!(
            "{whose}: the log takes {} and may grow to {} (max_wal_size and {why}), {} are free",
            size(log.takes),
            size(may),
            size(free)
        );
        let hint = "make room, or set max_wal_size, wal_keep_size, max_slot_wal_keep_size and `rescue.max_slot` to what there is";
        found.push(finding(code::LOG_HELD, message, hint));
    }
    found
}

fn finding(code: Code, message: String, hint: &str) -> Finding {
    Finding { code: code.to_string(), severity: Severity::Warning, message, hint: hint.to_owned() }
}

/// `812 MB`, `1.5 GB`.
fn size(bytes: u64) -> String {
    match bytes / 1_000_000 {
        mb @ ..10_000 => format!("{mb} MB"),
        mb => format!("{}.{} GB", mb / 1_000, mb % 1_000 / 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    fn room(bytes: u64, free: u64) -> Room {
        Room { bytes, free, files: 0, files_free: 0 }
    }

    fn codes(found: &[Finding]) -> Vec<&str> {
        found.iter().map(|f| f.code.as_str()).collect()
    }

    fn filled(looks: &[(u64, u64)]) -> Filling {
        let mut filling = Filling::default();
        looks.iter().for_each(|(seconds, free)| filling.look(at(*seconds), *free));
        filling
    }

    #[test]
    fn how_long_it_lasts_is_what_is_left_at_the_rate_since_the_last_peak() {
        assert_eq!(filled(&[]).lasts(), None);
        assert_eq!(filled(&[(0, 1_000), (59, 900)]).lasts(), None, "a rate of a moment");
        assert_eq!(filled(&[(0, 1_000), (60, 900)]).lasts(), Some(Duration::from_secs(540)));
        assert_eq!(filled(&[(0, 1_000), (60, 1_000)]).lasts(), None, "it does not shrink");
        assert_eq!(filled(&[(0, 1_000), (30, 900), (60, 950)]).lasts(), Some(Duration::from_secs(1_140)));
        // Room was made after a while: counted from there.
        let filling = filled(&[(0, 1_000), (60, 100), (70, 2_000), (100, 1_900)]);
        assert_eq!(filling.lasts(), None, "half a minute since then");
        assert_eq!(
            filled(&[(0, 1_000), (60, 100), (70, 2_000), (130, 1_900)]).lasts(),
            Some(Duration::from_secs(1_140))
        );
    }

    #[test]
    fn looks_that_are_too_old_or_too_close_do_not_count() {
        let slow_then_fast = filled(&[(0, 10_000), (600, 9_000), (660, 8_000)]);
        assert_eq!(slow_then_fast.lasts(), Some(Duration::from_secs(480)), "the first look is too old");
        let mut filling = Filling::default();
        (0..100_000).for_each(|second| filling.look(at(second), 1_000_000 - second));
        assert!(filling.0.len() <= 61, "{}", filling.0.len());
        assert_eq!(filled(&[(0, 1_000), (1, 1)]).0.len(), 1);
    }

    #[test]
    fn little_is_a_tenth_and_never_more_than_ten_gibibytes() {
        assert_eq!(codes(&of_room("x", room(100 * GB, 9 * GB), None)), ["PL-0961"]);
        assert_eq!(codes(&of_room("x", room(100 * GB, 10 * GB), None)), Vec::<&str>::new());
        assert_eq!(
            codes(&of_room("x", room(10_000 * GB, 11 * GB), None)),
            Vec::<&str>::new(),
            "an eleventh of a percent"
        );
        assert_eq!(codes(&of_room("x", room(10_000 * GB, 10 * GB), None)), ["PL-0961"]);
        let files = Room { files: 1_000, files_free: 49, ..room(100 * GB, 50 * GB) };
        let found = of_room("x", files, None);
        assert!(found[0].message.contains("49 of 1000 files"), "{found:?}");
        assert_eq!(codes(&of_room("x", Room { files_free: 50, ..files }, None)), Vec::<&str>::new());
    }

    #[test]
    fn what_is_full_soon_is_said_however_much_is_free() {
        let (hour, day) = (Some(Duration::from_secs(3_600)), Some(Duration::from_secs(86_400)));
        let found = of_room("the log of db in east", room(1_000 * GB, 500 * GB), hour);
        assert_eq!(codes(&found), ["PL-0962"]);
        let said = "the log of db in east: 500.0 GB of 1000.0 GB are free; at the rate of the last minutes it is full in 1 h 00 min";
        assert_eq!(found[0].message, said);
        assert_eq!(of_room("x", room(1_000 * GB, 500 * GB), day), []);
        let found = of_room("x", room(100 * GB, GB), hour);
        assert_eq!(codes(&found), ["PL-0961"], "one finding says both");
        assert!(found[0].message.contains("full in 1 h"), "{found:?}");
        assert!(!of_room("x", room(100 * GB, GB), day)[0].message.contains("full in"));
    }

    #[test]
    fn a_log_that_may_outgrow_its_disk_is_told_with_what_holds_it() {
        let log = Log { takes: GB, usual: 2 * GB, kept: GB, holds: Vec::new() };
        assert_eq!(of_log("db", &log, 2 * GB), [], "exactly enough");
        let found = of_log("db", &log, 2 * GB - 1);
        assert_eq!(codes(&found), ["PL-0963"]);
        assert!(
            found[0].message.contains("may grow to 3000 MB (max_wal_size and wal_keep_size), 1999 MB are free"),
            "{found:?}"
        );
        let hold = |read, most| Hold { name: "theirs".into(), read, keeps: GB, most };
        let bounded = Log { holds: vec![hold(false, Some(5 * GB))], ..log };
        assert!(of_log("db", &bounded, 5 * GB)[0].message.contains("what slots may keep"));
        assert_eq!(of_log("db", &bounded, 6 * GB), []);
        let unbounded = Log { holds: vec![hold(false, None)], ..log };
        let found = of_log("db", &unbounded, 100 * GB);
        assert!(found[0].message.contains("nobody reads `theirs`, it keeps 1000 MB"), "{found:?}");
        assert_eq!(of_log("db", &Log { holds: vec![hold(true, None)], ..log }, 100 * GB), [], "somebody reads it");
    }
}
