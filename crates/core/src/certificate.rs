//! When a certificate ends: what a person has to hear of it while there is time. One that has ended keeps agents from their
//! controller, or a copy from its writer, and nothing fails before that moment.
//!
//! Border: pure; it warns and decides nothing. Who reads the files, and how often, is said elsewhere.

use crate::code;
use crate::outcome::{Finding, Severity};
use crate::time::{Wall, show_duration, show_wall};
use std::time::Duration;

/// So much of its life may be left before a word is said: those who renew by themselves do so at a third.
const LAST_PART: u32 = 4;

/// However long it lives, nobody has to think of it earlier.
const SOON: Duration = Duration::from_secs(21 * 24 * 3_600);

/// The time in which a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// It begins.
    pub from: Wall,
    /// It ends.
    pub until: Wall,
}

/// What is to be said of a certificate. `what` begins the sentence and names whose it is and where it lies.
pub fn of_life(what: &str, life: Life, now: Wall) -> Option<Finding> {
    let until = show_wall(life.until);
    let said = if now >= life.until {
        format!("{what} ended at {until}: nobody who looks at it connects any more")
    } else if now < life.from {
        let from = show_wall(life.from);
        format!(
            "{what} begins to hold at {from}, and here it is {}: nobody who looks at it connects before",
            show_wall(now)
        )
    } else {
        let (left, whole) = (life.until.since(now), life.until.since(life.from));
        if left > SOON.min(whole / LAST_PART) {
            return None;
        }
        format!("{what} ends at {until}, in {}", show_days(left))
    };
    Some(Finding {
        code: code::CERTIFICATE_ENDS.to_string(),
        severity: Severity::Warning,
        message: said,
        hint: "put a new one in its place before it ends; docs/errors/PL-0965.md says who reads it when".to_owned(),
    })
}

fn show_days(left: Duration) -> String {
    match left.as_secs() / (24 * 3_600) {
        0 | 1 => show_duration(left),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3_600 * 1_000;

    /// Of one that holds from day 100 on for so many days, looked at on that day.
    fn said(days: u64, on: u64) -> Option<String> {
        let life = Life { from: Wall(100 * DAY), until: Wall((100 + days) * DAY) };
        of_life("it", life, Wall(on * DAY)).map(|found| found.message)
    }

    #[test]
    fn a_long_one_is_told_three_weeks_before_its_end_and_a_short_one_in_its_last_quarter() {
        assert_eq!(said(365, 100 + 343), None);
        assert_eq!(said(365, 100 + 344).unwrap(), "it ends at 1971-04-11T00:00:00.000Z, in 21 days");
        assert_eq!(said(8, 105), None);
        assert!(said(8, 106).unwrap().ends_with("in 2 days"));
        assert!(said(8, 107).unwrap().ends_with("in 24 h 00 min"));
    }

    #[test]
    fn one_that_has_ended_or_has_not_begun_says_so() {
        assert!(said(10, 110).unwrap().starts_with("it ended at "));
        assert!(said(10, 99).unwrap().starts_with("it begins to hold at "));
        assert_eq!(said(10, 100), None);
    }
}
