//! A finding in one line.

use crate::words::refusal::Said;
use pilotlight_core::code::{self, Code};
use pilotlight_core::outcome::{Failure, FailureKind, Finding, Severity};
use pilotlight_core::time::show_duration;
use std::time::Duration;

/// Without an RPO a copy this far behind is named: AWS's own are below a second most of the time.
const FAR: Duration = Duration::from_secs(60);

/// The hint where the writer is elsewhere than it was left.
pub(crate) const MOVED_BY_HAND: &str =
    "somebody moved it by hand: move it back, or enter it where it is by `pilotlight failover --to` that region";
/// The same where the move is the one that enters it.
pub(crate) const ENTERED: &str = "this move only enters it; make sure that nothing writes in the region that it left";

/// The hint where a copy is far behind.
pub(crate) const LOSES: &str = "a failover now loses that much; a planned move waits for it";

pub(crate) fn finding(code: Code, severity: Severity, message: String, hint: &str) -> Finding {
    Finding { code: code.to_string(), severity, message, hint: hint.to_owned() }
}

/// The writer is in the target already. A planned move has nothing to start from; a failover enters what is so.
pub(crate) fn there_already(message: String, is_failover: bool) -> Finding {
    match is_failover {
        true => finding(code::AWS_MOVED_BY_HAND, Severity::Warning, message, ENTERED),
        false => finding(code::AWS_MOVED_BY_HAND, Severity::Blocker, message, MOVED_BY_HAND),
    }
}

/// AWS could not be asked, or refused to answer.
pub(crate) fn not_asked(failure: Failure) -> Finding {
    let code = if was_denied(&failure) { code::AWS_DENIED } else { code::AWS_NOT_ASKED };
    let hint = failure.hint.unwrap_or_default();
    finding(code, Severity::Blocker, failure.message, &hint)
}

/// Whether a look failed for want of a right. Failures have no kind of their own for that: it is known by its hint.
fn was_denied(failure: &Failure) -> bool {
    failure.hint.as_deref() == Said::Denied.hint()
}

/// Nobody answered a change of records or dials: the page of the code says what to do until somebody does.
pub(crate) fn unanswered(failure: Failure) -> Failure {
    match failure.kind {
        FailureKind::Unreachable | FailureKind::OutcomeUnknown => {
            let message = format!("{}: {}", code::AWS_CONTROL_PLANE, failure.message);
            Failure { message, ..failure }
        }
        _ => failure,
    }
}

/// A copy that is further behind than a failover may lose.
pub(crate) fn far_behind(rpo: Option<Duration>, what: &str, seconds: f64, hint: &str) -> Option<Finding> {
    let (most, word) = rpo.map_or((FAR, ""), |rpo| (rpo, "the RPO of "));
    if seconds <= most.as_secs_f64() {
        return None;
    }
    let digits = usize::from(seconds < 10.0);
    let message = format!("{what} is {seconds:.digits$} s behind, more than {word}{}", show_duration(most));
    Some(finding(code::AWS_FAR_BEHIND, Severity::Warning, message, hint))
}

/// What was looked at, or the finding that it is not there or was not to be asked.
pub(crate) fn there<T>(seen: Result<Option<T>, Failure>, what: &str, hint: &str) -> Result<T, Vec<Finding>> {
    match seen {
        Ok(Some(seen)) => Ok(seen),
        Ok(None) => Err(vec![finding(code::AWS_MISSING, Severity::Blocker, format!("there is no {what}"), hint)]),
        Err(failure) => Err(vec![not_asked(failure)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_was_denied_is_told_from_one_that_met_no_answer() {
        let failed = |said: Said| not_asked(Failure::rejected("GetChange").hint(said.hint().unwrap_or_default()));
        assert_eq!((failed(Said::Denied).code, failed(Said::Unreachable).code), ("PL-0362".into(), "PL-0361".into()));
    }

    #[test]
    fn a_copy_is_far_behind_when_a_failover_would_lose_more_than_the_rpo() {
        let secs = Duration::from_secs;
        let said = |rpo: Option<u64>, seconds| {
            far_behind(rpo.map(secs), "files in west", seconds, "wait").map(|f| (f.code, f.message))
        };
        assert_eq!(said(Some(3_600), 61.0), None, "an hour may be lost");
        assert_eq!(said(Some(30), 30.0), None);
        let (code, message) = said(Some(2), 2.5).expect("it is further behind");
        assert_eq!(
            (code.as_str(), message.as_str()),
            ("PL-0367", "files in west is 2.5 s behind, more than the RPO of 2.0 s")
        );
        assert_eq!(said(None, 60.0), None);
        assert!(
            said(None, 900.0).expect("without an RPO a minute counts").1.contains("900 s behind, more than 1 min 00 s")
        );
    }
}
