//! A finding in one line.

use pilotlight_core::code::{self, Code};
use pilotlight_core::outcome::{Failure, Finding, Severity};

pub(crate) fn finding(code: Code, severity: Severity, message: String, hint: &str) -> Finding {
    Finding { code: code.to_string(), severity, message, hint: hint.to_owned() }
}

/// AWS could not be asked, or refused to answer.
pub(crate) fn not_asked(failure: Failure) -> Finding {
    let hint = failure.hint.unwrap_or_default();
    finding(code::AWS_NOT_ASKED, Severity::Blocker, failure.message, &hint)
}
