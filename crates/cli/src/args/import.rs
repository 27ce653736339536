//! What `pilotlight import` takes.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What a plan is made of.
#[derive(Debug, Subcommand)]
pub(crate) enum ImportVerb {
    /// From a state of Terraform: its resources, and its output `pilotlight` if it has one
    Terraform(ImportTerraformArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ImportTerraformArgs {
    /// The folder of the configuration, a state file, or a file with what `terraform show -json` prints
    #[arg(value_name = "STATE_OR_FOLDER")]
    pub(crate) source: PathBuf,
    /// Where to write the plan
    #[arg(long = "plan", short = 'p', default_value = "pilotlight.yaml", value_name = "FILE")]
    pub(crate) plan: PathBuf,
    /// Replaces an existing file
    #[arg(long)]
    pub(crate) force: bool,
}
