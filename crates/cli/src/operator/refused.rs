//! Answers that are not what was asked for.

use crate::error::{CliError, Exit};
use pilotlight_core::code;
use pilotlight_server::api::view::ErrorBody;
use reqwest::{Response, StatusCode};

/// It was refused by a controller that does not lead: nothing was done.
pub(super) fn leads_not(status: StatusCode) -> bool {
    status == StatusCode::MISDIRECTED_REQUEST || status == StatusCode::SERVICE_UNAVAILABLE
}

/// The answer, or the refusal that it is.
pub(super) async fn refusal(response: Response) -> Result<Response, CliError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let body = response.bytes().await.unwrap_or_default();
    Err(of(status, &body))
}

fn of(status: StatusCode, body: &[u8]) -> CliError {
    let exit = match status {
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Exit::Refused,
        StatusCode::GATEWAY_TIMEOUT => Exit::Unknown,
        s if s.is_server_error() || leads_not(s) => Exit::Failed,
        _ => Exit::Usage,
    };
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(refused) => {
            let mut message = refused.message;
            for line in refused.evidence {
                message.push_str("\n  - ");
                message.push_str(&line);
            }
            let mut error = CliError::say(exit, message).code(refused.code);
            error.hint = Some(refused.hint).filter(|h| !h.is_empty());
            error.findings = refused.findings;
            error
        }
        Err(_) => CliError::say(exit, format!("the controller answered {status}: {}", String::from_utf8_lossy(body)))
            .code(code::OTHER_VERSION.as_str())
            .hint("is it Pilotlight that answers there, and of this version?"),
    }
}
