//! The errors of an invocation: a code, what happened, what to do. Lambda shows them as the error of the invocation, its
//! dead-letter queue keeps the event.

use lambda_runtime::Diagnostic;
use pilotlight::hosted;
use pilotlight_core::code::{self, Code};
use pilotlight_server::api::view::ErrorBody;

/// Why an invocation did not do what it was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Problem {
    pub(crate) fn new(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: code.to_string(), message: message.into(), hint: hint.into() }
    }

    /// Where nobody reads the answer.
    pub(crate) fn print(&self) {
        eprintln!(
            "error[{}]: {}\n  hint: {}\n  more: pilotlight explain {}",
            self.code, self.message, self.hint, self.code
        );
    }
}

impl From<hosted::Problem> for Problem {
    fn from(p: hosted::Problem) -> Self {
        Self { code: p.code, message: p.message, hint: p.hint }
    }
}

impl From<ErrorBody> for Problem {
    fn from(e: ErrorBody) -> Self {
        let evidence = e.evidence.iter().map(|line| format!("\n  - {line}")).collect::<String>();
        Self { code: e.code, message: format!("{}{evidence}", e.message), hint: e.hint }
    }
}

impl From<Problem> for Diagnostic {
    fn from(p: Problem) -> Self {
        let hint = if p.hint.is_empty() { String::new() } else { format!("\nhint: {}", p.hint) };
        let error_message = format!("{}{hint}\nmore: pilotlight explain {}", p.message, p.code);
        Diagnostic { error_type: p.code, error_message }
    }
}

/// A person has started it.
pub(crate) fn not_in_lambda() -> Problem {
    Problem::new(
        code::NOT_A_FUNCTION,
        "pilotlight-lambda is started by AWS Lambda, and nothing here says where its Runtime API is",
        "on a machine use `pilotlight serve`; docs/lambda.md says how the function is deployed",
    )
}
