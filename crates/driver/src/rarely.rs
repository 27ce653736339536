//! What may be written to a log however often it happens: each kind of line once, and then at most once a minute.

use pilotlight_core::time::Mono;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Between two lines of one kind.
const BETWEEN: Duration = Duration::from_secs(60);

/// When which kind of line was written last. Kinds are named by the program, never by who calls it from outside.
#[derive(Debug, Default)]
pub struct Rarely(Mutex<BTreeMap<String, Mono>>);

impl Rarely {
    /// Whether a line of that kind may be written now; then it counts as written.
    pub fn may_say(&self, kind: &str, now: Mono) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.get(kind).is_some_and(|at| now.since(*at) < BETWEEN) {
            return false;
        }
        said.insert(kind.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_said_at_once_and_again_after_a_minute() {
        let at = |seconds: u64| Mono::default() + Duration::from_secs(seconds);
        let rarely = Rarely::default();
        assert!(rarely.may_say("refused", at(5)));
        assert!(!rarely.may_say("refused", at(6)) && !rarely.may_say("refused", at(64)));
        assert!(rarely.may_say("silent", at(6)), "another kind counts for itself");
        assert!(rarely.may_say("refused", at(65)), "a minute after it was said, not after it was asked");
        assert!(!rarely.may_say("refused", at(66)));
    }
}
