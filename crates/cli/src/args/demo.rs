//! What can be typed after `pilotlight demo`.

use super::duration;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// What dies
    #[arg(long, value_enum, default_value_t = FaultArg::Region)]
    pub(crate) fault: FaultArg,
    /// Prints one JSON document on stdout and nothing else there
    #[arg(long)]
    pub(crate) json: bool,
    /// How long a silent region may go on writing
    #[arg(long, default_value = "3s", value_name = "DURATION", value_parser = duration::demo_lease)]
    pub(crate) lease: Duration,
    /// Payments a second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub(crate) rate: u32,
    /// How long replication is held back before the loss, so that payments are lost for certain
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = duration::demo_lag)]
    pub(crate) lag: Duration,
    /// Where the report goes
    #[arg(long, default_value = "pilotlight-demo-report", value_name = "FOLDER")]
    pub(crate) report: PathBuf,
    /// Leaves the demo's folder with all logs behind
    #[arg(long)]
    pub(crate) keep: bool,
}

/// What the demo kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FaultArg {
    /// Only PostgreSQL
    Postmaster,
    /// Every process of the region, the agent included
    Region,
    /// The agent alone: nothing may fail over
    Agent,
    /// The region, and then the controller in the middle of the failover
    Controller,
    /// Nothing dies: the region is cut off from everybody, and comes back
    Partition,
    /// Nothing dies: the agent alone stops answering; nothing may fail over
    FreezeAgent,
}

impl FaultArg {
    /// The agent alone is away, and the database beside it lives.
    pub(crate) fn leaves_the_writer(self) -> bool {
        matches!(self, FaultArg::Agent | FaultArg::FreezeAgent)
    }
}
