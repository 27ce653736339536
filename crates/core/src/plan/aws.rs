//! `aws` and the kinds of components that AWS runs: what a plan says of them.
//!
//! Border: names and settings only. Which call does what is known by the drivers; what a kind means in words that hold for
//! every technology stands in `facet`.

mod data;
mod words;

pub use data::{
    AuroraMember, AuroraPlan, ElastiCacheMember, ElastiCachePlan, RdsInstance, RdsPlan, S3Bucket, S3Plan,
    SnapshotBefore,
};

use super::facet::Instances;
use crate::id::Region;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// `aws`: how AWS is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AwsPlan {
    /// `aws.account`: the account everything must be in.
    pub account: Option<String>,
    /// `aws.role`: ARN of the role that is assumed for every call, unless a region has its own.
    pub role: Option<String>,
    /// `aws.endpoint`: one URL for every service, for a test server.
    pub endpoint: Option<String>,
    /// `aws.metrics`: where our own figures are published.
    pub metrics: Option<AwsMetrics>,
    /// `aws.distributions`: distributions of CloudFront that go to the other region by themselves.
    pub distributions: Vec<AwsDistribution>,
    /// `aws.regions`: what AWS calls a region of the plan, and the role that may act there.
    pub regions: BTreeMap<Region, AwsRegion>,
}

/// `aws.metrics`: our own figures in CloudWatch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AwsMetrics {
    /// AWS's name of the region; none that the plan may lose.
    pub region: String,
    /// The namespace of every figure.
    pub namespace: String,
    /// How often.
    pub every: Duration,
}

/// `aws.distributions`: a distribution of CloudFront and its origin group, looked at and never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AwsDistribution {
    /// Its id.
    pub id: String,
    /// Id of the origin group.
    pub origin_group: String,
    /// The region whose origin is asked first.
    pub primary: Region,
    /// Id or domain name of the origin of each region.
    pub origins: BTreeMap<Region, String>,
    /// Status codes after which the other region is asked, too: 403 and 404 where that is meant.
    pub also: Vec<u16>,
}

/// One figure that is published.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// For example `Lag`.
    pub name: &'static str,
    /// In seconds; else it counts something.
    pub is_seconds: bool,
    /// The value.
    pub value: f64,
    /// What it is of.
    pub of: Vec<(&'static str, String)>,
}

/// One region of the plan in AWS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AwsRegion {
    /// AWS's name; without it the plan's own.
    pub name: Option<String>,
    /// ARN of a role that is assumed for calls to this region.
    pub role: Option<String>,
    /// What must be there before the service can run there.
    pub needs: AwsNeeds,
}

/// `aws.regions.REGION.needs`: what a region needs besides the components.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AwsNeeds {
    /// Names or ARNs of secrets in Secrets Manager.
    pub secrets: Vec<String>,
    /// Ids, ARNs or aliases of keys in KMS.
    pub keys: Vec<String>,
    /// ARNs of certificates in ACM.
    pub certificates: Vec<String>,
    /// A certificate that ends sooner than this is a finding.
    pub certificate_days: u32,
    /// Quotas of the account there.
    pub quotas: Vec<AwsQuota>,
}

impl AwsNeeds {
    /// Nothing is needed.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.keys.is_empty() && self.certificates.is_empty() && self.quotas.is_empty()
    }
}

/// A quota and how much of it is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AwsQuota {
    /// Code of the service, for example `ec2`.
    pub service: String,
    /// Code of the quota, for example `L-1216C47A`.
    pub quota: String,
    /// What it must be at least: what runs there in all, after a move.
    pub least: u32,
}

/// The kinds that AWS runs, by the word in `kind:`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum AwsComponent {
    /// Aurora Global Database.
    Aurora(AuroraPlan),
    /// An RDS instance and its read replicas in other regions.
    Rds(RdsPlan),
    /// An ElastiCache Global Datastore.
    #[serde(rename = "elasticache")]
    ElastiCache(ElastiCachePlan),
    /// Buckets in S3, one copied to the other.
    S3(S3Plan),
    /// An ECS service in each region.
    Ecs(EcsPlan),
    /// An EC2 Auto Scaling group in each region.
    Autoscaling(AutoscalingPlan),
    /// A managed node group of an EKS cluster in each region.
    Eks(EksPlan),
    /// A name in Route 53.
    Route53(Route53Plan),
    /// A listener of Global Accelerator.
    #[serde(rename = "global-accelerator")]
    Accelerator(AcceleratorPlan),
    /// An SNS topic that is told what happens.
    Sns(SnsPlan),
}

