//! What can be typed of rescue bundles.

use super::{PlanArg, ViewArgs};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum RescueVerb {
    /// Lists rescue bundles of all regions, newest first
    List(ViewArgs),
    /// Shows the lost transactions and changes of a bundle
    Show(RescueShowArgs),
    /// Applies to the writer what it lacks of a bundle; overwrites nothing
    Apply(RescueApplyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RescueApplyArgs {
    /// The bundle, by its name
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) plan: PlanArg,
    /// Touches nothing; says what each change is to the writer
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Does not ask for the application's name
    #[arg(long)]
    pub(crate) yes: bool,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RescueShowArgs {
    /// The bundle, by its name
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) view: ViewArgs,
    /// A bundle in a folder of this machine instead; asks neither controller nor agent
    #[arg(long, value_name = "FOLDER", conflicts_with = "name")]
    pub(crate) bundle: Option<PathBuf>,
    /// File whose first line is the passphrase of that bundle
    #[arg(long, value_name = "FILE", requires = "bundle")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Passes over so many changes
    #[arg(long, default_value_t = 0)]
    pub(crate) from: u64,
    /// Shows at most so many transactions and changes
    #[arg(long, default_value_t = 100)]
    pub(crate) changes: u32,
}
