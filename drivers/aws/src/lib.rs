//! Drivers for what AWS runs: no agent, calls from outside of the regions.
//!
//! Border: the controller calls these; none of them knows of runs or decisions. What AWS says is read in [`words`], which is
//! pure. All else but `finding` calls AWS's own SDK, which takes minutes to build, and is there with the feature `sdk`.
//!
//! Invariants:
//! - a move never calls the region it leaves: what is needed is asked where the writer is going to be;
//! - a call that changes something and whose answer is lost has an unknown outcome, and the same effect looks first;
//! - a copy is made a writer alone only for whom a fence of `none` is enough;
//! - throttled calls are repeated with jittered pauses inside the deadline of the effect, and our own calls stay below the
//!   rates that AWS publishes.

#[cfg_attr(not(feature = "sdk"), allow(dead_code, reason = "only the drivers ask AWS"))]
mod finding;
pub mod words;

#[cfg(feature = "sdk")]
mod accelerator;
#[cfg(feature = "sdk")]
mod access;
#[cfg(feature = "sdk")]
mod alarm;
#[cfg(feature = "sdk")]
mod aurora;
#[cfg(feature = "sdk")]
mod autoscaling;
#[cfg(feature = "sdk")]
mod call;
#[cfg(feature = "sdk")]
mod detach;
#[cfg(feature = "sdk")]
mod distribution;
#[cfg(feature = "sdk")]
mod ecs;
#[cfg(feature = "sdk")]
mod eks;
#[cfg(feature = "sdk")]
mod elasticache;
#[cfg(feature = "sdk")]
mod identity;
#[cfg(feature = "sdk")]
mod keys;
#[cfg(feature = "sdk")]
mod marks;
#[cfg(feature = "sdk")]
mod metrics;
#[cfg(feature = "sdk")]
mod needing;
#[cfg(feature = "sdk")]
mod needs;
#[cfg(feature = "sdk")]
mod place;
#[cfg(feature = "sdk")]
mod plain;
#[cfg(feature = "sdk")]
mod publish;
#[cfg(feature = "sdk")]
mod rds;
#[cfg(feature = "sdk")]
mod rights;
#[cfg(feature = "sdk")]
mod route53;
#[cfg(feature = "sdk")]
mod s3;
#[cfg(feature = "sdk")]
mod sns;
#[cfg(feature = "sdk")]
mod tags;
#[cfg(feature = "sdk")]
mod together;

#[cfg(feature = "sdk")]
pub use accelerator::AcceleratorDriver;
#[cfg(feature = "sdk")]
pub use access::Access;
#[cfg(feature = "sdk")]
pub use aurora::AuroraDriver;
#[cfg(feature = "sdk")]
pub use autoscaling::AutoscalingDriver;
#[cfg(feature = "sdk")]
pub use ecs::EcsDriver;
#[cfg(feature = "sdk")]
pub use eks::EksDriver;
#[cfg(feature = "sdk")]
pub use elasticache::ElastiCacheDriver;
#[cfg(feature = "sdk")]
pub use needing::Needing;
#[cfg(feature = "sdk")]
pub use rds::RdsDriver;
#[cfg(feature = "sdk")]
pub use route53::Route53Driver;
#[cfg(feature = "sdk")]
pub use s3::S3Driver;
#[cfg(feature = "sdk")]
pub use sns::SnsDriver;
