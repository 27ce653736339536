//! What can be typed of a look at everything, and of waiting for it.

use super::ViewArgs;
use crate::error::{CliError, Exit};
use clap::{Args, ValueEnum};
use pilotlight_core::time::parse_duration;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) view: ViewArgs,
    /// Waits until it is so, says meanwhile what is missing, and shows it then
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) until: Option<Until>,
    /// With --until: waits no longer than that and ends with 1
    #[arg(long, default_value = "1h", value_name = "DURATION", requires = "until")]
    pub(crate) within: String,
}

/// What can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Until {
    /// Every region is heard and every copy in it is seen
    Heard,
    /// Besides that every copy follows its writer, each unit is healthy and no run is open: a planned move can begin
    Following,
}

impl StatusArgs {
    /// How long is waited.
    pub(crate) fn patience(&self) -> Result<Duration, CliError> {
        parse_duration(&self.within).ok_or_else(|| {
            CliError::say(Exit::Usage, format!("{} is not a duration", self.within)).hint("for example 30m")
        })
    }
}
