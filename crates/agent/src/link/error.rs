//! Why there is no answer.

use serde::Deserialize;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// It answered with a refusal.
    #[error("the controller at {url} refuses ({code}): {message}")]
    Refused { url: String, code: String, message: String, hint: String },
    /// It did not answer, or not in time.
    #[error("the controller at {url} does not answer (PL-0403): {why}")]
    Unreachable { url: String, why: String },
    /// The answer is not one of ours.
    #[error("the controller at {url} answers something else (PL-0401): {why}")]
    Garbled { url: String, why: String },
}

/// The body of a refusal.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    code: String,
    message: String,
    #[serde(default)]
    hint: String,
}

impl Refusal {
    pub(super) fn into_error(self, url: &str) -> WayError {
        WayError::Refused { url: url.to_owned(), code: self.code, message: self.message, hint: self.hint }
    }
}

impl WayError {
    pub(super) fn code(&self) -> &str {
        match self {
            WayError::Refused { code, .. } => code,
            WayError::Unreachable { .. } => "PL-0403",
            WayError::Garbled { .. } => "PL-0401",
        }
    }

    pub(super) fn hint(&self) -> &str {
        match self {
            WayError::Refused { hint, .. } => hint,
            WayError::Unreachable { .. } => "is `pilotlight serve` running, and is controller.url right from here?",
            WayError::Garbled { .. } => "is controller.url the address of a controller of this version?",
        }
    }

    /// It does not lead, or is not there: another controller may take the request.
    pub(super) fn is_for_another(&self) -> bool {
        match self {
            WayError::Refused { code, .. } => matches!(code.as_str(), "PL-0408" | "PL-0409"),
            WayError::Unreachable { .. } => true,
            WayError::Garbled { .. } => false,
        }
    }
}
