//! The drivers of what AWS runs, where this binary has them: the cargo feature `aws`.

use crate::error::CliError;
use pilotlight_core::health::Alarm;
use pilotlight_core::id::{Component, Region};
use pilotlight_core::outcome::{Failure, Finding};
use pilotlight_core::plan::Plan;
use pilotlight_core::plan::aws::{AwsComponent, AwsMetrics, Figure};
use pilotlight_driver::Driver;
use std::sync::Arc;

/// Makes drivers that share one way to AWS, and with it the rates they keep together.
#[cfg(feature = "aws")]
pub(crate) struct Aws(pilotlight_aws::Access);

#[cfg(feature = "aws")]
impl Aws {
    /// Calls nobody yet.
    pub(crate) fn of(plan: &Plan) -> Self {
        let clock = Arc::new(pilotlight_driver::clock::SystemClock);
        let others = plan.regions.iter().filter(|region| **region != plan.home);
        let access = pilotlight_aws::Access::new(plan.aws.clone(), clock).with_rpo(plan.objectives.rpo);
        Self(access.with_keys_in(others.chain([&plan.home])))
    }

    /// Whose credentials are used for each region, or what is wrong with them.
    pub(crate) async fn identities(&self, plan: &Plan) -> Vec<(Region, Result<String, Finding>)> {
        let mut found = Vec::new();
        for region in plan.regions.iter().filter(|_| plan.components.values().any(|c| c.is_managed())) {
            found.push((region.clone(), self.0.identity(region).await));
        }
        found
    }

    /// Publishes figures of our own.
    pub(crate) async fn publish(&self, to: &AwsMetrics, figures: &[Figure]) -> Result<(), Failure> {
        self.0.publish(to, figures).await
    }

    /// What an alarm says, by its ARN.
    pub(crate) async fn alarm(&self, arn: &str) -> Result<Alarm, Failure> {
        self.0.alarm(arn).await
    }

    /// Rights that a move would lack; `None` where AWS runs nothing.
    pub(crate) async fn rights(&self, plan: &Plan) -> Option<Vec<Finding>> {
        let managed = |(name, c)| match c {
            &pilotlight_core::plan::ComponentPlan { kind: pilotlight_core::plan::Kind::Aws(ref aws), .. } => {
                Some((name, aws))
            }
            _ => None,
        };
        let components: std::collections::BTreeMap<_, _> = plan.components.iter().filter_map(managed).collect();
        if components.is_empty() { None } else { Some(self.0.rights(&components).await) }
    }

    /// What each region needs besides components, distributions that go to the other by themselves, and what is wrong with them.
    pub(crate) async fn needs(&self, plan: &Plan) -> Vec<(String, Vec<Finding>)> {
        let needs = |region: &&Region| plan.aws.regions.get(*region).is_some_and(|r| !r.needs.is_empty());
        let mut found = Vec::new();
        for region in plan.regions.iter().filter(needs) {
            found.push((format!("what {region} needs"), self.0.needs(region).await));
        }
        if !found.is_empty() {
            found.push(("secrets in step".to_owned(), self.0.secrets_in_step(&plan.regions).await));
        }
        for distribution in &plan.aws.distributions {
            found.push((format!("distribution {}", distribution.id), self.0.distribution(distribution).await));
        }
        found
    }

    /// The driver of a component, for all of its regions.
    pub(crate) fn driver(&self, name: &Component, kind: &AwsComponent) -> Result<Arc<dyn Driver>, CliError> {
        let (name, access) = (name.clone(), self.0.clone());
        let driver: Arc<dyn Driver> = match kind.clone() {
            AwsComponent::Aurora(plan) => Arc::new(pilotlight_aws::AuroraDriver::new(name, plan, access)),
            AwsComponent::Rds(plan) => Arc::new(pilotlight_aws::RdsDriver::new(name, plan, access)),
            AwsComponent::ElastiCache(plan) => Arc::new(pilotlight_aws::ElastiCacheDriver::new(name, plan, access)),
            AwsComponent::S3(plan) => Arc::new(pilotlight_aws::S3Driver::new(name, plan, access)),
            AwsComponent::Ecs(plan) => Arc::new(pilotlight_aws::EcsDriver::new(name, plan, access)),
            AwsComponent::Autoscaling(plan) => Arc::new(pilotlight_aws::AutoscalingDriver::new(name, plan, access)),
            AwsComponent::Eks(plan) => Arc::new(pilotlight_aws::EksDriver::new(name, plan, access)),
            AwsComponent::Route53(plan) => Arc::new(pilotlight_aws::Route53Driver::new(name, plan, access)),
            AwsComponent::Accelerator(plan) => Arc::new(pilotlight_aws::AcceleratorDriver::new(name, plan, access)),
            AwsComponent::Sns(plan) => Arc::new(pilotlight_aws::SnsDriver::new(name, plan, access)),
        };
        Ok(Arc::new(pilotlight_aws::Needing::new(driver, self.0.clone())))
    }
}

/// Makes nothing: this binary was built without them.
#[cfg(not(feature = "aws"))]
pub(crate) struct Aws;

#[cfg(not(feature = "aws"))]
impl Aws {
    /// Whatever the plan says.
    pub(crate) fn of(_plan: &Plan) -> Self {
        Self
    }

    /// Nobody's: nothing is called.
    pub(crate) async fn identities(&self, _plan: &Plan) -> Vec<(Region, Result<String, Finding>)> {
        Vec::new()
    }

    /// Publishes nothing.
    pub(crate) async fn publish(&self, _to: &AwsMetrics, _figures: &[Figure]) -> Result<(), Failure> {
        Err(Failure::unsupported("this binary was built without AWS (cargo feature `aws`)"))
    }

    /// Nobody asks.
    pub(crate) async fn alarm(&self, _arn: &str) -> Result<Alarm, Failure> {
        Err(Failure::unsupported("this binary was built without AWS (cargo feature `aws`)"))
    }

    /// Nothing is called.
    pub(crate) async fn rights(&self, _plan: &Plan) -> Option<Vec<Finding>> {
        None
    }

    /// Nothing is looked at.
    pub(crate) async fn needs(&self, _plan: &Plan) -> Vec<(String, Vec<Finding>)> {
        Vec::new()
    }

    /// Says how to get them.
    pub(crate) fn driver(&self, name: &Component, _kind: &AwsComponent) -> Result<Arc<dyn Driver>, CliError> {
        let cause = anyhow::anyhow!("component {name} is run by AWS, and this binary has no drivers for AWS");
        let hint = "build it with `cargo build --release --package pilotlight --features aws`";
        Err(CliError::new(crate::error::Exit::Usage, cause)
            .code(pilotlight_core::code::AWS_NOT_BUILT_IN.as_str())
            .hint(hint))
    }
}