/// `kind: ecs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EcsPlan {
    /// Tasks where the traffic is.
    pub active: u32,
    /// Tasks where it is not.
    pub standby: u32,
    /// Capacity provider where the traffic is; without it the service's own is left alone.
    pub active_provider: Option<String>,
    /// Capacity provider where it is not.
    pub standby_provider: Option<String>,
    /// One service per region.
    pub regions: BTreeMap<Region, EcsService>,
}

/// An ECS service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EcsService {
    /// Name of its cluster.
    pub cluster: String,
    /// Its name.
    pub service: String,
}

/// `kind: autoscaling`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AutoscalingPlan {
    /// Instances where the traffic is.
    pub active: u32,
    /// Instances where it is not.
    pub standby: u32,
    /// Instances the group may grow to where the traffic is; without it its own limit is only raised when it must be.
    pub active_max: Option<u32>,
    /// The same where it is not.
    pub standby_max: Option<u32>,
    /// Name of the group per region.
    pub regions: BTreeMap<Region, String>,
}

/// `kind: eks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EksPlan {
    /// Nodes where the traffic is.
    pub active: u32,
    /// Nodes where it is not.
    pub standby: u32,
    /// Nodes the group may grow to where the traffic is; without it its own limit is only raised when it must be.
    pub active_max: Option<u32>,
    /// The same where it is not.
    pub standby_max: Option<u32>,
    /// One node group per region.
    pub regions: BTreeMap<Region, EksNodeGroup>,
}

/// A managed node group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EksNodeGroup {
    /// Name of its cluster.
    pub cluster: String,
    /// Its name.
    pub node_group: String,
}

/// `kind: route53`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route53Plan {
    /// Id of the hosted zone.
    pub zone: String,
    /// The name users ask for, without a final dot.
    pub name: String,
    /// Type of the record.
    pub record: RecordType,
    /// How records are chosen between.
    pub policy: RecordPolicy,
    /// Time to live in seconds; an alias has its target's.
    pub ttl_seconds: u32,
    /// What to answer per region.
    pub answers: BTreeMap<Region, Route53Answer>,
    /// An object moves users, instead of changes of records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switch: Option<Route53Switch>,
}

/// An object in a bucket away from home. While it can be read, the inverted health check of home's record is bad, so Route 53
/// answers with the other region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route53Switch {
    /// The region of the primary record.
    pub home: Region,
    /// The bucket, which is in the other region.
    pub bucket: String,
    /// Key of the object.
    pub object: String,
    /// How long Route 53's checkers need to see a change of it.
    pub takes: Duration,
}

impl Route53Plan {
    /// The switch and the region its bucket is in.
    pub fn switch(&self) -> Option<(&Route53Switch, &Region)> {
        let switch = self.switch.as_ref()?;
        self.answers.keys().find(|region| **region != switch.home).map(|away| (switch, away))
    }
}

/// The type of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RecordType {
    /// IPv4 addresses.
    #[serde(rename = "A")]
    A,
    /// IPv6 addresses.
    #[serde(rename = "AAAA")]
    Aaaa,
    /// Another name.
    #[serde(rename = "CNAME")]
    Cname,
}

/// How Route 53 chooses between records of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordPolicy {
    /// By weights, which are the shares.
    Weighted,
    /// The primary while it is healthy, else the secondary.
    Failover,
}

/// What Route 53 answers for a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route53Answer {
    /// The values, or the alias.
    pub to: AnswerTo,
    /// Id of the health check of this record.
    pub health_check: Option<String>,
}

