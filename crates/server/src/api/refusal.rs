//! Errors of the API: a status for machines, a code with a page for people.

use super::view::ErrorBody;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pilotlight_core::code;
use pilotlight_core::derive;
use pilotlight_core::outcome::Finding;

/// An answer that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For machines.
    pub status: StatusCode,
    /// For people.
    pub body: Box<ErrorBody>,
}

impl Refusal {
    /// With a code, a message and a hint.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let (code, message, hint) = (code.to_owned(), message.into(), hint.into());
        Self { status, body: Box::new(ErrorBody { code, message, hint, evidence: Vec::new(), findings: Vec::new() }) }
    }

    /// A request that cannot be understood.
    pub fn bad(message: impl Into<String>) -> Self {
        let hint = "is the caller of the same version as the controller?";
        Self::new(StatusCode::BAD_REQUEST, code::OTHER_VERSION.as_str(), message, hint)
    }

    /// Adds what it rests on.
    #[must_use]
    pub fn evidence(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.body.evidence.extend(evidence);
        self
    }

    /// Adds what drivers find all the same.
    #[must_use]
    pub fn findings(mut self, findings: impl IntoIterator<Item = Finding>) -> Self {
        self.body.findings.extend(findings);
        self
    }
}

impl From<&derive::Refusal> for Refusal {
    fn from(refusal: &derive::Refusal) -> Self {
        Self::new(StatusCode::CONFLICT, refusal.code(), refusal.to_string(), refusal.hint())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(*self.body)).into_response()
    }
}
