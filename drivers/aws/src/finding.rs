//! A finding in one line.

use pilotlight_core::code::{self, Code};
use pilotlight_core::outcome::{Failure, Finding, Severity};

/// The hint where the writer is elsewhere than it was left.
pub(crate) const MOVED_BY_HAND: &str = "somebody moved it by hand; `pilotlight status` shows where it is";

pub(crate) fn finding(code: Code, severity: Severity, message: String, hint: &str) -> Finding {
    Finding { code: code.to_string(), severity, message, hint: hint.to_owned() }
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
