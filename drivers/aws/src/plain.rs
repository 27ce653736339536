//! Calls without an SDK crate of their own: seven looks at services that Pilotlight never changes, and the simulation of
//! rights. Signed by AWS's own signer, sent by the SDK's own HTTP client, and failing in the SDK's own words.
//!
//! Border: nothing that changes anything is called this way.

use crate::access::{Access, ONE_CALL};
use crate::call::{Call, Refused};
use crate::words::need::error_code;
use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::error::ErrorMetadata;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::Failure;
use pilotlight_driver::clock::within;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// A look that takes longer is worth nothing.
const LOOK: Duration = Duration::from_secs(3);

/// A service that speaks AWS's JSON protocol: its name, and what its actions are called after.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    prefix: &'static str,
}

pub(crate) const SECRETS: Service = Service { name: "secretsmanager", prefix: "secretsmanager" };
pub(crate) const KEYS: Service = Service { name: "kms", prefix: "TrentService" };
pub(crate) const CERTIFICATES: Service = Service { name: "acm", prefix: "CertificateManager" };
pub(crate) const QUOTAS: Service = Service { name: "servicequotas", prefix: "ServiceQuotasV20190624" };
pub(crate) const SCALING: Service = Service { name: "application-autoscaling", prefix: "AnyScaleFrontendService" };

/// Where CloudFront is called, whatever the plan's regions are.
pub(crate) const CLOUDFRONT_REGION: &str = "us-east-1";
const CLOUDFRONT_HOST: &str = "cloudfront.amazonaws.com";

/// How a region is called in this way: who calls, and where to.
pub(crate) struct Road {
    region: String,
    endpoint: Option<String>,
    credentials: Credentials,
}

/// What is sent where.
struct Letter<'a> {
    service: &'static str,
    /// The region that is signed for.
    region: &'a str,
    host: String,
    method: &'a str,
    /// Below the host, without the first slash.
    path: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
}

type Answer = Result<Vec<u8>, SdkError<ErrorMetadata, HttpResponse>>;

impl Access {
    /// Asks for the credentials of a region, once for several calls.
    pub(crate) async fn road(&self, region: &Region) -> Result<Road, Failure> {
        self.road_by(self.config(region).await?, self.name(region)).await
    }

    /// The same for what is called in one region of AWS for all.
    pub(crate) async fn road_of(&self, name: &str) -> Result<Road, Failure> {
        self.road_by(self.config_of(name).await?, name).await
    }

    async fn road_by(&self, config: SdkConfig, region: &str) -> Result<Road, Failure> {
        let provider = config.credentials_provider().ok_or_else(|| Failure::rejected("no credentials are given"))?;
        let credentials = provider.provide_credentials().await;
        let refused =
            |e| Failure::rejected(format!("no credentials for {region}: {}", pilotlight_core::cause::chain(&e)));
        let credentials = credentials.map_err(refused)?;
        let endpoint = config.endpoint_url().map(str::to_owned);
        Ok(Road { region: region.to_owned(), endpoint, credentials })
    }

    /// One look, in AWS's JSON protocol.
    pub(crate) async fn ask(
        &self,
        road: &Road,
        service: Service,
        action: &'static str,
        body: &Value,
    ) -> Result<Value, Refused> {
        let call = Call { service: service.name, region: &road.region, action };
        let target = format!("{}.{action}", service.prefix);
        let body = body.to_string();
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        let (region, host) = (road.region.as_str(), host(service.name, &road.region));
        let letter =
            Letter { service: service.name, region, host, method: "POST", path: "", headers: &headers, body: &body };
        let answer = self.read(call, LOOK, || self.send(road, &letter)).await?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }

    /// One look at IAM, which has one place for a whole partition, in its form of a query; answers XML.
    pub(crate) async fn ask_iam(
        &self,
        road: &Road,
        action: &'static str,
        fields: &[(String, &str)],
    ) -> Result<String, Refused> {
        let (region, host) = iam(&road.region);
        let call = Call { service: "iam", region, action };
        let mut body = format!("Action={action}&Version=2010-05-08");
        for (name, value) in fields {
            body.push_str(&format!("&{name}={}", escaped(value)));
        }
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let host = host.to_owned();
        let letter = Letter { service: "iam", region, host, method: "POST", path: "", headers: &headers, body: &body };
        let answer = self.read(call, LOOK, || self.send(road, &letter)).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// One look at a distribution of CloudFront, which is one for all regions; answers XML.
    pub(crate) async fn ask_cloudfront(&self, road: &Road, id: &str) -> Result<String, Refused> {
        let call = Call { service: "cloudfront", region: CLOUDFRONT_REGION, action: "GetDistribution" };
        let path = format!("2020-05-31/distribution/{}", escaped(id));
        let (region, host) = (CLOUDFRONT_REGION, CLOUDFRONT_HOST.to_owned());
        let letter = Letter { service: "cloudfront", region, host, method: "GET", path: &path, headers: &[], body: "" };
        let answer = self.read(call, LOOK, || self.send(road, &letter)).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    async fn send(&self, road: &Road, letter: &Letter<'_>) -> Answer {
        let request = self.signed(road, letter).map_err(SdkError::construction_failure)?;
        let answer = within(self.clock(), ONE_CALL, Box::pin(self.plain_connector().call(request))).await;
        let answer = answer.ok_or_else(|| SdkError::timeout_error("no answer in time"))?;
        let mut response = answer.map_err(SdkError::dispatch_failure)?;
        let bytes = ByteStream::new(response.take_body()).collect().await;
        let bytes = match bytes {
            Ok(bytes) => bytes.into_bytes().to_vec(),
            Err(e) => return Err(SdkError::response_error(e, response)),
        };
        if response.status().is_success() {
            return Ok(bytes);
        }
        let (code, message) = error_code(response.headers().get("x-amzn-errortype"), &bytes);
        let error = ErrorMetadata::builder().code(code).message(message).build();
        Err(SdkError::service_error(error, response))
    }

    fn signed(
        &self,
        road: &Road,
        letter: &Letter<'_>,
    ) -> Result<HttpRequest, Box<dyn std::error::Error + Send + Sync>> {
        let Letter { service, region, host, method, path, headers, body } = letter;
        let uri = match &road.endpoint {
            Some(endpoint) => format!("{}/{path}", endpoint.trim_end_matches('/')),
            None => format!("https://{host}/{path}"),
        };
        let identity = road.credentials.clone().into();
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(self.clock().wall().0);
        let params = SigningParams::builder().identity(&identity).region(region).name(service).time(time);
        let params = params.settings(SigningSettings::default()).build()?.into();
        let signable =
            SignableRequest::new(method, &uri, headers.iter().copied(), SignableBody::Bytes(body.as_bytes()))?;
        let (instructions, _) = sign(signable, &params)?.into_parts();
        let mut request = http::Request::builder().method(*method).uri(&uri);
        for (name, value) in *headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(SdkBody::from(*body))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(HttpRequest::try_from(request)?)
    }
}

/// Where a service is in a region, in the partitions that AWS describes publicly.
fn host(service: &str, region: &str) -> String {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("{service}.{region}.{suffix}")
}

/// The region that is signed for and the host, by partition.
fn iam(region: &str) -> (&'static str, &'static str) {
    if region.starts_with("cn-") {
        ("cn-north-1", "iam.cn-north-1.amazonaws.com.cn")
    } else if region.starts_with("us-gov-") {
        ("us-gov-west-1", "iam.us-gov.amazonaws.com")
    } else {
        ("us-east-1", "iam.amazonaws.com")
    }
}

/// As a value of a form.
fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