/// Where an answer leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerTo {
    /// This value.
    Value(String),
    /// An alias of that name in that zone.
    Alias {
        /// DNS name of the target, for example of a load balancer.
        name: String,
        /// Zone of the target.
        zone: String,
    },
}

/// Where Global Accelerator is called, whatever the plan's regions are.
pub const ACCELERATOR_REGION: &str = "us-west-2";

/// `kind: global-accelerator`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AcceleratorPlan {
    /// ARN of the listener.
    pub listener: String,
    /// ARN of the endpoint group per region.
    pub regions: BTreeMap<Region, String>,
}

impl AcceleratorPlan {
    /// ARN of the accelerator, which that of its listener begins with.
    pub fn accelerator(&self) -> &str {
        self.listener.split("/listener/").next().unwrap_or(&self.listener)
    }
}

/// `kind: sns`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnsPlan {
    /// ARN of the topic; its region is where it is called.
    pub topic: String,
}

impl AwsPlan {
    /// What AWS calls a region of the plan.
    pub fn name_of<'a>(&'a self, region: &'a Region) -> &'a str {
        self.regions.get(region).and_then(|r| r.name.as_deref()).unwrap_or(region.as_str())
    }

    /// The role that acts in a region: its own, else the plan's. None: who runs Pilotlight.
    pub fn role_in(&self, region: &Region) -> Option<&str> {
        self.regions.get(region).and_then(|r| r.role.as_deref()).or(self.role.as_deref())
    }
}

impl AwsComponent {
    /// The regions that hold a copy of its data.
    pub fn copies(&self) -> Vec<&Region> {
        match self {
            AwsComponent::Aurora(a) => a.regions.keys().collect(),
            AwsComponent::Rds(r) => r.regions.keys().collect(),
            AwsComponent::ElastiCache(e) => e.regions.keys().collect(),
            AwsComponent::S3(s) => s.regions.keys().collect(),
            _ => Vec::new(),
        }
    }

    /// Where a copy of its data is dialled as a second opinion.
    pub fn addresses(&self) -> Vec<(&Region, &str)> {
        match self {
            AwsComponent::Aurora(a) => a.regions.iter().filter_map(|(r, m)| Some((r, m.address.as_deref()?))).collect(),
            AwsComponent::Rds(d) => d.regions.iter().filter_map(|(r, i)| Some((r, i.address.as_deref()?))).collect(),
            AwsComponent::ElastiCache(e) => {
                e.regions.iter().filter_map(|(r, m)| Some((r, m.address.as_deref()?))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The regions it can run in and how many instances.
    pub fn capacity(&self) -> Option<(Vec<&Region>, Instances)> {
        match self {
            AwsComponent::Ecs(e) => {
                Some((e.regions.keys().collect(), Instances { active: e.active, standby: e.standby }))
            }
            AwsComponent::Autoscaling(a) => {
                Some((a.regions.keys().collect(), Instances { active: a.active, standby: a.standby }))
            }
            AwsComponent::Eks(e) => {
                Some((e.regions.keys().collect(), Instances { active: e.active, standby: e.standby }))
            }
            _ => None,
        }
    }

    /// Something is kept before a planned move in one call.
    pub fn keeps_first(&self) -> bool {
        matches!(self, AwsComponent::Aurora(a) if a.snapshot == SnapshotBefore::Changes)
    }

    /// What people can do where nothing can silence a copy that stands alone.
    pub fn to_silence(&self) -> Option<&'static str> {
        match self {
            AwsComponent::Aurora(_) => Some(
                "give the members `closed_groups` and `open_groups` in the plan, with which it is shut; or shut it by hand",
            ),
            AwsComponent::ElastiCache(_) => Some(
                "a group that was taken out of its datastore never joins again: lead its clients away, delete it, and make a \
                 secondary in its region anew (docs/aws.md)",
            ),
            _ => None,
        }
    }

    /// The regions it can lead traffic to.
    pub fn routes(&self) -> Vec<&Region> {
        match self {
            AwsComponent::Route53(r) => r.answers.keys().collect(),
            AwsComponent::Accelerator(a) => a.regions.keys().collect(),
            _ => Vec::new(),
        }
    }
}
