//! What can be typed of the hidden verbs that measure: moves beside the floor, and faults.

use crate::bench::leader::Shared;
use crate::bench::safety::{Case, Peer};
use clap::{Args, ValueEnum};
use pilotlight_core::plan::ConnectionFence;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What is measured
    #[arg(value_enum, default_values_t = [BenchCase::Crash, BenchCase::Region, BenchCase::Switchover, BenchCase::Dirty, BenchCase::Idle])]
    pub(crate) cases: Vec<BenchCase>,
    /// How often each
    #[arg(long, short = 'n', default_value_t = 10)]
    pub(crate) runs: u32,
    /// `policy.guarantee`
    #[arg(long, value_enum, default_value_t = GuaranteeArg::Bounded)]
    pub(crate) guarantee: GuaranteeArg,
    /// The lease of the region case
    #[arg(long, default_value = "3s", value_name = "DURATION")]
    pub(crate) lease: String,
    /// What the controllers of the leader case share
    #[arg(long, value_enum, default_value_t = SharedArg::Folder)]
    pub(crate) store: SharedArg,
    /// Modelled seconds in one real second, of the cases of AWS
    #[arg(long, default_value_t = 10.0)]
    pub(crate) speed: f64,
    /// Also writes every measurement there, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// What controllers can share on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SharedArg {
    /// A folder
    Folder,
    /// Three members of etcd
    Etcd,
    /// A bucket of a server that speaks S3 (moto)
    S3,
}

impl From<SharedArg> for Shared {
    fn from(shared: SharedArg) -> Self {
        match shared {
            SharedArg::Folder => Shared::Folder,
            SharedArg::Etcd => Shared::Etcd,
            SharedArg::S3 => Shared::S3,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct SafetyArgs {
    /// One case, or several; all of them when left away
    #[arg(long = "case", value_enum, value_delimiter = ',')]
    pub(crate) cases: Vec<Case>,
    /// Peers that take the same rounds in turns; one that is not installed is skipped
    #[arg(long = "peer", value_enum, value_delimiter = ',')]
    pub(crate) peers: Vec<Peer>,
    /// How often each, ten times if left away and the controller's death once at each place; without --case the rarer ones
    /// less often
    #[arg(long, short = 'n', value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeat: Option<u32>,
    /// So many pairs side by side
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) lanes: usize,
    /// The network between the places
    #[arg(long, value_enum, default_value_t = NetArg::Best)]
    pub(crate) net: NetArg,
    /// `policy.guarantee`
    #[arg(long, value_enum, default_value_t = GuaranteeArg::Bounded)]
    pub(crate) guarantee: GuaranteeArg,
    /// `connection_fence`: old clients are measured, too
    #[arg(long, value_enum, default_value_t = FenceArg::None)]
    pub(crate) fence: FenceArg,
    /// `policy.lease`
    #[arg(long, default_value = "3s", value_name = "DURATION")]
    pub(crate) lease: String,
    /// What the controllers of the case `leader` share
    #[arg(long, value_enum, default_value_t = SharedArg::Folder)]
    pub(crate) store: SharedArg,
    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Also writes every round there, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// How the places of a lab are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetArg {
    /// Namespaces where the machine allows them, else relays
    Best,
    /// Network namespaces (Linux, root)
    Namespaces,
    /// TCP proxies on loopback
    Relays,
}

/// What stands between the clients and the servers of a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FenceArg {
    /// Nothing
    None,
    /// A lease that the kernel keeps (network namespaces, nftables)
    Kernel,
    /// A proxy
    Proxy,
}

impl From<FenceArg> for ConnectionFence {
    fn from(fence: FenceArg) -> Self {
        match fence {
            FenceArg::None => ConnectionFence::None,
            FenceArg::Kernel => ConnectionFence::Kernel,
            FenceArg::Proxy => ConnectionFence::Proxy,
        }
    }
}

/// What "one writer" rests on in a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GuaranteeArg {
    /// The candidate alone
    Strict,
    /// The candidate, or a gate while the lease is valid
    Bounded,
    /// The agent's lease alone
    BestEffort,
}

impl GuaranteeArg {
    /// As a plan says it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            GuaranteeArg::Strict => "strict",
            GuaranteeArg::Bounded => "bounded",
            GuaranteeArg::BestEffort => "best-effort",
        }
    }
}

/// What `cargo xtask bench failover` measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum BenchCase {
    /// PostgreSQL is killed, the agent lives; beside the floor
    Crash,
    /// Every process of the region is killed; at PostgreSQL level and through the name
    Region,
    /// Planned, under 100 writes a second; beside the floor
    Switchover,
    /// Planned, with 500 MB of dirty buffers; beside the floor
    Dirty,
    /// One of three controllers is killed or frozen while it leads
    Leader,
    /// What a controller with nothing to do holds in memory
    Idle,
    /// Home by shares of the traffic; and with instances at home that do not answer
    Failback,
    /// Moves of what AWS runs, against the AWS test server: what is ours beside the provider's phases
    Aws,
    /// The same with two hundred components: calls a second
    AwsMany,
    /// What this binary weighs
    Size,
}
