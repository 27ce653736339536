//! How AWS is reached: one configuration per region, with the role that acts there, and the rates kept by all drivers.

use crate::call::Call;
use crate::keys::Keys;
use crate::metrics::Kept;
use crate::needs::Found;
use crate::together::Together;
use crate::words::rate::{Stream, bucket};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::Failure;
use pilotlight_core::plan::aws::{AwsNeeds, AwsPlan};
use pilotlight_driver::clock::Clock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Longer than this no single call is waited for: a hanging region must not use up an effect's time.
pub(crate) const ONE_CALL: Duration = Duration::from_secs(5);
/// A region that does not take connections within this time is not there.
const CONNECT: Duration = Duration::from_secs(2);

/// Where Route 53 is called, whatever the plan's regions are.
pub(crate) const ROUTE53_REGION: &str = "us-east-1";

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    inner: Arc<Inner>,
    rpo: Option<Duration>,
    /// Where STS may be asked for the machine's own keys, in AWS's names.
    keys_in: Arc<[String]>,
}

struct Inner {
    plan: AwsPlan,
    clock: Arc<dyn Clock>,
    keys: Option<Credentials>,
    base: tokio::sync::OnceCell<SdkConfig>,
    configs: Mutex<BTreeMap<(String, Option<String>), SdkConfig>>,
    streams: Mutex<BTreeMap<(&'static str, &'static str, String), Stream>>,
    kept: Kept,
    plain: OnceLock<Connector>,
    found: Found,
    looks: Looks,
}

/// Questions that all drivers of a process ask together.
pub(crate) struct Looks {
    /// `DescribeServices` takes ten names of a cluster.
    pub(crate) services: Together<(String, String), aws_sdk_ecs::types::Service>,
    /// `DescribeAutoScalingGroups` answers with fifty groups at once.
    pub(crate) groups: Together<String, aws_sdk_autoscaling::types::AutoScalingGroup>,
    /// `DescribeDBInstances` answers with a hundred instances at once.
    pub(crate) instances: Together<String, aws_sdk_rds::types::DbInstance>,
    /// So does `DescribeDBClusters`.
    pub(crate) clusters: Together<String, aws_sdk_rds::types::DbCluster>,
    /// `DescribeGlobalClusters` answers with one or with all.
    pub(crate) global_clusters: Together<String, aws_sdk_rds::types::GlobalCluster>,
}

impl Looks {
    fn new() -> Self {
        Self {
            services: Together::new(10),
            groups: Together::new(50),
            instances: Together::new(50),
            clusters: Together::new(50),
            global_clusters: Together::new(usize::MAX),
        }
    }
}

impl Access {
    /// Reads nothing and calls nobody yet.
    pub fn new(plan: AwsPlan, clock: Arc<dyn Clock>) -> Self {
        Self::with(plan, clock, None)
    }

    /// With these keys instead of those of the machine: for a test server, which asks for some and looks at none.
    pub fn with_keys(plan: AwsPlan, clock: Arc<dyn Clock>, id: &str, secret: &str) -> Self {
        Self::with(plan, clock, Some(Credentials::new(id, secret, None, None, "given")))
    }

    fn with(plan: AwsPlan, clock: Arc<dyn Clock>, keys: Option<Credentials>) -> Self {
        let (base, configs) = (tokio::sync::OnceCell::new(), Mutex::default());
        let (streams, kept) = (Mutex::default(), Kept::default());
        Self {
            rpo: None,
            keys_in: Arc::new([]),
            inner: Arc::new(Inner {
                plan,
                clock,
                keys,
                base,
                configs,
                streams,
                kept,
                plain: OnceLock::new(),
                found: Found::default(),
                looks: Looks::new(),
            }),
        }
    }

    /// For a plan with this RPO: what is further behind is a finding.
    #[must_use]
    pub fn with_rpo(self, rpo: Duration) -> Self {
        // Nothing that is copied after the answer holds an RPO of zero: every lag would be a finding.
        Self { rpo: Some(rpo).filter(|rpo| !rpo.is_zero()), ..self }
    }

