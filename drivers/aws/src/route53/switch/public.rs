//! Whether the object can be read as the health check reads it: without credentials, over HTTPS, by its public address.
//!
//! Before a move there is no object, and S3 refuses everybody who asks for it, whether they could read it or not. So a second
//! object, as public as the first, is always there: the sample. Read by anybody it shows that neither the bucket nor the
//! account keeps the public out.

use super::Switch;
use crate::access::ONE_CALL;
use crate::finding::finding;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use pilotlight_core::code;
use pilotlight_core::outcome::{Failure, Finding, Severity};
use pilotlight_driver::clock::within;

/// What the key of the sample has after the object's.
const SAMPLE: &str = ".sample";

impl Switch<'_> {
    /// The host that the health check asks.
    pub(super) fn host(&self) -> String {
        let region = self.access().name(self.away);
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("{}.s3.{region}.{suffix}", self.plan.bucket)
    }

    /// What keeps everybody from reading the object, or that this is not known.
    pub(super) async fn of_everybody(&self, is_there: bool) -> Option<Finding> {
        let sample = format!("{}{SAMPLE}", self.plan.object);
        let key = if is_there { self.plan.object.clone() } else { sample };
        let status = match self.asked_by_anybody(&key).await {
            Ok(status) => status,
            Err(why) => {
                return Some(unseen(format!("whether everybody can read {} is not known: {why}", self.url(&key))));
            }
        };
        // A sample that is not there is refused as one that may not be read.
        let is_listed = match matches!(status, 401..=404) && !is_there {
            true => self.is_listed(&key).await.ok()?,
            false => true,
        };
        judge(status, is_listed, &self.url(&key))
    }

    fn url(&self, key: &str) -> String {
        format!("https://{}/{key}", self.host())
    }

    /// The status of the answer to one who shows nothing of himself.
    async fn asked_by_anybody(&self, key: &str) -> Result<u16, String> {
        let config = self.access().config(self.away).await.map_err(|f: Failure| f.message)?;
        let url = match config.endpoint_url() {
            // A test server has one host for all buckets.
            Some(endpoint) => format!("{}/{}/{key}", endpoint.trim_end_matches('/'), self.plan.bucket),
            None => self.url(key),
        };
        let request = http::Request::get(url).body(SdkBody::empty()).map_err(|e| e.to_string())?;
        let request = HttpRequest::try_from(request).map_err(|e| e.to_string())?;
        let answer = Box::pin(self.access().plain_connector().call(request));
        let answer = within(self.access().clock(), ONE_CALL, answer).await.ok_or("no answer in time")?;
        Ok(answer.map_err(|e| pilotlight_core::cause::chain(&e))?.status().as_u16())
    }
}

fn unseen(message: String) -> Finding {
    let hint = "open that address without credentials, from the internet: the health checkers must get 200";
    finding(code::AWS_SWITCH_PUBLIC, Severity::Warning, message, hint)
}

/// What a status says of what everybody can read.
fn judge(status: u16, is_listed: bool, url: &str) -> Option<Finding> {
    let blocker = |message, hint| Some(finding(code::AWS_SWITCH_PUBLIC, Severity::Blocker, message, hint));
    match status {
        200..=299 => None,
        300..=399 => blocker(
            format!("{url} leads elsewhere ({status}), which health checkers take for a good answer"),
            "the bucket must be in the region that is not home",
        ),
        401..=404 if !is_listed => {
            Some(unseen(format!("{url} is not there, so whether everybody can read the switch is not known")))
        }
        401..=404 => blocker(
            format!("not everybody can read {url} ({status}): a move would lead nobody away"),
            "let everybody get it by the bucket's policy; look at what blocks public access in bucket and account, and at KMS",
        ),
        _ => Some(unseen(format!("whether everybody can read {url} is not known: it answers {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_health_checkers_would() {
        let of = |status, is_listed| judge(status, is_listed, "https://b/o").map(|f| f.severity);
        assert_eq!(of(200, true), None);
        assert_eq!(of(403, true), Some(Severity::Blocker));
        assert_eq!(of(404, true), Some(Severity::Blocker));
        // S3 says the same of what is not there.
        assert_eq!(of(403, false), Some(Severity::Warning));
        assert_eq!(of(301, true), Some(Severity::Blocker));
        assert_eq!(of(503, true), Some(Severity::Warning));
    }
}
