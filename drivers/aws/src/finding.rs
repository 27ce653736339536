//! A finding in one line.

use pilotlight_core::code::{self, Code};
use pilotlight_core::outcome::{Failure, Finding, Severity};

/// The hint where the writer is elsewhere than it was left.
pub(crate) const MOVED_BY_HAND: &str =
    "somebody moved it by hand: move it back, or enter it where it is by `pilotlight failover --to` that region";
/// The same where the move is the one that enters it.
pub(crate) const ENTERED: &str = "this move only enters it; make sure that nothing writes in the region that it left";

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
    let hint = failure.hint.unwrap_or_default();
    finding(code::AWS_NOT_ASKED, Severity::Blocker, failure.message, &hint)
}

/// What was looked at, or the finding that it is not there or was not to be asked.
pub(crate) fn there<T>(seen: Result<Option<T>, Failure>, what: &str, hint: &str) -> Result<T, Vec<Finding>> {
    match seen {
        Ok(Some(seen)) => Ok(seen),
        Ok(None) => Err(vec![finding(code::AWS_MISSING, Severity::Blocker, format!("there is no {what}"), hint)]),
        Err(failure) => Err(vec![not_asked(failure)]),
    }
}