    /// With the regions of the plan, its home last: in one of them STS is asked for the machine's own keys, if it makes them.
    #[must_use]
    pub fn with_keys_in<'a>(self, regions: impl Iterator<Item = &'a Region>) -> Self {
        let keys_in = regions.map(|region| self.name(region).to_owned()).collect();
        Self { keys_in, ..self }
    }

    /// What a failover may lose, where the plan says it.
    pub(crate) fn rpo(&self) -> Option<Duration> {
        self.rpo
    }

    /// The account everything must be in.
    pub(crate) fn account(&self) -> Option<&str> {
        self.inner.plan.account.as_deref()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    /// How AWS is reached, in the plan's words.
    pub(crate) fn plan(&self) -> &AwsPlan {
        &self.inner.plan
    }

    /// The role that acts in a region.
    pub(crate) fn role(&self, region: &Region) -> Option<&str> {
        self.inner.plan.role_in(region)
    }

    /// The plan's name of a region of AWS, where `aws.regions` has it.
    pub(crate) fn region_called(&self, name: &str) -> Option<Region> {
        self.plan_region(self.inner.plan.regions.keys(), name)
    }

    /// What a region needs besides the components.
    pub(crate) fn needs_of(&self, region: &Region) -> Option<&AwsNeeds> {
        self.inner.plan.regions.get(region).map(|r| &r.needs)
    }

    /// What was found lately of what regions need.
    pub(crate) fn found(&self) -> &Found {
        &self.inner.found
    }

    /// Sends what no client of the SDK sends (see `plain`).
    pub(crate) fn plain_connector(&self) -> &Connector {
        self.inner.plain.get_or_init(|| {
            let times = HttpConnectorSettings::builder().connect_timeout(CONNECT).read_timeout(ONE_CALL).build();
            let builder = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring));
            builder.connector_settings(times).build()
        })
    }

    /// Values of CloudWatch that were read lately.
    pub(crate) fn kept(&self) -> &Kept {
        &self.inner.kept
    }

    /// Questions that are asked together.
    pub(crate) fn looks(&self) -> &Looks {
        &self.inner.looks
    }

    /// The plan's name of one of these regions, by AWS's.
    pub(crate) fn plan_region<'a>(&self, mut of: impl Iterator<Item = &'a Region>, name: &str) -> Option<Region> {
        of.find(|region| self.name(region) == name).cloned()
    }

    /// AWS's name of a region of the plan.
    pub(crate) fn name<'a>(&'a self, region: &'a Region) -> &'a str {
        self.inner.plan.name_of(region)
    }

    /// Waits for this process's turn to make the call.
    pub(crate) async fn turn(&self, call: Call<'_>) {
        let wait = {
            let bucket = bucket(call.service, call.action);
            let mut streams = self.inner.streams.lock().unwrap_or_else(PoisonError::into_inner);
            let stream = streams.entry((call.service, bucket.name, call.region.to_owned())).or_default();
            stream.take(self.clock().mono(), bucket)
        };
        if !wait.is_zero() {
            self.clock().sleep(wait).await;
        }
    }

    /// The configuration for calls to a region of the plan.
    pub(crate) async fn config(&self, region: &Region) -> Result<SdkConfig, Failure> {
        let base = self.base().await;
        let name = self.name(region).to_owned();
        let role = self.role(region).map(str::to_owned);
        self.in_region(base, name, role).await
    }

    /// The configuration for what is called in one region for all.
    pub(crate) async fn config_of(&self, name: &str) -> Result<SdkConfig, Failure> {
        let base = self.base().await;
        let region = self.region_called(name).unwrap_or_else(|| Region::new(name));
        let role = self.role(&region).map(str::to_owned);
        self.in_region(base, name.to_owned(), role).await
    }

    /// One per region and role for the whole life of the process: the keys of a role are assumed once, kept by the
    /// configuration, and assumed again before they expire.
    async fn in_region(&self, base: &SdkConfig, name: String, role: Option<String>) -> Result<SdkConfig, Failure> {
        let key = (name.clone(), role.clone());
        let known = self.inner.configs.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let made = Self::make_config(base, name, role).await;
        // Who came second takes the first one's.
        let mut configs = self.inner.configs.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(configs.entry(key).or_insert(made).clone())
    }

    async fn make_config(base: &SdkConfig, name: String, role: Option<String>) -> SdkConfig {
        let config = base.to_builder().region(aws_config::Region::new(name.clone())).build();
        let Some(role) = role else { return config };
        // STS is asked in the region that is called: the one that is lost must not be needed.
        let assumed = aws_config::sts::AssumeRoleProvider::builder(role)
            .session_name("pilotlight")
            .region(aws_config::Region::new(name))
            .configure(&config)
            .build()
            .await;
        let provider = aws_credential_types::provider::SharedCredentialsProvider::new(assumed);
        config.to_builder().credentials_provider(provider).build()
    }

    async fn base(&self) -> &SdkConfig {
        let (endpoint, keys) = (self.inner.plan.endpoint.clone(), self.inner.keys.clone());
        self.inner.base.get_or_init(|| load(endpoint, keys, &self.keys_in)).await
    }
}

async fn load(endpoint: Option<String>, keys: Option<Credentials>, keys_in: &[String]) -> SdkConfig {
    let client = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ONE_CALL).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(client.clone())
        // We repeat ourselves: only we know the deadline and whether a call changes something.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    loader = match keys {
        Some(keys) => loader.credentials_provider(keys),
        None => loader.credentials_provider(Keys::of(keys_in, &client).await),
    };
    // A region is always given with each client; without one the loader would ask the machine's metadata for it.
    loader.region(aws_config::Region::new(ROUTE53_REGION)).load().await
}
